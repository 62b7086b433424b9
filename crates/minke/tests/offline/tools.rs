//! Programs to have at hand in a container.

use insta::assert_snapshot;

use crate::image::Layout;
use crate::town::Town;

#[test]
fn a_tool_is_a_package_of_the_system_that_the_lock_says_is_one() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    town.write("shop/minke.toml", "tools = [\"toy-tool\"]\n");
    town.builds(&["shop", "-o", "oci:layout"]);
    assert_eq!(Layout::read(&town.path("layout"), None).file("/usr/share/toy-tool/data"), "a tool");
    let lock = std::fs::read_to_string(town.path("shop/minke.lock")).unwrap();
    assert!(lock.contains("tool.minke.tools"), "{lock}");
    // The command line adds to what the file says.
    town.builds(&["shop", "--tool", "toy-absolute"]);
}

#[test]
fn a_name_that_there_is_not_is_told_with_those_that_are_near() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    assert_snapshot!(town.refuses(&["--tool", "toy-tol"]), @r"
    status: 1
    stderr: error: cannot plan the base image
      because: there is no package `toy-tol`; did you mean `toy-tool`?
      help: correct it in `tools` or `system-packages`; names are those of the suite's packages
    ");
}

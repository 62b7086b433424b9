//! What a hostile or broken Debian package may try.

use insta::assert_snapshot;
use minke_testkit::Fault;

use crate::debs::{HOSTILE, TOOL, TOOL_PATH};
use crate::image::Layout;
use crate::town::Town;

#[test]
fn packages_that_are_not_as_debian_makes_them() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let mut report = String::new();
    for name in HOSTILE {
        let ran = town.minke(&["build", "-q", "shop", "--system-package", &format!("evil-{name}")]);
        if ran.status == 0 {
            report.push_str(&format!("{name}: ACCEPTED\n"));
            town.minke(&["rmi", "shop"]);
            continue;
        }
        let seen = ran.seen();
        let reasons = seen
            .strip_prefix(&format!(
                "status: 1\nstderr: error: cannot make the base image\n  because: cannot unpack the package evil-{name} 1\n"
            ))
            .unwrap_or_else(|| panic!("{name}: {seen}"));
        let reasons: Vec<&str> = reasons
            .lines()
            .filter(|line| !line.starts_with("  help: "))
            .map(|line| line.trim().trim_start_matches("because: "))
            .collect();
        report.push_str(&format!("{name}: {}\n", reasons.join(" / ")));
    }
    assert_snapshot!(report, @r"
    above-the-root: the entry `./usr/../../etc/passwd` cannot be unpacked / `..` has a component that no directory entry can have
    block-device: `./usr/share/evil/device` is a block device, which no package may bring
    bomb: it unpacks to more than 67110912 bytes, far more than it declares
    character-device: `./usr/share/evil/device` is a character device, which no package may bring
    cut-short: it is cut short: data.tar has 20 of 201 bytes
    duplicate: `/usr/share/evil/data` is there twice
    fifo: `./usr/share/evil/device` is a named pipe, which no package may bring
    file-over-directory: `/usr/share/evil` is there twice
    hard-link-out: the entry `../../../etc/passwd` cannot be unpacked / `..` has a component that no directory entry can have
    link-out: the symlink `/usr/share/evil/etc` leads to `../../../../etc`, outside the root
    no-ar: this is not a Debian package of format 2
    no-control: it has no control.tar where one belongs
    no-data: it has no data.tar where one belongs
    not-compressed: its member data.tar is damaged / invalid gzip header
    overstated: it is cut short: data.tar has 202 of 1201 bytes
    through-a-link: an entry cannot be unpacked where it wants to be / `/usr/share/evil/etc/passwd` cannot be placed: `/usr/share/evil/etc` is not a directory
    ");
    town.still_builds();
}

#[test]
fn packages_that_do_not_come_as_they_were_listed() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let refused = |fault| {
        town.archive.fault(TOOL_PATH, fault);
        town.refuses(&["--system-package", TOOL])
    };
    assert_snapshot!(refused(Fault::WrongBytes), @r"
    status: 5
    stderr: error: cannot make the base image
      because: cannot fetch the package toy-tool 1
      because: the mirror that `MINKE_DEBIAN_MIRROR` names cannot be used
      because: http://archive.test/debian/pool/main/t/toy-tool/toy-tool_1_amd64.deb is a different file than was expected (expected sha256:fc6cae7cce995184b7695ebf8d237b365e421231958a70d797f473fc41be016f, got sha256:12ac43e8e1f508110196f5a6bed77eadf4cd3dd40a3943ad6b3d1306d3cf1df3)
      help: if you trust the new file, lock again; else another mirror or index may have the right one
    ");
    assert_snapshot!(refused(Fault::Body(b"too short".to_vec())), @r"
    status: 5
    stderr: error: cannot make the base image
      because: cannot fetch the package toy-tool 1
      because: the mirror that `MINKE_DEBIAN_MIRROR` names cannot be used
      because: http://archive.test/debian/pool/main/t/toy-tool/toy-tool_1_amd64.deb is a different file than was expected (expected 744 bytes, got 9)
      help: if you trust the new file, lock again; else another mirror or index may have the right one
    ");
    assert_snapshot!(refused(Fault::Status(404)), @r"
    status: 5
    stderr: error: cannot make the base image
      because: cannot fetch the package toy-tool 1
      because: the mirror that `MINKE_DEBIAN_MIRROR` names cannot be used
      because: there is nothing at http://archive.test/debian/pool/main/t/toy-tool/toy-tool_1_amd64.deb
      help: the mirror may be half updated: try again, or choose another
    ");
    town.archive.heal(TOOL_PATH);
    town.archive.fault_once(TOOL_PATH, Fault::Status(503));
    town.archive.fault_once(TOOL_PATH, Fault::TruncateAfter(10));
    town.builds(&["shop", "--system-package", TOOL]);
    assert!(town.succeeds(&["inspect", "shop"]).stdout.contains("\"digest\""));
}

#[test]
fn an_absolute_name_is_below_the_images_root() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    town.builds(&["shop", "--system-package", "toy-absolute", "-o", "oci:layout"]);
    assert_eq!(Layout::read(&town.path("layout"), None).file("/etc/toy-absolute"), "x");
    assert!(!std::path::Path::new("/etc/toy-absolute").exists());
}

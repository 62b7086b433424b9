//! The twin of an image for who looks into a container.

use insta::assert_snapshot;
use serde_json::Value;

use crate::town::Town;

#[test]
fn a_twin_shares_all_layers_and_adds_one() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let alone = town.builds(&["shop"]);
    let built = town.succeeds(&["build", "--quiet", "--json", "--debug", "shop"]);
    let built: Value = serde_json::from_str(&built.stdout).unwrap();
    assert_eq!(built["reference"].as_str(), Some(alone.as_str()), "the image itself is the same");
    let layers = |name: &str| -> Vec<Value> {
        let shown: Value = serde_json::from_str(&town.succeeds(&["inspect", name]).stdout).unwrap();
        shown["manifest"]["layers"].as_array().unwrap().clone()
    };
    let (own, twins) = (layers("shop"), layers("shop:latest-debug"));
    assert_eq!(twins[..own.len()], own[..]);
    assert_eq!(twins.len(), own.len() + 1);
    let again = town.succeeds(&["build", "--quiet", "--json", "--debug", "--locked", "shop"]);
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(again["twin"], built["twin"]);
    let lock = std::fs::read_to_string(town.path("shop/minke.lock")).unwrap();
    assert!(lock.contains("debug = [\"busybox-static\", \"ncurses-base\"]"), "{lock}");
    // Who doesn't ask for the twin leaves it locked.
    assert_eq!(town.builds(&["shop", "--locked"]), alone);
}

#[test]
fn a_twin_of_a_base_without_packages_is_refused() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    town.builds(&["shop", "-o", "oci:base"]);
    town.project("upon", &[]);
    assert_snapshot!(town.minke(&["build", "--quiet", "--debug", "upon", "--base", "oci:base"]).seen(), @r"
        status: 1
        stderr: error: `busybox-static` is a distribution's package, and the base is oci:base: 4 layers, 16.0 MB
          help: choose a suite with `base`, or leave the package away
    ");
}

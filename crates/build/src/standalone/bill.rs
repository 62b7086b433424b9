//! What vulnerability scanners read of a Python that no package manager has installed.
//!
//! A CycloneDX bill of materials, since it needs neither a time nor a name of its own to be valid, so that the
//! same Python always has the same; the name and the CPE are those under which its vulnerabilities are listed.
//!
//! Spec: <https://cyclonedx.org/docs/1.5/json/>

use minke_cas::{Entry, File, ImagePath, Mode, Store, StoreError, Tree};
use serde_json::json;

use super::{PREFIX, Standalone};

/// Returns the bill of a Python as the file that an image has, in its place.
///
/// # Errors
/// [`StoreError`] if the cache cannot take it.
pub fn bill(store: &Store, standalone: &Standalone) -> Result<Tree, StoreError> {
    let version = standalone.version.to_string();
    let component = json!({
        "type": "application",
        "bom-ref": format!("pkg:generic/python@{version}"),
        "name": "python",
        "version": version,
        "purl": format!("pkg:generic/python@{version}"),
        "cpe": format!("cpe:2.3:a:python:python:{version}:*:*:*:*:*:*:*"),
        "hashes": [{ "alg": "SHA-256", "content": standalone.archive.hex() }],
    });
    let bill =
        json!({ "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": [component] });
    let text = format!("{bill:#}\n");
    let file = File::new(store.put(text.as_bytes())?, text.len() as u64, Mode::REGULAR);
    let path: ImagePath = format!("{PREFIX}/share/sbom/python.cdx.json").parse().expect("a path");
    let mut tree = Tree::new();
    tree.insert(&path, Entry::File(file)).expect("a new tree has room");
    Ok(tree)
}

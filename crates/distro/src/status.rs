//! What vulnerability scanners read to know which packages an image is made of.
//!
//! One file a package, as distroless images have: scanners know them, and a layer can bring its own packages'
//! without touching another layer's list.
//!
//! Spec: <https://github.com/GoogleContainerTools/distroless/blob/main/PACKAGE_METADATA.md>

use minke_cas::{Entry, File, ImagePath, Mode, Store, StoreError, Tree};

use crate::deb::Control;

/// Returns the records of one package: `/var/lib/dpkg/status.d/NAME` and `NAME.md5sums`.
///
/// The second one is left out where the package has no checksums.
///
/// # Errors
/// [`StoreError`] if the cache cannot take them.
pub fn record(control: &Control, store: &Store) -> Result<Tree, StoreError> {
    let mut tree = Tree::new();
    let name = &control.package;
    let mut add = |name: String, text: &str| -> Result<(), StoreError> {
        let file = File::new(store.put(text.as_bytes())?, text.len() as u64, Mode::REGULAR);
        let path: ImagePath =
            format!("/var/lib/dpkg/status.d/{name}").parse().expect("a package's name is one");
        tree.insert(&path, Entry::File(file)).expect("a new tree has room for two files");
        Ok(())
    };
    add(name.to_string(), &format!("{}\n", control.text.trim_end()))?;
    if !control.md5sums.is_empty() {
        add(format!("{name}.md5sums"), &control.md5sums)?;
    }
    Ok(tree)
}

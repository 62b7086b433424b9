//! The virtual environment: where its parts lie, and what it has before anything is installed.
//!
//! No `activate` script: nothing in an image sources one. No `.gitignore` either.
//!
//! Spec: <https://docs.python.org/3/library/venv.html>,
//! <https://packaging.python.org/en/latest/specifications/virtual-environments/>

use minke_cas::{Entry, File, ImagePath, Mode, Store, StoreError, Tree};
use serde::{Deserialize, Serialize};

use crate::PythonVersion;

/// Where a virtual environment lies in the image and which interpreter it is of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Venv {
    /// Its directory, `/app/.venv` in an image.
    pub root: ImagePath,
    /// The interpreter's version.
    pub python: PythonVersion,
    /// The interpreter that it is of, such as `/usr/bin/python3.13`.
    pub interpreter: ImagePath,
}

impl Venv {
    /// Returns where programs go.
    pub fn bin(&self) -> ImagePath {
        self.below("bin")
    }

    /// Returns where modules go, pure Python or not.
    pub fn site_packages(&self) -> ImagePath {
        self.below(&format!("lib/python{}/site-packages", self.python.short()))
    }

    /// Returns what scripts of this environment start with.
    pub fn program(&self) -> ImagePath {
        self.below("bin/python")
    }

    /// Returns where a distribution's C headers go.
    pub(crate) fn headers(&self) -> ImagePath {
        self.below(&format!("include/site/python{}", self.python.short()))
    }

    fn below(&self, relative: &str) -> ImagePath {
        self.root.join_str(relative).expect("it has normal components only")
    }

    /// Makes the environment with nothing installed: `pyvenv.cfg`, the interpreter's links, `lib64`.
    ///
    /// Links are relative, so that the tree also works below another root than `/`.
    ///
    /// # Errors
    /// [`StoreError`] if `pyvenv.cfg` cannot be stored.
    pub fn skeleton(&self, store: &Store) -> Result<Tree, StoreError> {
        let configuration = self.configuration();
        let size = configuration.len() as u64;
        let file = File::new(store.put(configuration.as_bytes())?, size, Mode::REGULAR);
        let interpreter = relative_link(&self.bin(), &self.interpreter);
        let entries = [
            (self.below("pyvenv.cfg"), file.into()),
            (self.program(), Entry::symlink(interpreter)),
            (self.below("bin/python3"), Entry::symlink("python")),
            (self.below(&format!("bin/python{}", self.python.short())), Entry::symlink("python")),
            (self.site_packages(), Entry::directory()),
            (self.below("lib64"), Entry::symlink("lib")),
        ];
        let mut tree = Tree::new();
        for (path, entry) in entries {
            tree.insert(&path, entry).expect("these are different paths in new directories");
        }
        Ok(tree)
    }

    /// Tells whether a path is one that [`Venv::skeleton`] has and no wheel may have.
    pub(crate) fn is_reserved(&self, path: &ImagePath) -> bool {
        let short = self.python.short();
        ["pyvenv.cfg", "bin/python", "bin/python3", &format!("bin/python{short}"), "lib64"]
            .into_iter()
            .any(|reserved| path.starts_with(&self.below(reserved)))
    }

    fn configuration(&self) -> String {
        let home = self.interpreter.parent().unwrap_or_else(ImagePath::root);
        format!("home = {home}\ninclude-system-site-packages = false\nversion = {}\n", self.python)
    }
}

/// Returns what a symlink in `directory` has to say to point to `target`.
pub(crate) fn relative_link(directory: &ImagePath, target: &ImagePath) -> String {
    let common =
        directory.components().zip(target.components()).take_while(|(one, other)| one == other).count();
    let up = directory.components().skip(common).map(|_| "..");
    up.chain(target.components().skip(common)).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_environment_has_links_and_a_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let venv = Venv {
            root: "/app/.venv".parse().unwrap(),
            python: "3.13.5".parse().unwrap(),
            interpreter: "/usr/bin/python3.13".parse().unwrap(),
        };
        let tree = venv.skeleton(&store).unwrap();
        insta::assert_snapshot!(format!("{tree:?}"), @r"
        /app/ dir 0755
        /app/.venv/ dir 0755
        /app/.venv/bin/ dir 0755
        /app/.venv/bin/python link ../../../usr/bin/python3.13
        /app/.venv/bin/python3 link python
        /app/.venv/bin/python3.13 link python
        /app/.venv/lib/ dir 0755
        /app/.venv/lib/python3.13/ dir 0755
        /app/.venv/lib/python3.13/site-packages/ dir 0755
        /app/.venv/lib64 link lib
        /app/.venv/pyvenv.cfg file 0644 c08ac953
        ");
        let configuration = tree.resolve_file(&"/app/.venv/pyvenv.cfg".parse().unwrap()).unwrap();
        insta::assert_snapshot!(String::from_utf8(store.read_file(configuration).unwrap()).unwrap(), @r"
        home = /usr/bin
        include-system-site-packages = false
        version = 3.13.5
        ");
    }

    #[test]
    fn links_are_relative_to_the_directory_they_lie_in() {
        let link = |directory: &str, target: &str| {
            relative_link(&directory.parse().unwrap(), &target.parse().unwrap())
        };
        assert_eq!(link("/app/.venv/bin", "/usr/bin/python3"), "../../../usr/bin/python3");
        assert_eq!(link("/usr/venv/bin", "/usr/bin/python3"), "../../bin/python3");
        assert_eq!(link("/", "/python"), "python");
    }
}

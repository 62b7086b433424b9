//! What a build needs of Python: resolved outside the room, installed from wheels, some of them built first.

use std::sync::Arc;

use minke_cas::{Entry, Epoch, ImagePath, Meter, Tree, TreeError};
use minke_python::{Distribution, Target, Venv};

use super::make::Order;
use super::{BackendError, Sources, Workshop};
use crate::fetch::Fetcher;
use crate::lock;
use crate::system_lock::BuildKey;
use crate::uv::Resolver;
use crate::wheels::{self, Wheel};

impl Workshop<'_> {
    /// Returns the wheels of what a backend needs: as they are locked, else resolved and locked.
    pub(super) fn pinned(
        &self,
        order: &Order<'_>,
        lines: &[String],
        resolver: &Resolver,
    ) -> Result<Vec<Wheel>, BackendError> {
        let directory = || order.directory.clone();
        let failed = |source| BackendError::Requirements { directory: directory(), source: Box::new(source) };
        let (key, root) = (self.build_key(lines), &self.project.root);
        let (target, _) = self.bench;
        let found = if let Some(locked) = self.supply.build(&key) {
            locked.iter().map(wheels::locked).collect::<Result<_, _>>().map_err(failed)?
        } else {
            let found = self.resolved(order, (lines, None), resolver)?;
            if let Some(wheels) = found.iter().map(wheels::lockable).collect::<Option<Vec<_>>>() {
                self.supply.keep_build(key, wheels).map_err(BackendError::Supply)?;
                resolver.uv.version().into_iter().for_each(|version| self.supply.note_uv(version));
            }
            found
        };
        let mut needs = wheels::sort(self.store, found, target, (root, &[])).map_err(failed)?;
        needs.wheels.extend(self.built_first(&needs.sources, order, resolver)?);
        Ok(needs.wheels)
    }

    /// Resolves what a backend needs: today's, or what there was at some time.
    pub(super) fn resolved(
        &self,
        order: &Order<'_>,
        (lines, newest): (&[String], Option<&str>),
        resolver: &Resolver,
    ) -> Result<Vec<Distribution>, BackendError> {
        let unresolved =
            |source| BackendError::Resolve { directory: order.directory.clone(), source: Box::new(source) };
        let context = (self.project, self.bench.0, self.store);
        let again = || Ok(resolver.clone());
        let metadata =
            |found: &Distribution| self.metadata(found, (order.above, &again), (self.bench.0, &[])).map(Some);
        lock::resolve_lines(resolver, (lines.to_vec(), newest), context, &metadata).map_err(unresolved)
    }

    /// Builds what a backend needs and has no wheel.
    fn built_first(
        &self,
        sources: &[Sources],
        order: &Order<'_>,
        resolver: &Resolver,
    ) -> Result<Vec<Wheel>, BackendError> {
        let resolver = || Ok(resolver.clone());
        sources.iter().map(|sources| self.wheel_of(sources, order.above, &resolver)).collect()
    }

    pub(super) fn build_key(&self, lines: &[String]) -> BuildKey {
        BuildKey { requires: lines.to_vec(), target: self.bench.0.to_string() }
    }

    /// Installs what a backend needs into a tree that has nothing else.
    pub(super) fn requirements(
        &self,
        order: &Order<'_>,
        lines: &[String],
        resolver: &Resolver,
    ) -> Result<Tree, BackendError> {
        if lines.is_empty() {
            return Ok(Tree::new());
        }
        let (target, interpreter) = self.bench;
        let venv = venv(target, interpreter);
        let wheels = self.pinned(order, lines, resolver)?;
        let directory = || order.directory.clone();
        let failed = |source| BackendError::Requirements { directory: directory(), source: Box::new(source) };
        let meter = Meter::default();
        let fetcher = Fetcher { client: self.client, store: self.store, meter: &meter, jobs: self.jobs };
        let installed = wheels::install_all(fetcher, &wheels, target, &venv).map_err(failed)?;
        let parts = installed
            .into_iter()
            .map(|installed| crate::parts::Part {
                owner: crate::parts::Owner::Distribution {
                    name: installed.name.to_string(),
                    version: installed.version.to_string(),
                    wheel_size: 0,
                },
                tree: installed.tree,
                epoch: Epoch::FIXED,
            })
            .collect();
        let together = |source| BackendError::Together { directory: directory(), source };
        let settled = crate::parts::settle(parts, crate::parts::Strictness::LaterWins).map_err(together)?;
        from_site_packages(&settled.tree, &venv)
            .map_err(|source| BackendError::Scripts { directory: directory(), source })
    }
}

/// Returns what is installed in an environment as the workshop wants it: from `site-packages` down, programs in
/// `/bin`.
fn from_site_packages(tree: &Tree, venv: &Venv) -> Result<Tree, TreeError> {
    let mut requirements = Tree::new();
    let mut graft = |from: &ImagePath, to: &ImagePath| {
        let directory = tree.directory(from);
        directory.map_or(Ok(()), |directory| requirements.insert(to, Entry::Directory(Arc::clone(directory))))
    };
    graft(&venv.site_packages(), &ImagePath::root())?;
    graft(&venv.bin(), &"/bin".parse().expect("a path"))?;
    Ok(requirements)
}

/// Lays links where the scripts of what a build needs look for their interpreter.
pub(super) fn with_interpreter(
    root: &Tree,
    target: &Target,
    interpreter: &ImagePath,
) -> Result<Tree, TreeError> {
    let bin = venv(target, interpreter).bin();
    let mut root = root.clone();
    for name in ["python".to_owned(), "python3".to_owned(), format!("python{}", target.python.short())] {
        let link = bin.join_str(&name).expect("a program's name is one");
        root.insert(&link, Entry::symlink(interpreter.as_str()))?;
    }
    Ok(root)
}

/// Where a backend and what it needs lie in the room.
pub(super) fn venv(target: &Target, interpreter: &ImagePath) -> Venv {
    Venv {
        root: "/build/env".parse().expect("a path"),
        python: target.python,
        interpreter: interpreter.clone(),
    }
}

#[cfg(test)]
mod tests {
    use minke_cas::{Digest, File, Mode};
    use minke_python::{Arch, Libc, Platform, PythonVersion};

    use super::*;

    /// The tree of what a backend needs, from files in an environment whose root is `/build/env`.
    fn placed(files: &[&str]) -> Result<String, String> {
        let platform = Platform { arch: Arch::X86_64, libc: Libc::Glibc { major: 2, minor: 41 } };
        let target = Target { python: PythonVersion { major: 3, minor: 13, patch: None }, platform };
        let mut tree = Tree::new();
        for file in files {
            let content = File::new(Digest::of(file.as_bytes()), 1, Mode::REGULAR);
            tree.insert(&format!("/build/env/{file}").parse().unwrap(), content.into()).unwrap();
        }
        let placed = from_site_packages(&tree, &venv(&target, &"/usr/bin/python3.13".parse().unwrap()));
        placed.map(|tree| format!("{tree:?}")).map_err(|error| error.to_string())
    }

    #[test]
    fn modules_lie_at_the_root_and_scripts_in_bin() {
        let files = ["lib/python3.13/site-packages/x.py", "bin/x", "lib/python3.13/site-packages/bin/y.py"];
        insta::assert_snapshot!(placed(&files).unwrap(), @r"
        /bin/ dir 0755
        /bin/x file 0644 b8b07719
        /bin/y.py file 0644 1df03a16
        /x.py file 0644 a7a80628
        ");
    }

    #[test]
    fn a_module_called_bin_that_is_in_the_way_is_an_error() {
        let files = ["lib/python3.13/site-packages/bin/x", "bin/x"];
        insta::assert_snapshot!(placed(&files).unwrap_err(), @"`/bin` is there twice, with different content");
    }
}

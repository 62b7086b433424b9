//! Bytecode for what is in the image, by the image's own interpreter.

use std::collections::{BTreeMap, BTreeSet};

use minke_cas::{Digest, Entry, File, ImagePath, PackId, Store, StoreError, Tree};
use minke_exec::{CompileError, Compiled, Interpreter, Isolation};
use serde::{Deserialize, Serialize};

use crate::parts::{Owner, Part};
use crate::slim::Uncompiled;

/// What bytecode depends on besides its sources.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Compiler {
    /// The digest of the interpreter's program.
    pub program: Digest,
    /// The directories whose `.py` files are modules.
    pub roots: Vec<ImagePath>,
}

/// A part with its bytecode, or what is to be done for it.
pub enum Bytecode<'part> {
    /// It was made before, or there is nothing to compile.
    Ready(Tree),
    /// It is to be made.
    Wanted(Job<'part>),
}

/// Sources that are to be compiled.
pub struct Job<'part> {
    compiler: &'part Compiler,
    part: &'part Part,
    sources: Vec<(ImagePath, File)>,
}

/// Bytecode cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BytecodeError {
    /// The interpreter failed.
    #[error("cannot compile the modules of {owner}")]
    Compile {
        /// Whose modules.
        owner: String,
        /// What happened.
        source: CompileError,
    },
    /// The cache failed.
    #[error("cannot keep bytecode")]
    Store(#[from] StoreError),
}

#[derive(Serialize)]
struct Key<'key> {
    program: Digest,
    sources: Vec<(&'key ImagePath, Digest)>,
    isolation: &'static str,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    tree: Tree,
}

/// The bytecode that a project's files had last: of a file that is the same, it is the same.
#[derive(Serialize, Deserialize)]
struct Last {
    sources: BTreeMap<ImagePath, Digest>,
    tree: Tree,
}

#[derive(Serialize)]
struct LastKey<'key> {
    program: Digest,
    owner: &'key str,
    /// The first file, which tells a part's pieces apart.
    first: Option<&'key ImagePath>,
}

const KIND: &str = "bytecode-1";

const LAST: &str = "bytecode-last-2";

impl Compiler {
    /// Adds to a part the bytecode of its modules, if that was made before.
    ///
    /// `whole` is the image, in which links lead to where they lead. What isn't valid for this interpreter, such as templates and tests of syntax errors, has none; nor has what is to have none.
    pub fn compiled<'part>(
        &'part self,
        store: &Store,
        part: &'part Part,
        (whole, without): (&Tree, &Uncompiled),
    ) -> Bytecode<'part> {
        let is_module = |path: &ImagePath| {
            path.as_str().ends_with(".py")
                && self.roots.iter().any(|root| path.starts_with(root))
                && !without.has(path)
        };
        let sources: Vec<(ImagePath, File)> = part
            .tree
            .walk()
            .filter(|(path, _)| is_module(path))
            .filter_map(|(path, entry)| match entry {
                Entry::File(file) => Some((path, file.clone())),
                // Python asks for bytecode beside the name that it imports, which may be a link.
                Entry::Symlink(_) => whole.resolve_file(&path).map(|file| (path.clone(), file.clone())),
                Entry::Directory(_) => None,
            })
            .collect();
        if sources.is_empty() {
            return Bytecode::Ready(part.tree.clone());
        }
        let job = Job { compiler: self, part, sources };
        match store.recall(KIND, &job.key()) {
            Some(Remembered { tree }) => Bytecode::Ready(job.beside(&tree)),
            None => Bytecode::Wanted(job),
        }
    }
}

impl Job<'_> {
    /// Compiles, and returns the part with its bytecode.
    ///
    /// # Errors
    /// [`BytecodeError`] names whose modules.
    pub fn run(&self, store: &Store, interpreter: &Interpreter) -> Result<Tree, BytecodeError> {
        let _span = tracing::info_span!("compile", owner = self.part.owner.name()).entered();
        let Remembered { tree } = store.memo(KIND, &self.key(), || {
            let tree = match self.part.owner {
                Owner::Project { .. } => self.of_project(store, interpreter)?,
                _ => self.fresh(store, interpreter, &self.sources)?,
            };
            Ok::<_, BytecodeError>(Remembered { tree })
        })?;
        Ok(self.beside(&tree))
    }

    fn key(&self) -> Key<'_> {
        let sources = self.sources.iter().map(|(path, file)| (path, file.content)).collect();
        let (_, isolation) = self.isolation();
        Key { program: self.compiler.program, sources, isolation }
    }

    fn isolation(&self) -> (Isolation, &'static str) {
        match self.part.owner {
            Owner::Project { .. } => (Isolation::ForkPerFile, "file"),
            _ => (Isolation::OneProcess, "distribution"),
        }
    }

    /// Compiles what has changed since the last time: each file for itself, so that others don't matter.
    fn of_project(&self, store: &Store, interpreter: &Interpreter) -> Result<Tree, BytecodeError> {
        let owner = self.part.owner.name();
        let first = self.sources.first().map(|(path, _)| path);
        let key = LastKey { program: self.compiler.program, owner: &owner, first };
        let last = store.recall::<_, Last>(LAST, &key);
        let is_new = |(path, file): &&(ImagePath, File)| {
            last.as_ref().is_none_or(|last| last.sources.get(path) != Some(&file.content))
        };
        let changed: Vec<_> = self.sources.iter().filter(is_new).cloned().collect();
        let mut tree = self.fresh(store, interpreter, &changed)?;
        if let Some(last) = &last {
            // What doesn't compile has no bytecode, then as now.
            let same = self.sources.iter().filter(|source| !is_new(source));
            let stems: BTreeSet<ImagePath> = same.filter_map(|(path, _)| stem(path)).collect();
            let kept = last.tree.filter(|path, entry| {
                matches!(entry, Entry::File(_))
                    && bytecode_stem(path).is_some_and(|stem| stems.contains(&stem))
            });
            tree = tree.join(&kept).expect("what has changed isn't the same");
        }
        let sources = self.sources.iter().map(|(path, file)| (path.clone(), file.content)).collect();
        store.remember(LAST, &key, &Last { sources, tree: tree.clone() })?;
        Ok(tree)
    }

    fn fresh(
        &self,
        store: &Store,
        interpreter: &Interpreter,
        sources: &[(ImagePath, File)],
    ) -> Result<Tree, BytecodeError> {
        let (isolation, name) = self.isolation();
        let listed = sources.iter().map(|(path, file)| (path, file.content)).collect();
        let key = Key { program: self.compiler.program, sources: listed, isolation: name };
        let input = Digest::of(&serde_json::to_vec(&key).expect("a key is JSON"));
        let compiled = interpreter.compile(store, PackId::of(KIND, &input), sources, isolation);
        let failed = |source| BytecodeError::Compile { owner: self.part.owner.name(), source };
        let Compiled { tree, failed: _ } = compiled.map_err(failed)?;
        Ok(tree)
    }

    /// Puts bytecode beside its sources; a path that the part has already is its own: some ship bytecode as data.
    fn beside(&self, bytecode: &Tree) -> Tree {
        let new = bytecode.filter(|path, _| self.part.tree.get(path).is_none());
        self.part.tree.join(&new).expect("what is in the way was left out")
    }
}

/// Returns a source's path without its suffix.
fn stem(source: &ImagePath) -> Option<ImagePath> {
    source.as_str().strip_suffix(".py")?.parse().ok()
}

/// Returns the path of bytecode's source without its suffix: `/a/b` of `/a/__pycache__/b.cpython-313.pyc`.
pub(crate) fn bytecode_stem(path: &ImagePath) -> Option<ImagePath> {
    // A module's name may have dots, and the tag has none.
    let (stem, _tag) = path.name()?.strip_suffix(".pyc")?.rsplit_once('.')?;
    path.parent()?.parent()?.join_str(stem).ok()
}

//! Bytecode for what is in the image, by the image's own interpreter.

use minke_cas::{Digest, Entry, File, ImagePath, PackId, Store, StoreError, Tree};
use minke_exec::{CompileError, Compiled, Interpreter, Isolation};
use serde::{Deserialize, Serialize};

use crate::parts::{Owner, Part};

/// The image's interpreter, and what its bytecode depends on.
pub struct Compiler {
    /// The interpreter, where it can be run.
    pub interpreter: Interpreter,
    /// The digest of its program.
    pub program: Digest,
    /// The directories whose `.py` files are modules.
    pub roots: Vec<ImagePath>,
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

impl Compiler {
    /// Adds to a part the bytecode of its modules.
    ///
    /// `whole` is the image, in which links lead to where they lead. What isn't valid for this interpreter, such as templates and tests of syntax errors, has none.
    ///
    /// # Errors
    /// [`BytecodeError`] names whose modules.
    pub fn compile(&self, store: &Store, part: &Part, whole: &Tree) -> Result<Tree, BytecodeError> {
        let is_module = |path: &ImagePath| {
            path.as_str().ends_with(".py") && self.roots.iter().any(|root| path.starts_with(root))
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
            return Ok(part.tree.clone());
        }
        let (isolation, name) = match part.owner {
            Owner::Project { .. } => (Isolation::ForkPerFile, "file"),
            _ => (Isolation::OneProcess, "distribution"),
        };
        let listed = sources.iter().map(|(path, file)| (path, file.content)).collect();
        let key = Key { program: self.program, sources: listed, isolation: name };
        let input = Digest::of(&serde_json::to_vec(&key).expect("a key is JSON"));
        let Remembered { tree } = store.memo("bytecode-1", &key, || {
            let compiled =
                self.interpreter.compile(store, PackId::of("bytecode-1", &input), &sources, isolation);
            let failed = |source| BytecodeError::Compile { owner: part.owner.name(), source };
            let Compiled { tree, failed: _ } = compiled.map_err(failed)?;
            Ok::<_, BytecodeError>(Remembered { tree })
        })?;
        // A path that the part has already is its own: some packages ship bytecode as data.
        let new = tree.filter(|path, _| part.tree.get(path).is_none());
        Ok(part.tree.join(&new).expect("what is in the way was left out"))
    }
}

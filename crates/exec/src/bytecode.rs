//! Compiles Python sources to unchecked-hash `.pyc` files, by the image's own interpreter.
//!
//! Compiling executes nothing of what is compiled, so that it needs no sealed room. The sources are read
//! straight from the store's packs, and the results go straight into one. Which files are compiled is
//! decided by the caller; how often, by its memo.
//!
//! Spec: <https://docs.python.org/3/reference/import.html#cached-bytecode-invalidation>,
//! <https://peps.python.org/pep-3147/>

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{ChildStdout, Stdio};
use std::time::Duration;

use minke_cas::{Entry, File, ImagePath, Mode, PackId, PackWriter, Store, StoreError, Tree};

use crate::Interpreter;
use crate::process::{Ending, Job, Kill};

const DRIVER: &str = include_str!("bytecode/compile.py");

/// Longer than any known distribution takes on any machine by far.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// A message is cut by the driver before it becomes longer than this.
const LONGEST_MESSAGE: u32 = 16 * 1024;

/// Which sources share a process; the bytes depend on it, since CPython merges equal constants of what one
/// process has compiled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Isolation {
    /// One fresh process compiles all files, in path order: for a distribution.
    OneProcess,
    /// A warm process forks one child for each file: a file's bytecode doesn't depend on other files.
    ForkPerFile,
}

/// What was compiled, and what could not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The `__pycache__/NAME.TAG.pyc` files, mode 0644, all in one pack.
    pub tree: Tree,
    /// The sources that aren't valid for this interpreter (templates, Python 2), in path order, with what
    /// it said.
    pub failed: Vec<(ImagePath, String)>,
}

/// The interpreter could not compile.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The interpreter doesn't start.
    #[error("cannot start the image's Python")]
    Start(#[source] io::Error),
    /// The interpreter was killed, crashed or gave up; a source that isn't valid is no such case.
    #[error("the image's Python failed to compile ({ending}): {stderr}")]
    Failed {
        /// How it ended.
        ending: String,
        /// The end of what it said.
        stderr: String,
    },
    /// The interpreter took longer than half an hour.
    #[error("the image's Python did not finish compiling within {} minutes", LIMIT.as_secs() / 60)]
    TimedOut,
    /// A source could not be read from the store, or a result not written to it.
    #[error("cannot keep bytecode")]
    Store(#[from] StoreError),
}

impl Interpreter {
    /// Compiles sources and puts the results into a pack.
    ///
    /// The bytes are those of `py_compile` with `PycInvalidationMode.UNCHECKED_HASH`, run over the same files
    /// in path order; the order of `sources` doesn't matter. What isn't named `*.py` is passed over.
    ///
    /// # Errors
    /// [`CompileError`].
    pub fn compile(
        &self,
        store: &Store,
        pack: PackId,
        sources: &[(ImagePath, File)],
        isolation: Isolation,
    ) -> Result<Compiled, CompileError> {
        let mut sources: Vec<_> = sources
            .iter()
            .filter(|(path, _)| path.name().is_some_and(|name| name.ends_with(".py")))
            .collect();
        sources.sort_by(|(first, _), (second, _)| first.cmp(second));
        sources.dedup_by(|(first, _), (second, _)| first == second);

        let request = request(store, &sources, isolation)?;
        let pack = store.pack_writer(pack)?;
        let mut command = self.script(DRIVER);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).current_dir("/");
        let mut job = Job::start(&mut command, LIMIT, Kill::Group).map_err(CompileError::Start)?;
        let mut stdin = job.child().stdin.take().expect("stdin was asked for");
        let stdout = job.child().stdout.take().expect("stdout was asked for");
        // The driver reads all of it before it writes anything. If it doesn't, its stderr says why.
        let _ = stdin.write_all(&request);
        drop(stdin);

        let received = receive(BufReader::with_capacity(256 * 1024, stdout), pack, &sources);
        let received = match received {
            Err(Reception::Store(error)) => return Err(error.into()),
            received => received,
        };
        match (job.finish().map_err(CompileError::Start)?, received) {
            ((Ending::TimedOut, _), _) => Err(CompileError::TimedOut),
            ((Ending::Exited(status), _), Ok(compiled)) if status.success() => Ok(compiled),
            ((Ending::Exited(status), stderr), _) => {
                let stderr = stderr.trim_end().to_owned();
                Err(CompileError::Failed { ending: status.to_string(), stderr })
            }
        }
    }
}

/// What the driver reads; see there.
fn request(
    store: &Store,
    sources: &[&(ImagePath, File)],
    isolation: Isolation,
) -> Result<Vec<u8>, StoreError> {
    let mode = match isolation {
        Isolation::OneProcess => "one-process",
        Isolation::ForkPerFile => "fork-per-file",
    };
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut request = format!("{mode}\0{jobs}\0").into_bytes();
    for (path, file) in sources {
        let content = store.content(file)?;
        let (offset, length) = content.extent();
        request.extend_from_slice(path.as_str().as_bytes());
        request.push(0);
        request.extend_from_slice(content.path().as_os_str().as_bytes());
        request.extend_from_slice(format!("\0{offset}\0{length}\0").as_bytes());
    }
    Ok(request)
}

/// Why not all frames arrived.
enum Reception {
    /// The driver stopped early or wrote something else: its end says more.
    Broken,
    /// The store refused a result.
    Store(StoreError),
}

impl From<StoreError> for Reception {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Input(_) => Self::Broken,
            error => Self::Store(error),
        }
    }
}

fn receive(
    mut stdout: BufReader<ChildStdout>,
    mut pack: PackWriter,
    sources: &[&(ImagePath, File)],
) -> Result<Compiled, Reception> {
    let mut tag = String::new();
    (&mut stdout).take(64).read_line(&mut tag).map_err(|_| Reception::Broken)?;
    let tag = tag.strip_suffix('\n').filter(|tag| !tag.is_empty()).ok_or(Reception::Broken)?;
    let mut compiled = Compiled { tree: Tree::new(), failed: Vec::new() };
    for (index, (path, _)) in sources.iter().enumerate() {
        let (kind, number, length) = header(&mut stdout).map_err(|_| Reception::Broken)?;
        if u64::from(number) != index as u64 {
            return Err(Reception::Broken);
        }
        let mut body = (&mut stdout).take(length.into());
        match kind {
            b'c' => {
                let (content, size) = pack.add(&mut body)?;
                if size != u64::from(length) {
                    return Err(Reception::Broken);
                }
                let file = File { pack: Some(pack.id()), ..File::new(content, size, Mode::REGULAR) };
                place(&mut compiled, path, tag, file);
            }
            b'f' if length <= LONGEST_MESSAGE => {
                let mut message = String::new();
                body.read_to_string(&mut message).map_err(|_| Reception::Broken)?;
                compiled.failed.push((path.clone(), message));
            }
            _ => return Err(Reception::Broken),
        }
    }
    pack.finish()?;
    Ok(compiled)
}

fn header(stdout: &mut impl Read) -> io::Result<(u8, u32, u32)> {
    let (mut kind, mut number, mut length) = ([0; 1], [0; 4], [0; 4]);
    stdout.read_exact(&mut kind)?;
    stdout.read_exact(&mut number)?;
    stdout.read_exact(&mut length)?;
    Ok((kind[0], u32::from_le_bytes(number), u32::from_le_bytes(length)))
}

fn place(compiled: &mut Compiled, source: &ImagePath, tag: &str, file: File) {
    let directory = source.parent().expect("a source has a name, so it has a directory");
    let stem = source.name().and_then(|name| name.strip_suffix(".py")).expect("only *.py is compiled");
    let placed =
        directory.join_str(&format!("__pycache__/{stem}.{tag}.pyc")).map_err(|error| error.to_string());
    let placed = placed
        .and_then(|path| compiled.tree.replace(&path, Entry::File(file)).map_err(|error| error.to_string()));
    if let Err(message) = placed {
        // A name of 255 bytes has no room for a tag; Python itself would not cache it either.
        compiled.failed.push((source.clone(), message));
    }
}

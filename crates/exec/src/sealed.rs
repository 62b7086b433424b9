//! Runs an action in a sealed room.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use minke_cas::{Directory, ImagePath, Mode, Ownership, Store, Tree, TreeError};
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::process::Resource;
use rustix::thread::CapabilitySet;

use crate::action::{Action, ActionError, BUILDER, Host, Limits, Outcome, Prepared, Seal, outcome};
use crate::caller::{Caller, candidates, strings};
use crate::furnish::{self, Furniture, Ids, Upper, Writable};
use crate::jobs::Share;
use crate::process::tail_of;
use crate::refusal::{Unavailable, is_refusal};
use crate::sandbox::{self, Filter, Launch, LaunchError, Network, Program, Running, Signals, Vector};
use crate::watch;

/// What `/dev/shm` holds, as in other containers.
pub(crate) const SHARED_MEMORY: &str = "size=64m,nr_inodes=4096";

/// How many descriptors a process may have, as the kernel has it where nobody says: what lies in pipes and
/// sockets is memory that nobody counts.
pub(crate) const DESCRIPTORS: u64 = 4096;

/// How many processes a root has that has no other id, as in a container: the kernel refuses it none.
const UNBOUND_PROCESSES: u64 = 512;

/// Tells whether this machine lets a room be sealed, by sealing an empty one.
///
/// # Errors
/// [`Unavailable`] says what is refused and, as far as can be told, by which setting.
pub fn sealing_available() -> Result<(), Unavailable> {
    let refused = |what: &str, error: io::Error| {
        Unavailable::of(what, Errno::from_io_error(&error).unwrap_or(Errno::IO))
    };
    let directory = tempfile::tempdir().map_err(|error| refused("a temporary directory", error))?;
    let at = |name: &str| directory.path().join(name);
    for name in ["room", "scratch"] {
        fs::create_dir(at(name)).map_err(|error| refused("a temporary directory", error))?;
    }
    let action = Action {
        root: Tree::new(),
        argv: vec!["/nothing".to_owned()],
        env: BTreeMap::new(),
        workdir: ImagePath::root(),
        outputs: Vec::new(),
        limits: Limits::default(),
    };
    let places = (at("room"), at("scratch"));
    let places = (&*places.0, &*places.1, Upper::Memory);
    match launch(&action, places, [None, None, None], Seal::Sealed.into()) {
        // As far as looking for a program that isn't there: the room was whole.
        Err(ActionError::Start { .. }) | Ok(_) => Ok(()),
        Err(ActionError::Unavailable(unavailable)) => Err(unavailable),
        Err(ActionError::Setup { what, source }) => Err(refused(&format!("to {what}"), source)),
        Err(_) => Err(Unavailable::of("a sealed room", Errno::INVAL)),
    }
}

/// Runs an action in a room whose files are its own tree's.
pub(crate) fn sealed(
    action: &Action,
    store: &Store,
    (prepared, upper): (&Prepared, Upper),
    host: Host<'_>,
) -> Result<Outcome, ActionError> {
    let caller = Caller::of_process(Network::Own);
    let ownership = Ownership::Plain(caller.is_superuser().then_some(BUILDER));
    let scratch = store.scratch()?;
    let (shared, written) = match upper {
        Upper::Disk => split(action, prepared)?,
        Upper::Memory | Upper::Copy => (Tree::new(), prepared.root.clone()),
    };
    let room = store.room(&shared, ownership)?;
    let made = scratch.path().join(if upper == Upper::Disk { "upper" } else { "root" });
    store.write_tree(&written, &made, ownership)?;

    let (reader, writer) = io::pipe().map_err(pipe)?;
    if caller.is_superuser() {
        // Else the program could not open `/dev/stdout`, which is this.
        let (uid, gid) = (Uid::from_raw(BUILDER.uid), Gid::from_raw(BUILDER.gid));
        rustix::fs::fchown(&writer, Some(uid), Some(gid)).map_err(|errno| pipe(errno.into()))?;
    }
    let other = writer.try_clone().map_err(pipe)?;
    let null = fs::File::open("/dev/null").map_err(pipe)?;
    let stdio = [Some(null.into()), Some(writer.into()), Some(other.into())];
    let running = launch(action, (&room, scratch.path(), upper), stdio, host)?;
    let log = tail_of(reader);
    let limits = counted(&action.limits, &caller);
    let status = watch::until_end(running, &limits, scratch.path());
    outcome(action, store, (&made, status, log.recv().unwrap_or_default()))
}

/// The limits that a watch can keep: where the kernel may not refuse processes, few enough to be counted among them.
pub(crate) fn counted(limits: &Limits, caller: &Caller) -> Limits {
    let bound = caller.is_superuser() || caller.ids.0 != 0;
    let processes = if bound { limits.processes } else { limits.processes.min(UNBOUND_PROCESSES) };
    Limits { processes, ..*limits }
}

/// Parts what is written once for all actions of the same root from what is written for this one.
fn split(action: &Action, prepared: &Prepared) -> Result<(Tree, Tree), TreeError> {
    let Some(own) = action.workdir.components().next() else {
        return Ok((Tree::new(), prepared.root.clone()));
    };
    let own = ImagePath::root().join_str(own).expect("a path's component is a name");
    let mut shared = action.root.clone();
    shared.remove(&own);
    let mut written = Tree::new();
    if let Some(entry) = prepared.root.get(&own) {
        written.insert(&own, entry.clone())?;
    }
    for path in prepared.made.iter().filter(|path| !path.starts_with(&own)) {
        // The layer merges it with what is below.
        written.set_directory(path, Mode::EXECUTABLE, BUILDER)?;
    }
    Ok((shared, written))
}

fn pipe(source: io::Error) -> ActionError {
    ActionError::Setup { what: "make a pipe".to_owned(), source }
}

fn launch(
    action: &Action,
    (room, scratch, upper): (&Path, &Path, Upper),
    stdio: [Option<OwnedFd>; 3],
    host: Host<'_>,
) -> Result<Running, ActionError> {
    let caller = Caller::of_process(Network::Own);
    let inside = (BUILDER.uid, BUILDER.gid);
    let ids = Ids { inside, outside: if caller.is_superuser() { inside } else { caller.ids } };
    let furniture = Furniture {
        namespaces: caller.namespaces,
        ids,
        room,
        root: &Directory::new(Mode::EXECUTABLE, BUILDER),
        scratch,
        upper,
        writable: Writable::All,
        hostname: "workshop",
        workdir: &action.workdir,
        given: Vec::new(),
        mounted: Vec::new(),
        console: None,
        shared_memory: SHARED_MEMORY,
        layer: "",
    };
    let mut steps = furnish::steps(furniture).map_err(ActionError::Nul)?;
    // Where memory runs out for good, the kernel shall look here before it looks at anything of the user's.
    steps.insert(0, furnish::first_to_be_killed());
    let environment = host.environment(action);
    let variables = environment.iter().map(|(name, value)| format!("{name}={value}"));
    let name = action.argv.first().cloned().unwrap_or_default();
    let path = action.env.get("PATH").map_or("/usr/bin:/bin", String::as_str);
    let program = Program {
        candidates: strings(candidates(&name, path, &action.workdir)).map_err(ActionError::Nul)?,
        arguments: Vector::of(strings(action.argv.clone()).map_err(ActionError::Nul)?),
        environment: Vector::of(strings(variables).map_err(ActionError::Nul)?),
        workdir: CString::new(action.workdir.as_str()).expect("an image path holds no NUL"),
        stdio,
        terminal: None,
        identity: caller.identity(inside.0, inside.1),
        capabilities: CapabilitySet::empty(),
        limits: vec![
            (Resource::Core, 0),
            (Resource::Fsize, action.limits.output_bytes),
            (Resource::Nproc, action.limits.processes),
            (Resource::Nofile, DESCRIPTORS),
        ],
        own_users: if caller.is_superuser() { furnish::maps(ids) } else { Vec::new() },
        cpus: host.share.and_then(Share::cpus),
        filter: Some(Filter::for_strangers()),
    };
    let launch = Launch { namespaces: caller.namespaces, steps, program };
    sandbox::launch(launch, Signals::Kept).map_err(|error| explained(error, name))
}

fn explained(error: LaunchError, program: String) -> ActionError {
    match error {
        LaunchError::Refused(errno) => Unavailable::of_namespaces(errno).into(),
        LaunchError::Step { what, errno } if is_refusal(errno) => {
            Unavailable::of(&format!("to {what}"), errno).into()
        }
        LaunchError::Step { what, errno } => ActionError::Setup { what, source: errno.into() },
        LaunchError::Unfiltered(errno) => Unavailable::of("to filter system calls", errno).into(),
        LaunchError::Workdir(errno) => {
            ActionError::Setup { what: "enter the working directory".to_owned(), source: errno.into() }
        }
        LaunchError::Execute(errno) => ActionError::Start { program, source: errno.into() },
        LaunchError::Interpreter => ActionError::Start { program, source: Errno::NOENT.into() },
    }
}

//! What a room's init does before its program starts: one system call or a few, prepared as a value.

use std::cell::RefCell;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use super::raw;

const AT_RECURSIVE: u32 = 0x8000;
const ATTR_READ_ONLY: u64 = 0x1;
const ATTR_NO_SETUID: u64 = 0x2;
const ATTR_NO_DEVICES: u64 = 0x4;

/// A place where a mount waits between [`Step::Carry`] and [`Step::Attach`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot(pub(crate) usize);

/// Whether a mount's submounts come along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// This one only.
    One,
    /// And all below it.
    Below,
}

/// Who may write through a mount that is carried; set-id bits and devices work through neither.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Write {
    /// Nobody.
    Refused,
    /// Whom its modes and owners allow.
    Allowed,
    /// Whom its modes and owners allow, and it is a device that shall work.
    Device,
}

/// What a mount point is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Point {
    /// A directory.
    Directory,
    /// A file.
    File,
    /// A file; a symlink that leads nowhere makes way for it.
    FileOrDangling,
}

/// Whether the room can do without a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Need {
    /// It cannot.
    Must,
    /// It can: the file system or the kernel may lack what is asked for.
    May,
}

/// One step with what it is called when it fails.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) step: Step,
    pub(crate) need: Need,
    /// An infinitive and its object, such as "mount `/proc`".
    pub(crate) what: String,
}

/// What a step does; paths are the old root's before [`Step::Pivot`] and the room's afterwards.
#[derive(Debug)]
pub(crate) enum Step {
    /// Keeps what is mounted here from reaching the host, and the other way round.
    Private,
    /// Changes the working directory.
    Enter(CString),
    /// Writes a text into a file that is there.
    Put { path: CString, text: Vec<u8> },
    /// Makes a file with a text, mode 0644, in place of nothing.
    Create { path: CString, text: Vec<u8> },
    /// Makes one directory; one that is there stays as it is.
    Directory { path: CString, mode: u32, owner: Option<(u32, u32)> },
    /// Makes a mount point and the directories above it, where they are missing.
    Point { above: Vec<CString>, path: CString, kind: Point },
    /// Makes a symlink.
    Link { target: CString, path: CString },
    /// Mounts a file system.
    Mount { kind: CString, path: CString, flags: MountFlags, options: CString },
    /// Mounts `/proc`, or shows the outer one where the kernel refuses a new one: in a container that hides
    /// parts of its own.
    Proc { outer: Slot },
    /// Takes a copy of what is mounted at a path into a slot.
    Carry { source: CString, reach: Reach, write: Write, slot: Slot },
    /// Mounts what is in a slot; an empty one is passed over.
    Attach { slot: Slot, path: CString },
    /// Mounts a path of the room on itself, so that it outlives [`Step::Freeze`] of what is around it, or can
    /// be frozen alone.
    Cover { path: CString, write: Write },
    /// Hides a path: a file below `/dev/null`, a directory below an empty one.
    Hide { path: CString },
    /// Makes the mount at a path read-only, not those below it.
    Freeze { path: CString },
    /// Makes a directory the root; the old one stays reachable for the kernel until [`Step::Forget`].
    Pivot { root: CString },
    /// Lets go of the old root.
    Forget,
    /// Names the machine.
    Hostname(Vec<u8>),
    /// Brings the loopback interface up.
    Loopback,
}

/// The descriptors that steps hand to later ones; made before the fork.
pub(super) struct Carried {
    slots: Vec<RefCell<Option<OwnedFd>>>,
    old_root: RefCell<Option<OwnedFd>>,
}

impl Carried {
    pub(super) fn room_for(steps: &[Planned]) -> Self {
        let slots = steps.iter().filter_map(|planned| match &planned.step {
            Step::Carry { slot, .. } => Some(slot.0 + 1),
            _ => None,
        });
        let count = slots.max().unwrap_or(0);
        Self { slots: (0..count).map(|_| RefCell::new(None)).collect(), old_root: RefCell::new(None) }
    }
}

/// Executes one step; makes system calls only.
pub(super) fn execute(step: &Step, carried: &Carried) -> Result<(), Errno> {
    match step {
        Step::Private => {
            rustix::mount::mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        }
        Step::Enter(path) => rustix::process::chdir(path),
        Step::Put { path, text } => put(path, OFlags::WRONLY, text),
        Step::Create { path, text } => put(path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, text),
        Step::Directory { path, mode, owner } => directory(path, *mode, *owner),
        Step::Point { above, path, kind } => point(above, path, *kind),
        Step::Link { target, path } => rustix::fs::symlink(target, path),
        Step::Mount { kind, path, flags, options } => {
            rustix::mount::mount(kind, path, kind, *flags, options.as_c_str())
        }
        Step::Proc { outer } => proc(*outer, carried),
        Step::Carry { source, reach, write, slot } => {
            let tree = copied(source, *reach, *write)?;
            carried.slots[slot.0].replace(Some(tree));
            Ok(())
        }
        Step::Attach { slot, path } => match carried.slots[slot.0].take() {
            Some(tree) => attach(tree.as_fd(), path),
            None => Ok(()),
        },
        Step::Cover { path, write } => attach(copied(path, Reach::One, *write)?.as_fd(), path),
        Step::Hide { path } => hide(path),
        Step::Freeze { path } => raw::mount_setattr(CWD, path, 0, ATTR_READ_ONLY),
        Step::Pivot { root } => pivot(root, carried),
        Step::Forget => forget(carried),
        Step::Hostname(name) => rustix::system::sethostname(name),
        Step::Loopback => {
            let (family, kind) = (rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM);
            raw::loopback_up(rustix::net::socket(family, kind, None)?.as_fd())
        }
    }
}

fn put(path: &CStr, flags: OFlags, text: &[u8]) -> Result<(), Errno> {
    let file =
        rustix::fs::open(path, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::from_raw_mode(0o644))?;
    // In one piece: the kernel takes an id map no other way.
    if rustix::io::write(&file, text)? == text.len() { Ok(()) } else { Err(Errno::NOSPC) }
}

fn directory(path: &CStr, mode: u32, owner: Option<(u32, u32)>) -> Result<(), Errno> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o700)) {
        Err(Errno::EXIST) => return Ok(()),
        made => made?,
    }
    if let Some((uid, gid)) = owner {
        rustix::fs::chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    // Not by mkdir itself: the caller's umask would take part.
    rustix::fs::chmod(path, Mode::from_raw_mode(mode))
}

fn point(above: &[CString], path: &CStr, kind: Point) -> Result<(), Errno> {
    for ancestor in above {
        directory(ancestor, 0o755, None)?;
    }
    let there = || rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).is_ok();
    match kind {
        Point::Directory => directory(path, 0o755, None),
        Point::File | Point::FileOrDangling if there() => Ok(()),
        Point::File => put(path, OFlags::WRONLY | OFlags::CREATE, b""),
        Point::FileOrDangling => {
            // It isn't there, unless as a symlink.
            let _ = rustix::fs::unlink(path);
            put(path, OFlags::WRONLY | OFlags::CREATE, b"")
        }
    }
}

fn proc(outer: Slot, carried: &Carried) -> Result<(), Errno> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match rustix::mount::mount(c"proc", c"/proc", c"proc", flags, c"") {
        Ok(()) => Ok(()),
        Err(error) => match carried.slots[outer.0].take() {
            Some(tree) => attach(tree.as_fd(), c"/proc"),
            None => Err(error),
        },
    }
}

fn copied(source: &CStr, reach: Reach, write: Write) -> Result<OwnedFd, Errno> {
    let recursive = match reach {
        Reach::One => 0,
        Reach::Below => AT_RECURSIVE,
    };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(CWD, source, flags | OpenTreeFlags::from_bits_retain(recursive))?;
    let attributes = match write {
        Write::Refused => ATTR_READ_ONLY | ATTR_NO_SETUID | ATTR_NO_DEVICES,
        Write::Allowed => ATTR_NO_SETUID | ATTR_NO_DEVICES,
        Write::Device => ATTR_NO_SETUID,
    };
    let empty_path = AtFlags::EMPTY_PATH.bits();
    raw::mount_setattr(tree.as_fd(), c"", recursive | empty_path, attributes)?;
    Ok(tree)
}

fn attach(tree: BorrowedFd<'_>, path: &CStr) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    rustix::mount::move_mount(tree, c"", CWD, path, flags)
}

fn hide(path: &CStr) -> Result<(), Errno> {
    let null = copied(c"/dev/null", Reach::One, Write::Device)?;
    match attach(null.as_fd(), path) {
        Err(Errno::NOTDIR) => {
            let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            rustix::mount::mount(c"tmpfs", path, c"tmpfs", flags, c"size=0,nr_inodes=1,mode=755")
        }
        attached => attached,
    }
}

fn pivot(root: &CStr, carried: &Carried) -> Result<(), Errno> {
    let old = rustix::fs::open(c"/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::process::chdir(root)?;
    // Puts the old root on top of the new one, where only its descriptor leads.
    rustix::process::pivot_root(c".", c".")?;
    carried.old_root.replace(Some(old));
    rustix::process::chdir(c"/")
}

fn forget(carried: &Carried) -> Result<(), Errno> {
    let Some(old) = carried.old_root.take() else { return Ok(()) };
    rustix::process::fchdir(&old)?;
    rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
    rustix::process::chdir(c"/")
}

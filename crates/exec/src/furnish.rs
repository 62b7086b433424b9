//! What a room looks like inside: its root, `/proc`, `/sys`, `/dev`, and what is mounted from outside.
//!
//! Returns steps, executes nothing. The root is an overlay: below, a directory that holds the tree and is
//! never written to; above, a throw-away layer. All paths inside are resolved after the root was changed, so
//! that a symlink of the image, or of a directory that is mounted into it, leads to nothing of the host's.

use std::ffi::{CString, NulError};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use minke_cas::{Directory, Entry, ImagePath, Tree};
use rustix::mount::MountFlags;

use crate::sandbox::{Namespaces, Need, Network, Planned, Point, Reach, Slot, Step, Write};

/// Programs may rely on these and on nothing else in `/dev`.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// What container runtimes hide and freeze: it tells about the host, or changes it.
const HIDDEN: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const FROZEN: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Where the throw-away layer of a room lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Upper {
    /// In memory; it goes with the room.
    Memory,
    /// In the scratch directory's `upper`, where it can be read afterwards.
    Disk,
    /// Nowhere: the scratch directory's `root` is a private copy of the tree.
    Copy,
}

/// What may be written in a room, apart from what is mounted into it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Writable {
    /// What the modes and owners of its files allow.
    All,
    /// These directories and what is below them.
    Only(Vec<ImagePath>),
}

/// Something of the host's that is mounted into a room.
pub(crate) struct Mounted {
    pub(crate) source: PathBuf,
    pub(crate) target: ImagePath,
    pub(crate) kind: Point,
    pub(crate) write: Write,
}

/// A small file that a room gets, whatever its tree has there.
pub(crate) struct Given {
    pub(crate) path: &'static str,
    pub(crate) text: String,
}

/// What makes a room.
pub(crate) struct Furniture<'a> {
    pub(crate) namespaces: Namespaces,
    /// Inside and outside ids, where the room has users of its own.
    pub(crate) ids: Ids,
    /// A directory that holds the tree.
    pub(crate) room: &'a Path,
    /// The root directory of the tree, for its mode and owner.
    pub(crate) root: &'a Directory,
    /// An empty directory of the caller's.
    pub(crate) scratch: &'a Path,
    pub(crate) upper: Upper,
    pub(crate) writable: Writable,
    pub(crate) hostname: &'a str,
    pub(crate) workdir: &'a ImagePath,
    pub(crate) given: Vec<Given>,
    pub(crate) mounted: Vec<Mounted>,
    /// The host's path of the terminal that becomes `/dev/console`.
    pub(crate) console: Option<CString>,
    /// Options of `/dev/shm`'s file system, such as its size: half of the machine's memory where they don't say.
    pub(crate) shared_memory: &'static str,
    /// The same for the throw-away layer, where that is in memory.
    pub(crate) layer: &'static str,
}

/// Who the room's user is inside, and outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ids {
    pub(crate) inside: (u32, u32),
    pub(crate) outside: (u32, u32),
}

#[derive(Default)]
struct Plan {
    steps: Vec<Planned>,
    slots: usize,
}

impl Plan {
    fn must(&mut self, what: impl Into<String>, step: Step) {
        self.steps.push(Planned { step, need: Need::Must, what: what.into() });
    }

    fn may(&mut self, step: Step) {
        self.steps.push(Planned { step, need: Need::May, what: String::new() });
    }

    fn carry(&mut self, need: Need, source: CString, reach: Reach, write: Write) -> Slot {
        let slot = Slot(self.slots);
        self.slots += 1;
        let what = format!("reach `{}`", source.to_string_lossy());
        self.steps.push(Planned { step: Step::Carry { source, reach, write, slot }, need, what });
        slot
    }

    fn point(&mut self, need: Need, path: &ImagePath, kind: Point) {
        let mut above: Vec<_> = std::iter::successors(path.parent(), ImagePath::parent)
            .filter(|ancestor| !ancestor.is_root())
            .map(|ancestor| text(ancestor.as_str()))
            .collect();
        above.reverse();
        let step = Step::Point { above, path: text(path.as_str()), kind };
        self.steps.push(Planned { step, need, what: format!("make a place for `{path}`") });
    }
}

/// A text that is known to hold no NUL: a literal, or an image path.
fn text(text: &str) -> CString {
    CString::new(text).expect("neither literals nor image paths hold a NUL")
}

pub(crate) fn host(path: &Path) -> Result<CString, NulError> {
    CString::new(path.as_os_str().as_bytes())
}

/// Returns what furnishes a room, in order.
///
/// # Errors
/// A path of the host's holds a NUL, and so cannot be there.
pub(crate) fn steps(furniture: Furniture<'_>) -> Result<Vec<Planned>, NulError> {
    let mut plan = Plan::default();
    identify(&mut plan, &furniture);
    plan.must("keep mounts apart from the host's", Step::Private);
    let devices = DEVICES.map(|name| {
        let need = if name == "null" { Need::Must } else { Need::May };
        (name, plan.carry(need, text(&format!("/dev/{name}")), Reach::One, Write::Device))
    });
    let outer_proc = plan.carry(Need::May, text("/proc"), Reach::Below, Write::Allowed);
    let system = outer_system(&mut plan, furniture.namespaces);
    let mut mounted = Vec::new();
    for bind in &furniture.mounted {
        let slot = plan.carry(Need::Must, host(&bind.source)?, Reach::Below, bind.write);
        mounted.push((bind, slot));
    }
    mounted.sort_by(|(first, _), (second, _)| first.target.cmp(&second.target));
    let console = furniture
        .console
        .as_ref()
        .map(|path| plan.carry(Need::Must, path.clone(), Reach::One, Write::Device));

    let given = root(&mut plan, &furniture)?;
    cover(&mut plan, &furniture.writable);
    plan.point(Need::Must, &path("/proc"), Point::Directory);
    plan.must("mount `/proc`", Step::Proc { outer: outer_proc });
    mount_system(&mut plan, system);
    mount_devices(&mut plan, &furniture, &devices, console);
    for (path, slot) in given {
        plan.point(Need::May, &path, Point::FileOrDangling);
        plan.may(Step::Attach { slot, path: text(path.as_str()) });
    }
    for (bind, slot) in mounted {
        plan.point(Need::Must, &bind.target, bind.kind);
        let what = format!("mount `{}` at `{}`", bind.source.display(), bind.target);
        plan.must(what, Step::Attach { slot, path: text(bind.target.as_str()) });
    }
    for path in HIDDEN {
        plan.may(Step::Hide { path: text(path) });
    }
    for path in FROZEN {
        plan.may(Step::Cover { path: text(path), write: Write::Refused });
    }
    plan.point(Need::May, furniture.workdir, Point::Directory);
    plan.must("let go of the host's files", Step::Forget);
    // Containers' filters refuse this call to whom they let mount: then it is called as the container is.
    plan.may(Step::Hostname(furniture.hostname.as_bytes().to_vec()));
    if network(furniture.namespaces) == Network::Own {
        plan.must("bring the loopback interface up", Step::Loopback);
    }
    if furniture.writable != Writable::All {
        plan.must("make the root read-only", Step::Freeze { path: text("/") });
    }
    Ok(plan.steps)
}

/// Returns the topmost directories of a tree that a user may write to.
pub(crate) fn writable_by(tree: &Tree, uid: u32, gid: u32) -> Vec<ImagePath> {
    let may_write = |directory: &Directory| {
        let (owner, bits) = (directory.owner(), directory.mode().bits());
        let class = match () {
            () if owner.uid == uid => bits >> 6,
            () if owner.gid == gid => bits >> 3,
            () => bits,
        };
        class & 0o3 == 0o3
    };
    if uid == 0 || may_write(tree.root()) {
        return vec![ImagePath::root()];
    }
    let mut found: Vec<ImagePath> = Vec::new();
    for (path, entry) in tree.walk() {
        let Entry::Directory(directory) = entry else { continue };
        let below = found.last().is_some_and(|last| path.starts_with(last));
        if !below && may_write(directory) {
            found.push(path);
        }
    }
    found
}

fn path(literal: &str) -> ImagePath {
    literal.parse().expect("a literal path is one")
}

fn network(namespaces: Namespaces) -> Network {
    let (Namespaces::OfCaller { network } | Namespaces::WithUsers { network }) = namespaces;
    network
}

/// Maps the one user that an ordinary user can map.
fn identify(plan: &mut Plan, furniture: &Furniture<'_>) {
    let Namespaces::WithUsers { .. } = furniture.namespaces else { return };
    plan.steps.extend(maps(furniture.ids));
}

/// Returns what a process does that is alone in a new user namespace, to be who it is.
pub(crate) fn maps(Ids { inside, outside }: Ids) -> Vec<Planned> {
    let put = |path: &str, text_: String| Step::Put { path: text(path), text: text_.into_bytes() };
    let mut plan = Plan::default();
    plan.may(put("/proc/self/setgroups", "deny".to_owned()));
    plan.must("map the user id", put("/proc/self/uid_map", format!("{} {} 1\n", inside.0, outside.0)));
    plan.must("map the group id", put("/proc/self/gid_map", format!("{} {} 1\n", inside.1, outside.1)));
    plan.steps
}

/// Returns what makes the kernel choose this process, and what it starts, when it has no memory left.
pub(crate) fn first_to_be_killed() -> Planned {
    let step = Step::Put { path: text("/proc/self/oom_score_adj"), text: b"1000".to_vec() };
    Planned { step, need: Need::May, what: String::new() }
}

/// `/sys` tells about a network, and can be mounted only by whom that network belongs to.
fn outer_system(plan: &mut Plan, namespaces: Namespaces) -> Option<Slot> {
    match namespaces {
        Namespaces::WithUsers { network: Network::Host } => {
            Some(plan.carry(Need::May, text("/sys"), Reach::Below, Write::Refused))
        }
        Namespaces::WithUsers { network: Network::Own } | Namespaces::OfCaller { .. } => None,
    }
}

/// Makes the root and enters it; returns where the given files wait.
fn root(plan: &mut Plan, furniture: &Furniture<'_>) -> Result<Vec<(ImagePath, Slot)>, NulError> {
    let scratch = host(furniture.scratch)?;
    if furniture.upper == Upper::Memory {
        let options = format!("mode=755,{}", furniture.layer);
        let (kind, options) = (text("tmpfs"), text(options.trim_end_matches(',')));
        let mount = Step::Mount { kind, path: scratch.clone(), flags: MountFlags::empty(), options };
        plan.must("mount a throw-away file system", mount);
    }
    plan.must("enter the throw-away file system", Step::Enter(scratch));
    let owner = match furniture.namespaces {
        Namespaces::OfCaller { .. } => Some((furniture.root.owner().uid, furniture.root.owner().gid)),
        Namespaces::WithUsers { .. } => None,
    };
    let directory = |name: &str, mode, owner| Step::Directory { path: text(name), mode, owner };
    for name in ["lower", "work", "root", "given"] {
        plan.must("make a directory for the room", directory(name, 0o755, None));
    }
    plan.must("make a directory for the room", directory("upper", furniture.root.mode().bits(), owner));

    let mut given = Vec::new();
    for (number, file) in furniture.given.iter().enumerate() {
        let name = text(&format!("given/{number}"));
        let create = Step::Create { path: name.clone(), text: file.text.clone().into_bytes() };
        plan.must(format!("write `{}`", file.path), create);
        given.push((path(file.path), plan.carry(Need::Must, name, Reach::One, Write::Allowed)));
    }
    if furniture.upper == Upper::Copy {
        let copy = plan.carry(Need::Must, text("root"), Reach::One, Write::Allowed);
        plan.must("mount the room's files", Step::Attach { slot: copy, path: text("root") });
    } else {
        overlay(plan, host(furniture.room)?);
    }
    plan.must("change the root", Step::Pivot { root: text("root") });
    Ok(given)
}

fn overlay(plan: &mut Plan, room: CString) {
    // Mounted beside the other two first, so that the options need no path that would have to be escaped.
    let lower = plan.carry(Need::Must, room, Reach::One, Write::Allowed);
    plan.must("mount the image's files", Step::Attach { slot: lower, path: text("lower") });
    let options = text("lowerdir=lower,upperdir=upper,workdir=work,userxattr");
    let flags = MountFlags::NODEV | MountFlags::NOSUID;
    let overlay = Step::Mount { kind: text("overlay"), path: text("root"), flags, options };
    plan.must("mount a throw-away layer over the image", overlay);
}

fn cover(plan: &mut Plan, writable: &Writable) {
    let Writable::Only(directories) = writable else { return };
    let kernels = ["/proc", "/sys", "/dev"].map(path);
    for directory in directories.iter().filter(|path| !kernels.iter().any(|kernel| path.starts_with(kernel)))
    {
        let step = Step::Cover { path: text(directory.as_str()), write: Write::Allowed };
        plan.must(format!("keep `{directory}` writable"), step);
    }
}

fn mount_system(plan: &mut Plan, outer: Option<Slot>) {
    plan.point(Need::Must, &path("/sys"), Point::Directory);
    let sys = text("/sys");
    match outer {
        Some(slot) => plan.may(Step::Attach { slot, path: sys }),
        None => {
            let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            plan.may(Step::Mount { kind: text("sysfs"), path: sys, flags, options: text("") });
        }
    }
}

fn mount_devices(
    plan: &mut Plan,
    furniture: &Furniture<'_>,
    devices: &[(&str, Slot)],
    console: Option<Slot>,
) {
    plan.point(Need::Must, &path("/dev"), Point::Directory);
    // 0755, not the usual 1777: with a sticky bit the kernel refuses `>/dev/null` to whom it isn't its owner's.
    mount(
        plan,
        "tmpfs",
        "/dev",
        (MountFlags::NOSUID | MountFlags::NOEXEC, "mode=755,size=64k,nr_inodes=1024"),
    );
    for (name, slot) in devices {
        let place = path(&format!("/dev/{name}"));
        plan.point(Need::Must, &place, Point::File);
        plan.may(Step::Attach { slot: *slot, path: text(place.as_str()) });
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        let path = text(&format!("/dev/{name}"));
        plan.must(format!("make `/dev/{name}`"), Step::Link { target: text(target), path });
    }
    for name in ["pts", "shm", "mqueue"] {
        plan.point(Need::Must, &path(&format!("/dev/{name}")), Point::Directory);
    }
    let group = match furniture.namespaces {
        Namespaces::OfCaller { .. } => ",gid=5",
        Namespaces::WithUsers { .. } => "",
    };
    let terminals = format!("newinstance,ptmxmode=0666,mode=0620{group}");
    let plain = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount(plan, "devpts", "/dev/pts", (plain, &terminals));
    let shared = format!("mode=1777,{}", furniture.shared_memory);
    mount(plan, "tmpfs", "/dev/shm", (plain | MountFlags::NODEV, shared.trim_end_matches(',')));
    let options = text("");
    let flags = plain | MountFlags::NODEV;
    plan.may(Step::Mount { kind: text("mqueue"), path: text("/dev/mqueue"), flags, options });
    if let Some(slot) = console {
        plan.point(Need::Must, &path("/dev/console"), Point::File);
        plan.must("mount `/dev/console`", Step::Attach { slot, path: text("/dev/console") });
    }
}

fn mount(plan: &mut Plan, kind: &str, place: &str, (flags, options): (MountFlags, &str)) {
    let (kind, path, options) = (text(kind), text(place), text(options));
    plan.must(format!("mount `{place}`"), Step::Mount { kind, path, flags, options });
}

#[cfg(test)]
mod tests {
    use minke_cas::{Mode, Owner};

    use super::*;

    fn listed(uid: u32, gid: u32) -> Vec<String> {
        let mut tree = Tree::new();
        let root = Owner::default();
        for (at, mode, owner) in [
            ("/app", 0o755, root),
            ("/app/data", 0o755, Owner { uid: 7, gid: 7 }),
            ("/app/data/below", 0o777, root),
            ("/app/shared", 0o775, Owner { uid: 0, gid: 8 }),
            ("/app/unsearchable", 0o666, root),
            ("/data", 0o557, Owner { uid: 7, gid: 7 }),
            ("/tmp", 0o1777, root),
        ] {
            tree.set_directory(&path(at), Mode::from_bits(mode), owner).unwrap();
        }
        writable_by(&tree, uid, gid).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_user_writes_below_the_topmost_directories_that_modes_and_owners_allow() {
        assert_eq!(listed(7, 7), ["/app/data", "/tmp"]);
        assert_eq!(listed(9, 8), ["/app/data/below", "/app/shared", "/data", "/tmp"]);
        assert_eq!(listed(0, 0), ["/"]);
    }
}

//! What this process may do, and how a room's program is found and called.

use std::ffi::{CString, NulError};

use minke_cas::{ImagePath, Ownership};
use rustix::thread::CapabilitySet;

use crate::sandbox::{Identity, Namespaces, Network};

/// What this process may do.
pub(crate) struct Caller {
    pub(crate) namespaces: Namespaces,
    pub(crate) ids: (u32, u32),
}

impl Caller {
    pub(crate) fn of_process(network: Network) -> Self {
        let uid = rustix::process::geteuid();
        let needed = CapabilitySet::SYS_ADMIN | CapabilitySet::SETUID | CapabilitySet::SETGID;
        let held = rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
        // Root in a container often isn't quite: then it is an ordinary user too.
        let namespaces = if uid.is_root() && held.contains(needed) && has_all_ids() {
            Namespaces::OfCaller { network }
        } else {
            Namespaces::WithUsers { network }
        };
        Self { namespaces, ids: (uid.as_raw(), rustix::process::getegid().as_raw()) }
    }

    pub(crate) fn is_superuser(&self) -> bool {
        matches!(self.namespaces, Namespaces::OfCaller { .. })
    }

    /// Returns how a room's program becomes its user.
    pub(crate) fn identity(&self, uid: u32, gid: u32) -> Identity {
        if self.is_superuser() { Identity::Numbered { uid, gid } } else { Identity::Mapped { uid } }
    }

    pub(crate) fn ownership(&self) -> Ownership {
        if self.is_superuser() { Ownership::Tree } else { Ownership::Caller }
    }
}

/// Tells whether this user namespace has the ids that images use, not just root's.
fn has_all_ids() -> bool {
    let all = |path| {
        let map = std::fs::read_to_string(path).unwrap_or_default();
        map.lines().any(|line| {
            let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap_or(0));
            let (inside, _, count): (u32, Option<u32>, u32) =
                (numbers.next().unwrap_or(1), numbers.next(), numbers.next().unwrap_or(0));
            inside == 0 && count > 0xffff
        })
    };
    all("/proc/self/uid_map") && all("/proc/self/gid_map")
}

/// Where a program may be, in the order in which a shell looks.
pub(crate) fn candidates(program: &str, path: &str, workdir: &ImagePath) -> Vec<String> {
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    let directory = |entry: &str| match entry {
        "" => workdir.as_str().to_owned(),
        absolute if absolute.starts_with('/') => absolute.to_owned(),
        relative => format!("{workdir}/{relative}"),
    };
    path.split(':').map(|entry| format!("{}/{program}", directory(entry))).collect()
}

pub(crate) fn strings(texts: impl IntoIterator<Item = String>) -> Result<Vec<CString>, NulError> {
    texts.into_iter().map(CString::new).collect()
}

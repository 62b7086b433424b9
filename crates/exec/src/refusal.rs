//! Why this machine doesn't let a room be sealed, and what would change that.

use std::fs;
use std::io;

use rustix::io::Errno;

/// What stands in the way of a sealed room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// `kernel.unprivileged_userns_clone` is 0 (Debian's and Arch's switch).
    UnprivilegedSwitchedOff,
    /// `user.max_user_namespaces` is 0, or as many are in use.
    NoneLeft,
    /// `kernel.apparmor_restrict_unprivileged_userns` is 1 (Ubuntu's switch).
    AppArmor,
    /// This process runs under a seccomp filter, as in a container.
    Filter,
    /// The kernel is older than 5.12, or was built without what a room needs.
    Kernel,
    /// Nothing that is known.
    Unknown,
}

/// This machine refuses to seal a room.
#[derive(Debug, thiserror::Error)]
#[error("this machine refuses {what}: {}", refusal.explained())]
pub struct Unavailable {
    /// What was refused, such as "new namespaces" or what a step is called.
    pub what: String,
    /// Why, as far as can be told.
    pub refusal: Refusal,
    /// What the system said.
    pub source: io::Error,
}

impl Refusal {
    fn explained(self) -> &'static str {
        match self {
            Self::UnprivilegedSwitchedOff => "the setting `kernel.unprivileged_userns_clone` is 0",
            Self::NoneLeft => "the setting `user.max_user_namespaces` allows no more of them",
            Self::AppArmor => "the setting `kernel.apparmor_restrict_unprivileged_userns` is 1",
            Self::Filter => {
                "the container that this runs in filters system calls \
                 (docker: `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`)"
            }
            Self::Kernel => "the kernel lacks it; it must be Linux 5.12 or newer",
            Self::Unknown => "no setting that is known says why",
        }
    }
}

impl Unavailable {
    /// Looks for the reason of a refusal.
    pub(crate) fn of(what: &str, errno: Errno) -> Self {
        Self { what: what.to_owned(), refusal: reason(errno), source: errno.into() }
    }
}

/// Tells whether an error is one with which a kernel refuses namespaces or mounts as such.
pub(crate) fn is_refusal(errno: Errno) -> bool {
    matches!(errno, Errno::PERM | Errno::ACCESS | Errno::NOSPC | Errno::USERS | Errno::NOSYS | Errno::NODEV)
}

fn reason(errno: Errno) -> Refusal {
    let setting = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let is = |path: &str, value: &str| setting(path).as_deref() == Some(value);
    if matches!(errno, Errno::NOSYS | Errno::NODEV | Errno::INVAL) {
        return Refusal::Kernel;
    }
    if matches!(errno, Errno::NOSPC | Errno::USERS) || is("/proc/sys/user/max_user_namespaces", "0") {
        return Refusal::NoneLeft;
    }
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return Refusal::UnprivilegedSwitchedOff;
    }
    if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        return Refusal::AppArmor;
    }
    let status = setting("/proc/self/status").unwrap_or_default();
    let filtered =
        status.lines().filter_map(|line| line.strip_prefix("Seccomp:")).any(|mode| mode.trim() == "2");
    if filtered { Refusal::Filter } else { Refusal::Unknown }
}

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
    /// This process's root is a directory of another one: there the kernel makes no user namespaces.
    Chroot,
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
                 (docker and podman: `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`)"
            }
            Self::Chroot => "the kernel makes no user namespaces in a chroot",
            Self::Kernel => "the kernel lacks it; it must be Linux 5.12 or newer",
            Self::Unknown => "no setting that is known says why",
        }
    }
}

impl Unavailable {
    /// Looks for the reason why a step of furnishing a room was refused.
    pub(crate) fn of(what: &str, errno: Errno) -> Self {
        let refusal = match errno {
            Errno::NOSYS | Errno::NODEV | Errno::INVAL => Refusal::Kernel,
            // Ubuntu's lets a namespace be made, and takes all rights in it away.
            _ if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") => Refusal::AppArmor,
            _ if is_filtered() => Refusal::Filter,
            _ => Refusal::Unknown,
        };
        Self { what: what.to_owned(), refusal, source: errno.into() }
    }

    /// Looks for the reason why namespaces themselves were refused.
    pub(crate) fn of_namespaces(errno: Errno) -> Self {
        let refusal = match errno {
            Errno::NOSYS | Errno::INVAL => Refusal::Kernel,
            Errno::NOSPC | Errno::USERS => Refusal::NoneLeft,
            _ if is("/proc/sys/user/max_user_namespaces", "0") => Refusal::NoneLeft,
            _ if is("/proc/sys/kernel/unprivileged_userns_clone", "0") => Refusal::UnprivilegedSwitchedOff,
            // Before the host's settings, which show inside a container too.
            _ if is_filtered() => Refusal::Filter,
            _ if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") => Refusal::AppArmor,
            _ if setting("/proc/self/mountinfo").is_some_and(|text| !has_root(&text)) => Refusal::Chroot,
            _ => Refusal::Unknown,
        };
        Self { what: "new namespaces".to_owned(), refusal, source: errno.into() }
    }
}

/// Tells whether an error is one with which a kernel refuses mounts and their like as such.
pub(crate) fn is_refusal(errno: Errno) -> bool {
    matches!(errno, Errno::PERM | Errno::ACCESS | Errno::NOSYS | Errno::NODEV)
}

fn setting(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn is(path: &str, value: &str) -> bool {
    setting(path).as_deref() == Some(value)
}

fn is_filtered() -> bool {
    let status = setting("/proc/self/status").unwrap_or_default();
    status.lines().filter_map(|line| line.strip_prefix("Seccomp:")).any(|mode| mode.trim() == "2")
}

/// Tells whether something is mounted at the root, of which a process in a chroot sees nothing.
fn has_root(mounts: &str) -> bool {
    mounts.lines().any(|line| line.split(' ').nth(4) == Some("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_chroot_nothing_is_mounted_at_the_root() {
        let inside = "41 29 0:39 / /proc rw,relatime - proc proc rw\n";
        let outside =
            "29 1 254:0 / / rw,relatime - ext4 /dev/root rw\n41 29 0:39 / /proc rw - proc proc rw\n";
        assert_eq!([inside, outside].map(has_root), [false, true]);
    }
}

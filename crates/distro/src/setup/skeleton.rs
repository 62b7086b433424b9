//! Directories, users, names and links that every image needs.

use minke_cas::{Entry, Owner};

use super::{Additions, SetupError};

/// The user that an image's processes run as where nothing else is said, and its group.
pub const NONROOT: Owner = Owner { uid: 65532, gid: 65532 };

const ROOT: Owner = Owner { uid: 0, gid: 0 };

const PASSWD: &str = "\
root:x:0:0:root:/root:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/usr/sbin/nologin
";

/// Beside the users' own groups those that Debian's packages give files to.
const GROUP: &str = "\
root:x:0:
tty:x:5:
mail:x:8:
shadow:x:42:
utmp:x:43:
staff:x:50:
nogroup:x:65534:
nonroot:x:65532:
";

const HOSTS: &str = "\
127.0.0.1\tlocalhost
::1\t\tlocalhost ip6-localhost ip6-loopback
ff02::1\t\tip6-allnodes
ff02::2\t\tip6-allrouters
";

pub(super) fn add(additions: &mut Additions<'_>) -> Result<(), SetupError> {
    merged_usr(additions)?;
    directories(additions)?;
    additions.text("/etc/passwd", PASSWD)?;
    additions.text("/etc/group", GROUP)?;
    additions.copy("/usr/share/libc-bin/nsswitch.conf", "/etc/nsswitch.conf")?;
    additions.copy("/usr/share/readline/inputrc", "/etc/inputrc")?;
    if additions.has("/etc/dpkg/origins/debian") {
        additions.link("/etc/dpkg/origins/default", "debian")?;
    }
    // Container engines mount their own over these; a read-only root needs something to mount on.
    additions.text("/etc/hosts", HOSTS)?;
    additions.text("/etc/hostname", "")?;
    additions.text("/etc/resolv.conf", "")?;
    additions.link("/etc/mtab", "/proc/mounts")?;
    time_zone(additions)?;
    shell(additions)?;
    python(additions)
}

/// Bookworm's packages bring no such links, trixie's base-files does.
fn merged_usr(additions: &mut Additions<'_>) -> Result<(), SetupError> {
    for name in ["bin", "lib", "sbin"] {
        additions.link(&format!("/{name}"), &format!("usr/{name}"))?;
    }
    for name in ["lib32", "lib64", "libx32"] {
        if additions.has(&format!("/usr/{name}")) {
            additions.link(&format!("/{name}"), &format!("usr/{name}"))?;
        }
    }
    for name in ["bin", "lib", "sbin"] {
        additions.directory(&format!("/usr/{name}"), 0o755, ROOT)?;
    }
    Ok(())
}

fn directories(additions: &mut Additions<'_>) -> Result<(), SetupError> {
    for path in [
        "/dev",
        "/home",
        "/media",
        "/mnt",
        "/opt",
        "/proc",
        "/run",
        "/srv",
        "/sys",
        "/etc",
        "/var/cache",
        "/var/lib",
        "/var/log",
        "/usr/local/bin",
        "/usr/local/etc",
        "/usr/local/include",
        "/usr/local/lib",
        "/usr/local/sbin",
        "/usr/local/share",
        "/usr/local/src",
    ] {
        additions.directory(path, 0o755, ROOT)?;
    }
    for path in ["/tmp", "/var/tmp", "/run/lock"] {
        additions.directory(path, 0o1777, ROOT)?;
    }
    additions.directory("/root", 0o700, ROOT)?;
    additions.directory("/home/nonroot", 0o700, NONROOT)?;
    additions.link("/var/run", "/run")?;
    additions.link("/var/lock", "/run/lock")
}

fn time_zone(additions: &mut Additions<'_>) -> Result<(), SetupError> {
    if !additions.has("/usr/share/zoneinfo/Etc/UTC") {
        return Ok(());
    }
    additions.link("/etc/localtime", "/usr/share/zoneinfo/Etc/UTC")?;
    additions.text("/etc/timezone", "Etc/UTC\n")
}

/// Bookworm's dash makes this link in its script, as does bash where there is no dash.
fn shell(additions: &mut Additions<'_>) -> Result<(), SetupError> {
    for shell in ["dash", "bash"] {
        if additions.has(&format!("/usr/bin/{shell}")) {
            return additions.link("/usr/bin/sh", shell);
        }
    }
    Ok(())
}

/// `python3` belongs to a package whose scripts compile bytecode; here it is only a link.
fn python(additions: &mut Additions<'_>) -> Result<(), SetupError> {
    let Some(minor) = python_minor(additions) else { return Ok(()) };
    let name = format!("python3.{minor}");
    additions.link("/usr/bin/python3", &name)?;
    additions.directory(&format!("/usr/local/lib/{name}/dist-packages"), 0o755, ROOT)?;
    let site = format!("/usr/lib/{name}/sitecustomize.py");
    if let Some(Entry::Symlink(link)) = additions.base.get(&Additions::path(&site)).cloned()
        && link.target.starts_with("/etc/")
    {
        additions.text(&link.target, "# Empty sitecustomize.py to avoid a dangling symlink\n")?;
    }
    Ok(())
}

fn python_minor(additions: &Additions<'_>) -> Option<u32> {
    let programs = additions.base.directory(&Additions::path("/usr/bin"))?;
    let minors =
        programs.entries().filter_map(|(name, _)| name.as_str().strip_prefix("python3.")?.parse().ok());
    minors.max()
}

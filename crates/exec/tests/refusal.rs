//! What is said where no room can be had, on machines that are made to refuse one.

use std::process::Command;

use minke_exec::sealing_available;

/// Set in the copy of these tests that runs where rooms are refused.
const REFUSED: &str = "MINKE_TEST_REFUSED";

#[test]
fn helper_that_asks_for_a_room() {
    if std::env::var_os(REFUSED).is_some() {
        println!(
            "said: {}",
            sealing_available().map_or_else(|error| error.to_string(), |()| "yes".to_owned())
        );
    }
}

/// Asks for a room in a copy of this program that `wrapper` has started.
fn said(wrapper: &[&str]) -> String {
    let mut command = Command::new(wrapper[0]);
    command.args(&wrapper[1..]).arg(std::env::current_exe().unwrap()).env(REFUSED, "1");
    let output = command.args(["--exact", "--nocapture", "helper_that_asks_for_a_room"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let said = text.lines().find_map(|line| line.split_once("said: ")).map(|(_, said)| said.to_owned());
    said.unwrap_or_else(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn a_setting_that_allows_none_is_named() {
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"";
    assert_eq!(
        said(&["unshare", "--user", "--map-root-user", "sh", "-c", script]),
        "this machine refuses new namespaces: the setting `user.max_user_namespaces` allows no more of them"
    );
}

/// Refuses `clone` with `CLONE_NEWUSER`, as runtimes of containers do, and starts what it is given.
const FILTER: &str = "\
import ctypes, os, struct, sys
clone = 56 if os.uname().machine == 'x86_64' else 220
code = [(0x20, 0, 0, 0), (0x15, 0, 3, clone), (0x20, 0, 0, 16), (0x45, 0, 1, 0x10000000),
        (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]
filter = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *step) for step in code))
program = struct.pack('HxxxxxxQ', len(code), ctypes.addressof(filter))
if os.getuid() == 0: os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
prctl = ctypes.CDLL(None).prctl
assert prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, program, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
";

#[test]
fn a_containers_filter_is_named_with_the_flag_that_lifts_it() {
    if !Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: this test needs python3");
        return;
    }
    assert_eq!(
        said(&["python3", "-c", FILTER]),
        "this machine refuses new namespaces: the container that this runs in filters system calls (docker and \
         podman: `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`)"
    );
}

#[test]
fn a_chroot_is_named() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: this test needs root");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    // In mounts of its own, that go with it.
    let script = "cd \"$1\" && for d in *; do mount --rbind /$d $d; done; shift; mount --bind /proc proc; \
        exec chroot . setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"";
    for entry in std::fs::read_dir("/").unwrap().flatten() {
        if entry.path().is_symlink() {
            let target = std::fs::read_link(entry.path()).unwrap();
            std::os::unix::fs::symlink(target, root.join(entry.file_name())).unwrap();
        } else if entry.path().is_dir() {
            std::fs::create_dir(root.join(entry.file_name())).unwrap();
        }
    }
    std::fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(
        said(&["unshare", "--mount", "sh", "-c", script, "sh", root.to_str().unwrap()]),
        "this machine refuses new namespaces: the kernel makes no user namespaces in a chroot"
    );
}

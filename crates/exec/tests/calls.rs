//! Every system call that a sealed program is refused, made by one.

mod common;
#[path = "common/workshop.rs"]
mod workshop;

use common::base;
use minke_exec::{Seal, Status};
use workshop::run;

#[test]
fn all_of_this_works_as_an_ordinary_user_too() {
    workshop::again_as_ordinary_users();
}

/// Prints what the kernel says to each call of a list of names, numbers and arguments.
fn answers(calls: &[(&str, i64, [i64; 3])]) -> Option<String> {
    let base = base()?;
    let list: Vec<_> =
        calls.iter().map(|(name, number, of)| format!("({name:?}, {number}, {of:?})")).collect();
    let text = format!(
        "import ctypes\n\
         kernel = ctypes.CDLL(None, use_errno=True).syscall\n\
         kernel.restype = ctypes.c_long\n\
         for name, number, of in [{}]:\n    \
         result = kernel(ctypes.c_long(number), *(ctypes.c_long(n) for n in of), *[ctypes.c_long(0)] * 3)\n    \
         print(name, 'done' if result >= 0 else errno.errorcode[ctypes.get_errno()])",
        list.join(", ")
    );
    let outcome = run(&base, &text, Seal::Sealed);
    assert_eq!(outcome.status, Status::Exited(0), "{}", outcome.log);
    Some(outcome.log)
}

#[test]
fn calls_that_no_build_needs_are_not_permitted() {
    let (open_tree_attr, kexec_file_load) = (467, if cfg!(target_arch = "x86_64") { 320 } else { 294 });
    let namespaces = [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWNET].map(i64::from);
    let new = |flag: i64| [flag | i64::from(libc::SIGCHLD), 0, 0];
    let socket = |family: i32, protocol: i32| [family, libc::SOCK_RAW, protocol].map(i64::from);
    let calls = [
        ("keyctl", libc::SYS_keyctl, [0; 3]),
        ("add_key", libc::SYS_add_key, [0; 3]),
        ("request_key", libc::SYS_request_key, [0; 3]),
        ("bpf", libc::SYS_bpf, [0; 3]),
        ("perf_event_open", libc::SYS_perf_event_open, [0; 3]),
        ("userfaultfd", libc::SYS_userfaultfd, [0; 3]),
        ("kexec_load", libc::SYS_kexec_load, [0; 3]),
        ("kexec_file_load", kexec_file_load, [0; 3]),
        ("init_module", libc::SYS_init_module, [0; 3]),
        ("finit_module", libc::SYS_finit_module, [0; 3]),
        ("delete_module", libc::SYS_delete_module, [0; 3]),
        ("mount", libc::SYS_mount, [0; 3]),
        ("umount2", libc::SYS_umount2, [0; 3]),
        ("move_mount", libc::SYS_move_mount, [0; 3]),
        ("open_tree", libc::SYS_open_tree, [0; 3]),
        ("open_tree_attr", open_tree_attr, [0; 3]),
        ("fsopen", libc::SYS_fsopen, [0; 3]),
        ("fsconfig", libc::SYS_fsconfig, [0; 3]),
        ("fsmount", libc::SYS_fsmount, [0; 3]),
        ("fspick", libc::SYS_fspick, [0; 3]),
        ("mount_setattr", libc::SYS_mount_setattr, [0; 3]),
        ("pivot_root", libc::SYS_pivot_root, [0; 3]),
        ("chroot", libc::SYS_chroot, [0; 3]),
        ("setns", libc::SYS_setns, [0; 3]),
        ("swapon", libc::SYS_swapon, [0; 3]),
        ("swapoff", libc::SYS_swapoff, [0; 3]),
        ("reboot", libc::SYS_reboot, [0; 3]),
        ("syslog", libc::SYS_syslog, [0; 3]),
        ("open_by_handle_at", libc::SYS_open_by_handle_at, [0; 3]),
        ("fanotify_init", libc::SYS_fanotify_init, [0; 3]),
        ("io_uring_setup", libc::SYS_io_uring_setup, [0; 3]),
        ("io_uring_enter", libc::SYS_io_uring_enter, [0; 3]),
        ("io_uring_register", libc::SYS_io_uring_register, [0; 3]),
        ("unshare user", libc::SYS_unshare, [namespaces[0], 0, 0]),
        ("unshare mount", libc::SYS_unshare, [namespaces[1], 0, 0]),
        ("unshare net", libc::SYS_unshare, [namespaces[2], 0, 0]),
        ("clone user", libc::SYS_clone, new(namespaces[0])),
        ("clone net", libc::SYS_clone, new(namespaces[2])),
        ("socket vsock", libc::SYS_socket, socket(libc::AF_VSOCK, 0)),
        ("socket audit", libc::SYS_socket, socket(libc::AF_NETLINK, libc::NETLINK_AUDIT)),
        ("socket packet", libc::SYS_socket, socket(libc::AF_PACKET, 0)),
        ("socket alg", libc::SYS_socket, socket(libc::AF_ALG, 0)),
    ];
    let Some(log) = answers(&calls) else { return };
    let expected: String = calls.iter().map(|(name, ..)| format!("{name} EPERM\n")).collect();
    assert_eq!(log, expected);
}

#[test]
fn calls_that_libraries_do_without_are_unknown() {
    let calls = [
        ("clone3", libc::SYS_clone3, [0; 3]),
        ("memfd_create", libc::SYS_memfd_create, [0; 3]),
        ("memfd_secret", libc::SYS_memfd_secret, [0; 3]),
        ("shmget", libc::SYS_shmget, [0; 3]),
        ("semget", libc::SYS_semget, [0; 3]),
        ("msgget", libc::SYS_msgget, [0; 3]),
        ("x32 getpid", 0x4000_0000 + libc::SYS_getpid, [0; 3]),
    ];
    let Some(log) = answers(&calls) else { return };
    let expected: String = calls.iter().map(|(name, ..)| format!("{name} ENOSYS\n")).collect();
    assert_eq!(log, expected);
}

#[test]
fn threads_processes_and_plain_sockets_work() {
    let Some(base) = base() else { return };
    let text = "import threading, subprocess\n\
        thread = threading.Thread(target=print, args=['a thread'], kwargs={'flush': True})\n\
        thread.start(); thread.join()\n\
        subprocess.run([sys.executable, '-c', 'print(\"a process\")'], check=True)\n\
        for family in [socket.AF_UNIX, socket.AF_INET, socket.AF_INET6]: socket.socket(family).close()\n\
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE).close()\n\
        import ctypes\n\
        print('a callback', ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7)())";
    let outcome = run(&base, text, Seal::Sealed);
    let log = "a thread\na process\na callback 7\n";
    assert_eq!((outcome.status, outcome.log.as_str()), (Status::Exited(0), log));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_call_of_a_32_bit_program_kills_it() {
    let Some(base) = base() else { return };
    // mov eax, 20 (getpid); int 0x80; ret
    let text = "import ctypes, mmap\n\
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)\n\
        page.write(bytes.fromhex('b814000000cd80c3'))\n\
        call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))\n\
        print('before', flush=True); print(call())";
    let outcome = run(&base, text, Seal::Sealed);
    // By SIGSYS; by SIGSEGV where the kernel was built without them.
    let killed = [Status::Exited(128 + 31), Status::Exited(128 + 11)].contains(&outcome.status);
    assert!(killed && outcome.log == "before\n", "{outcome:?}");
}

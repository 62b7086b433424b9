//! Which system calls the program of a room may make: a filter that the kernel runs before each.
//!
//! What is refused are doors of the kernel's that no build needs and strangers have come in by: keys, kernel
//! modules, tracing, mounts, new namespaces, odd socket families. Memory that belongs to no process is refused
//! too, since nobody could count it. Everything else is allowed: the room's namespaces and the missing
//! capabilities do the rest.
//!
//! Only x86-64 and AArch64, as all of this workspace. A process that calls the kernel as another architecture
//! would (32-bit `int 0x80`) is killed.
//!
//! Spec: <https://www.kernel.org/doc/html/v6.12/userspace-api/seccomp_filter.html>

use std::ffi::{c_int, c_long};

use libc::sock_filter;

/// Offsets in the kernel's `seccomp_data`; arguments are 64 bits wide, their lower halves come first.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

#[cfg(target_arch = "x86_64")]
const OURS: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const OURS: u32 = 0xc000_00b7;

/// The calls of x86-64's variant with 32-bit pointers have this bit; AArch64 has no call that large.
const X32: u32 = 0x4000_0000;

/// Newer than the C library's headers, or missing in musl's.
const SYS_OPEN_TREE_ATTR: c_long = 467;
#[cfg(target_arch = "x86_64")]
const SYS_KEXEC_FILE_LOAD: c_long = 320;
#[cfg(target_arch = "aarch64")]
const SYS_KEXEC_FILE_LOAD: c_long = 294;

/// Not permitted, whatever the arguments.
const REFUSED: [c_long; 33] = [
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_kexec_load,
    SYS_KEXEC_FILE_LOAD,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    SYS_OPEN_TREE_ATTR,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// As if the kernel were an older one, so that libraries do without: `clone3` hides its flags behind a pointer,
/// and the others make memory that no process is seen to have.
const UNKNOWN: [c_long; 6] = [
    libc::SYS_clone3,
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_shmget,
    libc::SYS_semget,
    libc::SYS_msgget,
];

/// What may be in a `socket` call: the family, and for netlink the protocol that tells of interfaces.
const FAMILIES: [c_int; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];

const NAMESPACES: c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

/// A flag of `unshare` only: in `clone` the same bit is a part of a signal's number.
const NEW_TIME: c_int = 0x80;

/// A program for the kernel, made before the fork.
pub(crate) struct Filter(Vec<sock_filter>);

impl Filter {
    /// Returns the filter for strangers' programs.
    pub(crate) fn for_strangers() -> Self {
        let mut code = vec![load(ARCHITECTURE), skip_if(libc::BPF_JEQ, OURS, 1)];
        code.extend([answer(libc::SECCOMP_RET_KILL_PROCESS), load(NUMBER)]);
        code.extend(when(libc::BPF_JGE, X32, vec![answer(error(libc::ENOSYS))]));
        for number in UNKNOWN {
            code.extend(when(libc::BPF_JEQ, call(number), vec![answer(error(libc::ENOSYS))]));
        }
        for number in REFUSED {
            code.extend(when(libc::BPF_JEQ, call(number), vec![refuse()]));
        }
        for (number, flags) in [(libc::SYS_clone, NAMESPACES), (libc::SYS_unshare, NAMESPACES | NEW_TIME)] {
            let mut block = vec![load(ARGUMENTS)];
            block.extend(when(libc::BPF_JSET, bits(flags), vec![refuse()]));
            block.push(allow());
            code.extend(when(libc::BPF_JEQ, call(number), block));
        }
        for number in [libc::SYS_socket, libc::SYS_socketpair] {
            code.extend(when(libc::BPF_JEQ, call(number), sockets()));
        }
        code.push(allow());
        Self(code)
    }

    pub(super) fn code(&self) -> &[sock_filter] {
        &self.0
    }
}

fn sockets() -> Vec<sock_filter> {
    let mut block = vec![load(ARGUMENTS)];
    for family in FAMILIES {
        block.extend(when(libc::BPF_JEQ, bits(family), vec![allow()]));
    }
    let mut netlink = vec![load(ARGUMENTS + 16)];
    netlink.extend(when(libc::BPF_JEQ, bits(libc::NETLINK_ROUTE), vec![allow()]));
    block.extend(when(libc::BPF_JEQ, bits(libc::AF_NETLINK), netlink));
    block.push(refuse());
    block
}

/// The block if the loaded number compares so, else what follows it.
fn when(comparison: u32, number: u32, block: Vec<sock_filter>) -> impl Iterator<Item = sock_filter> {
    let length = u8::try_from(block.len()).expect("a block is a few instructions");
    let jump = sock_filter { jt: 0, jf: length, ..skip_if(comparison, number, 0) };
    std::iter::once(jump).chain(block)
}

fn skip_if(comparison: u32, number: u32, jt: u8) -> sock_filter {
    sock_filter { code: code(libc::BPF_JMP | comparison | libc::BPF_K), jt, jf: 0, k: number }
}

fn load(offset: u32) -> sock_filter {
    sock_filter { code: code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS), jt: 0, jf: 0, k: offset }
}

fn answer(value: u32) -> sock_filter {
    sock_filter { code: code(libc::BPF_RET | libc::BPF_K), jt: 0, jf: 0, k: value }
}

fn allow() -> sock_filter {
    answer(libc::SECCOMP_RET_ALLOW)
}

fn refuse() -> sock_filter {
    answer(error(libc::EPERM))
}

fn error(errno: c_int) -> u32 {
    libc::SECCOMP_RET_ERRNO | (bits(errno) & libc::SECCOMP_RET_DATA)
}

fn bits(number: c_int) -> u32 {
    number.cast_unsigned()
}

fn call(number: c_long) -> u32 {
    u32::try_from(number).expect("a call's number is small")
}

fn code(operation: u32) -> u16 {
    u16::try_from(operation).expect("an operation has a byte")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would answer.
    fn run(architecture: u32, number: c_long, arguments: [u32; 3]) -> String {
        let Filter(code) = Filter::for_strangers();
        let (mut at, mut loaded) = (0, 0);
        loop {
            let step = code[at];
            at += 1;
            let operation = u32::from(step.code);
            let jump = |taken: bool| usize::from(if taken { step.jt } else { step.jf });
            match operation & 0x07 {
                libc::BPF_LD => {
                    loaded = match step.k {
                        NUMBER => number as u32,
                        ARCHITECTURE => architecture,
                        offset => arguments[(offset as usize - 16) / 8],
                    }
                }
                libc::BPF_JMP => {
                    at += match operation & 0xf0 {
                        libc::BPF_JEQ => jump(loaded == step.k),
                        libc::BPF_JGE => jump(loaded >= step.k),
                        libc::BPF_JSET => jump(loaded & step.k != 0),
                        other => panic!("{other:x}"),
                    }
                }
                libc::BPF_RET => {
                    return match step.k & libc::SECCOMP_RET_ACTION_FULL {
                        libc::SECCOMP_RET_ALLOW => "allowed".to_owned(),
                        libc::SECCOMP_RET_KILL_PROCESS => "killed".to_owned(),
                        libc::SECCOMP_RET_ERRNO => std::io::Error::from_raw_os_error(
                            i32::try_from(step.k & libc::SECCOMP_RET_DATA).unwrap(),
                        )
                        .to_string(),
                        other => panic!("{other:x}"),
                    };
                }
                other => panic!("{other:x}"),
            }
        }
    }

    fn here(number: c_long, arguments: [c_int; 3]) -> String {
        run(OURS, number, arguments.map(bits))
    }

    #[test]
    fn what_is_on_no_list_is_allowed_and_what_is_on_one_is_not() {
        for number in 0..1000 {
            let expected = match number {
                number if REFUSED.contains(&number) => "Operation not permitted (os error 1)",
                number if UNKNOWN.contains(&number) => "Function not implemented (os error 38)",
                libc::SYS_socket | libc::SYS_socketpair => "Operation not permitted (os error 1)",
                _ => "allowed",
            };
            assert_eq!(here(number, [0; 3]), expected, "{number}");
        }
    }

    #[test]
    fn new_namespaces_and_odd_sockets_are_told_by_their_arguments() {
        let refused = "Operation not permitted (os error 1)";
        assert_eq!(here(libc::SYS_clone, [libc::SIGCHLD | libc::CLONE_VM, 0, 0]), "allowed");
        assert_eq!(here(libc::SYS_clone, [libc::SIGCHLD | libc::CLONE_NEWUSER, 0, 0]), refused);
        assert_eq!(here(libc::SYS_unshare, [libc::CLONE_FILES, 0, 0]), "allowed");
        for flag in [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, NEW_TIME] {
            assert_eq!(here(libc::SYS_unshare, [flag, 0, 0]), refused);
        }
        let socket = |family, protocol| here(libc::SYS_socket, [family, libc::SOCK_STREAM, protocol]);
        for family in FAMILIES {
            assert_eq!(socket(family, 6), "allowed");
        }
        assert_eq!(socket(libc::AF_NETLINK, libc::NETLINK_ROUTE), "allowed");
        for (family, protocol) in [
            (libc::AF_NETLINK, libc::NETLINK_AUDIT),
            (libc::AF_VSOCK, 0),
            (libc::AF_PACKET, 0),
            (libc::AF_ALG, 0),
        ] {
            assert_eq!(socket(family, protocol), refused, "{family}");
        }
    }

    #[test]
    fn other_ways_into_the_kernel_are_closed() {
        const I386: u32 = 0x4000_0003;
        assert_eq!(run(I386, 20, [0; 3]), "killed");
        assert_eq!(here(i64::from(X32) + libc::SYS_getpid, [0; 3]), "Function not implemented (os error 38)");
    }
}

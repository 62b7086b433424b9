//! The system calls that `rustix` has no safe function for, each as a safe one.
#![expect(unsafe_code, reason = "the one place for it: everything else in this workspace is safe")]

use std::ffi::{CStr, CString, c_char, c_int, c_long};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr::{null, null_mut};

use rustix::io::Errno;
use rustix::process::Signal;

use super::copies::Copies;

/// A set of signals, as the kernel's mask has it.
#[derive(Clone, Copy)]
pub(super) struct Mask(libc::sigset_t);

/// What `clone` returned.
pub(super) enum Cloned {
    /// In the parent: the child's process id.
    Parent(i32),
    /// In the child.
    Child,
}

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

fn checked(result: c_long) -> Result<c_long, Errno> {
    if result < 0 { Err(last()) } else { Ok(result) }
}

/// Makes the kernel kill a command's process when the thread that starts it ends, however it ends.
///
/// That thread must wait for it: whoever hands a running child to another thread loses it with the first.
pub(crate) fn die_with_caller(command: &mut Command) {
    let request = || Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?);
    // SAFETY: between fork and exec it makes one system call, and neither allocates nor locks.
    unsafe { command.pre_exec(request) };
}

/// Forks into the namespaces that `flags` name.
///
/// The child shares nothing but is a copy of the calling thread alone: until `execve` or `_exit` it may make
/// system calls only. Everything in [`super::child`] keeps to that.
pub(super) fn clone(flags: c_int) -> Result<Cloned, Errno> {
    let flags = c_long::from(flags) | c_long::from(libc::SIGCHLD);
    // SAFETY: without CLONE_VM and with a null stack this is a fork; the four other arguments are unused
    // with these flags, in whatever order an architecture takes them.
    let pid = checked(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    Ok(match pid {
        0 => Cloned::Child,
        pid => Cloned::Parent(i32::try_from(pid).expect("a pid is an int")),
    })
}

/// Ends this process at once: no handler, no destructor.
pub(super) fn exit(code: c_int) -> ! {
    // SAFETY: `_exit` takes any number and doesn't return.
    unsafe { libc::_exit(code) }
}

/// Becomes another program; returns only if that fails.
pub(super) fn execute(program: &CStr, arguments: &Vector, environment: &Vector) -> Errno {
    // SAFETY: the path ends with NUL; both vectors end with a null pointer and own what they point to.
    unsafe { libc::execve(program.as_ptr(), arguments.pointers.as_ptr(), environment.pointers.as_ptr()) };
    last()
}

/// Strings as `execve` wants them.
pub(crate) struct Vector {
    pointers: Vec<*const c_char>,
    /// What the pointers point to; the heap cells of a `CString` don't move with it.
    _strings: Vec<CString>,
}

impl Vector {
    pub(super) fn new(strings: Vec<CString>) -> Self {
        let pointers = strings.iter().map(|string| string.as_ptr()).chain([null()]).collect();
        Self { pointers, _strings: strings }
    }
}

/// Sets or clears the attributes of a mount, and of those below it too if `flags` has `AT_RECURSIVE`.
pub(super) fn mount_setattr(fd: BorrowedFd<'_>, path: &CStr, flags: u32, set: u64) -> Result<(), Errno> {
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let attributes = Attributes { set, clear: 0, propagation: 0, user_namespace: 0 };
    let size = size_of::<Attributes>();
    let (fd, path) = (fd.as_raw_fd(), path.as_ptr());
    // SAFETY: the path ends with NUL, and the kernel reads `size` bytes of a struct that has that many.
    checked(unsafe { libc::syscall(libc::SYS_mount_setattr, fd, path, flags, &raw const attributes, size) })
        .map(|_| ())
}

/// Closes every descriptor from `first` on, or marks it as closed on `execve`.
pub(super) fn close_from(first: RawFd, flags: libc::c_uint) {
    // A kernel without it leaves descriptors open that Rust has marked already.
    // SAFETY: only numbers are passed; nothing in this child uses the descriptors afterwards.
    let _ = checked(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) });
}

/// Puts a descriptor where another one was; both may be the same.
pub(super) fn duplicate_to(fd: RawFd, place: RawFd) -> Result<(), Errno> {
    // SAFETY: only numbers are passed; in this child nothing owns the descriptor that is replaced.
    checked(unsafe { libc::dup2(fd, place) }.into()).map(|_| ())
}

/// Brings the loopback interface of this network namespace up.
pub(super) fn loopback_up(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: all-zero bytes are a valid `ifreq`: numbers and a union of plain data.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[..2].copy_from_slice(&[b'l' as c_char, b'o' as c_char]);
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`, which is initialised and lives through the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    checked(result.into()).map(|_| ())
}

/// Blocks all signals of this thread and returns what was blocked before.
pub(super) fn block_signals() -> Mask {
    let mut all = empty();
    let mut before = empty();
    // SAFETY: both sets are initialised and live through the calls, which cannot fail with them.
    unsafe {
        libc::sigfillset(&mut all.0);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all.0, &raw mut before.0);
    }
    before
}

/// Sets which signals of this thread are blocked.
pub(super) fn restore_signals(mask: Mask) {
    // SAFETY: the set is initialised and lives through the call, which cannot fail with it.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask.0, null_mut()) };
}

/// Gives every signal its default action and blocks none.
pub(super) fn default_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // Some cannot be set (SIGKILL, SIGSTOP, two of the C library's); those have their default action.
        // SAFETY: SIG_DFL is valid for every signal, and no Rust code runs in this child any more that
        // relied on a handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    restore_signals(empty());
}

fn empty() -> Mask {
    // SAFETY: all-zero bytes are a valid `sigset_t`, a plain array of numbers.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set lives through the call.
    unsafe { libc::sigemptyset(&raw mut set) };
    Mask(set)
}

/// Waits until a signal is pending, takes it and returns its number.
pub(super) fn next_signal() -> c_int {
    let mut all = empty();
    loop {
        // SAFETY: the set is initialised and lives through the calls; no details are asked for.
        let signal = unsafe {
            libc::sigfillset(&raw mut all.0);
            libc::sigwaitinfo(&raw const all.0, null_mut())
        };
        if signal > 0 {
            return signal;
        }
    }
}

/// Sends a signal; one that nobody is left to receive is no fault.
pub(super) fn send_signal(pid: i32, signal: c_int) {
    // SAFETY: only numbers are passed.
    unsafe { libc::kill(pid, signal) };
}

/// Installs a handler and returns what was there before.
pub(super) fn handle(signal: c_int, handler: extern "C" fn(c_int)) -> libc::sigaction {
    // SAFETY: all-zero bytes are a valid `sigaction` (an empty mask, no flags, SIG_DFL).
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut before: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: both structs live through the call, and the handlers passed here make system calls and touch
    // atomics only, which is allowed at any moment.
    unsafe { libc::sigaction(signal, &raw const action, &raw mut before) };
    before
}

/// Puts back what [`handle`] has returned.
pub(super) fn unhandle(signal: c_int, before: &libc::sigaction) {
    // SAFETY: the struct came from the kernel for this signal.
    unsafe { libc::sigaction(signal, before, null_mut()) };
}

/// Gives one terminal the window size of another; callable in a signal handler.
pub(crate) fn copy_window_size(from: RawFd, to: RawFd) {
    // SAFETY: all-zero bytes are a valid `winsize`: four numbers.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: both requests take one `winsize`, which lives through the calls; what isn't a terminal is
    // refused by the kernel.
    unsafe {
        if libc::ioctl(from, libc::TIOCGWINSZ, &raw mut size) == 0 {
            libc::ioctl(to, libc::TIOCSWINSZ, &raw const size);
        }
    }
}

/// Drops a capability for good; numbers that the kernel doesn't know are passed over.
pub(super) fn drop_bounding(capability: u32) {
    // SAFETY: only numbers are passed.
    unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), 0, 0, 0) };
}

/// Moves this process into a user namespace of its own.
pub(super) fn new_users() -> Result<(), Errno> {
    // SAFETY: only a number is passed; of what a process has, this changes its credentials alone.
    checked(unsafe { libc::unshare(libc::CLONE_NEWUSER) }.into()).map(|_| ())
}

/// Makes the kernel judge every later call of this process, and of what it starts, by a program.
pub(super) fn filter_calls(code: &[libc::sock_filter]) -> Result<(), Errno> {
    let length = u16::try_from(code.len()).expect("a filter is a few hundred instructions");
    let program = libc::sock_fprog { len: length, filter: code.as_ptr().cast_mut() };
    let (operation, flags) = (libc::SECCOMP_SET_MODE_FILTER, 0);
    // SAFETY: the kernel copies `len` instructions, which live through the call, and writes to none.
    checked(unsafe { libc::syscall(libc::SYS_seccomp, operation, flags, &raw const program) }).map(|_| ())
}

/// Leaves the caller's session keyring for an empty one, where the kernel has keyrings.
pub(super) fn own_keyring() {
    const KEYCTL_JOIN_SESSION_KEYRING: c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring; nothing else is read.
    unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0) };
}

/// Tells glibc's allocator from how many bytes on it maps a buffer by itself, how many free ones it keeps at a heap's end, and
/// how many heaps it has.
pub(crate) fn tune_allocator([mapped, at_end, heaps]: [c_int; 3]) {
    #[cfg(target_env = "gnu")]
    for (what, value) in
        [(libc::M_MMAP_THRESHOLD, mapped), (libc::M_TRIM_THRESHOLD, at_end), (libc::M_ARENA_MAX, heaps)]
    {
        // SAFETY: it takes any numbers, locks what it changes, and refuses what makes no sense.
        unsafe { libc::mallopt(what, value) };
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = (mapped, at_end, heaps);
}

/// Returns where a variable of the calling thread lies.
pub(super) fn thread_variable() -> *const c_int {
    // SAFETY: it takes nothing, and every thread has one.
    unsafe { libc::__errno_location() }
}

/// Lets go of what is written in some of this process's memory, which then reads as zeros.
///
/// To be called in a copy of the process alone, which goes on to use none of it: see [`super::copies`].
pub(super) fn forget_memory(copies: &Copies) {
    for (start, length) in copies.pieces().iter().filter(|(_, length)| *length > 0) {
        // SAFETY: what is no memory of the process is refused; what is, nothing uses any more, as above.
        unsafe { libc::madvise(*start as *mut libc::c_void, *length, libc::MADV_DONTNEED) };
    }
}

/// Has glibc's allocator give back the pages of which nothing is used.
pub(crate) fn trim_heaps() {
    // SAFETY: it locks each heap that it looks at, and touches nothing that is used.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}

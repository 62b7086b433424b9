//! Real containers from this machine's Python, as root and as an ordinary user.
//!
//! What a container finds out, it writes into a directory that is mounted into it.

mod common;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use common::{Base, base, path};
use insta::assert_snapshot;
use minke_cas::{Entry, File, ImagePath, Mode, Owner, Store, Tree};
use minke_exec::{Access, Bind, Container, Network, RootAccess, Terminal, User};

/// Set in the copy of these tests that runs as an ordinary user.
const ORDINARY: &str = "MINKE_TEST_AS_ORDINARY_USER";

struct Yard {
    base: Arc<Base>,
    directory: tempfile::TempDir,
    store: Store,
    tree: Tree,
}

fn yard() -> Option<Yard> {
    let base = base()?;
    let directory = tempfile::tempdir().unwrap();
    let (store, mut tree) = (base.store.clone(), base.tree.clone());
    let app = Owner { uid: 1234, gid: 1234 };
    let file = |text: &str, mode, owner| {
        let content = store.put(text.as_bytes()).unwrap();
        Entry::File(File { owner, ..File::new(content, text.len() as u64, mode) })
    };
    tree.set_directory(&path("/tmp"), Mode::from_bits(0o1777), Owner::default()).unwrap();
    tree.set_directory(&path("/home/app"), Mode::EXECUTABLE, app).unwrap();
    for (at, text, mode, owner) in [
        ("/home/app/kept", "from the image", Mode::REGULAR, app),
        ("/etc/passwd", "app:x:1234:1234::/home/app:/bin/false\n", Mode::REGULAR, Owner::default()),
        ("/usr/bin/locked", "#!/usr/bin/python3\n", Mode::REGULAR, Owner::default()),
        ("/usr/bin/orphan", "#!/usr/bin/perl-of-old\n", Mode::EXECUTABLE, Owner::default()),
        ("/usr/bin/binary", "\x7fELF nonsense", Mode::EXECUTABLE, Owner::default()),
        (
            "/usr/bin/greet",
            "#!/usr/bin/python3\nopen('/out/log', 'w').write('hello')\n",
            Mode::EXECUTABLE,
            app,
        ),
    ] {
        tree.insert(&path(at), file(text, mode, owner)).unwrap();
    }
    tree.insert(&path("/etc/hosts"), Entry::symlink("../run/elsewhere/hosts")).unwrap();
    tree.insert(&path("/way"), Entry::symlink("/etc")).unwrap();
    let out = directory.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o777)).unwrap();
    Some(Yard { base, directory, store, tree })
}

impl Yard {
    fn out(&self) -> PathBuf {
        self.directory.path().join("out")
    }

    fn container(&self, argv: &[&str]) -> Container {
        Container {
            root: self.tree.clone(),
            argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
            env: BTreeMap::new(),
            workdir: path("/home/app"),
            user: User { uid: 1234, gid: 1234, home: "/home/app".to_owned() },
            hostname: "minke".to_owned(),
            binds: vec![Bind { host: self.out(), image: path("/out"), access: Access::ReadWrite }],
            root_access: RootAccess::Writable,
            network: Network::Host,
            terminal: Terminal::Plain,
        }
    }

    /// A Python script whose `log` goes to `/out/log`.
    fn script(&self, script: &str) -> Container {
        let head = "import os, sys, socket, signal, time, errno\n\
            out = open('/out/log', 'a', buffering=1)\n\
            def log(*words): print(*words, file=out)\n\
            def attempt(name, f):\n    \
            try: f()\n    \
            except OSError as e: log(name, errno.errorcode[e.errno])\n    \
            else: log(name, 'ok')\n";
        self.container(&["python3", "-c", &format!("{head}{script}")])
    }

    fn log(&self) -> String {
        fs::read_to_string(self.out().join("log")).unwrap_or_default()
    }

    /// Runs a container and returns its exit code and its log.
    fn run(&self, container: &Container) -> (u8, String) {
        let exit = container.run(&self.store).unwrap();
        (exit.code(), self.log())
    }
}

fn is_ordinary() -> bool {
    !rustix::process::geteuid().is_root() || std::env::var_os(ORDINARY).is_some()
}

/// Runs all tests of this file once more, through `wrapper`.
fn run_again(wrapper: &[&str]) {
    if is_ordinary() {
        return;
    }
    let mut command = Command::new(wrapper[0]);
    command.args(&wrapper[1..]).arg(std::env::current_exe().unwrap());
    let output = command.env(ORDINARY, "1").env("TMPDIR", "/tmp").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn all_of_this_works_as_an_ordinary_user_too() {
    run_again(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
}

#[test]
fn all_of_this_works_as_a_root_that_has_one_user_id_too() {
    run_again(&["unshare", "--user", "--map-root-user"]);
}

#[test]
fn a_machine_that_refuses_namespaces_is_told_by_its_setting() {
    let Some(yard) = yard() else { return };
    // The setting is one of a user namespace, so that a new one can be without any.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", script]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", "helper_that_runs_a_container"]);
    command.env("MINKE_TEST_SCRIPT", "").env("MINKE_TEST_OUT", yard.out());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let said: Vec<_> = text.lines().filter(|line| line.starts_with("refused: ")).collect();
    assert_eq!(
        said,
        ["refused: 125: cannot make a container: this machine refuses new namespaces: \
          the setting `user.max_user_namespaces` allows no more of them"]
    );
}

#[test]
fn the_user_the_environment_and_the_names_are_the_images() {
    let Some(yard) = yard() else { return };
    let mut container = yard.script(
        "log(os.getuid(), os.getgid(), os.getgroups() in ([1234], [65534], []))\n\
         log(os.getcwd(), socket.gethostname(), os.getpid() > 1)\n\
         log(sorted(os.environ.items()))\n\
         log(sys.executable, oct(os.umask(0)))",
    );
    container.env.insert("GIVEN".to_owned(), "yes".to_owned());
    let (code, log) = yard.run(&container);
    assert_eq!(code, 0);
    assert_snapshot!(log.replace(yard.base.python.name().unwrap(), "python3"), @r"
    1234 1234 True
    /home/app minke True
    [('GIVEN', 'yes'), ('HOME', '/home/app'), ('HOSTNAME', 'minke'), ('PATH', '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin')]
    /usr/bin/python3 0o22
    ");
}

#[test]
fn only_what_the_user_may_write_is_writable_and_nothing_of_it_stays() {
    let Some(yard) = yard() else { return };
    let container = yard.script(
        "for name in ['/x', '/usr/bin/x', '/etc/x', '/tmp/x', '/home/app/x', '/dev/shm/x', '/proc/sys/kernel/hostname']:\n    \
         attempt(name, lambda: open(name, 'w').write('x'))\n\
         log(open('/home/app/kept').read(), oct(os.stat('/tmp').st_mode))\n\
         attempt('overwrite', lambda: open('/home/app/kept', 'w').write('changed'))\n\
         attempt('remove', lambda: os.remove('/home/app/kept'))\n\
         attempt('chmod', lambda: os.chmod('/etc/passwd', 0o777))",
    );
    let (code, first) = yard.run(&container);
    fs::remove_file(yard.out().join("log")).unwrap();
    assert_eq!((code, &first), (0, &yard.run(&container).1));
    let refusals = ["EROFS", "EACCES", "EPERM"];
    let log = refusals.iter().fold(first, |log, refusal| log.replace(refusal, "refused"));
    assert_snapshot!(log, @r"
    /x refused
    /usr/bin/x refused
    /etc/x refused
    /tmp/x ok
    /home/app/x ok
    /dev/shm/x ok
    /proc/sys/kernel/hostname refused
    from the image 0o41777
    overwrite ok
    remove ok
    chmod refused
    ");
}

#[test]
fn a_read_only_root_refuses_everything_but_binds() {
    let Some(yard) = yard() else { return };
    let read = yard.directory.path().join("read");
    fs::write(&read, "of the host").unwrap();
    let mut container = yard.script(
        "for name in ['/tmp/x', '/home/app/x', '/given/at/depth', '/out/x']:\n    \
         attempt(name, lambda: open(name, 'w').write('x'))\n\
         log(open('/given/at/depth').read(), os.path.exists('/etc/x'))",
    );
    container.root_access = RootAccess::ReadOnly;
    container.binds.push(Bind { host: read, image: path("/given/at/depth"), access: Access::ReadOnly });
    let (code, log) = yard.run(&container);
    assert_eq!(code, 0);
    assert_snapshot!(log, @r"
    /tmp/x EROFS
    /home/app/x EROFS
    /given/at/depth EROFS
    /out/x ok
    of the host False
    ");
}

#[test]
fn a_bind_lands_inside_even_where_the_image_has_a_symlink() {
    let Some(yard) = yard() else { return };
    let mut container = yard.script("log(open('/etc/minke-test/log').read(), os.path.realpath('/way'))");
    container.binds.push(Bind { host: yard.out(), image: path("/way/minke-test"), access: Access::ReadOnly });
    assert_eq!(yard.run(&container), (0, " /etc\n".to_owned()));
    assert!(!std::path::Path::new("/etc/minke-test").exists());
}

#[test]
fn processes_and_devices_are_the_containers_own() {
    let Some(yard) = yard() else { return };
    let container = yard.script(
        "log(len(os.listdir('/proc/self/fd')))\n\
         log(*sorted(n for n in os.listdir('/proc') if n.isdigit()))\n\
         log(*sorted(os.listdir('/dev')))\n\
         log(*[os.path.exists('/dev/' + n) for n in ['null', 'pts/ptmx', 'shm']])\n\
         attempt('null', lambda: open('/dev/null', 'w').write('x'))\n\
         attempt('urandom', lambda: open('/dev/urandom', 'rb').read(1))\n\
         attempt('pty', lambda: os.openpty())\n\
         log('kcore', len(open('/proc/kcore', 'rb').read(10)) if os.access('/proc/kcore', os.R_OK) else 0)\n\
         attempt('environ of init', lambda: open('/proc/1/environ').read())\n\
         log([l.split()[1] for l in open('/proc/self/status') if l.startswith(('CapEff', 'NoNewPrivs'))])\n\
         ",
    );
    let (code, log) = yard.run(&container);
    assert_eq!(code, 0);
    assert_snapshot!(log.replace("EROFS", "EACCES"), @r"
    5
    1 2
    fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero
    True True True
    null ok
    urandom ok
    pty ok
    kcore 0
    environ of init EACCES
    ['0000000000000000', '1']
    ");
}

#[test]
fn the_superuser_of_an_image_may_write_its_files_and_do_little_else() {
    let Some(yard) = yard() else { return };
    let mut container = yard.script(
        "attempt('write', lambda: open('/etc/x', 'w').write('x'))\n\
         attempt('remove', lambda: os.remove('/usr/bin/greet'))\n\
         attempt('device', lambda: os.mknod('/tmp/d', 0o20666, os.makedev(1, 3)))\n\
         attempt('sysctl', lambda: open('/proc/sys/kernel/core_pattern', 'w').write('x'))\n\
         attempt('environ of init', lambda: open('/proc/1/environ').read())\n\
         attempt('hostname', lambda: socket.sethostname('x'))\n\
         log(os.getuid(), [l.split()[1] for l in open('/proc/self/status') if l.startswith('CapEff')])",
    );
    container.user = User { uid: 0, gid: 0, home: "/root".to_owned() };
    let (code, log) = yard.run(&container);
    assert_eq!(code, 0);
    assert_snapshot!(log.replace("EROFS", "EACCES"), @r"
    write ok
    remove ok
    device EPERM
    sysctl EACCES
    environ of init EACCES
    hostname EPERM
    0 ['00000000a00425fb']
    ");
}

#[test]
fn without_a_network_there_is_a_loopback_interface_that_is_up() {
    let Some(yard) = yard() else { return };
    let mut container = yard.script(
        "log(*[name for _, name in socket.if_nameindex()])\n\
         server = socket.create_server(('127.0.0.1', 0))\n\
         attempt('connect', lambda: socket.create_connection(server.getsockname()))\n\
         attempt('outside', lambda: socket.create_connection(('192.0.2.1', 9), 1))\n\
         log(repr(open('/etc/resolv.conf').read()))\n\
         log(socket.gethostbyname('minke'), socket.gethostbyname('localhost'))",
    );
    container.network = Network::None;
    let (code, log) = yard.run(&container);
    assert_eq!(code, 0, "{log}");
    assert_snapshot!(log, @r"
    lo
    connect ok
    outside ENETUNREACH
    ''
    127.0.0.1 127.0.0.1
    ");
}

#[test]
fn with_the_hosts_network_the_hosts_resolver_is_known() {
    let Some(yard) = yard() else { return };
    let container = yard.script(
        "log(open('/etc/resolv.conf').read().strip())\n\
         attempt('write', lambda: open('/etc/resolv.conf', 'a').write(''))",
    );
    let (code, log) = yard.run(&container);
    let host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let writable = if is_ordinary() { "ok" } else { "EACCES" };
    assert_eq!((code, log), (0, format!("{}\nwrite {writable}\n", host.trim())));
}

#[test]
fn exit_codes_and_deaths_by_signal_come_out() {
    let Some(yard) = yard() else { return };
    assert_eq!(yard.run(&yard.script("sys.exit(7)")).0, 7);
    assert_eq!(yard.run(&yard.script("os.kill(os.getpid(), signal.SIGKILL)")).0, 137);
    assert_eq!(yard.run(&yard.script("os.abort()")).0, 134);
    assert_eq!(yard.run(&yard.script("os.kill(os.getpid(), signal.SIGPIPE)")).0, 0);
    assert_eq!(yard.run(&yard.script("signal.signal(13, signal.SIG_DFL); os.kill(os.getpid(), 13)")).0, 141);
}

#[test]
fn orphans_are_reaped_and_end_with_the_program() {
    let Some(yard) = yard() else { return };
    let container = yard.script(
        "if os.fork() == 0:\n    \
         if os.fork() == 0:\n        \
         os._exit(0)\n    \
         os._exit(0)\n\
         os.wait()\n\
         if os.fork() == 0:\n    \
         time.sleep(600)\n\
         deadline = time.time() + 20\n\
         while time.time() < deadline and os.path.exists('/proc/4'): time.sleep(0.01)\n\
         log(os.path.exists('/proc/4'))",
    );
    assert_eq!(yard.run(&container), (0, "False\n".to_owned()));
}

#[test]
fn programs_are_found_as_a_shell_finds_them() {
    let Some(yard) = yard() else { return };
    assert_eq!(yard.run(&yard.container(&["greet"])), (0, "hello".to_owned()));
    let mut elsewhere = yard.container(&["./greet"]);
    elsewhere.workdir = path("/usr/bin");
    assert_eq!(elsewhere.run(&yard.store).unwrap().code(), 0);
    let mut without = yard.container(&["greet"]);
    without.env.insert("PATH".to_owned(), "/nowhere:/sbin".to_owned());
    let refused = |container: &Container| {
        let error = container.run(&yard.store).unwrap_err();
        format!("{}: {error}", error.exit_code())
    };
    assert_snapshot!(refused(&without), @"127: `greet` is not in the image");
    assert_snapshot!(refused(&yard.container(&["/bin/sh"])), @"127: `/bin/sh` is not in the image");
    assert_snapshot!(refused(&yard.container(&["locked"])), @"126: `locked` cannot be executed");
    assert_snapshot!(refused(&yard.container(&["binary"])), @"126: `binary` cannot be executed");
    assert_snapshot!(refused(&yard.container(&["/tmp"])), @"126: `/tmp` cannot be executed");
    assert_snapshot!(
        refused(&yard.container(&["orphan"])),
        @"127: `orphan` cannot run in the image: its interpreter is missing there"
    );
    assert_snapshot!(refused(&yard.container(&[])), @"125: neither the image nor the command line says what to run");
    let mut lost = yard.container(&["greet"]);
    lost.workdir = path("/etc/passwd");
    assert_snapshot!(refused(&lost), @"125: cannot enter the working directory `/etc/passwd`");
    let mut unbound = yard.container(&["greet"]);
    unbound.binds.push(Bind { host: "/no/such".into(), image: path("/x"), access: Access::ReadOnly });
    assert_snapshot!(refused(&unbound), @"125: cannot mount `/no/such`");
}

#[test]
fn a_working_directory_that_the_image_lacks_is_made() {
    let Some(yard) = yard() else { return };
    let mut container = yard.script("log(os.getcwd())");
    container.workdir = path("/srv/deep/down");
    assert_eq!(yard.run(&container), (0, "/srv/deep/down\n".to_owned()));
}

#[test]
fn nothing_is_left_in_the_cache_and_the_room_is_as_it_was() {
    let Some(mut yard) = yard() else { return };
    // A cache of its own: in the shared one other tests are at work.
    let store = Store::open(&yard.directory.path().join("cache")).unwrap();
    for (at, file) in yard.tree.clone().files() {
        let content = store.put(&yard.store.read_file(file).unwrap()).unwrap();
        let alone = File { owner: file.owner, ..File::new(content, file.size, file.mode) };
        yard.tree.replace(&at, Entry::File(alone)).unwrap();
    }
    yard.store = store;
    let container = yard.script("open('/tmp/x', 'w').write('x'); os.remove('/home/app/kept')");
    assert_eq!(yard.run(&container).0, 0);
    let mut rooms = fs::read_dir(yard.store.root().join("rooms")).unwrap().map(|room| room.unwrap().path());
    let room = rooms.find(|room| room.is_dir()).unwrap();
    assert_eq!(fs::read_to_string(room.join("home/app/kept")).unwrap(), "from the image");
    assert_eq!(fs::read_dir(room.join("tmp")).unwrap().count(), 0);
    let scratch = fs::read_dir(yard.store.root().join("scratch")).unwrap().next().unwrap().unwrap().path();
    let left: Vec<_> = fs::read_dir(scratch).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

/// The program of [`signals_reach_the_program`] and of the terminal's test: this test, run by itself.
#[test]
fn helper_that_runs_a_container() {
    let Some(script) = std::env::var_os("MINKE_TEST_SCRIPT") else { return };
    let yard = yard().unwrap();
    let mut container = yard.script(script.to_str().unwrap());
    container.binds[0].host = std::env::var_os("MINKE_TEST_OUT").unwrap().into();
    if std::env::var_os("MINKE_TEST_TERMINAL").is_some() {
        container.terminal = Terminal::Attached;
    }
    let code = match container.run(&yard.store) {
        Ok(exit) => exit.code(),
        Err(error) => {
            let causes = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            eprintln!("refused: {}: {error}{causes}", error.exit_code());
            error.exit_code()
        }
    };
    drop(yard);
    std::process::exit(code.into());
}

fn helper(out: &std::path::Path, script: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", "helper_that_runs_a_container"]);
    command.env("MINKE_TEST_SCRIPT", script).env("MINKE_TEST_OUT", out);
    // One that is killed cannot take its files away itself.
    command.env("TMPDIR", out.parent().unwrap());
    command
}

fn wait_for(what: impl Fn() -> bool) {
    for _ in 0..3000 {
        if what() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("it did not happen within 30 s");
}

#[test]
fn signals_reach_the_program() {
    let Some(yard) = yard() else { return };
    let script = "def stop(n, _): log('got', n); sys.exit(5)\n\
        signal.signal(15, stop); log('ready'); time.sleep(600)";
    let mut child = helper(&yard.out(), script).stdout(std::process::Stdio::null()).spawn().unwrap();
    wait_for(|| yard.log().contains("ready"));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert_eq!(yard.log(), "ready\ngot 15\n");
}

#[test]
fn a_killed_minke_takes_its_container_along() {
    let Some(yard) = yard() else { return };
    let script = "log('ready')\nwhile True: log('alive'); time.sleep(0.01)";
    let mut child = helper(&yard.out(), script).stdout(std::process::Stdio::null()).spawn().unwrap();
    wait_for(|| yard.log().contains("alive"));
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for(|| {
        let before = yard.log();
        std::thread::sleep(std::time::Duration::from_millis(200));
        before == yard.log()
    });
}

#[test]
fn a_terminal_is_the_containers_own_and_ours_is_relayed() {
    use rustix::process::{Pid, Signal, kill_process};
    use rustix::pty::OpenptFlags;
    use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

    let Some(yard) = yard() else { return };
    let script = "log(os.ttyname(0), os.ttyname(2), os.tcgetpgrp(0) == os.getpgrp(), *os.get_terminal_size(0))\n\
        signal.signal(signal.SIGWINCH, lambda *_: log('resized', *os.get_terminal_size(0)))\n\
        print('shown', input())\n\
        try:\n    log('ready')\n    while True: time.sleep(0.01)\n\
        except KeyboardInterrupt: log('interrupted')\n\
        sys.exit(9)";
    let ours = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    rustix::pty::unlockpt(&ours).unwrap();
    let name = rustix::pty::ptsname(&ours, Vec::new()).unwrap();
    let theirs = fs::File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let size = |rows, columns| Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&ours, size(40, 100)).unwrap();
    let before = tcgetattr(&theirs).unwrap().local_modes;
    let mut command = helper(&yard.out(), script);
    command.env("MINKE_TEST_TERMINAL", "1").stdin(theirs.try_clone().unwrap());
    command.stdout(theirs.try_clone().unwrap()).stderr(theirs.try_clone().unwrap());
    let mut child = command.spawn().unwrap();

    wait_for(|| yard.log().contains("100"));
    rustix::io::write(&ours, b"words\n").unwrap();
    wait_for(|| yard.log().contains("ready"));
    tcsetwinsize(&ours, size(50, 120)).unwrap();
    kill_process(Pid::from_child(&child), Signal::WINCH).unwrap();
    wait_for(|| yard.log().contains("resized"));
    rustix::io::write(&ours, b"\x03").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(9));

    assert_snapshot!(yard.log(), @r"
    /dev/console /dev/console True 100 40
    ready
    resized 120 50
    interrupted
    ");
    assert_eq!(tcgetattr(&theirs).unwrap().local_modes, before, "our terminal is as it was");
    let mut shown = vec![0; 4096];
    let count = rustix::io::read(&ours, &mut shown).unwrap();
    assert!(String::from_utf8_lossy(&shown[..count]).contains("shown words\r\n"));
}

/// What the whole tree of a container's paths must be for the tests above to mean anything.
#[test]
fn the_yard_has_what_the_tests_rely_on() {
    let Some(yard) = yard() else { return };
    let at = |text: &str| -> ImagePath { path(text) };
    assert_eq!(yard.tree.directory(&at("/home/app")).unwrap().owner(), Owner { uid: 1234, gid: 1234 });
    assert!(yard.tree.get(&at("/bin/sh")).is_none());
}

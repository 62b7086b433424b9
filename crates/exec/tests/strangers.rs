//! What strangers' code may try in a sealed room, and what comes of it: as root and as an ordinary user.

mod common;
#[path = "common/workshop.rs"]
mod workshop;

use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Command;
use std::time::{Duration, Instant};

use common::base;
use insta::assert_snapshot;
use minke_exec::{ActionError, Limit, Limits, Outcome, OutputError, Seal, Status, run_action};
use workshop::{run, script};

#[test]
fn all_of_this_works_as_an_ordinary_user_too() {
    workshop::again_as_ordinary_users();
}

/// Runs a script that doesn't end by itself, under limits that are small.
fn stopped(text: &str, limits: Limits) -> Option<Outcome> {
    let base = base()?;
    let mut action = script(&base, text);
    action.limits = limits;
    let start = Instant::now();
    let outcome = run_action(&action, &base.store, Seal::Sealed).unwrap();
    assert!(start.elapsed() < Duration::from_secs(120));
    assert!(outcome.outputs.is_empty());
    Some(outcome)
}

const FORK_BOMB: &str = "while True:\n    \
    try: os.fork()\n    \
    except OSError: pass";

#[test]
fn a_fork_bomb_is_stopped_and_others_can_still_fork() {
    let Some(base) = base() else { return };
    let limits = Limits { processes: 100, ..Limits::default() };
    let count = "import subprocess\n\
        for _ in range(40): subprocess.run(['/usr/bin/python3', '-S', '-c', ''], check=True)\n\
        print('done')";
    let (bomb, innocent) = std::thread::scope(|scope| {
        let bomb = scope.spawn(|| stopped(FORK_BOMB, limits));
        let mut action = script(&base, count);
        action.limits.processes = 100;
        let innocent = run_action(&action, &base.store, Seal::Sealed).unwrap();
        (bomb.join().unwrap(), innocent)
    });
    assert_eq!(bomb.unwrap().status, Status::Stopped(Limit::Processes { count: 100 }));
    assert_eq!((innocent.status, innocent.log.as_str()), (Status::Exited(0), "done\n"));
}

#[test]
fn who_eats_memory_is_stopped() {
    let limits = Limits { memory_bytes: 200 << 20, ..Limits::default() };
    let ways = [
        "kept = []\nwhile True: kept.append(b'x' * (1 << 20))",
        "import mmap\nkept = []\n\
         while True: kept.append(mmap.mmap(-1, 1 << 20)); kept[-1].write(b'x' * (1 << 20))",
        "for _ in range(20):\n    \
         if os.fork() == 0: kept = b'x' * (20 << 20); time.sleep(600)\n\
         time.sleep(600)",
    ];
    for way in ways {
        let Some(outcome) = stopped(way, limits) else { return };
        assert_eq!(outcome.status, Status::Stopped(Limit::Memory { bytes: 200 << 20 }), "{way}");
    }
}

#[test]
fn memory_that_processes_share_counts_once() {
    let Some(base) = base() else { return };
    let mut action = script(
        &base,
        "kept = b'x' * (100 << 20)\n\
         for _ in range(8):\n    \
         if os.fork() == 0: time.sleep(1); os._exit(0)\n\
         for _ in range(8): os.wait()",
    );
    action.limits.memory_bytes = 300 << 20;
    assert_eq!(run_action(&action, &base.store, Seal::Sealed).unwrap().status, Status::Exited(0));
}

#[test]
fn who_fills_the_disk_is_stopped() {
    let limits = Limits { disk_bytes: 100 << 20, ..Limits::default() };
    let ways = [
        "for n in range(10000): open('/tmp/%d' % n, 'wb').write(b'x' * (1 << 20))",
        "kept = []\n\
         for n in range(900): kept.append(open('/tmp/x', 'wb')); os.remove('/tmp/x'); kept[-1].write(b'x' * (1 << 20))",
        "for n in range(10 ** 9): open('/tmp/%d' % n, 'w').close()",
        "os.makedirs('/tmp/a/b'); os.chdir('/tmp/a/b'); os.chmod('/tmp/a', 0)\n\
         for n in range(10000): open('%d' % n, 'wb').write(b'x' * (1 << 20))",
    ];
    for way in ways {
        let Some(outcome) = stopped(&format!("{way}\ntime.sleep(600)"), limits) else { return };
        assert_eq!(outcome.status, Status::Stopped(Limit::Disk { bytes: 100 << 20 }), "{way}");
    }
    let Some(base) = base() else { return };
    let shared = "attempt('memory', lambda: open('/dev/shm/x', 'wb').write(bytes(100 << 20)))\n\
         attempt('devices', lambda: open('/dev/x', 'wb').write(bytes(1 << 20)))";
    let log = run(&base, shared, Seal::Sealed).log.replace("EACCES", "ENOSPC");
    assert_eq!(log, "memory ENOSPC\ndevices ENOSPC\n");
}

#[test]
fn who_never_ends_is_stopped() {
    let text = "import signal\n\
        for n in range(1, 32):\n    \
        if n not in (9, 19): signal.signal(n, signal.SIG_IGN)\n\
        print('here', flush=True)\n\
        while True: pass";
    let wall = Duration::from_secs(1);
    let Some(outcome) = stopped(text, Limits { wall, ..Limits::default() }) else { return };
    assert_eq!((outcome.status, outcome.log.as_str()), (Status::Stopped(Limit::Wall(wall)), "here\n"));
}

#[test]
fn neither_the_hosts_secrets_nor_its_environment_are_there() {
    let Some(base) = base() else { return };
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some() || std::env::var_os("TMPDIR").is_some());
    let text = "attempt('shadow', lambda: open('/etc/shadow'))\n\
        attempt('root', lambda: os.listdir('/root'))\n\
        for pid in filter(str.isdigit, os.listdir('/proc')):\n    \
        try: words = open(f'/proc/{pid}/environ', 'rb').read()\n    \
        except OSError as e: words = errno.errorcode[e.errno]\n    \
        print(pid == '1', words)\n\
        for what in ['mem', 'maps']: attempt(what, lambda: open(f'/proc/1/{what}').read(1))\n\
        for what in ['root', 'cwd']: attempt(what, lambda: os.listdir(f'/proc/1/{what}'))\n\
        print(sorted(os.listdir('/proc/self/fd'))[:-1])\n\
        print({line.split(':', 2)[2] for line in open('/proc/self/cgroup')} - {'/\\n'})";
    let log = run(&base, text, Seal::Sealed).log;
    assert_snapshot!(log, @r"
    shadow ENOENT
    root ENOENT
    True EACCES
    False b'GIVEN=yes\x00'
    mem EACCES
    maps EACCES
    root EACCES
    cwd EACCES
    ['0', '1', '2']
    set()
    ");
}

#[test]
fn the_hosts_sockets_cannot_be_reached() {
    let Some(base) = base() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let name = format!("minke-test-{}-{port}", std::process::id());
    let _abstract =
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(name.as_bytes()).unwrap()).unwrap();
    let text = format!(
        "attempt('loopback', lambda: socket.create_connection(('127.0.0.1', {port}), 5))\n\
         attempt('abstract', lambda: socket.socket(socket.AF_UNIX).connect('\\0{name}'))\n\
         own = socket.create_server(('127.0.0.1', {port}))\n\
         attempt('own', lambda: socket.create_connection(('127.0.0.1', {port}), 5))"
    );
    assert_eq!(run(&base, &text, Seal::Sealed).log, "loopback ECONNREFUSED\nabstract ECONNREFUSED\nown ok\n");
}

#[test]
fn who_kills_everything_kills_only_the_own() {
    let Some(base) = base() else { return };
    let mut neighbour = Command::new("/bin/sleep").arg("600").spawn().unwrap();
    let text = format!(
        "import subprocess\n\
         child = subprocess.Popen(['/usr/bin/python3', '-c', 'import time; time.sleep(600)'])\n\
         attempt('all', lambda: os.kill(-1, 9)); print(child.wait(), flush=True)\n\
         attempt('neighbour', lambda: os.kill({}, 9))\n\
         attempt('init', lambda: os.kill(1, 9)); time.sleep(0.2); print('alive', flush=True)\n\
         os.kill(os.getpid(), 9)",
        neighbour.id()
    );
    let outcome = run(&base, &text, Seal::Sealed);
    let alive = neighbour.try_wait().unwrap().is_none();
    neighbour.kill().unwrap();
    neighbour.wait().unwrap();
    assert!(alive);
    assert_eq!(outcome.status, Status::Exited(128 + 9));
    // Init is another user's where root has made the room.
    let log = outcome.log.replace("init EPERM", "init ok");
    assert_eq!(log, "all ok\n-9\nneighbour ESRCH\ninit ok\nalive\n");
}

#[test]
fn what_is_written_elsewhere_is_gone_with_the_room() {
    let Some(base) = base() else { return };
    let text = "places = ['/usr/bin/evil', '/tmp/evil', '/build/evil', '/evil', '/dev/shm/evil']\n\
        print(sum(map(os.path.exists, places)))\n\
        for place in places: open(place, 'w').write('x')\n\
        os.remove('/usr/bin/python3'); os.symlink('/tmp/evil', '/usr/bin/python3')\n\
        os.makedirs('out'); open('out/good', 'w').write('x')";
    for _ in 0..2 {
        let outcome = run(&base, text, Seal::Sealed);
        assert_eq!((outcome.status, outcome.log.as_str()), (Status::Exited(0), "0\n"));
        let files: Vec<_> = outcome.outputs.files().map(|(path, _)| path.to_string()).collect();
        assert_eq!(files, ["/build/out/good"]);
    }
}

#[test]
fn a_tree_that_no_path_leads_through_is_no_burden() {
    let Some(base) = base() else { return };
    let text = "def deepen(top):\n    \
         os.makedirs(top); os.chdir(top)\n    \
         for _ in range(1500): os.mkdir('x' * 100); os.chdir('x' * 100)\n\
         deepen('/tmp/deep'); os.chdir('/'); os.chmod('/tmp/deep', 0)\n\
         if len(sys.argv) > 1: deepen('/build/out')\n\
         print('done')";
    let mut action = script(&base, text);
    let outcome = run_action(&action, &base.store, Seal::Sealed).unwrap();
    assert_eq!((outcome.status, outcome.log.as_str()), (Status::Exited(0), "done\n"));
    action.argv.push("outputs".to_owned());
    let error = run_action(&action, &base.store, Seal::Sealed).unwrap_err();
    assert!(matches!(error, ActionError::Output(OutputError::Io { .. })), "{error:?}");
    // Other tests have their rooms there at the same time, but none that deep.
    let scratch = base.store.root().join("scratch");
    let output = Command::new("find").arg(scratch).args(["-name", &"x".repeat(100)]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

#[test]
fn a_daemon_ends_with_the_room() {
    let Some(base) = base() else { return };
    let mark = format!("minke-test-daemon-{}", std::process::id());
    let text = format!(
        "ready, writer = os.pipe()\n\
         if os.fork() == 0:\n    \
         os.setsid()\n    \
         if os.fork() != 0: os._exit(0)\n    \
         os.set_inheritable(writer, True)\n    \
         code = f'import os, time; os.write({{writer}}, b\"x\"); time.sleep(600)'\n    \
         os.execv('/usr/bin/python3', ['python3', '-c', code, '{mark}'])\n\
         os.wait(); os.read(ready, 1)\n\
         print('left', flush=True)"
    );
    let start = Instant::now();
    let outcome = run(&base, &text, Seal::Sealed);
    assert_eq!((outcome.status, outcome.log.as_str()), (Status::Exited(0), "left\n"));
    assert!(start.elapsed() < Duration::from_secs(120));
    assert_eq!(processes_called(&mark), 0);
}

/// Counts the processes that have a word among their arguments.
fn processes_called(word: &str) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())).count()
}

/// Set in the copy of this program that is to be killed: to an argument of its action.
const KILLED: &str = "MINKE_TEST_KILLED";

#[test]
fn helper_that_is_killed() {
    let Ok(mark) = std::env::var(KILLED) else { return };
    let Some(base) = base() else { return };
    let mut action = script(&base, "os.fork(); os.fork(); time.sleep(600)");
    action.argv.push(mark);
    run_action(&action, &base.store, Seal::Sealed).unwrap();
}

#[test]
fn a_room_ends_with_who_has_made_it() {
    if base().is_none() {
        return;
    }
    let mark = format!("minke-test-killed-{}", std::process::id());
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut maker = command.args(["--exact", "helper_that_is_killed"]).env(KILLED, &mark).spawn().unwrap();
    let wait_for = |count: usize| {
        let start = Instant::now();
        while processes_called(&mark) != count {
            assert!(start.elapsed() < Duration::from_secs(120), "{} processes", processes_called(&mark));
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait_for(4);
    maker.kill().unwrap();
    maker.wait().unwrap();
    wait_for(0);
}

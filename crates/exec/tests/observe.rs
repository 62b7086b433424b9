//! Containers that nobody sees: sealed, within limits, and what they say comes back.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{base, path};
use insta::assert_snapshot;
use minke_cas::{Entry, File, Mode, Owner};
use minke_exec::{
    Container, Limit, Limits, Network, Observed, RootAccess, Status, Terminal, User, sealing_available,
};

const LIMITS: Limits = Limits {
    wall: Duration::from_secs(60),
    memory_bytes: 1 << 30,
    disk_bytes: 1 << 30,
    processes: 256,
    output_bytes: 1 << 20,
};

/// Runs a Python script in a container of this machine's Python, with two files more.
fn observe(script: &str, input: &str, limits: &Limits) -> Option<Observed> {
    let base = base()?;
    if let Err(error) = sealing_available() {
        eprintln!("SKIPPED: {error}");
        return None;
    }
    let (store, mut tree) = (&base.store, base.tree.clone());
    let text = |mode| {
        let owner = Owner { uid: 1234, gid: 1234 };
        Entry::File(File { owner, ..File::new(store.put(b"x").unwrap(), 1, Mode::from_bits(mode)) })
    };
    tree.insert(&path("/own"), text(0o600)).unwrap();
    let container = Container {
        root: tree,
        argv: [base.python.as_str(), "-c", script].map(str::to_owned).to_vec(),
        env: BTreeMap::new(),
        workdir: path("/"),
        user: User { uid: 1234, gid: 1234, home: "/nonexistent".to_owned() },
        hostname: "nobody".to_owned(),
        binds: Vec::new(),
        root_access: RootAccess::Temporary,
        network: Network::None,
        terminal: Terminal::Plain,
    };
    Some(container.observe(store, input.as_bytes().to_vec(), limits).unwrap())
}

#[test]
fn it_reads_what_it_is_given_and_what_it_says_comes_back() {
    let script = "import sys, os, socket\n\
        print(sys.stdin.read().upper(), os.getuid(), open('/own').read())\n\
        print('heard', file=sys.stderr)\n\
        for name in ['/new', '/own', '/tmp/new', '/dev/shm/new']:\n    \
        try: open(name, 'w'); print(name, 'written')\n    \
        except OSError as e: print(name, e.strerror)\n\
        try: socket.create_connection(('192.0.2.1', 80), 5)\n\
        except OSError as e: print(e.strerror)\n\
        print([line.split()[1] for line in open('/proc/self/status') if line.startswith(('CapEff', 'Seccomp:'))])\n\
        raise SystemExit(3)\n";
    let Some(observed) = observe(script, "given", &LIMITS) else { return };
    assert_eq!((observed.status, observed.log.as_str()), (Status::Exited(3), "heard\n"));
    assert_snapshot!(String::from_utf8_lossy(&observed.output), @r"
    GIVEN 1234 x
    /new Read-only file system
    /own Read-only file system
    /tmp/new written
    /dev/shm/new written
    Network is unreachable
    ['0000000000000000', '2']
    ");
}

#[test]
fn it_is_held_to_its_limits() {
    let short = Limits { wall: Duration::from_millis(500), ..LIMITS };
    let Some(observed) = observe("import time; time.sleep(60)", "", &short) else { return };
    assert_eq!(observed.status, Status::Stopped(Limit::Wall(short.wall)));
    let brief = Limits { output_bytes: 10, ..LIMITS };
    let observed = observe("print('x' * 100000)", "", &brief).unwrap();
    assert_eq!((observed.status, observed.output.as_slice()), (Status::Exited(0), b"xxxxxxxxxx".as_slice()));
    let observed = observe("open('/tmp/large', 'wb').truncate(1 << 31)", "", &LIMITS).unwrap();
    assert_ne!(observed.status, Status::Exited(0), "{}", observed.log);
}

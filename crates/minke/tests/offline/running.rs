//! `minke run`: what a container sees of the world, and what the world sees of it.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use minke_testkit::skip;
use rustix::process::{Pid, Signal, kill_process};

use crate::town::{Ran, Town, User};

/// Does the same in a town of ours and in one of an ordinary user, each with an image `shop` in its store.
///
/// Making a town whose files are another user's is dear, so that all tests share these two.
fn everybody(test: impl Fn(&Town)) {
    static TOWNS: [OnceLock<Option<Town>>; 2] = [OnceLock::new(), OnceLock::new()];
    insta::allow_duplicates! {
        for (town, user) in TOWNS.iter().zip([User::Myself, User::Nobody]) {
            if let Some(town) = town.get_or_init(|| founded(user)) {
                test(town);
            }
        }
    }
}

/// A town of somebody's with an image called `shop`, in which containers can be made.
fn founded(user: User) -> Option<Town> {
    if user == User::Nobody && !rustix::process::geteuid().is_root() {
        skip("only root can be somebody else");
        return None;
    }
    if !user.can_make_containers() {
        skip("this machine lets nobody make containers");
        return None;
    }
    let mut town = Town::with(&[])?;
    if user == User::Nobody {
        town.hand_over();
    }
    town.project("shop", &[]);
    town.builds(&["shop"]);
    // The room is furnished before any test looks at what is said: who waits for another to do it says so.
    town.succeeds(&["run", "--entrypoint", "python", "shop", "-c", "pass"]);
    Some(town)
}

impl Town {
    /// Runs Python in a container of the image `shop`.
    fn python(&self, options: &[&str], code: &str) -> Ran {
        self.minke(&[&["run", "--entrypoint", "python"], options, &["shop", "-c", code]].concat())
    }
}

/// What of a container can be told from inside, a line each.
const LOOK_AROUND: &str = r"
import os, pathlib, sys
def may_write(path):
    try:
        pathlib.Path(path, 'new').write_text('x')
        return 'yes'
    except OSError:
        return 'no'
print('user', os.getuid(), os.getgid())
print('argv', sys.argv[1:])
print('directory', os.getcwd())
print('environment', *sorted(name for name in os.environ if name != 'HOSTNAME'))
print('home', os.environ['HOME'])
print('prefix', sys.prefix, sys.executable)
for path in ['/app', '/usr', '/etc', '/tmp', '/dev/shm']:
    print('write to', path, may_write(path))
print('devices', *sorted(os.listdir('/dev')))
print('processes', *sorted(name for name in os.listdir('/proc') if name.isdigit()))
print('capabilities', [line for line in open('/proc/self/status') if line.startswith('CapEff')][0].split()[1])
";

#[test]
fn a_container_is_the_same_for_root_and_for_an_ordinary_user() {
    everybody(|town| {
        let ran =
            town.minke(&["run", "--entrypoint", "python", "shop", "-c", LOOK_AROUND, "one", "--two", "-3"]);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert_snapshot!(ran.seen(), @r"
        status: 0
        stdout: user 65532 65532
        argv ['one', '--two', '-3']
        directory /app
        environment HOME LANG PATH PYTHONDONTWRITEBYTECODE PYTHONUNBUFFERED
        home /home/nonroot
        prefix /app/.venv /app/.venv/bin/python
        write to /app no
        write to /usr no
        write to /etc no
        write to /tmp yes
        write to /dev/shm yes
        devices fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero
        processes 1 2
        capabilities 0000000000000000
        ");
    });
}

#[test]
fn read_only_means_that_nothing_is_written() {
    everybody(|town| {
        let ran = town.python(&["--read-only"], LOOK_AROUND);
        let said: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("write to")).collect();
        assert_snapshot!(said.join("\n"), @r"
        write to /app no
        write to /usr no
        write to /etc no
        write to /tmp no
        write to /dev/shm yes
        ");
    });
}

#[test]
fn the_exit_status_is_the_programs() {
    everybody(|town| {
        let status = |code: &str| town.python(&[], code).status;
        assert_eq!(status("pass"), 0);
        assert_eq!(status("raise SystemExit(7)"), 7);
        assert_eq!(status("raise SystemExit(255)"), 255);
        assert_eq!(status("import os; os.kill(os.getpid(), 9)"), 137);
        assert_eq!(status("import os; os.kill(os.getpid(), 15)"), 143);
        assert_eq!(status("import os; os.abort()"), 134);
        assert_eq!(status("this is no Python"), 1);
    });
}

#[test]
fn what_cannot_be_run_is_named() {
    everybody(|town| {
        assert_snapshot!(town.minke(&["run", "--entrypoint", "sh", "shop"]).seen(), @r"
        status: 127
        stderr: error: cannot run the image
          because: `shop:latest` did not start
          because: `sh` is not in the image
          help: the image has no shell; `--entrypoint python` runs Python, and `minke build --shell` adds one
        ");
        assert_snapshot!(town.minke(&["run", "--entrypoint", "/etc/passwd", "shop"]).seen(), @r"
        status: 126
        stderr: error: cannot run the image
          because: `shop:latest` did not start
          because: `/etc/passwd` cannot be executed
          because: Permission denied (os error 13)
          help: make it executable before the image is built, or name its interpreter first
        ");
        assert_snapshot!(town.minke(&["run", "--user", "somebody", "shop"]).seen(), @r"
        status: 2
        stderr: error: cannot run the image
          because: there is no user `somebody` in the image's /etc/passwd
          help: say it in numbers, UID:GID, with `--user`
        ");
        assert_snapshot!(town.minke(&["run", "-v", "/no/such/place:/data", "shop"]).seen(), @r"
        status: 2
        stderr: error: cannot run the image
          because: `shop:latest` did not start
          because: cannot mount `/no/such/place`
          because: No such file or directory (os error 2)
          help: see that it is there and may be read
        ");
        assert_snapshot!(town.minke(&["run", "stall"]).seen(), @r"
        status: 1
        stderr: error: there is no image `stall:latest`; there is shop:latest
          help: `minke images` lists all images
        ");
        assert_snapshot!(town.minke(&["run", "-p", "8000:8000", "shop"]).seen(), @r"
        status: 2
        stderr: error: invalid value '8000:8000' for '--publish <PUBLISH>': minke maps no ports; with `--network host`, the default, what the container listens on is open on this machine under the same number

        For more information, try '--help'.
        ");
    });
}

#[test]
fn entry_point_arguments_user_and_directory_can_be_chosen() {
    everybody(|town| {
        assert_eq!(town.minke(&["run", "shop"]).stdout, "hello\n");
        let chosen = [
            "--entrypoint",
            "python -c 'import os, sys; print(os.getuid(), os.getgid(), os.getcwd(), sys.argv[1:])'",
        ];
        let ran = town.minke(
            &[&["run", "--user", "1234:99", "--workdir", "/usr/lib"], &chosen[..], &["shop", "a b", "--c"]]
                .concat(),
        );
        assert_eq!((ran.stderr.as_str(), ran.stdout.as_str()), ("", "1234 99 /usr/lib ['a b', '--c']\n"));
    });
}

#[test]
fn variables_are_passed_and_taken_over() {
    everybody(|town| {
        let code = "import os; print([os.environ.get(name) for name in ['GIVEN', 'TAKEN', 'NOT_THERE', 'SECRET', 'LANG']])";
        let arguments = [
            "run",
            "-e",
            "GIVEN=a b=c",
            "-e",
            "TAKEN",
            "-e",
            "NOT_THERE",
            "-e",
            "LANG=C",
            "--entrypoint",
            "python",
            "shop",
            "-c",
            code,
        ];
        let mut command = town.command(&arguments);
        command.env("TAKEN", "from here").env("SECRET", "stays here");
        let ran = town.finish(command.spawn().unwrap());
        assert_eq!(ran.stdout, "['a b=c', 'from here', None, None, 'C']\n", "{}", ran.stderr);
    });
}

#[test]
fn binds_are_readable_and_only_some_are_writable() {
    everybody(|town| {
        fs::create_dir(town.path("open")).unwrap();
        fs::set_permissions(town.path("open"), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        town.write("closed/file", "inside");
        let open = format!("{}:/data/open", town.path("open").display());
        let code = r"
import pathlib
for path in ['/data/open/new', '/srv/closed/new', '/etc/hosts-of-ours']:
    try:
        print(path, pathlib.Path(path).write_text('from inside'))
    except OSError:
        print(path, 'no')
print(open('/srv/closed/file').read(), open('/srv/file').read())
";
        let ran = town.python(
            &["-v", &open, "-v", "./closed:/srv/closed:ro", "-v", "./closed/file:/srv/file:ro"],
            code,
        );
        assert_snapshot!(ran.seen(), @r"
        status: 0
        stdout: /data/open/new 11
        /srv/closed/new no
        /etc/hosts-of-ours no
        inside inside
        ");
        assert_eq!(fs::read_to_string(town.path("open/new")).unwrap(), "from inside");
        assert!(!town.path("closed/new").exists());
    });
}

#[test]
fn without_a_network_there_is_a_loopback_of_its_own() {
    everybody(|town| {
        let address = town.archive.host();
        let code = format!(
            r"
import socket
print([name for _, name in socket.if_nameindex()])
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(server.getsockname())
client.sendall(b'hello to myself')
print(server.accept()[0].recv(99).decode())
host, port = '{address}'.split(':')
try:
    socket.create_connection((host, int(port)), timeout=5)
    print('the host answers')
except OSError as error:
    print(error.strerror)
"
        );
        assert_snapshot!(town.python(&["--network", "none"], &code).seen(), @r"
        status: 0
        stdout: ['lo']
        hello to myself
        Connection refused
        ");
        let with_network = town.python(&[], &code).stdout;
        assert_eq!(with_network.lines().last(), Some("the host answers"));
    });
}

#[test]
fn the_first_process_reaps_orphans() {
    everybody(|town| {
        let code = r"
import os, time
for _ in range(20):
    if not os.fork():
        if os.fork():
            os._exit(0)
        time.sleep(0.05)
        os._exit(0)
    os.wait()
deadline = time.monotonic() + 20
def zombies():
    states = []
    for name in os.listdir('/proc'):
        try:
            states += [open(f'/proc/{name}/stat').read().split()[2]] if name.isdigit() else []
        except OSError:
            pass
    return len([state for state in states if state == 'Z']), len(states)
while zombies()[1] > 2 and time.monotonic() < deadline:
    time.sleep(0.02)
print('zombies and processes:', *zombies(), 'this is process', os.getpid(), 'of', os.getppid())
";
        assert_snapshot!(town.python(&[], code).seen(), @r"
        status: 0
        stdout: zombies and processes: 0 2 this is process 2 of 1
        ");
    });
}

#[test]
fn standard_input_is_passed_on() {
    everybody(|town| {
        let code = "import sys; print(sys.stdin.read().upper(), file=sys.stderr)";
        let mut command = town.command(&["run", "--entrypoint", "python", "shop", "-c", code]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"say it louder").unwrap();
        assert_snapshot!(town.finish(child).seen(), @r"
        status: 0
        stderr: SAY IT LOUDER
        ");
    });
}

#[test]
fn signals_reach_the_program() {
    let code = r"
import signal, sys, time
def heard(number, frame):
    print('heard', signal.Signals(number).name, flush=True)
    sys.exit(40 + number)
for number in [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1]:
    signal.signal(number, heard)
print('ready', flush=True)
time.sleep(60)
";
    everybody(|town| {
        for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::USR1] {
            let mut command = town.command(&["run", "--entrypoint", "python", "shop", "-c", code]);
            let mut child = command.spawn().unwrap();
            let mut said = BufReader::new(child.stdout.take().unwrap());
            let mut line = String::new();
            said.read_line(&mut line).unwrap();
            assert_eq!(line, "ready\n");
            kill_process(Pid::from_child(&child), signal).unwrap();
            line.clear();
            said.read_line(&mut line).unwrap();
            let ran = town.finish(child);
            assert!(line.starts_with("heard SIG"), "{line}{}", ran.stderr);
            assert_eq!(ran.status, 40 + signal.as_raw(), "{signal:?}");
        }
    });
}

#[test]
fn a_container_dies_with_who_runs_it() {
    everybody(|town| {
        // A file that only the container's program holds open tells from outside whether it lives.
        let (reader, writer) = std::io::pipe().unwrap();
        let code = "import time; print('ready', flush=True); time.sleep(120)";
        let mut command = town.command(&["run", "--entrypoint", "python", "shop", "-c", code]);
        let mut child = command.stdout(writer).spawn().unwrap();
        drop(command);
        let mut said = BufReader::new(reader);
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let began = Instant::now();
        line.clear();
        assert_eq!(said.read_line(&mut line).unwrap(), 0, "the program's end of the pipe is closed");
        assert!(began.elapsed() < Duration::from_secs(30));
    });
}

#[test]
fn what_a_killed_container_leaves_is_swept_away() {
    let Some(town) = founded(User::Myself) else { return };
    let code = "import time; print('ready', flush=True); time.sleep(120)";
    let mut command = town.command(&["run", "--entrypoint", "python", "shop", "-c", code]);
    let mut child = command.spawn().unwrap();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    town.succeeds(&["images"]);
    assert_eq!(fs::read_dir(town.path("cache/v2/scratch")).unwrap().count(), 0);
}

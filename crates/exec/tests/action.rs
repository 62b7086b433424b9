//! Actions in sealed rooms and without one, as root and as an ordinary user.

mod common;
#[path = "common/workshop.rs"]
mod workshop;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Base, base, path};
use insta::assert_snapshot;
use minke_cas::{Epoch, Mode, Tree};
use minke_exec::{
    Action, ActionError, Backend, BuildError, Host, Jobs, Limit, OutputError, Seal, Status, WheelBuild,
    run_action, sealing_available,
};
use workshop::{ORDINARY, file, run, script};

#[test]
fn all_of_this_works_as_an_ordinary_user_too() {
    workshop::again_as_ordinary_users();
}

#[test]
fn a_sealed_action_sees_itself_and_nothing_else() {
    let Some(base) = base() else { return };
    sealing_available().unwrap();
    let outcome = run(
        &base,
        "print(os.getcwd(), os.getuid(), socket.gethostname(), sorted(os.environ))\n\
         print(*[name for _, name in socket.if_nameindex()])\n\
         attempt('outside', lambda: socket.create_connection(('192.0.2.1', 9), 1))\n\
         print(oct(os.stat('data').st_mode), os.stat('data').st_uid, sorted(os.listdir('/')))\n\
         for name in ['/build/x', '/tmp/x', '/usr/lib/x', '/x', '/proc/sys/kernel/core_pattern']:\n    \
         attempt(name, lambda: open(name, 'w'))\n\
         attempt('input', lambda: sys.stdin.read(1))\n\
         print([l.split()[1] for l in open('/proc/self/status') if l.startswith(('CapEff', 'CapBnd'))])",
        Seal::Sealed,
    );
    assert_eq!(outcome.status, Status::Exited(0), "{}", outcome.log);
    assert_snapshot!(outcome.log.replace("EROFS", "EACCES"), @r"
    /build 65534 workshop ['GIVEN']
    lo
    outside ENETUNREACH
    0o100755 65534 ['bin', 'build', 'dev', 'elsewhere', 'lib', 'lib64', 'proc', 'sys', 'tmp', 'usr']
    /build/x ok
    /tmp/x ok
    /usr/lib/x ok
    /x ok
    /proc/sys/kernel/core_pattern EACCES
    input ok
    ['0000000000000000', '0000000000000000']
    ");
}

const MAKES: &str = "os.makedirs('out/sub'); open('out/plain', 'w').write('1')\n\
    open('out/sub/program', 'w').write('2'); os.chmod('out/sub/program', 0o711)\n\
    os.symlink('/etc/passwd', 'out/link'); os.mkfifo('out/pipe'); os.makedirs('out/empty')";

#[test]
fn outputs_come_back_with_normal_modes_and_without_special_files() {
    let Some(base) = base() else { return };
    for seal in [Seal::Sealed, Seal::Unsealed] {
        let outcome = run(&base, MAKES, seal);
        assert_eq!(outcome.status, Status::Exited(0), "{}", outcome.log);
        insta::allow_duplicates! {
            assert_snapshot!(format!("{:?}", outcome.outputs), @r"
            /build/ dir 0755
            /build/out/ dir 0755
            /build/out/empty/ dir 0755
            /build/out/link link /etc/passwd
            /build/out/plain file 0644 6b86b273
            /build/out/sub/ dir 0755
            /build/out/sub/program file 0755 d4735e3a
            ");
        }
    }
}

#[test]
fn an_output_outside_the_own_directory_and_a_missing_one_are_fine() {
    let Some(base) = base() else { return };
    let outcome = run(&base, "open('/elsewhere/deep/file', 'w').write('1')", Seal::Sealed);
    assert_eq!(outcome.status, Status::Exited(0), "{}", outcome.log);
    let files: Vec<_> = outcome.outputs.files().map(|(path, _)| path.to_string()).collect();
    assert_eq!(files, ["/elsewhere/deep/file"]);
}

#[test]
fn symlinks_in_place_of_directories_lead_to_no_output() {
    let Some(base) = base() else { return };
    let outcome =
        run(&base, "os.rmdir('/elsewhere/deep'); os.symlink('/etc', '/elsewhere/deep')", Seal::Sealed);
    assert_eq!(outcome.status, Status::Exited(0), "{}", outcome.log);
    assert!(outcome.outputs.is_empty());
}

#[test]
fn a_failure_is_a_result_with_its_log() {
    let Some(base) = base() else { return };
    for seal in [Seal::Sealed, Seal::Unsealed] {
        let outcome =
            run(&base, "print('out', flush=True); print('err', file=sys.stderr); sys.exit(3)", seal);
        assert_eq!((outcome.status, outcome.log.as_str()), (Status::Exited(3), "out\nerr\n"));
    }
}

#[test]
fn what_takes_too_long_is_killed_with_all_that_it_started() {
    let Some(base) = base() else { return };
    for seal in [Seal::Sealed, Seal::Unsealed] {
        let mut action = script(&base, "print('on', flush=True); os.fork(); time.sleep(600)");
        action.limits.wall = Duration::from_secs(2);
        let start = Instant::now();
        let outcome = run_action(&action, &base.store, seal).unwrap();
        assert_eq!(
            (outcome.status, outcome.log.as_str()),
            (Status::Stopped(Limit::Wall(Duration::from_secs(2))), "on\n")
        );
        assert!(start.elapsed() < Duration::from_secs(60));
    }
}

#[test]
fn too_much_output_is_refused() {
    let Some(base) = base() else { return };
    let mut action = script(&base, "os.mkdir('out')\nfor n in '123': open('out/' + n, 'w').write('x' * 400)");
    action.limits.output_bytes = 1000;
    let error = run_action(&action, &base.store, Seal::Sealed).unwrap_err();
    assert!(matches!(error, ActionError::Output(OutputError::TooLarge { limit: 1000 })), "{error:?}");
    let mut action = script(&base, "attempt('large', lambda: os.truncate('data', 2000))");
    action.limits.output_bytes = 1000;
    assert_eq!(run_action(&action, &base.store, Seal::Sealed).unwrap().log, "large EFBIG\n");
}

#[test]
fn processes_are_counted() {
    let Some(base) = base() else { return };
    if std::env::var_os(ORDINARY).is_some_and(|wrapper| wrapper == "unshare") {
        eprintln!("SKIPPED: the kernel doesn't count the processes of a user that is root outside");
        return;
    }
    let mut action = script(
        &base,
        "def many():\n    \
         for _ in range(200):\n        \
         if os.fork() == 0: time.sleep(600)\n\
         attempt('many', many)",
    );
    action.limits.processes = 100;
    // The ids of an ordinary user count all of that user's processes: then fewer are left, never more.
    assert_eq!(run_action(&action, &base.store, Seal::Sealed).unwrap().log, "many EAGAIN\n");
}

#[test]
fn an_output_that_is_an_input_and_a_missing_program_are_named() {
    let Some(base) = base() else { return };
    let mut action = script(&base, "");
    action.outputs.push(path("/build/data"));
    let error = run_action(&action, &base.store, Seal::Sealed).unwrap_err();
    assert_snapshot!(error, @"`/build/data` is there before the action that is to make it");
    let mut action = script(&base, "");
    action.argv[0] = "/usr/bin/nothing".to_owned();
    let error = run_action(&action, &base.store, Seal::Sealed).unwrap_err();
    assert_snapshot!(error, @"cannot start `/usr/bin/nothing`");
    assert!(run_action(&action, &base.store, Seal::Unsealed).is_err());
}

#[test]
fn what_programs_rely_on_is_there() {
    let Some(base) = base() else { return };
    let text = "for name in [os.environ['HOME'], '/tmp', os.environ['TMPDIR'], '/dev/shm', '.']:\n    \
         attempt(name, lambda: open(name + '/x', 'w').close())\n\
         for name in ['null', 'zero', 'full', 'random', 'urandom', 'stdin', 'fd/0', 'ptmx']:\n    \
         attempt(name, lambda: open('/dev/' + name, 'rb').close())\n\
         for name in ['stdout', 'stderr', 'null']: attempt('to ' + name, lambda: open('/dev/' + name, 'wb').close())\n\
         attempt('tty', lambda: open('/dev/tty'))\n\
         import pty; attempt('terminal', lambda: pty.openpty())\n\
         print(os.readlink('/proc/self') == str(os.getpid()), os.path.exists('/proc/1/status'))\n\
         print(os.path.expanduser('~'), os.umask(0))";
    let mut action = script(&base, text);
    for (name, value) in [("HOME", "/home/builder"), ("TMPDIR", "/build/tmp")] {
        action.env.insert(name.to_owned(), value.to_owned());
    }
    let outcome = run_action(&action, &base.store, Seal::Sealed).unwrap();
    assert_snapshot!(outcome.log, @r"
    /home/builder ok
    /tmp ok
    /build/tmp ok
    /dev/shm ok
    . ok
    null ok
    zero ok
    full ok
    random ok
    urandom ok
    stdin ok
    fd/0 ok
    ptmx ok
    to stdout ok
    to stderr ok
    to null ok
    tty ENXIO
    terminal ok
    True True
    /home/builder 18
    ");
}

#[test]
fn a_share_of_the_cores_is_all_that_an_action_counts() {
    let Some(base) = base() else { return };
    let jobs = Jobs::of_machine(NonZeroUsize::MAX);
    let share = jobs.share(NonZeroUsize::MIN);
    let text = "for item in sorted(os.environ.items()): print(*item)\n\
        print(len(os.sched_getaffinity(0)))";
    let mut action = script(&base, text);
    for (name, value) in [("MAX_JOBS", "own"), ("LC_ALL", "C.UTF-8")] {
        action.env.insert(name.to_owned(), value.to_owned());
    }
    for seal in [Seal::Sealed, Seal::Unsealed] {
        let outcome = run_action(&action, &base.store, Host { seal, share: Some(&share) }).unwrap();
        let log = outcome.log.trim_end();
        let (environment, cores) = log.rsplit_once('\n').unwrap();
        insta::allow_duplicates! {
            assert_snapshot!(environment, @r"
            CARGO_BUILD_JOBS 1
            CMAKE_BUILD_PARALLEL_LEVEL 1
            GIVEN yes
            LC_ALL C.UTF-8
            MAKEFLAGS -j1
            MAX_JOBS own
            NPY_NUM_BUILD_JOBS 1
            PYTHON_CPU_COUNT 1
            ");
        }
        assert!(seal == Seal::Unsealed || cores == "1", "{cores}");
    }
}

#[test]
fn equal_actions_have_one_digest() {
    let Some(base) = base() else { return };
    let action = script(&base, "");
    assert_eq!(action.digest(), script(&base, "").digest());
    assert_ne!(action.digest(), script(&base, "pass").digest());
    let other = Action { env: BTreeMap::new(), ..action.clone() };
    assert_ne!(action.digest(), other.digest());
}

/// A backend of the project's own that says what it sees.
const BACKEND: &str = "import os, sys, zipfile, tool\n\
    def get_requires_for_build_wheel(settings):\n    return ['extra>=' + settings.get('least', '1')]\n\
    def build_wheel(directory, settings, metadata):\n    \
    print('building', os.listdir('.'), tool.WORD, os.environ['SOURCE_DATE_EPOCH'], oct(os.umask(0o22)))\n    \
    print(os.path.isdir(os.environ['HOME']), os.environ['TZ'], os.environ['PYTHONHASHSEED'])\n    \
    open('litter', 'w').close()\n    \
    with zipfile.ZipFile(os.path.join(directory, 'p-1-py3-none-any.whl'), 'w') as wheel:\n        \
    wheel.writestr('p.py', tool.WORD)\n    \
    return 'p-1-py3-none-any.whl'\n";

struct Project {
    base: Arc<Base>,
    source: Tree,
    requirements: Tree,
    backend: Backend,
    environment: BTreeMap<String, String>,
}

fn project(backend: &str) -> Option<Project> {
    let base = base()?;
    let (mut source, mut requirements) = (Tree::new(), Tree::new());
    source.insert(&path("/tools/backend.py"), file(&base.store, backend, Mode::REGULAR)).unwrap();
    requirements.insert(&path("/tool.py"), file(&base.store, "WORD = 'a word'\n", Mode::REGULAR)).unwrap();
    let backend = Backend { name: "backend".to_owned(), path: vec!["tools".to_owned()] };
    Some(Project { base, source, requirements, backend, environment: BTreeMap::new() })
}

impl Project {
    fn build(&self) -> WheelBuild<'_> {
        WheelBuild {
            base: &self.base.tree,
            python: &self.base.python,
            source: &self.source,
            requirements: &self.requirements,
            backend: &self.backend,
            config_settings: BTreeMap::from([("least".to_owned(), "2".to_owned())]),
            environment: &self.environment,
            epoch: Epoch::FIXED,
        }
    }

    fn refusal(&self) -> String {
        self.build().wheel(&self.base.store, Seal::Sealed).unwrap_err().to_string()
    }
}

#[test]
fn a_backend_of_the_projects_own_builds_the_wheel() {
    let Some(project) = project(BACKEND) else { return };
    for seal in [Seal::Sealed, Seal::Unsealed] {
        let store = &project.base.store;
        assert_eq!(project.build().requires(store, seal).unwrap(), ["extra>=2"]);
        let wheel = project.build().wheel(store, seal).unwrap();
        assert_eq!(wheel.name, "p-1-py3-none-any.whl");
        assert_eq!(&store.read_file(&wheel.file).unwrap()[..2], b"PK");
        insta::allow_duplicates! {
            assert_snapshot!(wheel.log, @r"
            building ['tools'] a word 315532801 0o22
            True UTC 0
            ");
        }
    }
}

#[test]
fn what_is_wrong_with_a_backend_is_said() {
    let failing = project("def build_wheel(*_): raise SystemExit('no compiler')\n");
    let Some(failing) = failing else { return };
    assert_snapshot!(failing.refusal(), @r"
    the build backend `backend` failed with exit code 1:
    no compiler
    ");
    let lying = project("def build_wheel(*_): return '../../etc/passwd.whl'\n").unwrap();
    assert_snapshot!(
        lying.refusal(),
        @"the build backend `backend` did not return the name of a wheel in the directory that it was given"
    );
    let mut leaving = project(BACKEND).unwrap();
    leaving.backend.path = vec!["../..".to_owned()];
    assert_snapshot!(leaving.refusal(), @r"
    the build backend `backend` failed with exit code 1:
    the backend-path / leaves the project
    ");
    let mut elsewhere = project(BACKEND).unwrap();
    elsewhere.backend.name = "json".to_owned();
    assert_snapshot!(elsewhere.refusal(), @r"
    the build backend `json` failed with exit code 1:
    the backend json does not lie in the backend-path
    ");
}

#[test]
fn a_base_that_has_the_builds_files_already_is_refused() {
    let Some(mut project) = project(BACKEND) else { return };
    let mut base = Tree::clone(&project.base.tree);
    base.insert(&path("/build/src"), file(&project.base.store, "", Mode::REGULAR)).unwrap();
    project.requirements = Tree::new();
    let build = WheelBuild { base: &base, ..project.build() };
    let error = build.digest(&project.base.store).unwrap_err();
    assert!(matches!(error, BuildError::Place(_)), "{error:?}");
}

//! Every argument, followed to the value that it ends in.

use std::collections::BTreeMap;

use clap::{CommandFactory, Parser};
use minke_build::settings::Settings;

use super::*;
use crate::settings::tests::surroundings;

/// For each argument, by command: a command line with it, and one that differs in nothing but it.
const CASES: &[(&str, &str, &str)] = &[
    ("build project", "build shop", "build"),
    ("build from", "build --from ipython", "build"),
    ("build verbose", "build -v", "build"),
    ("build tag", "build -t shop:1", "build"),
    ("build output", "build -o oci:x", "build"),
    ("build load", "build --load", "build"),
    ("build compression", "build --compression zstd", "build"),
    ("build layers", "build --layers single", "build"),
    ("build check", "build --check 'python -m shop'", "build"),
    ("build check_scripts", "build --check-scripts shop", "build shop"),
    ("build proof", "build --proof require", "build"),
    ("build label", "build --label a=b", "build"),
    ("build annotation", "build --annotation a=b", "build"),
    ("build locked", "build --locked", "build"),
    ("build python", "build --python 3.13", "build"),
    ("build standalone", "build --standalone p.tar.gz", "build"),
    ("build group", "build --group dev", "build"),
    ("build extra", "build --extra all", "build"),
    ("build package", "build --package api", "build"),
    ("build find_links", "build --find-links wheels", "build"),
    ("build wheelhouse", "build --wheelhouse wheels", "build"),
    ("build no_binary", "build --no-binary lxml", "build"),
    ("build strict", "build --strict", "build"),
    ("build base", "build --base trixie", "build"),
    ("build platform", "build --platform linux/arm64", "build"),
    ("build shell", "build --shell", "build"),
    ("build system_package", "build --system-package git", "build"),
    ("build tool", "build --tool curl", "build"),
    ("build optional_library", "build --optional-library libtbb", "build"),
    ("build likely_libraries", "build --likely-libraries", "build"),
    ("build ignore", "build --ignore '*.csv'", "build"),
    ("build entrypoint", "build --entrypoint 'python -m x'", "build"),
    ("build cmd", "build --cmd 'a b'", "build"),
    ("build env", "build --env A=b", "build"),
    ("build workdir", "build --workdir /srv", "build"),
    ("build user", "build --user 1000:1000", "build"),
    ("build port", "build --port 8000", "build"),
    ("build volume", "build --volume /data", "build"),
    ("build stop_signal", "build --stop-signal SIGINT", "build"),
    ("lock project", "lock src", "lock"),
    ("lock upgrade", "lock --upgrade numpy", "lock --upgrade"),
    ("lock dry_run", "lock --dry-run", "lock"),
    ("lock locked", "lock --locked", "lock"),
    ("lock python", "lock --python 3.13", "lock"),
    ("lock standalone", "lock --standalone python.tar.gz", "lock"),
    ("lock group", "lock --group dev", "lock"),
    ("lock extra", "lock --extra all", "lock"),
    ("lock package", "lock --package api", "lock"),
    ("lock find_links", "lock --find-links wheels", "lock"),
    ("lock wheelhouse", "lock --wheelhouse wheels", "lock"),
    ("lock no_binary", "lock --no-binary lxml", "lock"),
    ("lock strict", "lock --strict", "lock"),
    ("lock base", "lock --base trixie", "lock"),
    ("lock platform", "lock --platform linux/arm64", "lock"),
    ("lock shell", "lock --shell", "lock"),
    ("lock system_package", "lock --system-package git", "lock"),
    ("lock tool", "lock --tool curl", "lock"),
    ("lock optional_library", "lock --optional-library libtbb", "lock"),
    ("lock likely_libraries", "lock --likely-libraries", "lock"),
    ("lock ignore", "lock --ignore '*.csv'", "lock"),
    ("plan project", "plan src", "plan"),
    ("plan python", "plan --python 3.13", "plan"),
    ("plan standalone", "plan --standalone python.tar.gz", "plan"),
    ("plan group", "plan --group dev", "plan"),
    ("plan extra", "plan --extra all", "plan"),
    ("plan package", "plan --package api", "plan"),
    ("plan find_links", "plan --find-links wheels", "plan"),
    ("plan wheelhouse", "plan --wheelhouse wheels", "plan"),
    ("plan no_binary", "plan --no-binary lxml", "plan"),
    ("plan strict", "plan --strict", "plan"),
    ("plan base", "plan --base trixie", "plan"),
    ("plan platform", "plan --platform linux/arm64", "plan"),
    ("plan shell", "plan --shell", "plan"),
    ("plan tool", "plan --tool curl", "plan"),
    ("plan optional_library", "plan --optional-library libtbb", "plan"),
    ("plan likely_libraries", "plan --likely-libraries", "plan"),
    ("plan system_package", "plan --system-package git", "plan"),
    ("plan ignore", "plan --ignore '*.csv'", "plan"),
    ("plan from", "plan --from ipython", "plan"),
    ("plan locked", "plan --locked", "plan"),
    ("build debug", "build --debug", "build"),
    ("build why", "build --why", "build"),
    ("build timings", "build --timings t.json", "build"),
    ("run command", "run hello a", "run hello"),
    ("run entrypoint", "run --entrypoint sh hello", "run hello"),
    ("run env", "run -e A=b hello", "run hello"),
    ("run volume", "run -v ./a:/a:ro hello", "run hello"),
    ("run read_only", "run --read-only hello", "run hello"),
    ("run network", "run --network none hello", "run hello"),
    ("run workdir", "run -w /srv hello", "run hello"),
    ("run user", "run -u 0 hello", "run hello"),
    ("run tty", "run -t hello", "run hello"),
    ("build profile", "build --profile lean", "build"),
    ("slim rules", "slim --rules", "slim"),
    ("slim image", "slim a", "slim b"),
    ("slim files", "slim a --files", "slim a"),
    ("libs paths", "libs a", "libs b"),
    ("libs packages", "libs --packages a", "libs a"),
    ("libs likely_libraries", "libs --likely-libraries a", "libs a"),
    ("libs base", "libs --base bookworm a", "libs a"),
    ("libs platform", "libs --platform linux/arm64 a", "libs a"),
    ("rmi names", "rmi a", "rmi b"),
    ("check image", "check a", "check b"),
    ("check every_module", "check a --every-module", "check a"),
    ("check scripts", "check --scripts=a,b a", "check --scripts a"),
    ("inspect image", "inspect a", "inspect b"),
    ("wheel show files", "wheel show a", "wheel show b"),
    ("wheel show libraries", "wheel show --lib l a", "wheel show a"),
    ("wheel repair files", "wheel repair a", "wheel repair b"),
    ("wheel repair platform", "wheel repair --plat manylinux_2_28 a", "wheel repair a"),
    ("wheel repair libraries", "wheel repair --lib l a", "wheel repair a"),
    ("wheel repair output", "wheel repair -o d a", "wheel repair a"),
    ("wheel repair strip", "wheel repair --strip none a", "wheel repair a"),
    ("wheels build project", "wheels build src", "wheels build"),
    ("wheels build requirement", "wheels build -r a.txt", "wheels build"),
    ("wheels build no_binary", "wheels build --no-binary lxml", "wheels build"),
    ("wheels build wheelhouse", "wheels build --wheelhouse wheels", "wheels build"),
    ("wheels build platform", "wheels build --platform linux/arm64", "wheels build"),
    ("wheels export directory", "wheels export a", "wheels export b"),
    ("wheels import directory", "wheels import a", "wheels import b"),
    ("wheels gc names", "wheels gc lxml", "wheels gc"),
    ("wheels gc keep_days", "wheels gc --keep-days 30", "wheels gc"),
    ("cache gc keep_days", "cache gc --keep-days 3", "cache gc"),
    ("cache gc max_size", "cache gc --max-size 3GB", "cache gc"),
    ("cache clean all", "cache clean --all", "cache clean"),
    ("verbose", "-v images", "images"),
    ("quiet", "images -q", "images"),
    ("json", "images --json", "images"),
    ("color", "images --color never", "images"),
    ("cache_dir", "images --cache-dir d", "images"),
    ("cache_also", "images --cache-also d", "images"),
];

/// What asks for something that happens anyway, or is refused: hidden, and said to be so in its help.
const HABITS: &[&str] = &["run interactive", "run rm", "run publish"];

/// Works a command line out in surroundings where one variable is set, without a terminal.
fn meant(line: &str) -> Result<Meant, UsageError> {
    let words = shlex::split(&format!("minke {line}")).unwrap();
    let around = surroundings(&[("MINKE_CACHE", "/cache"), ("SECRET", "s")]);
    Meant::of(Arguments::try_parse_from(words).unwrap(), &around, Terminal::Plain)
}

/// Writes down all that a command line came to, but for the machine.
fn shown(line: &str) -> String {
    let Meant { task, manner, cache, cache_also } = match meant(line) {
        Ok(meant) => meant,
        Err(error) => return format!("{error:?}"),
    };
    let task = match task {
        Task::Build(task) | Task::Lock(task) | Task::Plan(task) | Task::MakeWheels(task) => {
            let BuildTask { project, from, wishes, locks, upgrade, tag, outputs, twin, why, timings } = *task;
            let settings = Settings::of(wishes);
            format!(
                "{project:?} {from:?} {settings:?} {locks:?} {upgrade:?} {tag:?} {outputs:?} {twin:?} {why:?} {timings:?}"
            )
        }
        Task::Run(request) => {
            let RunRequest { image, args, entrypoint, env, binds, root_access, .. } = *request.clone();
            let RunRequest { network, workdir, user, terminal, host: _, .. } = *request;
            format!(
                "{image} {args:?} {entrypoint:?} {env:?} {binds:?} {root_access:?} {network:?} {workdir:?} \
                 {user:?} {terminal:?}"
            )
        }
        Task::Libs(libs) => {
            let LibsTask { paths, shown, task } = *libs;
            let settings = Settings::of(task.wishes);
            format!("{paths:?} {shown:?} {settings:?}")
        }
        Task::Check(check) => {
            let CheckRequest { image, depth, scripts, host: _ } = *check;
            format!("{image} {depth:?} {scripts:?}")
        }
        Task::Slim(task) => format!("{task:?}"),
        Task::Ledger { image, detail } => format!("{image} {detail:?}"),
        Task::Images => "images".to_owned(),
        Task::Remove { names } => format!("{names:?}"),
        Task::Inspect { image } => image,
        Task::Wheel(task) => format!("{task:?}"),
        Task::Wheels(task) => format!("{task:?}"),
        Task::Cache(task) => format!("{task:?}"),
    };
    format!("{task} {manner:?} {} {cache_also:?}", cache.display())
}

#[test]
fn every_argument_changes_what_is_meant() {
    let mut root = Arguments::command();
    // Without the global arguments' copies in every command.
    let mut arguments = Vec::new();
    let mut pending = vec![(String::new(), &root)];
    while let Some((name, command)) = pending.pop() {
        arguments.extend(command.get_arguments().map(|argument| format!("{name}{}", argument.get_id())));
        let below = command.get_subcommands();
        pending.extend(below.map(|command| (format!("{name}{} ", command.get_name()), command)));
    }
    arguments.sort();
    let mut cases: Vec<&str> = CASES.iter().map(|case| case.0).chain(HABITS.iter().copied()).collect();
    cases.sort_unstable();
    assert_eq!(arguments, cases, "each argument has a case");
    for (name, with, without) in CASES {
        assert_ne!(shown(with), shown(without), "{name} changes nothing");
    }
    root.build();
}

#[test]
fn a_value_knows_the_argument_that_said_it() {
    let around = surroundings(&[("MINKE_CACHE", "/c"), ("MINKE_PYTHON", "3.12"), ("MINKE_BASE", "bookworm")]);
    let words = ["minke", "build", "--python", "3.13", "--env", "A=1", "--env", "B=2=3", "--find-links", "w"];
    let meant = Meant::of(Arguments::try_parse_from(words).unwrap(), &around, Terminal::Plain).unwrap();
    let Task::Build(task) = meant.task else { unreachable!() };
    let settings = Settings::of(task.wishes);
    assert_eq!(settings.python.unwrap().origin, Origin::Argument("--python"));
    assert_eq!(settings.base.unwrap().origin, Origin::Environment("MINKE_BASE"));
    let env = [("A", "1"), ("B", "2=3")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(settings.env, BTreeMap::from(env));
    assert_eq!(settings.find_links, [PathBuf::from("/srv/w")]);
}

#[test]
fn the_project_is_where_the_user_stands() {
    let project = |line: &str| match meant(line).map(|meant| meant.task) {
        Ok(Task::Build(task)) => task.project.display().to_string(),
        _ => unreachable!(),
    };
    assert_eq!(project("build"), "/srv");
    assert_eq!(project("build ./examples/hello/"), "/srv/examples/hello");
    assert_eq!(project("build /srv/x"), "/srv/x");
}

#[test]
fn programs_to_start_are_named_or_all() {
    let scripts = |line: &str| match meant(line).map(|meant| meant.task) {
        Ok(Task::Build(task)) => Settings::of(task.wishes).check_scripts,
        Ok(Task::Check(check)) => check.scripts,
        _ => unreachable!(),
    };
    let named = Scripts::Named(["a", "b"].map(str::to_owned).into());
    assert_eq!(scripts("build --check-scripts=a --check-scripts=b"), named);
    assert_eq!(scripts("check --scripts=a,b shop"), named);
    assert_eq!(scripts("build --check-scripts shop"), Scripts::All);
    assert_eq!(scripts("check --scripts shop"), Scripts::All);
    assert_eq!(scripts("check shop"), Scripts::None);
}

#[test]
fn load_is_the_daemon_under_the_images_name() {
    let outputs = |line: &str| match meant(line).map(|meant| meant.task) {
        Ok(Task::Build(task)) => task.outputs,
        _ => unreachable!(),
    };
    assert_eq!(outputs("build -t shop --load -o oci:x"), ["oci:x", "docker-daemon:shop:latest"]);
    assert_eq!(outputs("build --load"), ["docker-daemon:"]);
}

#[test]
fn a_variable_without_a_value_is_passed_on_if_it_is_set() {
    let Ok(Task::Run(run)) = meant("run -e SECRET -e NOTHING -e A= hello").map(|meant| meant.task) else {
        unreachable!()
    };
    assert_eq!(run.env, [("SECRET".to_owned(), "s".to_owned()), ("A".to_owned(), String::new())]);
}

#[test]
fn what_cannot_be_meant_is_said() {
    let error = |line: &str| meant(line).err().unwrap().to_string();
    insta::assert_snapshot!(error("-v images -q"), @"--quiet and --verbose cannot be used together");
    insta::assert_snapshot!(error("run Hello"), @"cannot run `Hello`");
    insta::assert_snapshot!(error("run -t hello"), @"--tty needs a terminal, and standard input or output is none");
}

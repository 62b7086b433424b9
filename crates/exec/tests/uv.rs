//! uv itself answers, from wheels in a directory: no index, no network, no interpreter on the path.

mod common;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use common::{Base, base};
use minke_cas::Ownership;
use minke_exec::{
    Builds, CompileRequest, ExportRequest, Extras, Groups, Inputs, Interpreter, Libc, Machine, Uv, UvError,
};

struct Desk {
    _base: Arc<Base>,
    directory: tempfile::TempDir,
    uv: Uv,
    program: PathBuf,
    python: PathBuf,
    environment: BTreeMap<OsString, OsString>,
}

/// `uv` from the path.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join("uv")).find(|uv| uv.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: this test needs `uv` on the path");
    }
    found
}

fn desk() -> Option<Desk> {
    let (program, base) = (program()?, base()?);
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let room = base.store.room(&base.tree, Ownership::Caller).unwrap();
    let wrapper = Interpreter::in_room(&room, &base.python).unwrap().write_wrapper(directory.path()).unwrap();
    let wheels = at("wheels");
    fs::create_dir(&wheels).unwrap();
    for (name, version) in [("alpha", "1.0"), ("alpha", "2.0"), ("beta", "1.0"), ("gamma", "1.0")] {
        wheel(&wheels, name, version);
    }
    let environment: BTreeMap<OsString, OsString> = [
        ("HOME", at("home").into_os_string()),
        ("PATH", "/nowhere".into()),
        ("UV_CACHE_DIR", at("uv").into_os_string()),
        ("UV_FIND_LINKS", wheels.clone().into_os_string()),
        ("UV_OFFLINE", "1".into()),
    ]
    .map(|(name, value)| (name.into(), value))
    .into();
    let uv = Uv::at(&program, environment.clone());
    Some(Desk { _base: base, directory, uv, program, python: wrapper, environment })
}

/// A wheel with nothing in it but its metadata.
fn wheel(directory: &Path, name: &str, version: &str) {
    let script = "import sys, zipfile\n\
        directory, name, version = sys.argv[1:]\n\
        info = f'{name}-{version}.dist-info'\n\
        with zipfile.ZipFile(f'{directory}/{name}-{version}-py3-none-any.whl', 'w') as wheel:\n    \
        wheel.writestr(f'{info}/METADATA', f'Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n')\n    \
        wheel.writestr(f'{info}/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n    \
        wheel.writestr(f'{info}/RECORD', '')";
    let mut command = Command::new("/usr/bin/python3");
    let status = command.args(["-c", script]).arg(directory).args([name, version]).status().unwrap();
    assert!(status.success());
}

impl Desk {
    fn request(&self, inputs: Inputs) -> CompileRequest {
        CompileRequest {
            directory: self.directory.path().to_owned(),
            inputs,
            python: self.python.clone(),
            python_version: "3.13".to_owned(),
            machine: Machine::Aarch64,
            libc: Libc::Glibc { minor: 41 },
            extras: Extras::None,
            groups: Groups::None,
            preferences: None,
            upgrade: Vec::new(),
            builds: Builds::Refused,
            newest: None,
            find_links: Vec::new(),
        }
    }

    fn lines(&self, lines: &[&str]) -> CompileRequest {
        self.request(Inputs::Lines(lines.iter().map(|line| (*line).to_owned()).collect()))
    }

    fn project(&self) -> PathBuf {
        let project = self.directory.path().join("project");
        fs::create_dir(&project).unwrap();
        let text = "[project]\nname = \"p\"\nversion = \"1\"\nrequires-python = \">=3.11\"\n\
            dependencies = [\"alpha\"]\n[project.optional-dependencies]\nx = [\"beta\"]\n\
            [dependency-groups]\ndev = [\"gamma\"]\n";
        fs::write(project.join("pyproject.toml"), text).unwrap();
        let mut lock = Command::new(&self.program);
        lock.env_clear().envs(&self.environment).current_dir(&project);
        let output = lock.args(["lock", "--python"]).arg(&self.python).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        project
    }
}

/// The names and versions in a PEP 751 file.
fn versions(pylock: &str) -> Vec<String> {
    let value = |line: &str| line.split('"').nth(1).unwrap().to_owned();
    let lines: Vec<_> = pylock.lines().collect();
    let named = lines.windows(2).filter(|two| two[0].starts_with("name = "));
    let with_version = |two: &[&str]| {
        let version = if two[1].starts_with("version") { value(two[1]) } else { String::new() };
        format!("{} {version}", value(two[0])).trim_end().to_owned()
    };
    named.map(with_version).collect()
}

#[test]
fn its_version_is_known() {
    let Some(desk) = desk() else { return };
    let version = desk.uv.version().unwrap();
    assert_eq!(version.split('.').count(), 3, "{version}");
}

#[test]
fn lines_are_resolved_for_a_target_without_an_interpreter_on_the_path() {
    let Some(desk) = desk() else { return };
    let answer = desk.uv.compile(&desk.lines(&["alpha", "beta<2"])).unwrap();
    assert_eq!(versions(&answer.pylock), ["alpha 2.0", "beta 1.0"]);
    assert!(answer.pylock.starts_with("lock-version = \"1.0\""), "{}", answer.pylock);
}

#[test]
fn a_lock_made_before_is_preferred_until_an_upgrade_is_asked_for() {
    let Some(desk) = desk() else { return };
    let old = desk.uv.compile(&desk.lines(&["alpha<2", "beta"])).unwrap().pylock;
    let mut request = desk.lines(&["alpha", "beta"]);
    request.preferences = Some(old);
    assert_eq!(versions(&desk.uv.compile(&request).unwrap().pylock), ["alpha 1.0", "beta 1.0"]);
    request.upgrade = vec!["alpha".to_owned()];
    assert_eq!(versions(&desk.uv.compile(&request).unwrap().pylock), ["alpha 2.0", "beta 1.0"]);
}

#[test]
fn local_paths_are_relative_to_the_project_with_and_without_an_older_lock() {
    let Some(desk) = desk() else { return };
    desk.project();
    let mut request = desk.lines(&["./project", "alpha"]);
    let first = desk.uv.compile(&request).unwrap().pylock;
    assert!(first.contains("directory = { path = \"project\" }"), "{first}");
    request.preferences = Some(first.clone());
    assert_eq!(desk.uv.compile(&request).unwrap().pylock, first);
}

#[test]
fn what_cannot_be_resolved_is_said_in_uvs_words() {
    let Some(desk) = desk() else { return };
    let error = desk.uv.compile(&desk.lines(&["delta"])).unwrap_err();
    let UvError::Failed { command, ending, stderr } = error else { panic!("{error}") };
    assert_eq!((command, ending.as_str()), ("pip compile", "exit status: 1"));
    assert!(stderr.contains("delta"), "{stderr}");
}

#[test]
fn files_with_extras_and_groups_are_resolved() {
    let Some(desk) = desk() else { return };
    let project = desk.project();
    let mut request = desk.request(Inputs::Files(vec!["pyproject.toml".into()]));
    request.directory = project;
    assert_eq!(versions(&desk.uv.compile(&request).unwrap().pylock), ["alpha 2.0"]);
    request.extras = Extras::Only(vec!["x".to_owned()]);
    request.groups = Groups::Only(vec!["dev".to_owned()]);
    assert_eq!(versions(&desk.uv.compile(&request).unwrap().pylock), ["alpha 2.0", "beta 1.0", "gamma 1.0"]);
}

#[test]
fn a_uv_lock_is_exported_and_the_project_stays_as_it_was() {
    let Some(desk) = desk() else { return };
    let project = desk.project();
    let before = fs::read(project.join("uv.lock")).unwrap();
    let mut request = ExportRequest {
        project: project.clone(),
        python: desk.python.clone(),
        extras: Extras::None,
        groups: Groups::None,
        package: None,
    };
    let exported = |request: &ExportRequest| versions(&desk.uv.export(request).unwrap().pylock);
    assert_eq!(exported(&request), ["alpha 2.0"]);
    request.groups = Groups::Default;
    assert_eq!(exported(&request), ["alpha 2.0", "gamma 1.0"]);
    (request.groups, request.extras) = (Groups::None, Extras::All);
    assert_eq!(exported(&request), ["alpha 2.0", "beta 1.0"]);
    (request.groups, request.extras) = (Groups::All, Extras::None);
    assert_eq!(exported(&request), ["alpha 2.0", "gamma 1.0"]);
    (request.groups, request.package) = (Groups::Only(vec!["dev".to_owned()]), Some("p".to_owned()));
    assert_eq!(exported(&request), ["alpha 2.0", "gamma 1.0"]);

    let mut names: Vec<_> = fs::read_dir(&project).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["pyproject.toml", "uv.lock"]);
    assert_eq!(fs::read(project.join("uv.lock")).unwrap(), before);
}

#[test]
fn a_lock_that_the_project_has_outgrown_is_refused_and_not_rewritten() {
    let Some(desk) = desk() else { return };
    let project = desk.project();
    let before = fs::read(project.join("uv.lock")).unwrap();
    let text = fs::read_to_string(project.join("pyproject.toml")).unwrap();
    fs::write(project.join("pyproject.toml"), text.replace("[\"alpha\"]", "[\"alpha\", \"gamma\"]")).unwrap();
    let request = ExportRequest {
        project: project.clone(),
        python: desk.python.clone(),
        extras: Extras::None,
        groups: Groups::None,
        package: None,
    };
    let error = desk.uv.export(&request).unwrap_err();
    let UvError::Failed { stderr, .. } = error else { panic!("{error}") };
    assert!(stderr.contains("needs to be updated"), "{stderr}");
    assert_eq!(fs::read(project.join("uv.lock")).unwrap(), before);
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let error = Uv::at(Path::new("/nowhere/uv"), BTreeMap::new()).version().unwrap_err();
    assert_eq!(error.to_string(), "cannot start `/nowhere/uv`");
}

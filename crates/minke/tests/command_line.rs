//! The binary from outside: what goes where, and with which status it exits.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs minke with nothing of this machine in its environment but a cache.
fn minke(cache: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_minke"));
    command.args(arguments).env_clear().env("MINKE_CACHE", cache).current_dir(cache).stdin(Stdio::null());
    command
}

/// Writes down all that is seen of a run, without the place of the cache.
fn seen(cache: &Path, output: &Output) -> String {
    let text = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        text.trim_end().replace(cache.to_str().unwrap(), "CACHE")
    };
    format!(
        "status: {}\nstdout: {}\nstderr: {}",
        output.status.code().map_or("none".to_owned(), |code| code.to_string()),
        text(&output.stdout),
        text(&output.stderr)
    )
}

fn run(arguments: &[&str]) -> String {
    let cache = tempfile::tempdir().unwrap();
    seen(cache.path(), &minke(cache.path(), arguments).output().unwrap())
}

#[test]
fn a_wrong_command_line_is_status_2() {
    insta::assert_snapshot!(run(&["images", "--nonsense"]), @r"
    status: 2
    stdout: 
    stderr: error: unexpected argument '--nonsense' found

    Usage: minke images [OPTIONS]

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(run(&["-q", "-v", "images"]), @r"
    status: 2
    stdout: 
    stderr: error: --quiet and --verbose cannot be used together
      help: leave --quiet away
    ");
}

#[test]
fn the_version_goes_to_standard_output() {
    insta::assert_snapshot!(run(&["--version"]), @r"
    status: 0
    stdout: minke 0.1.0
    stderr:
    ");
}

#[test]
fn an_image_that_is_not_there_is_status_1() {
    insta::assert_snapshot!(run(&["inspect", "hello"]), @r"
    status: 1
    stdout: 
    stderr: error: there is no image `hello:latest`; none has been built yet
      help: build it with `minke build`
    ");
}

#[test]
fn an_error_is_one_object_for_a_program() {
    insta::assert_snapshot!(run(&["inspect", "hello", "--json"]), @r#"
    status: 1
    stdout: 
    stderr: {"because":[],"event":"error","exit":1,"help":"build it with `minke build`","message":"there is no image `hello:latest`; none has been built yet"}
    "#);
}

#[test]
fn no_images_are_an_empty_table() {
    insta::assert_snapshot!(run(&["images"]), @r"
    status: 0
    stdout: name  digest  platform  layers  size
    stderr:
    ");
    insta::assert_snapshot!(run(&["images", "-q"]), @r"
    status: 0
    stdout: 
    stderr:
    ");
}

#[test]
fn nothing_that_names_a_cache_is_status_2() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = minke(directory.path(), &["images"]);
    command.env_remove("MINKE_CACHE").env("HOME", "relative");
    insta::assert_snapshot!(seen(directory.path(), &command.output().unwrap()), @r"
    status: 2
    stdout: 
    stderr: error: nothing says where the cache is to lie: there is no home directory
      help: say it with `--cache-dir` or MINKE_CACHE
    ");
}

#[test]
fn a_cache_that_cannot_be_made_is_status_1() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    let output = minke(directory.path(), &["images", "--cache-dir", "file"]).output().unwrap();
    insta::assert_snapshot!(seen(directory.path(), &output), @r"
    status: 1
    stdout: 
    stderr: error: cannot open the cache
      because: cannot make `CACHE/file/v2/blobs` in the cache
      because: Not a directory (os error 20)
      help: `--cache-dir` or MINKE_CACHE choose another place
    ");
}

#[test]
fn help_that_nobody_reads_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = minke(directory.path(), &["build", "--help"]).stdout(writer).output().unwrap();
    insta::assert_snapshot!(seen(directory.path(), &output), @r"
    status: 0
    stdout: 
    stderr:
    ");
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = minke(directory.path(), &["build", "--help"]).stdout(full).output().unwrap();
    insta::assert_snapshot!(seen(directory.path(), &output), @r"
    status: 1
    stdout: 
    stderr: error: cannot write to standard output
      because: No space left on device (os error 28)
      help: see that whoever reads the output stays, and that its disk isn't full
    ");
}

/// A project, and a mirror that takes every connection and never answers.
fn project_that_takes_for_ever() -> (tempfile::TempDir, std::net::TcpListener) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("main.py"), "print(1)").unwrap();
    (directory, std::net::TcpListener::bind("127.0.0.1:0").unwrap())
}

#[test]
fn an_interrupted_build_leaves_nothing_unfinished() {
    for (signal, status) in [(rustix::process::Signal::INT, 130), (rustix::process::Signal::TERM, 143)] {
        let (directory, mirror) = project_that_takes_for_ever();
        let address = format!("http://{}/debian", mirror.local_addr().unwrap());
        let mut command = minke(directory.path(), &["build", "--cache-dir", "cache"]);
        command.env("MINKE_DEBIAN_MIRROR", &address).env("MINKE_DEBIAN_SECURITY_MIRROR", &address);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        // From here on minke waits for an answer.
        let connection = mirror.accept().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        drop(connection);
        assert_eq!(seen(directory.path(), &output), format!("status: {status}\nstdout: \nstderr: "));
        let left = std::fs::read_dir(directory.path().join("cache/v2/scratch")).unwrap().count();
        assert_eq!(left, 0, "unfinished work is left after {signal:?}");
    }
}

#[test]
fn a_directory_without_a_project_is_status_1() {
    insta::assert_snapshot!(run(&["build", "nowhere"]), @r"
    status: 1
    stdout: 
    stderr: error: cannot read the project
      because: `CACHE/nowhere` is neither a directory nor a Python file
      help: name the project's directory
    ");
}

#[test]
fn an_unknown_setting_is_named_with_its_file() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("minke.toml"), "entrypont = 'x'").unwrap();
    let output = minke(directory.path(), &["build", "--cache-dir", "cache"]).output().unwrap();
    insta::assert_snapshot!(seen(directory.path(), &output), @r"
    status: 1
    stdout: 
    stderr: error: cannot read the project
      because: cannot read the settings
      because: CACHE/minke.toml has an unknown key
      because: `entrypont`; did you mean `entrypoint`?
      help: correct it there; the README lists what can be set
    ");
}

#[test]
fn colour_is_for_terminals_unless_it_is_asked_for() {
    let colored = |arguments: &[&str]| run(arguments).contains('\u{1b}');
    let asked = [&["inspect", "hello", "--color", "always"][..], &["--color=always", "nonsense"]];
    assert_eq!(asked.map(colored), [true, true]);
    assert_eq!([&["inspect", "hello"][..], &["nonsense"]].map(colored), [false, false]);
}

//! Command lines as typed.

use clap::CommandFactory;

use super::*;

/// Every command, with the words that lead to it.
fn commands() -> Vec<(String, clap::Command)> {
    let mut root = Arguments::command();
    root.build();
    let below = root.get_subcommands().filter(|command| command.get_name() != "help");
    let below =
        below.map(|command| (format!("minke {}", command.get_name()), command.clone())).collect::<Vec<_>>();
    [("minke".to_owned(), root.clone())].into_iter().chain(below).collect()
}

fn refused(line: &str) -> String {
    let words = shlex::split(line).unwrap();
    Arguments::try_parse_from(words).unwrap_err().to_string().trim_end().to_owned()
}

#[test]
fn the_definition_has_no_fault_that_clap_can_see() {
    Arguments::command().debug_assert();
}

#[test]
fn every_help_ends_in_examples_that_can_be_typed() {
    for (name, command) in commands() {
        let help = command.clone().render_long_help().to_string();
        let examples: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("  minke ")).collect();
        assert!(!examples.is_empty(), "`{name} --help` has no example:\n{help}");
        for example in examples {
            let words = shlex::split(&format!("minke {example}")).expect("an example is a shell's words");
            if let Err(error) = Arguments::try_parse_from(words) {
                panic!("`{name} --help` says `minke {example}`:\n{error}");
            }
        }
    }
}

#[test]
fn every_argument_that_is_shown_has_a_help() {
    for (name, command) in commands() {
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            assert!(argument.get_help().is_some(), "{name}: {}", argument.get_id());
        }
    }
}

#[test]
fn the_first_page_shows_the_commands() {
    insta::assert_snapshot!(Arguments::command().render_help(), @r"
    Builds the smallest correct container image for a Python project

    Usage: minke [OPTIONS] <COMMAND>

    Commands:
      build    Build a project's image
      plan     Show what would be built, and why
      lock     Pin what a project's image is made of
      libs     Find the distribution packages that libraries and programs need
      slim     Show what images do without, and by which rules
      run      Run an image here, without a daemon, as root or not
      check    Try whether what is installed in an image works
      images   List the images that minke keeps
      rmi      Forget images by name
      inspect  Show an image's manifest and config as JSON
      wheel    Look into single wheels, and make them work on more systems
      wheels   Show, make and share the wheels that were built from source distributions
      cache    Show how large the cache is, check it, make room in it
      help     Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help (see more with '--help')
      -V, --version  Print version

    Common options:
      -q, --quiet             Say less: only warnings, errors and the result
          --json              Write events to standard error and the result to standard output, as JSON,
                              one object per line
          --color <WHEN>      When to colour what is written; `auto` heeds NO_COLOR [default: auto]
                              [possible values: auto, always, never]
          --cache-dir <DIR>   Where downloads, intermediate results and images are kept [default:
                              $MINKE_CACHE, else $XDG_CACHE_HOME/minke, else ~/.cache/minke]
          --cache-also <DIR>  Another cache to look into before anything is fetched or made; never
                              written (repeatable)
      -v, --verbose           Say more: one line for each step that is done

    Examples:
      minke build
      minke run hello

    Exit status: 0 done, 1 the project or its inputs are at fault, 2 usage, 3 a wheel cannot be built, 4
    what an image promises doesn't work, 5 network, mirror, index or daemon, 70 a bug in minke, 126 and
    127 a program that cannot run, 130 interrupted. `minke run` exits as the container's program does.
    ");
}

#[test]
fn ports_are_refused_with_the_way_out() {
    insta::assert_snapshot!(refused("minke run -p 8000:8000 hello"), @r"
    error: invalid value '8000:8000' for '--publish <PUBLISH>': minke maps no ports; with `--network host`, the default, what the container listens on is open on this machine under the same number

    For more information, try '--help'.
    ");
}

#[test]
fn an_unknown_transport_is_refused_before_any_work() {
    insta::assert_snapshot!(refused("minke build -o docker://host.test/x"), @r"
    error: invalid value 'docker://host.test/x' for '--output <TRANSPORT:PLACE>': `docker://host.test/x` does not start with a known transport; oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG], docker-daemon:NAME:TAG are known

    For more information, try '--help'.
    ");
}

#[test]
fn a_typing_error_names_the_nearest_option() {
    insta::assert_snapshot!(refused("minke build --pyton 3.13"), @r"
    error: unexpected argument '--pyton' found

      tip: a similar argument exists: '--python'

    Usage: minke build --python <VERSION> [PROJECT]

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(refused("minke biuld"), @r"
    error: unrecognized subcommand 'biuld'

      tip: a similar subcommand exists: 'build'

    Usage: minke [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn all_that_follows_the_image_is_the_programs() {
    let words = ["minke", "run", "-e", "A=1", "hello", "-e", "B=2", "--read-only", "-q", "--", "-p", "80"];
    let Command::Run(run) = Arguments::try_parse_from(words).unwrap().command else { unreachable!() };
    assert_eq!(run.command, ["hello", "-e", "B=2", "--read-only", "-q", "--", "-p", "80"]);
    assert_eq!(run.env, [Passed { key: "A".to_owned(), value: Some("1".to_owned()) }]);
    assert!(!run.read_only);
}

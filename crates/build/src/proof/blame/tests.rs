use std::convert::Infallible;

use super::*;
use crate::slim::{Removal, Taken};

fn ledger() -> SlimLedger {
    let removal = |(path, rule): (&str, &str)| Removal {
        path: format!("/app/.venv/lib/python3.13/site-packages/{path}").parse().unwrap(),
        rule: rule.to_owned(),
        bytes: 1,
        effect: Effect::Gone,
    };
    let taken = |owner: &str, removals: &[(&str, &str)]| Taken {
        owner: owner.to_owned(),
        title: format!("{owner} 1"),
        removals: removals.iter().copied().map(removal).collect(),
    };
    SlimLedger {
        taken: vec![
            taken("numpy", &[("numpy/tests/__init__.py", "tests"), ("numpy/core/x.h", "headers")]),
            taken(
                "toy",
                &[("toy/data/words.txt", "samples"), ("toy/_fast.cpython-313-x86_64-linux-gnu.so", "drop")],
            ),
        ],
        ..SlimLedger::default()
    }
}

fn tried(name: &str) -> Tried {
    Tried {
        of: "toy".to_owned(),
        what: What::Module,
        name: name.to_owned(),
        kind: Kind::Top,
        ok: false,
        seconds: 0.0,
        how: "ImportError".to_owned(),
        message: String::new(),
        module: None,
        file: None,
        at: None,
        absent: None,
    }
}

fn suspect(owner: &str, rule: &str) -> Suspect {
    Suspect { owner: owner.to_owned(), rule: rule.to_owned() }
}

#[test]
fn what_was_not_found_leads_to_the_rule_that_took_it() {
    let words = "/app/.venv/lib/python3.13/site-packages/toy/data/words.txt";
    let by_file = Tried { file: Some(words.to_owned()), ..tried("toy") };
    assert_eq!(named(&by_file, &ledger()), Some(suspect("toy", "samples")));
    let by_message = Tried { message: format!("cannot read {words}!"), ..tried("toy") };
    assert_eq!(named(&by_message, &ledger()), Some(suspect("toy", "samples")));
    let by_module = |name: &str| named(&Tried { module: Some(name.to_owned()), ..tried("toy") }, &ledger());
    assert_eq!(by_module("numpy.tests"), Some(suspect("numpy", "tests")));
    assert_eq!(by_module("toy._fast"), Some(suspect("toy", "drop")));
    assert_eq!([by_module("tests"), by_module("numpy"), by_module("fast")], [None, None, None]);
}

#[test]
fn what_a_rule_took_as_a_whole_is_meant_to_be_gone_but_for_what_a_distribution_is_named_for() {
    let below = Tried { kind: Kind::Below, ..tried("numpy.tests") };
    assert!(is_meant(&below, &ledger()));
    assert!(!is_meant(&Tried { kind: Kind::Top, ..below.clone() }, &ledger()));
    assert!(!is_meant(&Tried { name: "numpy".to_owned(), ..below }, &ledger()));
}

#[test]
fn entry_points_of_what_nobody_imports_go_with_it_but_not_those_of_others() {
    let mut ledger = ledger();
    let path = "/app/.venv/lib/python3.13/site-packages/setuptools/command/alias.py".parse().unwrap();
    let removal = Removal { path, rule: "setuptools".to_owned(), bytes: 1, effect: Effect::Gone };
    let owner = "setuptools".to_owned();
    ledger.taken.push(Taken { owner, title: "setuptools 1".to_owned(), removals: vec![removal] });
    let entry = |of: &str| Tried {
        of: of.to_owned(),
        what: What::Entry,
        module: Some("setuptools.command.alias".to_owned()),
        ..tried("alias")
    };
    assert!(is_meant(&entry("setuptools"), &ledger));
    assert!(!is_meant(&entry("toy"), &ledger));
    // A program goes like them, unless somebody named it.
    let program = |kind: Kind| Tried { what: What::Script, kind, ..entry("setuptools") };
    assert!(is_meant(&program(Kind::Group("console_scripts".to_owned())), &ledger));
    assert!(!is_meant(&program(Kind::Named), &ledger));
}

/// Of any suspects, of which lifting a certain set heals, exactly that set is found.
#[test]
fn halving_finds_exactly_those_that_are_needed() {
    let all: Vec<Suspect> = (0..9).map(|number| suspect("toy", &number.to_string())).collect();
    for guilty in 0..1u32 << all.len() {
        let is_guilty = |suspect: &Suspect| guilty & 1 << suspect.rule.parse::<u32>().unwrap() != 0;
        let needed: Vec<&Suspect> = all.iter().filter(|suspect| is_guilty(suspect)).collect();
        let mut found =
            narrow(&all, |lifted| Ok::<_, Infallible>(needed.iter().all(|suspect| lifted.contains(suspect))))
                .unwrap();
        found.sort();
        assert_eq!(found.iter().collect::<Vec<_>>(), needed);
    }
    assert_eq!(narrow(&all, |_| Ok::<_, Infallible>(false)).unwrap(), []);
}

#[test]
fn the_nearest_are_suspected_first() {
    let listed = suspects(&tried("toy"), &ledger());
    let (first, last) = (suspect("toy", "drop"), suspect("numpy", "tests"));
    assert_eq!((listed.first(), listed.last(), listed.len()), (Some(&first), Some(&last), 4));
}

#[test]
fn what_nobody_took_is_not_missed_because_of_slimming() {
    let failing = |how: &str, module: Option<&str>, file: Option<&str>| Tried {
        how: how.to_owned(),
        module: module.map(str::to_owned),
        file: file.map(str::to_owned),
        ..tried("toy")
    };
    let is_other = |tried: Tried| is_elsewhere(&tried, &ledger());
    assert!(is_other(failing("ModuleNotFoundError", Some("pytest"), None)));
    assert!(is_other(failing("ImportError", None, Some("libGL.so.1"))));
    assert!(!is_other(failing("ModuleNotFoundError", Some("numpy.tests"), None)));
    // A directory without modules is one, too.
    assert!(!is_other(failing("ModuleNotFoundError", Some("toy.data"), None)));
    assert!(!is_other(failing("FileNotFoundError", None, Some("/nowhere"))));
    assert!(!is_other(failing("RuntimeError", Some("pytest"), None)));
    let own_words = |message: &str| Tried {
        message: message.to_owned(),
        absent: Some(Absent::Distribution),
        ..failing("ImportError", Some("jupyterhub"), None)
    };
    assert!(is_other(own_words("You must have jupyterhub installed for this to work")));
    assert!(!is_other(own_words("cannot import name 'template' from 'toy'")));
}

#[test]
fn a_module_at_the_top_is_tried_and_missed_unless_nobody_imports_it() {
    let top = |path: &str, rule: &str| {
        let mut ledger = ledger();
        ledger.taken[1].removals = vec![Removal {
            path: format!("/app/.venv/lib/python3.13/site-packages/{path}").parse().unwrap(),
            rule: rule.to_owned(),
            bytes: 1,
            effect: Effect::Gone,
        }];
        let name = path.split(['/', '.']).next().unwrap();
        let tried = Tried { module: Some(name.to_owned()), ..tried(name) };
        (gone(&ledger).get("toy").is_some_and(|gone| gone.contains(path)), is_meant(&tried, &ledger))
    };
    assert_eq!(top("toy.py", "tests"), (true, false));
    assert_eq!(top("toy/__init__.py", "tests"), (true, false));
    assert_eq!(top("toy.py", slim::DROP), (true, true));
    assert_eq!(top("examples/__init__.py", "examples"), (true, true));
    assert_eq!(top("toy/__init__.py", "setuptools"), (true, true));
    // Its bytecode is in its place.
    assert_eq!(top("examples.py", slim::MODULE_SOURCES), (true, false));
    assert_eq!(top("toy/words.txt", "tests"), (false, false));
}

use super::*;

#[test]
fn an_answer_that_does_not_go_to_the_end_is_none() {
    assert_eq!(read(b"{\"python\": \"3.13.5\"}\n{\"end\": true}\n").unwrap().python, "3.13.5");
    assert_eq!(read(b"{\"python\": \"3.13.5\"}\n"), None);
    assert_eq!(read(b"{\"end\": true}\nnonsense\n"), None);
}

#[test]
fn what_fails_says_what_it_is_and_whether_it_was_promised() {
    let line = |kind: &str, more: &str| {
        let text = format!(
            "{{\"of\": \"toy\", \"what\": \"entry\", \"name\": \"a\", \"kind\": \"{kind}\", \"ok\": false, \
             \"seconds\": 0.1, \"how\": \"SIGSEGV\"{more}}}\n{{\"end\": true}}\n"
        );
        let found = read(text.as_bytes()).unwrap();
        (found.tried[0].kind.clone(), found.tried[0].is_promised())
    };
    assert_eq!(line("top", ""), (Kind::Top, true));
    assert_eq!(line("below", ""), (Kind::Below, false));
    assert_eq!(line("console_scripts", ""), (Kind::Group("console_scripts".to_owned()), true));
    assert_eq!(line("pytest11", ""), (Kind::Group("pytest11".to_owned()), false));
    assert_eq!(line("top", ", \"absent\": \"distribution\""), (Kind::Top, false));
}

#[test]
fn a_program_is_promised_to_start_where_a_module_or_library_is_missing() {
    let line = |more: &str| {
        let text = format!(
            "{{\"scripts\": [\"toy\"]}}\n{{\"of\": \"toy\", \"what\": \"script\", \"name\": \"toy --help\", \"kind\": \
             \"named\", \"ok\": false, \"seconds\": 0.1, \"how\": \"exit 1\"{more}}}\n{{\"end\": true}}\n"
        );
        let found = read(text.as_bytes()).unwrap();
        assert_eq!((found.scripts.len(), &found.tried[0].kind), (1, &Kind::Named));
        found.tried[0].is_promised()
    };
    assert!(!line(""));
    assert!(line(", \"module\": \"toy.gone\""));
    assert!(line(", \"file\": \"libgone.so.1\""));
    assert!(!line(", \"module\": \"other\", \"absent\": \"distribution\""));
}

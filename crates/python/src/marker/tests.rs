use proptest::prelude::*;

use super::*;
use crate::{Arch, Libc, Platform};

fn environment() -> Environment {
    let libc = Libc::Glibc { major: 2, minor: 41 };
    let target =
        Target { python: "3.13.5".parse().unwrap(), platform: Platform { arch: Arch::X86_64, libc } };
    let extras = ["Fast.Path", "s3"].into_iter().map(|name| name.parse().unwrap()).collect();
    let groups = ["dev"].into_iter().map(|name| name.parse().unwrap()).collect();
    target.environment().with(extras, groups)
}

fn holds(text: &str) -> bool {
    text.parse::<Marker>().unwrap().holds(&environment())
}

#[test]
fn every_variable_has_the_value_of_a_linux_cpython() {
    for marker in [
        "implementation_name == 'cpython'",
        "implementation_version == '3.13.5'",
        "os_name == 'posix' and os.name == 'posix'",
        "platform_machine == 'x86_64'",
        "platform_python_implementation == 'CPython' and python_implementation == 'CPython'",
        "platform_system == 'Linux'",
        "platform_release == '' and platform_version == ''",
        "python_version == '3.13'",
        "python_full_version == '3.13.5'",
        "sys_platform == 'linux' and 'linux' == sys.platform",
    ] {
        assert!(holds(marker), "{marker}");
    }
}

#[test]
fn versions_are_compared_as_versions() {
    for marker in [
        "python_version >= '3.9'",
        "python_full_version < '3.13.10'",
        "python_version ~= '3.10'",
        "python_full_version == '3.13.*'",
        "'3.9' < python_version",
        "python_version in '3.12 3.13'",
        "python_version not in '3.11, 3.12'",
        "implementation_version === '3.13.5'",
    ] {
        assert!(holds(marker), "{marker}");
    }
    for marker in ["python_version < '3.9'", "python_full_version != '3.13.*'", "platform_release >= '5'"] {
        assert!(!holds(marker), "{marker}");
    }
}

#[test]
fn extras_and_groups_are_sets_of_normalised_names() {
    for marker in [
        "extra == 'fast_path'",
        "'s3' == extra",
        "extra != 'other'",
        "'FAST-path' in extras and 's3' in extras",
        "'dev' in dependency_groups",
        "'docs' not in dependency_groups",
    ] {
        assert!(holds(marker), "{marker}");
    }
    for marker in ["extra == 'other'", "extra != 's3'", "'dev' in extras", "'s3' not in extras"] {
        assert!(!holds(marker), "{marker}");
    }
}

#[test]
fn and_binds_tighter_than_or_and_parentheses_tighter_than_both() {
    assert!(holds("os_name == 'nt' and os_name == 'nt' or os_name == 'posix'"));
    assert!(!holds("os_name == 'nt' and (os_name == 'nt' or os_name == 'posix')"));
    assert!(holds("((python_version>='3')and(sys_platform==\"linux\"))"));
}

#[test]
fn what_is_no_marker_is_refused_with_the_place() {
    let said = |text: &str| text.parse::<Marker>().unwrap_err().to_string();
    let nested = said(&format!("{}os_name == 'a'", "(".repeat(100_000)));
    assert!(nested.ends_with("too many parentheses at character 52"));
    insta::assert_snapshot!(
        [
            "",
            "python_version",
            "python_version == 3.9",
            "os_name == 'posix",
            "os_name == 'posix' os_name",
            "(os_name == 'posix'",
            "color == 'blue'",
            "'a' == 'a'",
            "é == 'a'",
            "extras == 'a'",
            "os_name not 'a'",
        ]
        .map(said)
        .join("\n"),
        @r"
    `` is not a marker: expected a quoted text or a marker variable at character 1
    `python_version` is not a marker: expected a comparison such as `==`, `in` or `not in` at character 15
    `python_version == 3.9` is not a marker: expected a quoted text or a marker variable at character 19
    `os_name == 'posix` is not a marker: a quote is not closed at character 12
    `os_name == 'posix' os_name` is not a marker: expected `and`, `or` or the end at character 20
    `(os_name == 'posix'` is not a marker: expected `)` at character 20
    `color == 'blue'` is not a marker: expected a quoted text or a marker variable at character 1
    `'a' == 'a'` is not a marker: two texts are compared at character 5
    `é == 'a'` is not a marker: expected a quoted text or a marker variable at character 1
    `extras == 'a'` is not a marker: a set is asked for a name by `'name' in extras`, an extra by `extra == 'name'`; not so at character 8
    `os_name not 'a'` is not a marker: expected a comparison such as `==`, `in` or `not in` at character 9
    "
    );
}

proptest! {
    /// No text makes the parser or the evaluation panic.
    #[test]
    fn any_text_is_read_or_refused(text in "(\\(|\\)| |and|or|not in|in|==|<|~=|'|'3.8'|'x'|os_name|extra|extras|python_version|é){0,12}") {
        if let Ok(marker) = text.parse::<Marker>() {
            marker.holds(&environment());
        }
    }
}

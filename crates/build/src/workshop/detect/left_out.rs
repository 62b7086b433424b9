//! What a build that ended well says that it was built without.
//!
//! Only the words of compilers, linkers, pkg-config and shells count, and warnings that name a library. CMake and Meson tell of
//! all that they look for, most of which is a choice.

use super::{DETECTORS, Question, header, library, pkg_config, program, prose_of, said, unique};
use crate::contents::Missing;

/// More is not asked of one log.
const MOST: usize = 20;

/// Returns what was looked for in vain, any of each.
pub(in crate::workshop) fn left_out(log: &str) -> Vec<Vec<Missing>> {
    let plain = [header, library, pkg_config, config_program];
    let lines = || log.lines().filter(|line| !is_probe(line));
    let named = lines().flat_map(|line| plain.iter().filter_map(move |detect| detect(line)));
    let warned = lines().filter(|line| is_warning(line));
    let warned = warned.flat_map(|line| said::question(line).into_iter().chain(prose_of(line)));
    let systems = |question| match question {
        Question::System(any) => Some(any),
        Question::Module(_) | Question::TooOld(_) => None,
    };
    unique(named.chain(warned)).into_iter().filter_map(systems).take(MOST).collect()
}

/// A program that tells where a library lies; others are tools that builds try one after the other.
fn config_program(line: &str) -> Option<Question> {
    let is_config = |any: &[Missing]| {
        any.iter().any(|missing| matches!(missing, Missing::Program(name) if name.ends_with("-config")))
    };
    program(line).filter(|question| matches!(question, Question::System(any) if is_config(any)))
}

/// A line on what autoconf and distutils compile to see whether it can be compiled.
fn is_probe(line: &str) -> bool {
    line.contains("conftest.") || line.contains("_configtest.")
}

/// `WARNING: libfoo not found`, in which no plainer words are.
fn is_warning(line: &str) -> bool {
    let lower = line.to_lowercase();
    let is_told = lower.contains("warning: ") && (lower.contains("not found") || lower.contains("not find"));
    is_told && !DETECTORS.iter().any(|detect| detect(line).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(log: &str) -> String {
        let any = |any: &Vec<Missing>| any.iter().map(Missing::what).collect::<Vec<_>>().join(" or ");
        left_out(log).iter().map(any).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_header_that_an_optional_module_missed_was_left_out() {
        let pyyaml = "building 'yaml._yaml' extension\n\
            build/temp.linux-x86_64-cpython-313/check_libyaml.c:2:10: fatal error: yaml.h: No such file or directory\n\
            compilation terminated.\n\nlibyaml is not found or a compiler error: forcing --without-libyaml\n\
            creating build/bdist.linux-x86_64/wheel\n";
        insta::assert_snapshot!(left(pyyaml), @"the header `yaml.h`");
        let shell = "/bin/sh: 1: pcre2-config: not found\n/bin/sh: 1: hg: not found\n";
        insta::assert_snapshot!(left(shell), @"the program `pcre2-config`");
    }

    #[test]
    fn a_warning_names_a_library() {
        insta::assert_snapshot!(left("WARNING: libsodium not found, building without it\n"), @"the library `-lsodium` or the pkg-config module `libsodium` or the pkg-config module `sodium`");
        insta::assert_snapshot!(left("SetuptoolsDeprecationWarning: License classifiers are deprecated.\n"), @"");
    }

    #[test]
    fn probes_and_choices_are_passed_over() {
        let log = "conftest.c:11:10: fatal error: minix/config.h: No such file or directory\n\
            _configtest.c:1:10: fatal error: sys/foo.h: No such file or directory\n\
            -- Could NOT find Doxygen (missing: DOXYGEN_EXECUTABLE)\nNo module named 'Cython'\n";
        insta::assert_snapshot!(left(log), @"");
    }
}

//! What an interpreter can load, best first, by the rules of `packaging.tags`.
//!
//! Only CPython with its global lock, from 3.8 on. A free-threaded build has other tags.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/>

use std::collections::HashMap;
use std::fmt;

use crate::{Arch, Libc, Platform, Target, WheelFileName};

/// What one build of a distribution needs: interpreter, ABI and platform, such as `cp313-cp313-linux_x86_64`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tag {
    /// The implementation and version, such as `cp313` or `py3`.
    pub python: String,
    /// The binary interface, such as `cp313`, `abi3` or `none`.
    pub abi: String,
    /// The platform, such as `manylinux_2_28_x86_64` or `any`.
    pub platform: String,
}

/// How well something fits a target: the smaller, the better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Rank(usize);

/// Every tag that a target can load, the best first.
#[derive(Clone, Debug)]
pub struct Tags {
    ordered: Vec<Tag>,
    ranks: HashMap<Tag, Rank>,
}

impl Tag {
    fn new(python: &str, abi: &str, platform: &str) -> Self {
        Self { python: python.to_owned(), abi: abi.to_owned(), platform: platform.to_owned() }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.python, self.abi, self.platform)
    }
}

impl Tags {
    pub(crate) fn of(target: &Target) -> Self {
        let platforms = platforms(&target.platform);
        let (major, minor) = (target.python.major, target.python.minor);
        let interpreter = format!("cp{major}{minor}");
        // `py313`, then `py3`, then the older ones: what `_py_interpreter_range` of packaging yields.
        let generic: Vec<String> = [format!("py{major}{minor}"), format!("py{major}")]
            .into_iter()
            .chain((0..minor).rev().map(|older| format!("py{major}{older}")))
            .collect();
        let stable = (2..minor).rev().map(|older| (format!("cp{major}{older}"), "abi3"));
        let with_platform = [&*interpreter, "abi3", "none"]
            .into_iter()
            .map(|abi| (interpreter.clone(), abi))
            .chain(stable)
            .chain(generic.iter().map(|python| (python.clone(), "none")));
        let anywhere = std::iter::once(&interpreter).chain(&generic);

        let ordered: Vec<Tag> = with_platform
            .flat_map(|(python, abi)| {
                platforms.iter().map(move |platform| Tag::new(&python, abi, platform)).collect::<Vec<_>>()
            })
            .chain(anywhere.map(|python| Tag::new(python, "none", "any")))
            .collect();
        let ranks = ordered.iter().cloned().enumerate().map(|(at, tag)| (tag, Rank(at))).collect();
        Self { ordered, ranks }
    }

    /// Returns how well a wheel fits, by the best of its tags; none if it doesn't fit at all.
    pub fn rank(&self, wheel: &WheelFileName) -> Option<Rank> {
        wheel.tags().filter_map(|tag| self.ranks.get(&tag).copied()).min()
    }

    /// Returns the tags, the best first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Tag> {
        self.ordered.iter()
    }
}

/// The platform tags of a Linux, the newest first; a plain `linux` build is the last resort.
fn platforms(platform: &Platform) -> Vec<String> {
    let arch = platform.arch;
    let mut tags = match platform.libc {
        Libc::Glibc { major, minor } => manylinux(arch, major, minor),
        Libc::Musl { major, minor } => {
            (0..=minor).rev().map(|minor| format!("musllinux_{major}_{minor}_{arch}")).collect()
        }
    };
    tags.push(format!("linux_{arch}"));
    tags
}

fn manylinux(arch: Arch, major: u16, minor: u16) -> Vec<String> {
    // The first glibc that manylinux knows: CentOS 5's, and CentOS 7's on what came after it.
    let oldest = match arch {
        Arch::X86_64 => 5,
        Arch::Aarch64 => 17,
    };
    (oldest..=minor)
        .rev()
        .flat_map(|minor| {
            let alias = match minor {
                17 => Some("manylinux2014"),
                12 => Some("manylinux2010"),
                5 => Some("manylinux1"),
                _ => None,
            };
            let alias = alias.map(|alias| format!("{alias}_{arch}"));
            std::iter::once(format!("manylinux_{major}_{minor}_{arch}")).chain(alias)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(arch: Arch, libc: Libc) -> Target {
        Target { python: "3.13.5".parse().unwrap(), platform: Platform { arch, libc } }
    }

    fn tags(target: Target) -> Vec<String> {
        target.tags().iter().map(Tag::to_string).collect()
    }

    fn rank(wheel: &str) -> Option<Rank> {
        let trixie = target(Arch::X86_64, Libc::Glibc { major: 2, minor: 41 });
        trixie.tags().rank(&wheel.parse().unwrap())
    }

    #[test]
    fn tags_come_in_the_order_of_packaging() {
        let all = tags(target(Arch::Aarch64, Libc::Glibc { major: 2, minor: 18 }));
        // Counted with packaging 24.2: (3 + 11 + 15) interpreters and ABIs on 4 platforms, 15 on any.
        assert_eq!(all.len(), 29 * 4 + 16);
        let shown: Vec<&str> = all.iter().map(String::as_str).filter(|tag| !tag.contains("abi3")).collect();
        assert_eq!(
            shown[..12],
            [
                "cp313-cp313-manylinux_2_18_aarch64",
                "cp313-cp313-manylinux_2_17_aarch64",
                "cp313-cp313-manylinux2014_aarch64",
                "cp313-cp313-linux_aarch64",
                "cp313-none-manylinux_2_18_aarch64",
                "cp313-none-manylinux_2_17_aarch64",
                "cp313-none-manylinux2014_aarch64",
                "cp313-none-linux_aarch64",
                "py313-none-manylinux_2_18_aarch64",
                "py313-none-manylinux_2_17_aarch64",
                "py313-none-manylinux2014_aarch64",
                "py313-none-linux_aarch64",
            ]
        );
        assert_eq!(
            all[all.len() - 16..][..4],
            ["cp313-none-any", "py313-none-any", "py3-none-any", "py312-none-any"]
        );
    }

    #[test]
    fn old_names_of_manylinux_stand_beside_their_glibc() {
        let all = tags(target(Arch::X86_64, Libc::Glibc { major: 2, minor: 41 }));
        for (number, name) in [("2_17", "2014"), ("2_12", "2010"), ("2_5", "1")] {
            let at = all.iter().position(|tag| tag.ends_with(&format!("manylinux_{number}_x86_64"))).unwrap();
            assert_eq!(all[at + 1], format!("cp313-cp313-manylinux{name}_x86_64"));
        }
    }

    #[test]
    fn musl_takes_no_manylinux_wheel() {
        let musl = target(Arch::X86_64, Libc::Musl { major: 1, minor: 2 });
        let fits = |wheel: &str| musl.tags().rank(&wheel.parse().unwrap()).is_some();
        assert!(fits("a-1-cp313-cp313-musllinux_1_1_x86_64.whl"));
        assert!(!fits("a-1-cp313-cp313-musllinux_1_3_x86_64.whl"));
        assert!(!fits("a-1-cp313-cp313-manylinux_2_17_x86_64.whl"));
    }

    #[test]
    fn the_closest_build_is_the_best() {
        let best_first = [
            "a-1-cp313-cp313-manylinux_2_28_x86_64.whl",
            "a-1-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "a-1-cp313-abi3-manylinux_2_17_x86_64.whl",
            "a-1-cp39-abi3-manylinux_2_28_x86_64.whl",
            "a-1-py3-none-manylinux_2_17_x86_64.whl",
            "a-1-py2.py3-none-any.whl",
            "a-1-py30-none-any.whl",
        ];
        let ranks: Vec<_> = best_first.into_iter().map(rank).collect();
        assert!(ranks.iter().all(Option::is_some) && ranks.is_sorted(), "{ranks:?}");
    }

    #[test]
    fn foreign_builds_do_not_fit() {
        for wheel in [
            "a-1-cp312-cp312-manylinux_2_28_x86_64.whl",
            "a-1-cp313-cp313t-manylinux_2_28_x86_64.whl",
            "a-1-cp314-abi3-manylinux_2_28_x86_64.whl",
            "a-1-cp313-cp313-manylinux_2_42_x86_64.whl",
            "a-1-cp313-cp313-manylinux_2_28_aarch64.whl",
            "a-1-cp313-cp313-macosx_11_0_arm64.whl",
            "a-1-py2-none-any.whl",
            "a-1-pp310-pypy310_pp73-manylinux_2_28_x86_64.whl",
        ] {
            assert_eq!(rank(wheel), None, "{wheel}");
        }
    }
}

//! What of a project's directory stays out of the image, and which rule says so.
//!
//! Four lists, the later ones over the earlier: minke's own droppings, every `.gitignore`, the
//! `.dockerignore`, and `[tool.minke] ignore`. In each the last pattern that matches decides, so that
//! `!dist/static` in a `.dockerignore` brings back what a `.gitignore` leaves out.
//!
//! Spec: <https://git-scm.com/docs/gitignore>,
//! <https://docs.docker.com/build/concepts/context/#dockerignore-files>

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use globset::{GlobBuilder, GlobMatcher};
use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use minke_cas::Digest;
use serde::Serialize;

/// What is never wanted, in `.gitignore`'s language, with the reason the summary shows.
const DROPPINGS: &[(&str, &[&str])] = &[
    (
        "version control",
        &[".git", ".hg", ".svn", ".bzr", ".gitignore", ".gitattributes", ".gitmodules", ".github"],
    ),
    ("foreign bytecode", &["__pycache__/", "*.pyc", "*.pyo"]),
    ("virtual environments", &["/.venv/", "/venv/", ".tox/", ".nox/", "node_modules/"]),
    (
        "caches",
        &[
            ".mypy_cache/",
            ".pytest_cache/",
            ".ruff_cache/",
            ".hypothesis/",
            ".ipynb_checkpoints/",
            ".cache/",
            ".eggs/",
            ".coverage",
            ".coverage.*",
            "htmlcov/",
            "*.egg-info/",
        ],
    ),
    ("editors", &[".idea/", ".vscode/", ".DS_Store", "*.swp", "*~"]),
    ("secrets", &[".env", ".env.*", "!.env.example", ".netrc", ".pypirc"]),
    (
        "build files",
        &[
            "/Dockerfile*",
            "/.dockerignore",
            "/docker-compose*.y*ml",
            "/compose*.y*ml",
            "/uv.lock",
            "/pylock*.toml",
            "/minke.toml",
            "/minke.lock",
        ],
    ),
];

/// What an application, unlike a package that is built, does without.
const TESTS: (&str, &[&str]) = ("tests", &["/tests/", "/test/"]);

const GIT: &str = ".gitignore";
const DOCKER: &str = ".dockerignore";
const OURS: &str = "tool.minke.ignore";

static BUILT_IN: LazyLock<Vec<(&str, Gitignore)>> = LazyLock::new(|| {
    DROPPINGS.iter().chain([&TESTS]).map(|(reason, patterns)| (*reason, built_in(patterns))).collect()
});

/// What the files are wanted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Purpose {
    /// They are copied into the image as they are.
    Application,
    /// A build backend makes a wheel of them, and decides itself what goes in.
    Build,
}

/// Which files stay out.
pub struct Rules {
    purpose: Purpose,
    /// A digest of all rules but those of `.gitignore` files.
    digest: Digest,
    git: Vec<GitRules>,
    docker: Vec<DockerPattern>,
    ours: Vec<DockerPattern>,
}

/// A pattern of the user's cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("`{pattern}` in {place} is not a pattern that minke understands: {reason}")]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// Where it stands.
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A `.gitignore`, read when somebody asks what it says.
struct GitRules {
    directory: PathBuf,
    text: String,
    rules: OnceCell<Gitignore>,
}

struct DockerPattern {
    matcher: GlobMatcher,
    below: GlobMatcher,
    verdict: Verdict,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Out,
    In,
}

impl Rules {
    /// Reads the rules of a project; `.gitignore` files are added by [`Rules::enter`] as they are met.
    ///
    /// # Errors
    /// [`PatternError`] names the pattern and its place.
    pub fn read(docker: Option<&str>, ours: &[String], purpose: Purpose) -> Result<Self, PatternError> {
        let all = (env!("CARGO_PKG_VERSION"), DROPPINGS, TESTS, purpose, docker, ours);
        let digest = Digest::of(&serde_json::to_vec(&all).expect("texts are JSON"));
        let docker = docker.unwrap_or_default().lines().filter_map(|line| docker_pattern(line, DOCKER));
        let ours = ours.iter().filter_map(|line| docker_pattern(line, "`tool.minke.ignore`"));
        Ok(Self {
            purpose,
            digest,
            git: Vec::new(),
            docker: docker.collect::<Result<_, _>>()?,
            ours: ours.collect::<Result<_, _>>()?,
        })
    }

    /// Adds the `.gitignore` of a directory that is about to be read; `relative` is empty for the root.
    pub fn enter(&mut self, relative: &Path, text: &str) {
        let directory = Path::new("/").join(relative);
        self.git.push(GitRules { directory, text: text.to_owned(), rules: OnceCell::new() });
    }

    /// Returns a digest of the rules that hold in a directory whose own answer is `inherited`: by equal ones, an
    /// entry of the same path is judged alike.
    pub fn digest(&self, inherited: Option<&'static str>) -> Digest {
        let place = |rules: &GitRules| rules.directory.as_os_str().as_encoded_bytes().to_owned();
        let git: Vec<_> = self.git.iter().map(|rules| (place(rules), &rules.text)).collect();
        Digest::of(&serde_json::to_vec(&(self.digest, git, inherited)).expect("numbers and texts are JSON"))
    }

    /// Forgets the `.gitignore` that was entered last.
    pub fn leave(&mut self) {
        self.git.pop();
    }

    /// Returns why an entry stays out, or none if it goes in; `inherited` is its directory's answer.
    pub fn reason(
        &self,
        relative: &Path,
        kind: Kind,
        inherited: Option<&'static str>,
    ) -> Option<&'static str> {
        let absolute: PathBuf = Path::new("/").join(relative);
        let is_directory = kind == Kind::Directory;
        let mut reason = inherited;
        // A backend such as setuptools-scm asks the repository for the version: it gets it from the environment.
        let of_purpose = |name: &str| self.purpose == Purpose::Application || name != TESTS.0;
        for (name, rules) in BUILT_IN.iter().filter(|(name, _)| of_purpose(name)) {
            match rules.matched(&absolute, is_directory) {
                Match::Ignore(_) => reason = Some(name),
                Match::Whitelist(_) => reason = None,
                Match::None => {}
            }
        }
        for rules in &self.git {
            match rules.read().matched(&absolute, is_directory) {
                Match::Ignore(_) => reason = reason.or(Some(GIT)),
                // Git cannot bring back what lies in a directory that is left out, nor what minke leaves out.
                Match::Whitelist(_) if inherited.is_none() && reason == Some(GIT) => reason = None,
                Match::Whitelist(_) | Match::None => {}
            }
        }
        for (name, patterns) in [(DOCKER, &self.docker), (OURS, &self.ours)] {
            match patterns
                .iter()
                .rev()
                .find(|pattern| pattern.matches(relative))
                .map(|pattern| pattern.verdict)
            {
                Some(Verdict::Out) => reason = reason.or(Some(name)),
                Some(Verdict::In) => reason = None,
                None => {}
            }
        }
        reason
    }

    /// Tells whether something below a directory that is left out could come back.
    pub fn can_bring_back(&self) -> bool {
        self.docker.iter().chain(&self.ours).any(|pattern| pattern.verdict == Verdict::In)
    }
}

/// What an entry of the project is, as far as patterns care.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A directory, which patterns that end in `/` match.
    Directory,
    /// Anything else.
    Other,
}

impl GitRules {
    fn read(&self) -> &Gitignore {
        self.rules.get_or_init(|| {
            let mut builder = GitignoreBuilder::new(&self.directory);
            for line in self.text.lines() {
                // Git passes over a line that it cannot read, too.
                let _ = builder.add_line(None, line);
            }
            builder.build().unwrap_or_else(|_| Gitignore::empty())
        })
    }
}

/// Returns the number that a reason has in notes.
pub fn number(reason: &'static str) -> Option<u8> {
    reasons().position(|known| known == reason).and_then(|index| u8::try_from(index).ok())
}

/// Returns the reason of a number.
pub fn numbered(number: u8) -> Option<&'static str> {
    reasons().nth(number.into())
}

fn reasons() -> impl Iterator<Item = &'static str> {
    DROPPINGS.iter().map(|(reason, _)| *reason).chain([TESTS.0, GIT, DOCKER, OURS])
}

impl DockerPattern {
    fn matches(&self, relative: &Path) -> bool {
        self.matcher.is_match(relative) || self.below.is_match(relative)
    }
}

fn built_in(patterns: &[&str]) -> Gitignore {
    let mut builder = GitignoreBuilder::new("/");
    for pattern in patterns {
        builder.add_line(None, pattern).expect("a built-in pattern is right");
    }
    builder.build().expect("built-in patterns are right")
}

/// Reads one line of a `.dockerignore`: anchored at the root, a directory's pattern covers all below it.
fn docker_pattern(line: &str, place: &str) -> Option<Result<DockerPattern, PatternError>> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (verdict, rest) = match line.strip_prefix('!') {
        Some(rest) => (Verdict::In, rest.trim()),
        None => (Verdict::Out, line),
    };
    let cleaned: Vec<_> = rest.split('/').filter(|component| !matches!(*component, "" | ".")).collect();
    let cleaned = cleaned.join("/");
    if cleaned.is_empty() {
        return None;
    }
    let glob = |text: &str| {
        let built = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
        built.map(|glob| glob.compile_matcher()).map_err(|error| PatternError {
            pattern: line.to_owned(),
            place: place.to_owned(),
            reason: error.kind().to_string(),
        })
    };
    let below = glob(&format!("{cleaned}/**"));
    Some(glob(&cleaned).and_then(|matcher| Ok(DockerPattern { matcher, below: below?, verdict })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(rules: &Rules, path: &str) -> Option<&'static str> {
        let mut reason = None;
        let mut at = PathBuf::new();
        let components: Vec<_> = path.split('/').collect();
        for (index, component) in components.iter().enumerate() {
            at.push(component);
            let kind = if index + 1 < components.len() { Kind::Directory } else { Kind::Other };
            reason = rules.reason(&at, kind, reason);
        }
        reason
    }

    fn rules(docker: &str, ours: &[&str]) -> Rules {
        let ours: Vec<_> = ours.iter().map(|&text| text.to_owned()).collect();
        Rules::read(Some(docker), &ours, Purpose::Application).unwrap()
    }

    #[test]
    fn droppings_stay_out_and_say_why() {
        let rules = rules("", &[]);
        assert_eq!(out(&rules, ".git/config"), Some("version control"));
        assert_eq!(out(&rules, "pkg/__pycache__/x.cpython-311.pyc"), Some("foreign bytecode"));
        assert_eq!(out(&rules, ".env"), Some("secrets"));
        assert_eq!(out(&rules, ".env.example"), None);
        assert_eq!(out(&rules, "tests/test_x.py"), Some("tests"));
        assert_eq!(out(&rules, "pkg/tests/test_x.py"), None);
        assert_eq!(out(&rules, "main.py"), None);
    }

    #[test]
    fn docker_patterns_are_anchored_and_the_last_one_decides() {
        let rules = rules("*.md\n!README.md\ndata\n!data/keep/**\n**/*.log", &[]);
        assert_eq!(out(&rules, "NOTES.md"), Some(".dockerignore"));
        assert_eq!(out(&rules, "docs/NOTES.md"), None);
        assert_eq!(out(&rules, "README.md"), None);
        assert_eq!(out(&rules, "data/big.csv"), Some(".dockerignore"));
        assert_eq!(out(&rules, "data/keep/small.csv"), None);
        assert_eq!(out(&rules, "a/b/c.log"), Some(".dockerignore"));
    }

    #[test]
    fn git_patterns_match_anywhere_and_can_be_taken_back_by_docker() {
        let mut rules = rules("!dist/static", &["*.tmp"]);
        rules.enter(Path::new(""), "dist/\n*.local\n!keep.local");
        assert_eq!(out(&rules, "dist/x.js"), Some(".gitignore"));
        assert_eq!(out(&rules, "dist/static/x.js"), None);
        assert_eq!(out(&rules, "a/b.local"), Some(".gitignore"));
        assert_eq!(out(&rules, "a/keep.local"), None);
        assert_eq!(out(&rules, "x.tmp"), Some("tool.minke.ignore"));
        rules.leave();
        assert_eq!(out(&rules, "a/b.local"), None);
    }

    #[test]
    fn a_bad_pattern_names_itself_and_its_place() {
        let error = Rules::read(Some("a[b"), &[], Purpose::Build).err().unwrap();
        insta::assert_snapshot!(error, @"`a[b` in .dockerignore is not a pattern that minke understands: unclosed character class; missing ']'");
    }
}

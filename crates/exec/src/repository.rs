//! git as a program: the files of one commit of a repository, and which other repositories belong to them.
//!
//! Nothing is checked out: what git would write is taken as an archive, so that no filter and no hook runs, and who
//! unpacks it refuses what is hostile. The repository may be private: git finds the user's own keys and passwords.
//!
//! Spec: git-fetch(1), git-archive(1), gitmodules(5)

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::{Ending, Job, Kill};

/// Large repositories come slowly.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// More than any list of files has that is asked for.
const LONGEST_ANSWER: u64 = 64 << 20;

/// What git knows the user by, and through what it reaches the world.
const KEPT: [&str; 3] = ["PATH", "HOME", "LANG"];
const KEPT_BEGINNINGS: [&str; 5] = ["GIT_", "SSH_", "XDG_", "SSL_", "CURL_"];

/// One commit of a repository.
#[derive(Clone, Debug)]
pub struct Commit<'a> {
    /// The repository's address, which may hold a password, or its path.
    pub repository: &'a str,
    /// The commit, in full.
    pub commit: &'a str,
    /// Who has named the repository.
    pub named_by: NamedBy,
}

/// Who has named a repository.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NamedBy {
    /// The user, who may name a directory of this machine's, too.
    User,
    /// Another repository.
    Stranger,
}

/// A commit that was fetched.
pub struct Fetched<'a> {
    directory: PathBuf,
    commit: Commit<'a>,
    environment: &'a BTreeMap<String, String>,
}

/// Another repository that belongs to a commit's files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submodule {
    /// Where its files go.
    pub path: String,
    /// Its address.
    pub repository: String,
    /// Its commit.
    pub commit: String,
}

/// A commit cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no git.
    #[error("there is no program `git`")]
    NoGit,
    /// What should be a commit or a repository is none.
    #[error("`{commit}` is no commit in full, or its repository is none")]
    Unpinned {
        /// The commit.
        commit: String,
    },
    /// git failed.
    #[error("git failed: {said}")]
    Failed {
        /// What it said.
        said: String,
    },
    /// git took too long.
    #[error("git did not come to an end within {} minutes", LIMIT.as_secs() / 60)]
    TooLong,
    /// The repository hasn't got the commit.
    #[error("the repository has no commit {commit}")]
    Missing {
        /// The commit.
        commit: String,
    },
    /// What git is given cannot be written, or what it says cannot be read.
    #[error("cannot run git")]
    Io(#[source] io::Error),
}

/// Tells whether a commit is named in full, by SHA-1 or SHA-256.
pub fn is_full(commit: &str) -> bool {
    matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl<'a> Fetched<'a> {
    /// Fetches a commit, and if the server lets itself be asked no more than that, into a directory that isn't there yet.
    ///
    /// # Errors
    /// [`GitError`].
    pub fn fetch(
        directory: &Path,
        commit: Commit<'a>,
        environment: &'a BTreeMap<String, String>,
    ) -> Result<Self, GitError> {
        if !is_full(commit.commit) || commit.repository.starts_with('-') || commit.repository.is_empty() {
            return Err(GitError::Unpinned { commit: commit.commit.to_owned() });
        }
        fs::create_dir(directory).map_err(GitError::Io)?;
        let fetched = Self { directory: directory.to_owned(), commit, environment };
        let format = if fetched.commit.commit.len() == 64 { "sha256" } else { "sha1" };
        fetched.git(&["init", "--quiet", "--bare", &format!("--object-format={format}")])?;
        let Commit { repository, commit, .. } = fetched.commit;
        let fetch = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules"];
        let shallow = [&fetch[..], &["--depth=1", "--", repository, commit]].concat();
        if let Err(error) = fetched.git(&shallow) {
            if !matches!(error, GitError::Failed { .. }) {
                return Err(error);
            }
            // Servers may refuse to be asked for a commit that no branch points to.
            fetched.git(&[&fetch[..], &["--", repository, "+refs/*:refs/*"]].concat())?;
        }
        let exists = fetched.git(&["cat-file", "-e", &format!("{commit}^{{commit}}")]);
        exists.map_err(|_| GitError::Missing { commit: commit.to_owned() })?;
        Ok(fetched)
    }

    /// Writes a tar of all files of the commit; where another repository belongs, it has an empty directory.
    ///
    /// # Errors
    /// [`GitError`].
    pub fn archive(&self, to: &Path) -> Result<(), GitError> {
        // What a repository leaves out of archives belongs to the commit nevertheless.
        let info = self.directory.join("info");
        let attributes = "* -export-ignore -export-subst\n";
        let written = fs::create_dir_all(&info).and_then(|()| fs::write(info.join("attributes"), attributes));
        written.map_err(GitError::Io)?;
        let file = File::create(to).map_err(GitError::Io)?;
        let mut command = self.command(&["archive", "--format=tar", self.commit.commit]);
        command.stdout(Stdio::from(file));
        finished(Job::start(&mut command, LIMIT, Kill::Child).map_err(not_started)?)
    }

    /// Returns the other repositories that belong to the commit's files, in the order of their paths.
    ///
    /// One that no address is known of is left out, as git leaves it.
    ///
    /// # Errors
    /// [`GitError`].
    pub fn submodules(&self) -> Result<Vec<Submodule>, GitError> {
        let commit = self.commit.commit;
        let listed = self.git(&["ls-tree", "-r", "-z", commit])?;
        let links: Vec<(&str, &str)> = listed
            .split('\0')
            .filter_map(|line| line.strip_prefix("160000 commit ")?.split_once('\t'))
            .collect();
        if links.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = r"^submodule\..*\.(path|url)$";
        let blob = format!("{commit}:.gitmodules");
        let said = self.git(&["config", "--blob", &blob, "-z", "--get-regexp", wanted])?;
        let mut modules: BTreeMap<&str, (Option<&str>, Option<&str>)> = BTreeMap::new();
        for (key, value) in said.split('\0').filter_map(|entry| entry.split_once('\n')) {
            let Some((name, key)) = key.rsplit_once('.') else { continue };
            let module = modules.entry(name).or_default();
            *(if key == "path" { &mut module.0 } else { &mut module.1 }) = Some(value);
        }
        let address = |path: &str| {
            let module = modules.values().find(|(there, _)| there.is_some_and(|there| there == path))?;
            module.1.map(|url| beside(self.commit.repository, url))
        };
        let submodule = |(commit, path): &(&str, &str)| {
            let (path, commit) = ((*path).to_owned(), (*commit).to_owned());
            Some(Submodule { repository: address(&path)?, path, commit })
        };
        Ok(links.iter().filter_map(submodule).collect())
    }

    fn git(&self, arguments: &[&str]) -> Result<String, GitError> {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped());
        let mut job = Job::start(&mut command, LIMIT, Kill::Child).map_err(not_started)?;
        let mut answer = Vec::new();
        let stdout = job.child().stdout.take().expect("stdout was asked for");
        let read = stdout.take(LONGEST_ANSWER).read_to_end(&mut answer);
        finished(job)?;
        read.map_err(GitError::Io)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let is_proxy = |name: &str| name.to_lowercase().ends_with("_proxy");
        let is_kept = |name: &str| {
            KEPT.contains(&name)
                || KEPT_BEGINNINGS.iter().any(|start| name.starts_with(start))
                || is_proxy(name)
        };
        let kept = self.environment.iter().filter(|(name, _)| is_kept(name));
        let mut command = Command::new("git");
        command
            .args(["-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", "-c", "protocol.ext.allow=never"])
            .args(arguments)
            .current_dir(&self.directory)
            .env_clear()
            .envs(kept)
            .env("GIT_DIR", &self.directory)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            .stdin(Stdio::null());
        if self.commit.named_by == NamedBy::Stranger {
            // Directories of this machine are none of a stranger's business.
            command.env("GIT_PROTOCOL_FROM_USER", "0");
        }
        command
    }
}

fn not_started(error: io::Error) -> GitError {
    if error.kind() == io::ErrorKind::NotFound { GitError::NoGit } else { GitError::Io(error) }
}

fn finished(job: Job) -> Result<(), GitError> {
    match job.finish().map_err(GitError::Io)? {
        (Ending::TimedOut, _) => Err(GitError::TooLong),
        (Ending::Exited(status), _) if status.success() => Ok(()),
        (_, said) => Err(GitError::Failed { said: without_passwords(said.trim()) }),
    }
}

/// Takes out of what git says the passwords of addresses: `https://user:secret@host/`.
fn without_passwords(said: &str) -> String {
    let mut shown = String::new();
    let mut rest = said;
    while let Some((before, after)) = rest.split_once("://") {
        shown += before;
        shown += "://";
        let end = after.find(|c: char| c == '/' || c.is_whitespace() || c == '\'').unwrap_or(after.len());
        rest = after[..end].rfind('@').map_or(after, |at| &after[at + 1..]);
    }
    shown + rest
}

/// Returns an address that may be relative to a repository's: `../other.git`.
fn beside(repository: &str, url: &str) -> String {
    if !url.starts_with("./") && !url.starts_with("../") {
        return url.to_owned();
    }
    let (mut base, mut rest) = (repository.trim_end_matches('/'), url);
    loop {
        if let Some(below) = rest.strip_prefix("./") {
            rest = below;
        } else if let Some(above) = rest.strip_prefix("../") {
            base = base.rsplit_once(['/', ':']).map_or(base, |(base, _)| base);
            rest = above;
        } else {
            return format!("{base}/{rest}");
        }
    }
}

#[cfg(test)]
mod tests;

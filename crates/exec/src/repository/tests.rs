use super::*;

/// A repository in a directory of its own, with what is committed there.
struct Origin {
    directory: tempfile::TempDir,
    environment: BTreeMap<String, String>,
}

impl Origin {
    fn new() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let home = directory.path().join("home");
        fs::create_dir(&home).unwrap();
        fs::create_dir(directory.path().join("work")).unwrap();
        let said = [
            ("PATH", path.as_str()),
            ("HOME", home.to_str().unwrap()),
            ("GIT_AUTHOR_NAME", "me"),
            ("GIT_AUTHOR_EMAIL", "me@host.test"),
            ("GIT_COMMITTER_NAME", "me"),
            ("GIT_COMMITTER_EMAIL", "me@host.test"),
        ];
        let environment = said.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let origin = Self { directory, environment };
        if origin.run(&["init", "-q"]).is_none() {
            eprintln!("skipped: there is no git");
            return None;
        }
        Some(origin)
    }

    fn work(&self) -> PathBuf {
        self.directory.path().join("work")
    }

    fn run(&self, arguments: &[&str]) -> Option<String> {
        let done = Command::new("git")
            .args(arguments)
            .current_dir(self.work())
            .env_clear()
            .envs(&self.environment)
            .output()
            .ok()?;
        done.status.success().then(|| String::from_utf8(done.stdout).unwrap().trim().to_owned())
    }

    /// Commits a file and returns the commit.
    fn commit(&self, name: &str, text: &str) -> String {
        fs::write(self.work().join(name), text).unwrap();
        self.run(&["add", "."]).unwrap();
        self.run(&["commit", "-q", "--no-verify", "-m", "x"]).unwrap();
        self.run(&["rev-parse", "HEAD"]).unwrap()
    }

    fn fetch(&self, commit: &str) -> Result<Vec<String>, GitError> {
        let scratch = tempfile::tempdir().unwrap();
        let repository = self.work().display().to_string();
        let commit = Commit { repository: &repository, commit, named_by: NamedBy::User };
        let fetched = Fetched::fetch(&scratch.path().join("bare"), commit, &self.environment)?;
        let tar = scratch.path().join("tar");
        fetched.archive(&tar)?;
        let listed = Command::new("tar").arg("-tf").arg(&tar).output().expect("tar runs");
        Ok(String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect())
    }
}

#[test]
fn a_commit_comes_with_all_its_files_though_it_is_no_branchs_last() {
    let Some(origin) = Origin::new() else { return };
    let first = origin.commit(".gitattributes", "tests export-ignore\n");
    fs::create_dir(origin.work().join("tests")).unwrap();
    let second = origin.commit("tests/a.py", "");
    origin.commit("b.py", "");
    assert_eq!(origin.fetch(&first).unwrap(), [".gitattributes"]);
    assert_eq!(origin.fetch(&second).unwrap(), [".gitattributes", "tests/", "tests/a.py"]);
}

#[test]
fn what_is_no_commit_in_full_or_not_there_is_refused() {
    let Some(origin) = Origin::new() else { return };
    origin.commit("a", "");
    let refused = |commit: &str| origin.fetch(commit).unwrap_err().to_string();
    insta::assert_snapshot!(refused("main"), @"`main` is no commit in full, or its repository is none");
    insta::assert_snapshot!(refused("--upload-pack=x"), @"`--upload-pack=x` is no commit in full, or its repository is none");
    insta::assert_snapshot!(refused(&"0".repeat(40)), @"the repository has no commit 0000000000000000000000000000000000000000");
}

#[test]
fn repositories_in_a_repository_are_named_with_their_commits() {
    let Some(origin) = Origin::new() else { return };
    origin.commit(".gitmodules", "[submodule \"x\"]\n\tpath = lib/x\n\turl = ../x.git\n");
    let of_other = "1".repeat(40);
    let link = format!("160000,{of_other},lib/x");
    origin.run(&["update-index", "--add", "--cacheinfo", &link]).unwrap();
    origin.run(&["commit", "-q", "-m", "x"]).unwrap();
    let commit = origin.run(&["rev-parse", "HEAD"]).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let repository = format!("file://{}", origin.work().display());
    let wanted = Commit { repository: &repository, commit: &commit, named_by: NamedBy::User };
    let fetched = Fetched::fetch(&scratch.path().join("bare"), wanted.clone(), &origin.environment).unwrap();
    let beside = format!("file://{}/x.git", origin.directory.path().display());
    let submodule = Submodule { path: "lib/x".to_owned(), repository: beside, commit: of_other };
    assert_eq!(fetched.submodules().unwrap(), [submodule]);
    // A stranger may not name a directory of this machine's.
    let wanted = Commit { named_by: NamedBy::Stranger, ..wanted };
    let again = Fetched::fetch(&scratch.path().join("again"), wanted, &origin.environment);
    assert!(matches!(again.map(|_| ()), Err(GitError::Failed { .. })));
}

#[test]
fn passwords_do_not_show() {
    let said = "fatal: unable to access 'https://me:secret@host.test/x/': no\nhttps://host.test/a@b";
    insta::assert_snapshot!(without_passwords(said), @r"
    fatal: unable to access 'https://host.test/x/': no
    https://host.test/a@b
    ");
}

#[test]
fn addresses_may_be_relative_to_a_repositorys() {
    assert_eq!(beside("https://host.test/a/b.git", "../c.git"), "https://host.test/a/c.git");
    assert_eq!(beside("git@host.test:a/b", "../../x/c"), "git@host.test/x/c");
    assert_eq!(beside("https://host.test/a/", "./c"), "https://host.test/a/c");
    assert_eq!(beside("x", "https://host.test/c"), "https://host.test/c");
}

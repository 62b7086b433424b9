//! Causes, and what is said about them.

use super::*;

fn said(advice: &Advice) -> String {
    format!("{} {}", advice.exit.code(), advice.help)
}

fn uv_said(stderr: &str) -> String {
    let error = UvError::Failed {
        command: "pip compile",
        ending: "exit status: 1".to_owned(),
        stderr: stderr.to_owned(),
    };
    said(&uv(&error))
}

#[test]
fn uvs_words_decide_whose_fault_it_is() {
    insta::assert_snapshot!(uv_said("error: Failed to fetch: `http://host.test/simple/x/`"), @"5 try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate");
    insta::assert_snapshot!(uv_said("hint: An index URL could not be queried … (401 Unauthorized)"), @"5 put the name and password for that host into ~/.netrc, or into the address: `https://NAME:PASSWORD@…`");
    insta::assert_snapshot!(uv_said("error: Failed to build `x @ file:///x`"), @"3 what it needs is known only when it is built, which minke does for versions of an index: lock it with `uv lock`, or name one of those");
    insta::assert_snapshot!(uv_said("error: The lockfile at `uv.lock` needs to be updated"), @"1 bring it up to date with `uv lock`");
    insta::assert_snapshot!(uv_said("error: No solution found"), @"1 correct the requirements; if they are right, see that UV_DEFAULT_INDEX or pip's `index-url` names the index that has them");
}

#[test]
fn a_server_that_refuses_is_not_asked_again() {
    let url: Box<minke_cas::SourceUrl> = Box::new("http://host.test/x".parse().unwrap());
    let unknown =
        FetchError::Unauthorized { url: url.clone(), status: 401, credentials: CredentialsUse::NoneKnown };
    insta::assert_snapshot!(said(&fetch(&unknown, "-")), @"5 put the name and password for that host into ~/.netrc, or into the address: `https://NAME:PASSWORD@…`");
    let sent = FetchError::Unauthorized { url: url.clone(), status: 403, credentials: CredentialsUse::Sent };
    insta::assert_snapshot!(said(&fetch(&sent, "-")), @"5 the server refuses the name and password it was told; correct them");
    let missing = FetchError::NotFound { url: url.clone() };
    insta::assert_snapshot!(said(&fetch(&missing, "choose another suite")), @"5 choose another suite");
    let busy = FetchError::Status { url, status: 503 };
    insta::assert_snapshot!(said(&fetch(&busy, "-")), @"5 try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate");
}

#[test]
fn a_program_that_is_missing_is_told_from_a_shell() {
    let missing = |program: &str| said(&container(&RunError::NotFound { program: program.to_owned() }));
    insta::assert_snapshot!(missing("/bin/sh"), @"127 the image has no shell; `--entrypoint python` runs Python, and `minke build --shell` adds one");
    insta::assert_snapshot!(missing("serve"), @"127 `--entrypoint` runs another; programs of wheels are in /app/.venv/bin");
}

#[test]
fn a_full_disk_is_found_below_what_could_not_be_kept() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot unpack it")]
    struct Unpack(#[source] StoreError);
    let full = || StoreError::Io {
        action: "write",
        path: "/cache/x".into(),
        source: std::io::Error::from(ErrorKind::StorageFull),
    };
    assert!(cache_below(&Unpack(full())).is_some());
    assert!(cache_below(&full()).is_some());
    let damaged = StoreError::Input(std::io::Error::from(ErrorKind::InvalidData));
    assert!(cache_below(&Unpack(damaged)).is_none());
}

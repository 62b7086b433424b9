//! What to do about causes that many of the foreman's errors share: a server, uv, a signature, a room.

use std::error::Error;
use std::io::ErrorKind;

use minke_build::{CredentialsUse, FetchError, OutputError, ReleaseError, RunError, UvError};
use minke_cas::StoreError;

use super::{Advice, Exit, store};

/// What is wrong with a connection is said by the error; that it may pass is not.
pub(super) const AGAIN: &str =
    "try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate";

/// Mirrors are brought up to date file by file.
pub(super) const HALF_UPDATED: &str = "the mirror may be half updated: try again, or choose another";

/// What servers call credentials is theirs; where minke looks for them is ours.
const PASSWORD: &str =
    "put the name and password for that host into ~/.netrc, or into the address: `https://NAME:PASSWORD@…`";

/// Returns what the cache said if it is the operating system that refuses to read or write it, however deep: a full disk is
/// no fault of the package that was being unpacked.
pub(super) fn cache_below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a StoreError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(of_cache @ (StoreError::Io { .. } | StoreError::ReadOnly { .. })) = error.downcast_ref() {
            return Some(of_cache);
        }
        next = error.source();
    }
    None
}

/// Advises on something that cannot be fetched; `missing` says what to do where a server hasn't got it.
pub(super) fn fetch(error: &FetchError, missing: &str) -> Advice {
    match error {
        FetchError::NotFound { .. } => Exit::Network.help(missing),
        FetchError::Unauthorized { credentials: CredentialsUse::Sent, .. } => {
            Exit::Network.help("the server refuses the name and password it was told; correct them")
        }
        FetchError::Unauthorized { .. } => Exit::Network.help(PASSWORD),
        FetchError::HostNotFound { .. } => {
            Exit::Network.help("see that the address is right; behind a proxy, set HTTPS_PROXY")
        }
        FetchError::Tls { .. } => Exit::Network
            .help("name the certificate authority's file with SSL_CERT_FILE, if the server is your own"),
        FetchError::Status { .. }
        | FetchError::Timeout { .. }
        | FetchError::Connection { .. }
        | FetchError::Truncated { .. } => Exit::Network.help(AGAIN),
        FetchError::Protocol { .. }
        | FetchError::Encoding { .. }
        | FetchError::Redirect { .. }
        | FetchError::RedirectLoop { .. }
        | FetchError::TooManyRedirects { .. }
        | FetchError::TooLarge { .. } => {
            Exit::Network.help("see that the address is right; a proxy or a login page may stand before it")
        }
        FetchError::WrongDigest { .. } | FetchError::WrongSize { .. } => Exit::Network.help(
            "if you trust the new file, lock again; else another mirror or index may have the right one",
        ),
        FetchError::Mirror { source, .. } => fetch(source, missing),
        FetchError::Address { .. } => Exit::Project.help("correct the address"),
        FetchError::File { .. } => Exit::Project.help("see that it is there and may be read"),
        FetchError::Store { source, .. } => store(source),
    }
}

/// Advises on an image that cannot be written to where it was wanted.
pub(super) fn output(error: &OutputError) -> Advice {
    let source = match error {
        OutputError::Io { source, .. } | OutputError::Stream(source) => source,
        OutputError::Store(error) => return store(error),
        OutputError::Size { .. } => {
            return Exit::Project.help("remove the cache; what was in it is fetched and built again");
        }
        OutputError::Zstd { .. } => return Exit::Usage.help("choose `--compression gzip`"),
        OutputError::NotALayout { .. } => {
            return Exit::Project
                .help("name an empty directory, or one that is a layout; nothing was changed");
        }
        OutputError::Index { .. } => {
            return Exit::Project.help("name another directory; nothing was changed");
        }
    };
    Exit::Project.help(match source.kind() {
        ErrorKind::NotFound => "make the directory first, or name another place",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "name a place that you may write to",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room there, or name another place; what was built is kept, so that the next build is short"
        }
        ErrorKind::IsADirectory | ErrorKind::NotADirectory => "name another place, or remove what is there",
        _ => "name another place",
    })
}

/// Advises on what uv says, which is the only place where an index's errors and the resolver's are told.
///
/// uv has one exit status for most of them, so its words decide; words that it no longer says cost the hint,
/// never the error.
pub(super) fn uv(error: &UvError) -> Advice {
    let stderr = match error {
        UvError::Failed { stderr, .. } => stderr,
        UvError::TimedOut { .. } => return Exit::Network.help(AGAIN),
        UvError::Start { .. } | UvError::Answer { .. } => {
            return Exit::Project.help("see that the uv on PATH works, or take it away: minke gets its own");
        }
        UvError::Scratch(_) => return Exit::Project.help("see that the disk isn't full"),
    };
    let says = |words: &str| stderr.contains(words);
    if says("401 Unauthorized") || says("403 Forbidden") {
        Exit::Network.help(PASSWORD)
    } else if says("Failed to fetch") || says("error sending request") {
        Exit::Network.help(AGAIN)
    } else if says("Failed to build") {
        Exit::SourceBuild.help(
            "what it needs is known only when it is built, which minke does for versions of an index: lock it with \
             `uv lock`, or name one of those",
        )
    } else if says("needs to be updated") {
        Exit::Project.help("bring it up to date with `uv lock`")
    } else {
        Exit::Project.help(
            "correct the requirements; if they are right, see that UV_DEFAULT_INDEX or pip's `index-url` names the \
             index that has them",
        )
    }
}

/// Advises on an archive's release file that isn't trusted.
pub(super) fn release(error: &ReleaseError) -> Advice {
    match error {
        ReleaseError::Untrusted { .. } | ReleaseError::NotSigned(_) => Exit::Network.help(
            "for an archive of your own, name its keyring with `signed-by` in [tool.minke.debian]; else choose \
             another mirror",
        ),
        ReleaseError::Expired { .. } | ReleaseError::NotYetValid { .. } => {
            Exit::Network.help("see that this machine's clock is right; else choose another mirror or suite")
        }
        ReleaseError::OtherSuite { .. } | ReleaseError::Field { .. } => {
            Exit::Network.help("choose another mirror")
        }
    }
}

/// Advises on a container that doesn't start.
pub(super) fn container(error: &RunError) -> Advice {
    match error {
        RunError::NoProgram => Exit::Usage.help("name a program after the image"),
        RunError::NotFound { program } if is_shell(program) => Exit::NotFound.help(
            "the image has no shell; `--entrypoint python` runs Python, and `minke build --shell` adds one",
        ),
        RunError::NotFound { .. } => {
            Exit::NotFound.help("`--entrypoint` runs another; programs of wheels are in /app/.venv/bin")
        }
        RunError::Workdir { .. } => Exit::Usage.help("choose another with `--workdir`"),
        RunError::Refused(_) => Exit::Project
            .help("change that setting, or run minke as root; the image itself is good elsewhere"),
        RunError::Store(error) => store(error),
        RunError::Bind { .. } => Exit::Usage.help("see that it is there and may be read"),
        RunError::Nul(_) => Exit::Usage.help("leave the NUL out"),
        RunError::NoInterpreter { .. } => Exit::NotExecutable
            .help("build the image with the library or program that its first line or its ELF header names"),
        RunError::NotExecutable { .. } => Exit::NotExecutable
            .help("make it executable before the image is built, or name its interpreter first"),
        RunError::Setup { .. } => {
            Exit::Project.help("see what this machine refuses; the image itself is good elsewhere")
        }
        RunError::Terminal(_) => {
            Exit::Project.help("run it without a terminal: `minke run IMAGE < /dev/null`")
        }
    }
}

fn is_shell(program: &str) -> bool {
    matches!(program.rsplit('/').next(), Some("sh" | "bash" | "dash" | "ash"))
}

#[cfg(test)]
mod tests;

//! The `keyring` program: for the password that nothing else has, as pip and uv ask for it.
//!
//! Spec: <https://pip.pypa.io/en/stable/topics/authentication/#using-keyring-as-a-command-line-application>

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::{Ending, Job, Kill};

/// Somebody may have to unlock it.
const LIMIT: Duration = Duration::from_secs(120);

/// Asks for the password of a user at a service, or for both where no user is known.
///
/// None where it knows neither, or doesn't start; what it says on standard error is nobody's business. The
/// environment is the user's own, since there stands how to reach it.
pub fn ask_keyring(
    program: &Path,
    service: &str,
    user: Option<&str>,
    environment: &BTreeMap<String, String>,
) -> Option<(String, String)> {
    let mut command = Command::new(program);
    command.args(["get", service]);
    match user {
        Some(user) => command.arg(user),
        None => command.args(["--mode", "creds"]),
    };
    command.env_clear().envs(environment).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut job = Job::start(&mut command, LIMIT, Kill::Child).ok()?;
    let mut answer = String::new();
    let stdout = job.child().stdout.take().expect("stdout was asked for");
    let read = stdout.take(64 << 10).read_to_string(&mut answer);
    match job.finish().ok()? {
        (Ending::Exited(status), _) if status.success() && read.is_ok() => {}
        _ => return None,
    }
    let mut lines = answer.lines();
    let user = user.or_else(|| lines.next())?.to_owned();
    let password = lines.next().filter(|password| !password.is_empty())?.to_owned();
    Some((user, password))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_asked_as_pip_and_uv_ask_it() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("keyring");
        let script = "#!/bin/sh\n\
            case \"$*\" in 'get host.test me') echo s3cret;; 'get host.test --mode creds') echo you; echo pw;;\n\
            *) echo 'no such thing' >&2; exit 1;; esac\n";
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let ask = |service, user| ask_keyring(&program, service, user, &BTreeMap::new());
        assert_eq!(ask("host.test", Some("me")), Some(("me".to_owned(), "s3cret".to_owned())));
        assert_eq!(ask("host.test", None), Some(("you".to_owned(), "pw".to_owned())));
        assert_eq!(ask("host.test", Some("stranger")), None);
        assert_eq!(ask_keyring(Path::new("/no/keyring"), "host.test", None, &BTreeMap::new()), None);
    }
}

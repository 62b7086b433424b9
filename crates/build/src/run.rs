//! Runs an image of the store here: `minke run`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use minke_cas::{ImagePath, PathError, Store, StoreError, Tree};
use minke_exec::{Access, Bind, Container, RunError, User};
use minke_oci::{FlattenError, Image, ImageConfig};

pub use minke_exec::{Network, RootAccess, Terminal};

use crate::error::BuildError;
use crate::images;
use crate::platform::Platform;
use crate::request::Host;

/// An image to run, and how.
#[derive(Clone)]
pub struct RunRequest {
    /// Its name, `NAME[:TAG]` or `NAME@sha256:…`.
    pub image: String,
    /// Arguments in place of the image's `cmd`; none for that.
    pub args: Vec<String>,
    /// An entry point in place of the image's, whose `cmd` then doesn't count.
    pub entrypoint: Option<Vec<String>>,
    /// Environment variables over the image's.
    pub env: Vec<(String, String)>,
    /// What of the host's is mounted: `HOST:PATH[:ro]`.
    pub binds: Vec<String>,
    /// What may be written in the container's root.
    pub root_access: RootAccess,
    /// Which network it has.
    pub network: Network,
    /// Where it starts, in place of the image's `workdir`.
    pub workdir: Option<ImagePath>,
    /// Whom it runs as, in place of the image's user.
    pub user: Option<String>,
    /// What its stdin, stdout and stderr are.
    pub terminal: Terminal,
    /// The host, as far as minke may know it.
    pub host: Host,
}

/// An image cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum RunStepError {
    /// Its layers cannot be read.
    #[error("cannot read the layers of `{image}`")]
    Flatten {
        /// The image.
        image: String,
        /// What is wrong.
        source: FlattenError,
    },
    /// A bind isn't written as one.
    #[error("`{bind}` is not `HOST:PATH` or `HOST:PATH:ro`")]
    Bind {
        /// What was given.
        bind: String,
    },
    /// A path of the image's config is none.
    #[error("the image's working directory is no path")]
    Path(#[source] PathError),
    /// The user isn't in the image.
    #[error("there is no user `{user}` in the image's /etc/passwd")]
    UnknownUser {
        /// Who was asked for.
        user: String,
    },
    /// A group isn't in the image.
    #[error("there is no group `{group}` in the image's /etc/group")]
    UnknownGroup {
        /// Which was asked for.
        group: String,
    },
    /// The store failed.
    #[error("cannot read the image")]
    Store(#[from] StoreError),
    /// It is for other machines, and didn't start.
    #[error("`{image}` is for {platform}, and this machine runs no such programs")]
    Foreign {
        /// The image.
        image: String,
        /// What it is for.
        platform: String,
        /// What happened.
        source: RunError,
    },
    /// It didn't start, or could not be watched.
    #[error("`{image}` did not start")]
    Run {
        /// The image.
        image: String,
        /// What happened.
        source: RunError,
    },
}

/// Runs an image until it ends, and returns its exit code; 128 and the signal where one has ended it.
///
/// # Errors
/// [`BuildError::Images`] if there is no such image; [`BuildError::Run`].
pub fn run(request: &RunRequest, store: &Store) -> Result<u8, BuildError> {
    let image = images::find(store, &request.image).map_err(BuildError::Images)?;
    let container = container(request, store, &image).map_err(BuildError::Run)?;
    let failed = |source| {
        let image_name = request.image.clone();
        let platform = image.settings.platform.to_string();
        let is_foreign = platform.parse().ok() != Platform::here();
        BuildError::Run(match source {
            RunError::NotExecutable { .. } if is_foreign => {
                RunStepError::Foreign { image: image_name, platform, source }
            }
            _ => RunStepError::Run { image: image_name, source },
        })
    };
    container.run(store).map(|exit| exit.code()).map_err(failed)
}

fn container(request: &RunRequest, store: &Store, image: &Image) -> Result<Container, RunStepError> {
    let flatten = |source| RunStepError::Flatten { image: request.image.clone(), source };
    let root = minke_oci::flatten(store, image).map_err(flatten)?;
    let settings = &image.settings;
    let mut env: BTreeMap<String, String> = settings.env.iter().cloned().collect();
    env.extend(request.env.iter().cloned());
    let named = request.user.as_deref().or(settings.user.as_deref()).unwrap_or_default();
    let user = user(store, &root, named)?;
    let workdir = match &request.workdir {
        Some(path) => path.clone(),
        None => settings.workdir.as_deref().unwrap_or("/").parse().map_err(RunStepError::Path)?,
    };
    Ok(Container {
        argv: argv(request, settings),
        env,
        workdir,
        user,
        hostname: image.manifest.hex()[..12].to_owned(),
        binds: request.binds.iter().map(|text| bind(text, request)).collect::<Result<_, _>>()?,
        root_access: request.root_access,
        network: request.network,
        terminal: request.terminal,
        root,
    })
}

fn argv(request: &RunRequest, settings: &ImageConfig) -> Vec<String> {
    let entrypoint = request.entrypoint.as_ref().unwrap_or(&settings.entrypoint);
    let arguments = match (&request.args[..], &request.entrypoint) {
        ([], None) => &settings.cmd,
        _ => &request.args,
    };
    entrypoint.iter().chain(arguments).cloned().collect()
}

fn bind(text: &str, request: &RunRequest) -> Result<Bind, RunStepError> {
    let refused = || RunStepError::Bind { bind: text.to_owned() };
    let parts: Vec<&str> = text.split(':').collect();
    let (host, image, access) = match parts[..] {
        [host, image] | [host, image, "rw"] => (host, image, Access::ReadWrite),
        [host, image, "ro"] => (host, image, Access::ReadOnly),
        _ => return Err(refused()),
    };
    let host = request.host.directory.join(PathBuf::from(host));
    Ok(Bind { host, image: image.parse().map_err(|_| refused())?, access })
}

/// Finds out who `NAME`, `UID`, `UID:GID` or `NAME:GROUP` is; nobody named is root.
pub(crate) fn user(store: &Store, root: &Tree, named: &str) -> Result<User, RunStepError> {
    let (user, group) = named.split_once(':').map_or((named, None), |(user, group)| (user, Some(group)));
    let passwd = lines(store, root, "/etc/passwd")?;
    let uid: Option<u32> = if user.is_empty() { Some(0) } else { user.parse().ok() };
    let line = passwd.iter().find(|fields| match uid {
        Some(uid) => fields.get(2).is_some_and(|field| *field == uid.to_string()),
        None => fields.first().is_some_and(|name| name == user),
    });
    let number = |field: Option<&String>| field.and_then(|text| text.parse::<u32>().ok());
    let uid = uid.or_else(|| number(line?.get(2)));
    let uid = uid.ok_or_else(|| RunStepError::UnknownUser { user: user.to_owned() })?;
    let gid = match group {
        None => line.and_then(|fields| number(fields.get(3))).unwrap_or(0),
        Some(group) => match group.parse() {
            Ok(gid) => gid,
            Err(_) => {
                let groups = lines(store, root, "/etc/group")?;
                let line = groups.iter().find(|fields| fields.first().is_some_and(|name| name == group));
                let unknown = || RunStepError::UnknownGroup { group: group.to_owned() };
                line.and_then(|fields| number(fields.get(2))).ok_or_else(unknown)?
            }
        },
    };
    let home = line.and_then(|fields| fields.get(5)).filter(|home| !home.is_empty());
    Ok(User { uid, gid, home: home.cloned().unwrap_or_else(|| "/".to_owned()) })
}

fn lines(store: &Store, root: &Tree, path: &str) -> Result<Vec<Vec<String>>, StoreError> {
    let path: ImagePath = path.parse().expect("a path");
    let Some(file) = root.resolve_file(&path) else { return Ok(Vec::new()) };
    let bytes = store.read_file(file)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect())
}

#[cfg(test)]
mod tests {
    use minke_cas::{File, Mode};

    use super::*;

    fn found(named: &str) -> String {
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        let mut root = Tree::new();
        for (path, text) in [
            (
                "/etc/passwd",
                "root:x:0:0:root:/root:/bin/sh\nnonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n",
            ),
            ("/etc/group", "root:x:0:\nweb:x:33:\n"),
        ] {
            let file = File::new(store.put(text.as_bytes()).unwrap(), text.len() as u64, Mode::REGULAR);
            root.insert(&path.parse().unwrap(), file.into()).unwrap();
        }
        match user(&store, &root, named) {
            Ok(User { uid, gid, home }) => format!("{uid}:{gid} {home}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn users_are_found_as_docker_finds_them() {
        assert_eq!(found(""), "0:0 /root");
        assert_eq!(found("nonroot"), "65532:65532 /home/nonroot");
        assert_eq!(found("65532"), "65532:65532 /home/nonroot");
        assert_eq!(found("1000"), "1000:0 /");
        assert_eq!(found("1000:1000"), "1000:1000 /");
        assert_eq!(found("nonroot:web"), "65532:33 /home/nonroot");
        assert_eq!(found("me"), "there is no user `me` in the image's /etc/passwd");
        assert_eq!(found("0:me"), "there is no group `me` in the image's /etc/group");
    }
}

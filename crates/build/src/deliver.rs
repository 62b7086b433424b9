//! Hands an image over to where the user wants it.

use std::path::PathBuf;

use minke_cas::Store;
use minke_net::docker::{self, DockerError};
use minke_oci::{
    Destination, Image, OutputError, Reference, save_docker_archive, save_oci_archive, write_docker_archive,
    write_layout,
};

use crate::request::Host;

/// Where Docker's daemon listens where `DOCKER_HOST` doesn't say.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// An image cannot be handed over.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// A file or directory cannot be written.
    #[error("cannot write the image to `{destination}`")]
    Write {
        /// Where to.
        destination: String,
        /// What happened.
        source: OutputError,
    },
    /// Docker's daemon didn't take it.
    #[error("cannot load `{name}` into Docker")]
    Docker {
        /// What the image was to be called.
        name: String,
        /// What happened.
        source: DockerError,
    },
    /// `DOCKER_HOST` names something other than a socket.
    #[error("`DOCKER_HOST` is `{value}`, and only `unix://` sockets are known")]
    DockerHost {
        /// What it says.
        value: String,
    },
}

/// Writes an image to a destination; relative paths start where the user stands.
///
/// # Errors
/// [`DeliverError`] names the destination.
pub fn deliver(
    store: &Store,
    (image, name): (&Image, &Reference),
    (text, destination): (&str, &Destination),
    host: &Host,
) -> Result<(), DeliverError> {
    let write = |source| DeliverError::Write { destination: text.to_owned(), source };
    let here = |path: &PathBuf| host.directory.join(path);
    match destination {
        Destination::OciLayout { directory, name } => {
            write_layout(store, image, &here(directory), name.as_ref()).map_err(write)
        }
        Destination::OciArchive { file, name } => {
            save_oci_archive(store, image, name.as_ref(), &here(file)).map_err(write)
        }
        Destination::DockerArchive { file, name: other } => {
            save_docker_archive(store, image, other.as_ref().unwrap_or(name), &here(file)).map_err(write)
        }
        Destination::DockerDaemon { name } => {
            let failed = |source| DeliverError::Docker { name: name.to_string(), source };
            let socket = docker_socket(host)?;
            let loaded = docker::load(&socket, |out| {
                write_docker_archive(store, image, name, out).map_err(std::io::Error::other)
            });
            loaded.map(|_report| ()).map_err(failed)
        }
    }
}

fn docker_socket(host: &Host) -> Result<PathBuf, DeliverError> {
    match host.variables.get("DOCKER_HOST").filter(|value| !value.is_empty()) {
        None => Ok(PathBuf::from(DOCKER_SOCKET)),
        Some(value) => match value.strip_prefix("unix://") {
            Some(path) => Ok(PathBuf::from(path)),
            None => Err(DeliverError::DockerHost { value: value.clone() }),
        },
    }
}

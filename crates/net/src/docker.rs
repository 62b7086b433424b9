//! Delivers an image to a Docker daemon through its socket.
//!
//! The image goes as a `docker-archive` that carries its own name, so that one request does it all. The daemon
//! is spoken to in plain HTTP/1.1 over the unix socket, by hand: it is one request, and `ureq` knows no such
//! sockets. The archive is written while it is sent; nothing is kept.
//!
//! Spec: <https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageLoad>

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

/// How long the daemon may do nothing; it is silent while it unpacks, and large images take minutes.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// A daemon that has more to say than this says nothing of use.
const LONGEST_ANSWER_BYTES: u64 = 1 << 20;

const CHUNK_BYTES: usize = 128 * 1024;

/// What the daemon says it has loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadReport {
    /// The names, or where an image has none, its ID (`sha256:…`).
    pub images: Vec<String>,
}

/// An image could not be delivered to the daemon.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// There is no socket: Docker isn't installed, or is set up to listen elsewhere.
    #[error("there is no Docker socket at `{}`", path.display())]
    NoSocket {
        /// Where it should be.
        path: PathBuf,
    },
    /// There is a socket, but nobody listens on it.
    #[error("no Docker daemon listens at `{}`", path.display())]
    NotRunning {
        /// The socket.
        path: PathBuf,
    },
    /// This user may not use the socket.
    #[error("this user may not use the Docker socket `{}`", path.display())]
    Denied {
        /// The socket.
        path: PathBuf,
    },
    /// The connection broke, or the daemon fell silent.
    #[error("lost the Docker daemon at `{}`", path.display())]
    Connection {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The daemon doesn't want the image.
    #[error("the Docker daemon refuses the image: {message}")]
    Refused {
        /// What the daemon said.
        message: String,
    },
    /// Whoever listens there doesn't answer as a Docker daemon does.
    #[error("what listens at `{}` does not answer as a Docker daemon", path.display())]
    NotDocker {
        /// The socket.
        path: PathBuf,
    },
    /// The image itself could not be read; the daemon has been told nothing that it could keep.
    #[error("cannot read the image that was to be loaded")]
    Image(#[source] io::Error),
}

/// Sends what `write_tar` writes to the daemon at `socket`, and waits until it is loaded.
///
/// # Errors
/// [`DockerError::Image`] if `write_tar` itself fails; [`DockerError::Refused`] if the daemon says so, be it
/// before all is sent; the others if there is no daemon to speak to.
pub fn load(
    socket: &Path,
    write_tar: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<LoadReport, DockerError> {
    let lost = |source| DockerError::Connection { path: socket.to_owned(), source };
    let stream = connect(socket)?;
    let mut body = Chunks { stream: &stream, lost: false };
    let sent = body.start().and_then(|()| {
        let mut buffered = BufWriter::with_capacity(CHUNK_BYTES, &mut body);
        write_tar(&mut buffered)?;
        buffered.flush()
    });
    match sent {
        // What went wrong is the image's fault unless the connection is gone; then the daemon may say why.
        Err(error) if !body.lost => return Err(DockerError::Image(error)),
        Err(error) => {
            let Ok(answer) = Answer::read(&stream) else { return Err(lost(error)) };
            return answer.report(socket).and_then(|_| Err(lost(error)));
        }
        Ok(()) => {}
    }
    let finished = body.finish();
    let answer = match (Answer::read(&stream), finished) {
        (Ok(answer), _) => answer,
        (Err(ReadError::Lost(_)), Err(error)) | (Err(ReadError::Lost(error)), Ok(())) => {
            return Err(lost(error));
        }
        (Err(ReadError::NotHttp), _) => return Err(DockerError::NotDocker { path: socket.to_owned() }),
    };
    answer.report(socket)
}

fn connect(socket: &Path) -> Result<UnixStream, DockerError> {
    let path = socket.to_owned();
    let stream = UnixStream::connect(socket).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => DockerError::NoSocket { path: path.clone() },
        io::ErrorKind::ConnectionRefused => DockerError::NotRunning { path: path.clone() },
        io::ErrorKind::PermissionDenied => DockerError::Denied { path: path.clone() },
        _ => DockerError::Connection { path: path.clone(), source },
    })?;
    let limits =
        stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    limits.map_err(|source| DockerError::Connection { path, source })?;
    Ok(stream)
}

/// The request, whose body is sent in chunks because nobody knows its length beforehand.
struct Chunks<'stream> {
    stream: &'stream UnixStream,
    /// Whether the connection failed, as against what is sent through it.
    lost: bool,
}

impl Chunks<'_> {
    fn start(&mut self) -> io::Result<()> {
        self.send(
            b"POST /images/load?quiet=1 HTTP/1.1\r\nHost: docker\r\nContent-Type: application/x-tar\r\n\
            Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        )
    }

    fn finish(&mut self) -> io::Result<()> {
        self.send(b"0\r\n\r\n")
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = self.stream.write_all(bytes);
        self.lost |= sent.is_err();
        sent
    }
}

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // An empty chunk would end the body.
        if !bytes.is_empty() {
            self.send(format!("{:x}\r\n", bytes.len()).as_bytes())?;
            self.send(bytes)?;
            self.send(b"\r\n")?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the daemon answered.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

enum ReadError {
    Lost(io::Error),
    NotHttp,
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

/// One line of the daemon's answer.
#[derive(Deserialize)]
struct Line {
    stream: Option<String>,
    error: Option<String>,
    message: Option<String>,
}

impl Answer {
    fn read(stream: &UnixStream) -> Result<Self, ReadError> {
        let mut reader = BufReader::new(stream.take(LONGEST_ANSWER_BYTES));
        let first = line(&mut reader)?;
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        let status = status.ok_or(ReadError::NotHttp)?;
        let mut headers = BTreeMap::new();
        loop {
            let line = line(&mut reader)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or(ReadError::NotHttp)?;
            headers.insert(name.to_ascii_lowercase(), value.trim().to_ascii_lowercase());
        }
        let mut body = Vec::new();
        if headers.get("transfer-encoding").is_some_and(|value| value == "chunked") {
            loop {
                let size = line(&mut reader)?;
                let size = size.split(';').next().unwrap_or_default();
                let size = u64::from_str_radix(size.trim(), 16).map_err(|_| ReadError::NotHttp)?;
                if size == 0 {
                    break;
                }
                copy_exactly(&mut reader, size, &mut body)?;
                line(&mut reader)?;
            }
        } else if let Some(size) = headers.get("content-length").and_then(|value| value.parse().ok()) {
            copy_exactly(&mut reader, size, &mut body)?;
        } else {
            reader.read_to_end(&mut body)?;
        }
        Ok(Self { status, body })
    }

    /// Makes sense of the lines that the daemon sent.
    fn report(&self, socket: &Path) -> Result<LoadReport, DockerError> {
        let text = String::from_utf8_lossy(&self.body);
        let lines: Vec<Line> =
            serde_json::Deserializer::from_str(&text).into_iter().map_while(Result::ok).collect();
        let refusal = lines.iter().find_map(|line| line.error.clone().or_else(|| line.message.clone()));
        if let Some(message) = refusal {
            return Err(DockerError::Refused { message: message.trim().to_owned() });
        }
        if self.status != 200 {
            return Err(DockerError::NotDocker { path: socket.to_owned() });
        }
        let said = lines.iter().filter_map(|line| line.stream.as_deref()).flat_map(str::lines);
        let images = said.filter_map(|line| {
            line.strip_prefix("Loaded image: ")
                .or_else(|| line.strip_prefix("Loaded image ID: "))
                .map(str::to_owned)
        });
        Ok(LoadReport { images: images.collect() })
    }
}

fn line(reader: &mut impl BufRead) -> Result<String, ReadError> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    let line = line.strip_suffix(b"\n").ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8(line.to_vec()).map_err(|_| ReadError::NotHttp)
}

fn copy_exactly(reader: &mut impl Read, size: u64, body: &mut Vec<u8>) -> Result<(), ReadError> {
    match reader.take(size).read_to_end(body)? as u64 {
        count if count == size => Ok(()),
        _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}

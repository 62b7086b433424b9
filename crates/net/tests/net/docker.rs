//! Delivering to a Docker daemon: a made-up one that misbehaves, and the real one.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use minke_net::docker::{DockerError, LoadReport, load};
use tempfile::TempDir;

use crate::support::content;

/// A socket that answers one request with `answer`, and then gives what it was sent.
struct Daemon {
    directory: TempDir,
    sent: JoinHandle<Vec<u8>>,
}

/// When a made-up daemon answers.
enum When {
    /// After the whole request.
    AtTheEnd,
    /// After its head, and then it hangs up.
    AtOnce,
}

impl Daemon {
    fn start(when: When, answer: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("docker.sock")).unwrap();
        let answer = answer.to_owned();
        let sent = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut sent = Vec::new();
            let end: &[u8] = match when {
                When::AtTheEnd => b"\r\n0\r\n\r\n",
                When::AtOnce => b"\r\n\r\n",
            };
            let mut byte = [0];
            while !sent.ends_with(end) && stream.read(&mut byte).unwrap() == 1 {
                sent.push(byte[0]);
            }
            let _ = stream.write_all(answer.as_bytes());
            sent
        });
        Self { directory, sent }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }
}

fn answer(status: &str, body: &str) -> String {
    let (first, second) = body.split_at(body.len() / 2);
    let mut chunks: String = [first, second]
        .iter()
        .filter(|part| !part.is_empty())
        .map(|part| format!("{:x}\r\n{part}\r\n", part.len()))
        .collect();
    chunks.push_str("0\r\n\r\n");
    format!("HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
}

fn a_tar(writer: &mut dyn Write) -> io::Result<()> {
    writer.write_all(b"some ")?;
    writer.write_all(b"")?;
    writer.write_all(b"bytes")
}

#[test]
fn an_image_is_sent_and_its_name_comes_back() {
    let said =
        "{\"stream\":\"Loaded image: app:latest\\n\"}\r\n{\"stream\":\"Loaded image ID: sha256:12\\n\"}\r\n";
    let daemon = Daemon::start(When::AtTheEnd, &answer("200 OK", said));
    let report = load(&daemon.socket(), a_tar).unwrap();
    assert_eq!(report, LoadReport { images: vec!["app:latest".to_owned(), "sha256:12".to_owned()] });
    insta::assert_snapshot!(String::from_utf8(daemon.sent.join().unwrap()).unwrap().replace('\r', ""), @r"
        POST /images/load?quiet=1 HTTP/1.1
        Host: docker
        Content-Type: application/x-tar
        Transfer-Encoding: chunked
        Connection: close

        a
        some bytes
        0
    ");
}

#[test]
fn a_large_image_arrives_whole() {
    let daemon = Daemon::start(When::AtTheEnd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let bytes = content(1_000_000);
    load(&daemon.socket(), |writer| bytes.chunks(4000).try_for_each(|chunk| writer.write_all(chunk)))
        .unwrap();
    let sent = daemon.sent.join().unwrap();
    let mut rest = &sent[sent.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4..];
    let mut arrived = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        arrived.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
    assert!(arrived == bytes);
}

#[test]
fn what_the_daemon_says_is_wrong_is_said() {
    for answer in [
        answer("200 OK", "{\"errorDetail\":{\"message\":\"no space\"},\"error\":\"no space\\n\"}"),
        answer("500 Internal Server Error", "{\"message\":\"no space\"}"),
        "HTTP/1.0 500 Oops\r\n\r\n{\"message\":\"no space\"}".to_owned(),
    ] {
        let daemon = Daemon::start(When::AtTheEnd, &answer);
        let error = load(&daemon.socket(), a_tar).unwrap_err();
        assert!(matches!(&error, DockerError::Refused { message } if message == "no space"), "{error:?}");
    }
}

#[test]
fn a_daemon_that_refuses_early_is_heard() {
    let daemon = Daemon::start(When::AtOnce, &answer("400 Bad Request", "{\"message\":\"not today\"}"));
    let endless = |writer: &mut dyn Write| (0..10_000).try_for_each(|_| writer.write_all(&[0; 10_000]));
    let error = load(&daemon.socket(), endless).unwrap_err();
    assert!(matches!(&error, DockerError::Refused { message } if message == "not today"), "{error:?}");
}

#[test]
fn an_image_that_cannot_be_read_is_no_fault_of_the_daemon() {
    let daemon = Daemon::start(When::AtTheEnd, "");
    let error = load(&daemon.socket(), |writer| {
        writer.write_all(b"half")?;
        Err(io::Error::other("the disk is gone"))
    });
    assert!(matches!(error, Err(DockerError::Image(source)) if source.to_string() == "the disk is gone"));
    // The body never ended, so that the daemon cannot take it for whole.
    assert!(!daemon.sent.join().unwrap().ends_with(b"0\r\n\r\n"));
}

#[test]
fn who_is_no_daemon_is_told_apart() {
    let error = |answer: &str| load(&Daemon::start(When::AtTheEnd, answer).socket(), a_tar).unwrap_err();
    assert!(matches!(error("220 mail.test ready\r\n"), DockerError::NotDocker { .. }));
    assert!(matches!(error("HTTP/1.1 404 Not Found\r\n\r\nnothing"), DockerError::NotDocker { .. }));
    assert!(matches!(error(""), DockerError::Connection { .. }));
    assert!(matches!(error("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), DockerError::Connection { .. }));
}

#[test]
fn a_socket_that_is_missing_dead_or_closed_to_us_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    assert!(matches!(load(&socket, a_tar), Err(DockerError::NoSocket { path }) if path == socket));
    let listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may use any socket, so that only another user sees this one as closed.
    if UnixStream::connect(&socket).is_err() {
        assert!(matches!(load(&socket, a_tar), Err(DockerError::Denied { path }) if path == socket));
    }
    drop(listener);
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(load(&socket, a_tar), Err(DockerError::NotRunning { path }) if path == socket));
}

/// A real daemon with a data directory of its own; it ends with the test.
struct RealDaemon {
    process: Child,
    directory: TempDir,
}

impl RealDaemon {
    /// Starts one, or says why there is none.
    fn start() -> Result<Self, String> {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let process = Command::new("dockerd")
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .arg("--host")
            .arg(format!("unix://{}", at("docker.sock").display()))
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs"])
            .stdout(Stdio::null())
            .stderr(fs::File::create(at("log")).unwrap())
            .spawn()
            .map_err(|error| format!("dockerd: {error}"))?;
        let mut daemon = Self { process, directory };
        let start = Instant::now();
        while UnixStream::connect(daemon.socket()).is_err() {
            let ended = daemon.process.try_wait().unwrap();
            if ended.is_some() || start.elapsed() > Duration::from_secs(60) {
                let log = fs::read_to_string(daemon.directory.path().join("log")).unwrap_or_default();
                return Err(format!(
                    "dockerd does not start here: {}",
                    log.lines().last().unwrap_or_default()
                ));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(daemon)
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    fn docker(&self, arguments: &[&str]) -> String {
        let host = format!("unix://{}", self.socket().display());
        let output = Command::new("docker").args(["--host", &host]).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for RealDaemon {
    fn drop(&mut self) {
        // Asked politely it also ends the containerd that it started.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

/// Writes an archive of one image with one empty layer.
fn archive(writer: &mut dyn Write, name: &str) -> io::Result<()> {
    let layer = [0; 1024];
    let diff_id = minke_cas::Digest::of(&layer);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
    );
    let manifest = format!(r#"[{{"Config":"config.json","RepoTags":["{name}"],"Layers":["layer.tar"]}}]"#);
    for (name, bytes) in [
        ("layer.tar", &layer[..]),
        ("config.json", config.as_bytes()),
        ("manifest.json", manifest.as_bytes()),
    ] {
        writer.write_all(&header(name, bytes.len()))?;
        writer.write_all(bytes)?;
        writer.write_all(&vec![0; bytes.len().next_multiple_of(512) - bytes.len()])?;
    }
    writer.write_all(&[0; 1024])
}

fn header(name: &str, size: usize) -> Vec<u8> {
    let mut header = vec![0; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(124, &format!("{size:011o}\0"));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().copied().map(u32::from).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[test]
fn a_real_daemon_takes_an_image_and_refuses_rubbish() {
    let missing =
        ["/usr/sbin/dockerd", "/usr/bin/docker"].into_iter().find(|program| !Path::new(program).exists());
    if let Some(program) = missing {
        eprintln!("skipped: {program} is missing");
        return;
    }
    let daemon = match RealDaemon::start() {
        Ok(daemon) => daemon,
        Err(reason) => {
            eprintln!("skipped: {reason}");
            return;
        }
    };
    let report = load(&daemon.socket(), |writer| archive(writer, "minke-test:one")).unwrap();
    assert_eq!(report.images, ["minke-test:one"]);
    assert_eq!(daemon.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]), "minke-test:one\n");
    let rubbish = load(&daemon.socket(), |writer| writer.write_all(&[7; 100_000]));
    assert!(matches!(rubbish, Err(DockerError::Refused { .. })), "{rubbish:?}");
    let torn = load(&daemon.socket(), |_| Err(io::Error::other("torn")));
    assert!(matches!(torn, Err(DockerError::Image(_))), "{torn:?}");
}

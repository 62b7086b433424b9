use std::io::{Read as _, Write as _};
use std::process::Command;
use std::time::Duration;

use super::*;
use crate::program;

/// What curl makes of a path: `EXIT STATUS BODY`.
fn curl(server: &Server, path: &str, more: &[&str]) -> Option<String> {
    let output = Command::new(program("curl")?)
        .args(["--silent", "--noproxy", "*", "--max-time", "5", "--write-out", " %{http_code}"])
        .args(more)
        .arg(server.url_of(path))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = said.rsplit_once(' ').unwrap();
    Some(format!("{} {status} {body}", output.status.code().unwrap()))
}

fn letters() -> Server {
    Server::new(|request| match request.path.as_str() {
        "/letters" => Response::ok("abcdefghij"),
        "/echo" => Response::ok(format!("{} {:?}", request.method, String::from_utf8_lossy(&request.body))),
        _ => Response::status(404),
    })
}

#[test]
fn curl_reads_bodies_ranges_and_statuses() {
    let server = letters();
    let Some(whole) = curl(&server, "/letters", &[]) else { return };
    assert_eq!(whole, "0 200 abcdefghij");
    assert_eq!(curl(&server, "/letters", &["--range", "3-5"]).unwrap(), "0 206 def");
    assert_eq!(curl(&server, "/letters", &["--range", "8-"]).unwrap(), "0 206 ij");
    assert_eq!(curl(&server, "/letters", &["--range", "-2"]).unwrap(), "0 206 ij");
    assert_eq!(curl(&server, "/letters", &["--range", "10-"]).unwrap(), "0 416 ");
    assert_eq!(
        curl(&server, "/letters", &["--range", "3-", "--header", "If-Range: \"old\""]).unwrap(),
        whole
    );
    assert_eq!(curl(&server, "/nothing", &[]).unwrap(), "0 404 404\n");
    assert_eq!(curl(&server, "/letters?x=1", &["--head", "--output", "/dev/null"]).unwrap(), "0 200 ");
    assert_eq!(curl(&server, "/echo", &["--data", "hello"]).unwrap(), "0 200 POST \"hello\"");
    let chunked = ["--data", "hello", "--header", "Transfer-Encoding: chunked"];
    assert_eq!(curl(&server, "/echo", &chunked).unwrap(), "0 200 POST \"hello\"");
    assert_eq!(server.requests("/letters"), 7);
    assert_eq!(server.counts(), [("/echo".into(), 2), ("/letters".into(), 7), ("/nothing".into(), 1)].into());
    server.forget();
    assert_eq!(server.log(), []);
}

#[test]
fn curl_meets_every_fault() {
    let server = letters();
    let mut report = String::new();
    let elsewhere = Fault::RedirectTo(server.url_of("/echo"));
    let faults = [
        Fault::Status(500),
        Fault::RetryAfter(7),
        Fault::TruncateAfter(4),
        Fault::StallAfter(4),
        Fault::StallBeforeHead,
        Fault::WrongBytes,
        Fault::Body(b"other".to_vec()),
        Fault::RedirectLoop,
        elsewhere,
        Fault::Drip(3, Duration::from_millis(10)),
        Fault::HangUp,
        Fault::NotHttp,
        Fault::NoRanges,
    ];
    for fault in faults {
        server.fault("/letters", fault.clone());
        let arguments = ["--location", "--max-redirs", "5", "--max-time", "1", "--http1.1", "--range", "0-8"];
        let Some(met) = curl(&server, "/letters", &arguments) else { return };
        report.push_str(&format!("{fault:?}: {met:?}\n").replace(&server.url(), "URL"));
    }
    server.heal("/letters");
    report.push_str(&curl(&server, "/letters", &[]).unwrap());
    insta::assert_snapshot!(report, @r#"
    Status(500): "0 500 500\n"
    RetryAfter(7): "0 503 503\n"
    TruncateAfter(4): "18 206 abcd"
    StallAfter(4): "28 206 abcd"
    StallBeforeHead: "28 000 "
    WrongBytes: "0 206 4761032=<"
    Body([111, 116, 104, 101, 114]): "0 206 other"
    RedirectLoop: "47 302 "
    RedirectTo("URL/echo"): "0 206 GET \"\""
    Drip(3, 10ms): "0 206 abcdefghi"
    HangUp: "52 000 "
    NotHttp: "1 000 "
    NoRanges: "0 200 abcdefghij"
    0 200 abcdefghij
    "#);
}

#[test]
fn a_fault_for_once_is_over_after_one_request() {
    let server = letters();
    server.fault_once("/letters", Fault::Status(503));
    server.fault_once("/letters", Fault::Status(502));
    let Some(first) = curl(&server, "/letters", &[]) else { return };
    let rest = [curl(&server, "/letters", &[]).unwrap(), curl(&server, "/letters", &[]).unwrap()];
    assert_eq!(
        (first.as_str(), rest[0].as_str(), rest[1].as_str()),
        ("0 503 503\n", "0 502 502\n", "0 200 abcdefghij")
    );
}

#[test]
fn who_has_no_credentials_is_told_to_send_some() {
    let server = letters();
    server.require_basic_auth("ann", "s3cret");
    let Some(refused) = curl(&server, "/letters", &[]) else { return };
    assert_eq!(refused, "0 401 401\n");
    assert_eq!(curl(&server, "/letters", &["--user", "ann:s3cret"]).unwrap(), "0 200 abcdefghij");
    assert_eq!(curl(&server, "/letters", &["--user", "ann:wrong"]).unwrap(), "0 401 401\n");
}

#[test]
fn a_directory_is_served_and_nothing_above_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("a b")).unwrap();
    fs::write(dir.path().join("a b/index.html"), "index").unwrap();
    fs::write(dir.path().join("secret"), "secret").unwrap();
    let server = Server::serve_dir(dir.path().join("a b"));
    let Some(found) = curl(&server, "/", &[]) else { return };
    assert_eq!(found, "0 200 index");
    assert_eq!(curl(&server, "/index%2ehtml", &[]).unwrap(), "0 200 index");
    assert_eq!(curl(&server, "/../secret", &["--path-as-is"]).unwrap(), "0 400 400\n");
}

#[test]
fn dropping_the_server_ends_a_stalled_answer() {
    let server = letters();
    server.fault("/letters", Fault::StallBeforeHead);
    let mut stream = TcpStream::connect(server.host()).unwrap();
    stream.write_all(b"GET /letters HTTP/1.1\r\nHost: host.test\r\n\r\n").unwrap();
    while server.requests("/letters") == 0 {
        thread::yield_now();
    }
    drop(server);
    let mut rest = Vec::new();
    // Whether the connection ends politely or is reset doesn't matter: it ends.
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(rest, b"");
}

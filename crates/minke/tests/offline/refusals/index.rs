//! What an index of wheels may have wrong, and wheels that don't fit.

use insta::assert_snapshot;
use minke_testkit::{Fault, Server, Wheel, sha256_hex};

use crate::town::Town;

fn toy() -> Wheel {
    Wheel::new("toy", "1.0").file("toy.py", "A = 1\n".repeat(1000))
}

const PATH: &str = "/files/toy-1.0-py3-none-any.whl";

#[test]
fn a_wheel_that_is_not_what_was_locked() {
    let Some(town) = Town::with(&[toy()]) else { return };
    town.project("shop", &[toy()]);
    let refused = |fault| {
        town.index.fault(PATH, fault);
        town.refuses(&[])
    };
    assert_snapshot!(refused(Fault::WrongBytes), @r"
    status: 5
    stderr: error: cannot install what the project needs
      because: cannot fetch toy-1.0-py3-none-any.whl for Python 3.11.2 on x86_64 with glibc 2.36
      because: http://index.test/files/toy-1.0-py3-none-any.whl is a different file than was expected (expected sha256:ebb29f0db0711a015365847f1f8ab6d8aab3d77c7edc063131397160b6d40d52, got sha256:dd8ed213182de2453c75cf04adc5cd1e122a1908902a02d1b9fd7e64d4354dd5)
      help: if you trust the new file, lock again; else another mirror or index may have the right one
    ");
    assert_snapshot!(refused(Fault::Body(toy().file("more.py", "").build())), @r"
    status: 5
    stderr: error: cannot install what the project needs
      because: cannot fetch toy-1.0-py3-none-any.whl for Python 3.11.2 on x86_64 with glibc 2.36
      because: http://index.test/files/toy-1.0-py3-none-any.whl is a different file than was expected (expected 879 bytes, got 1024)
      help: if you trust the new file, lock again; else another mirror or index may have the right one
    ");
    assert_snapshot!(refused(Fault::Body(Vec::new())), @r"
    status: 5
    stderr: error: cannot install what the project needs
      because: cannot fetch toy-1.0-py3-none-any.whl for Python 3.11.2 on x86_64 with glibc 2.36
      because: http://index.test/files/toy-1.0-py3-none-any.whl is a different file than was expected (expected 879 bytes, got 0)
      help: if you trust the new file, lock again; else another mirror or index may have the right one
    ");
    assert_snapshot!(refused(Fault::Status(404)), @r"
    status: 5
    stderr: error: cannot install what the project needs
      because: cannot fetch toy-1.0-py3-none-any.whl for Python 3.11.2 on x86_64 with glibc 2.36
      because: there is nothing at http://index.test/files/toy-1.0-py3-none-any.whl
      help: the index has it no more: lock again
    ");
    assert_snapshot!(refused(Fault::Status(401)), @r"
    status: 5
    stderr: error: cannot install what the project needs
      because: cannot fetch toy-1.0-py3-none-any.whl for Python 3.11.2 on x86_64 with glibc 2.36
      because: http://index.test/files/toy-1.0-py3-none-any.whl is not open to us (401, no credentials are known for this host)
      help: put the name and password for that host into ~/.netrc, or into the address: `https://NAME:PASSWORD@…`
    ");
    town.index.heal(PATH);
    town.builds(&["shop"]);
}

#[test]
fn an_index_that_is_down_is_asked_again_and_then_given_up() {
    let faults = [Fault::Status(500), Fault::TruncateAfter(0), Fault::HangUp];
    let Some(towns) = faults.iter().map(|_| Town::with(&[toy()])).collect::<Option<Vec<Town>>>() else {
        return;
    };
    let started: Vec<_> = towns
        .iter()
        .zip(&faults)
        .map(|(town, fault)| {
            town.project("shop", &[toy()]);
            town.index.fault(PATH, fault.clone());
            town.command(&["build", "--quiet", "shop"]).spawn().unwrap()
        })
        .collect();
    let Some(other) = Town::with(&[]) else { return };
    let gone = Server::new(|_| minke_testkit::Response::status(404)).url();
    other.write("shop/main.py", "");
    other.write("shop/pylock.toml", other.lock(&[toy()]).replace(&other.index.url(), &gone));
    assert_snapshot!(other.refuses(&[]).replace(&gone, "http://gone.test"), @r"
    status: 5
    stderr: error: cannot install what the project needs
      because: cannot fetch toy-1.0-py3-none-any.whl for Python 3.11.2 on x86_64 with glibc 2.36
      because: no connection for http://gone.test/files/toy-1.0-py3-none-any.whl
      because: Connection refused (os error 111)
      help: try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    ");
    let seen: Vec<String> = towns
        .iter()
        .zip(started)
        .map(|(town, child)| {
            let ran = town.finish(child);
            town.assert_no_image(&ran);
            ran.seen()
        })
        .collect();
    assert_snapshot!(seen[0], @r"
    status: 5
    stderr: error: cannot install what the project needs
      because: cannot fetch toy-1.0-py3-none-any.whl for Python 3.11.2 on x86_64 with glibc 2.36
      because: http://index.test/files/toy-1.0-py3-none-any.whl answers with status 500
      help: try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    ");
    assert_snapshot!(seen[1], @r"
    status: 5
    stderr: error: cannot install what the project needs
      because: cannot fetch toy-1.0-py3-none-any.whl for Python 3.11.2 on x86_64 with glibc 2.36
      because: http://index.test/files/toy-1.0-py3-none-any.whl is cut short after 0 bytes
      help: try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    ");
    assert_snapshot!(seen[2], @r"
    status: 5
    stderr: error: cannot install what the project needs
      because: cannot fetch toy-1.0-py3-none-any.whl for Python 3.11.2 on x86_64 with glibc 2.36
      because: no connection for http://index.test/files/toy-1.0-py3-none-any.whl
      because: Peer disconnected
      help: try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    ");
}

#[test]
fn an_index_that_stumbles_is_asked_again_from_where_it_fell() {
    let Some(town) = Town::with(&[toy()]) else { return };
    town.project("shop", &[toy()]);
    town.index.fault_once(PATH, Fault::Status(503));
    town.index.fault_once(PATH, Fault::TruncateAfter(100));
    town.index.fault_once(PATH, Fault::TruncateAfter(50));
    town.builds(&["shop"]);
    assert_eq!(town.index.requests(PATH), 4);
    let ranges: Vec<_> =
        town.index.log().iter().map(|request| request.header("range").map(str::to_owned)).collect();
    assert_snapshot!(format!("{ranges:?}"), @r#"[None, None, Some("bytes=100-"), Some("bytes=150-")]"#);
}

#[test]
fn a_distribution_without_a_wheel_for_the_image() {
    let windows = Wheel::new("toy", "1.0").tag("cp311-cp311-win_amd64");
    let musl = Wheel::new("toy", "1.0").tag("cp311-cp311-musllinux_1_2_x86_64");
    let Some(town) = Town::with(&[windows.clone(), musl]) else { return };
    town.project("shop", &[windows]);
    assert_snapshot!(town.refuses(&[]), @r"
    status: 1
    stderr: error: cannot lock what the project needs
      because: nothing in the lock can be installed for this image
      because: no wheel of `toy` fits Python 3.11.2 on x86_64 with glibc 2.36 and it has no sdist; its wheels: toy-1.0-cp311-cp311-win_amd64.whl
      help: correct the lock, or what is asked of it: `extras`, `groups`, the platform
    ");
}

#[test]
fn a_distribution_that_has_only_sources() {
    let Some(town) = Town::with(&[]) else { return };
    town.write("shop/main.py", "");
    town.write(
        "shop/pylock.toml",
        format!(
            "lock-version = \"1.0\"\ncreated-by = \"x\"\n[[packages]]\nname = \"toy\"\nversion = \"1.0\"\n\
             sdist = {{ name = \"toy-1.0.tar.gz\", url = \"{}\", hashes = {{ sha256 = \"{}\" }} }}\n",
            town.index.url_of("/files/toy-1.0.tar.gz"),
            sha256_hex(b"sources")
        ),
    );
    assert_snapshot!(town.refuses(&[]), @r"
    status: 5
    stderr: error: cannot build what has no wheel
      because: cannot fetch the sources `toy-1.0.tar.gz`
      because: there is nothing at http://index.test/files/toy-1.0.tar.gz
      help: the index has it no more: lock again
    ");
    // Until somebody builds its wheel.
    town.write("wheelhouse/toy-1.0-py3-none-any.whl", toy().build());
    town.builds(&["shop", "--find-links", "wheelhouse"]);
    assert_eq!(town.index.requests("/files/toy-1.0.tar.gz"), 1);
    assert_snapshot!(town.minke(&["build", "shop", "--find-links", "no-such-place"]).seen(), @r"
    status: 1
    stderr: error: cannot install what the project needs
      because: cannot read the wheel `TOWN/no-such-place`
      because: No such file or directory (os error 2)
      help: see that it is there and may be read; else lock again
    ");
}

#[test]
fn secrets_in_addresses_are_not_told() {
    let Some(town) = Town::with(&[toy()]) else { return };
    town.index.require_basic_auth("user", "sesame");
    town.write("shop/main.py", "");
    let with_password = |password: &str| {
        let address = town.index.url_with_credentials("user", password);
        town.write("shop/pylock.toml", town.lock(&[toy()]).replace(&town.index.url(), &address));
    };
    with_password("wrong-password");
    let seen = town.refuses(&[]);
    assert!(!seen.contains("wrong-password"));
    assert_snapshot!(seen.replace(&town.index.host(), "index.test"), @r"
    status: 5
    stderr: error: cannot install what the project needs
      because: cannot fetch toy-1.0-py3-none-any.whl for Python 3.11.2 on x86_64 with glibc 2.36
      because: http://index.test/files/toy-1.0-py3-none-any.whl is not open to us (401, the credentials that were sent do not suffice)
      help: the server refuses the name and password it was told; correct them
    ");
    with_password("sesame");
    town.builds(&["shop"]);
}

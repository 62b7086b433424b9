//! What a Debian archive may have wrong.

use insta::assert_snapshot;
use minke_testkit::{ArchiveFault, Deb, DebianArchive, Fault, KeyState, Server, SigningKey};

use crate::town::{Ran, SUITE, Town};

/// The key that the town trusts.
fn key() -> SigningKey {
    SigningKey::new(1)
}

fn archive() -> DebianArchive {
    DebianArchive::new(SUITE).package(Deb::new("toy", "1").file("/usr/share/toy", "x"))
}

impl Town {
    /// Builds `shop` on an archive of its own, which has no updates.
    fn on(&self, archive: &DebianArchive) -> String {
        let dir = tempfile::tempdir().expect("a temporary directory");
        archive.write_to(dir.path());
        let server = Server::serve_dir(dir.path());
        let ran = self.at(&server.url());
        Ran { stderr: ran.stderr.replace(&server.url(), "http://mirror.test"), ..ran }.seen()
    }

    fn at(&self, mirror: &str) -> Ran {
        let mut command = self.command(&["build", "--quiet", "shop"]);
        let ran = self.finish(command.env("MINKE_DEBIAN_MIRROR", mirror).spawn().expect("minke starts"));
        self.assert_no_image(&ran);
        ran
    }
}

#[test]
fn a_release_that_was_not_signed_by_whom_it_should_be() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let faulty = |fault| town.on(&archive().sign_with(&key()).fault(fault));
    assert_snapshot!(faulty(ArchiveFault::TamperedRelease), @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot trust the release file of bookworm at http://mirror.test/dists/bookworm/InRelease, which `MINKE_DEBIAN_MIRROR` names
      because: no signature can be trusted: the text is not what key 5A0A9D4DCCE0BFEBDB52222658136E22ABD6E00D signed
      help: for an archive of your own, name its keyring with `signed-by` in [tool.minke.debian]; else choose another mirror
    ");
    assert_snapshot!(faulty(ArchiveFault::UnsignedRelease), @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot trust the release file of bookworm at http://mirror.test/dists/bookworm/InRelease, which `MINKE_DEBIAN_MIRROR` names
      because: this is not a clear-signed message
      because: not enough bytes in buffer: cleartext header
      help: for an archive of your own, name its keyring with `signed-by` in [tool.minke.debian]; else choose another mirror
    ");
    assert_snapshot!(faulty(ArchiveFault::TextBeforeMessage), @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot trust the release file of bookworm at http://mirror.test/dists/bookworm/InRelease, which `MINKE_DEBIAN_MIRROR` names
      because: this is not a clear-signed message
      because: must not have leading data for a cleartext message
      help: for an archive of your own, name its keyring with `signed-by` in [tool.minke.debian]; else choose another mirror
    ");
    assert_snapshot!(faulty(ArchiveFault::TextAfterMessage), @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot trust the release file of bookworm at http://mirror.test/dists/bookworm/InRelease, which `MINKE_DEBIAN_MIRROR` names
      because: this is not a clear-signed message
      because: not enough bytes in buffer: armor header
      help: for an archive of your own, name its keyring with `signed-by` in [tool.minke.debian]; else choose another mirror
    ");
    assert_snapshot!(town.on(&archive().sign_with(&SigningKey::new(2))), @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot trust the release file of bookworm at http://mirror.test/dists/bookworm/InRelease, which `MINKE_DEBIAN_MIRROR` names
      because: no signature can be trusted: key 9251983512C9D573D3CD0A57B82162524566B071 is not in the keyring
      help: for an archive of your own, name its keyring with `signed-by` in [tool.minke.debian]; else choose another mirror
    ");
    town.still_builds();
}

#[test]
fn a_release_that_is_out_of_date_or_of_another_suite() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let expired = archive().sign_with(&key()).valid_until("Wed, 08 Jan 2020 00:00:00 UTC");
    assert_snapshot!(town.on(&expired), @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot trust the release file of bookworm at http://mirror.test/dists/bookworm/InRelease, which `MINKE_DEBIAN_MIRROR` names
      because: it expired on 2020-01-08
      help: see that this machine's clock is right; else choose another mirror or suite
    ");
    let future = archive().sign_with(&key()).date("Sat, 01 Jan 2600 00:00:00 UTC");
    assert_snapshot!(town.on(&future), @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot trust the release file of bookworm at http://mirror.test/dists/bookworm/InRelease, which `MINKE_DEBIAN_MIRROR` names
      because: it is dated 2600-01-01, which is in the future
      help: see that this machine's clock is right; else choose another mirror or suite
    ");
    let dir = tempfile::tempdir().unwrap();
    DebianArchive::new("sarge").sign_with(&key()).write_to(dir.path());
    std::fs::rename(dir.path().join("dists/sarge"), dir.path().join("dists").join(SUITE)).unwrap();
    let server = Server::serve_dir(dir.path());
    let ran = town.at(&server.url());
    assert_snapshot!(Ran { stderr: ran.stderr.replace(&server.url(), "http://mirror.test"), ..ran }.seen(), @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot trust the release file of bookworm at http://mirror.test/dists/bookworm/InRelease, which `MINKE_DEBIAN_MIRROR` names
      because: it is for sarge, sarge, not for bookworm
      help: choose another mirror
    ");
}

#[test]
fn a_key_that_may_not_sign_any_more() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    for state in [
        KeyState::Revoked,
        KeyState::SubkeyRevoked,
        KeyState::SubkeyBoundByStranger,
        KeyState::SubkeyMayNotSign,
    ] {
        let key = SigningKey::with_state(1, state);
        town.write("key.asc", key.public_armored());
        town.write("shop/minke.toml", "");
        let dir = tempfile::tempdir().unwrap();
        archive().sign_with(&key).write_to(dir.path());
        let server = Server::serve_dir(dir.path());
        let mut command = town.command(&["build", "--quiet", "shop"]);
        command.env("MINKE_DEBIAN_MIRROR", server.url()).env("MINKE_DEBIAN_SIGNED_BY", town.path("key.asc"));
        let ran = town.finish(command.spawn().unwrap());
        assert_eq!(ran.status, 5, "{state:?}: {}", ran.stderr);
        town.assert_no_image(&ran);
    }
}

#[test]
fn an_index_of_packages_that_is_not_what_was_signed() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let faulty = |fault| town.on(&archive().sign_with(&key()).fault(fault));
    assert_snapshot!(faulty(ArchiveFault::TamperedPackages), @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot fetch the package index of bookworm
      because: the mirror that `MINKE_DEBIAN_MIRROR` names cannot be used
      because: http://mirror.test/dists/bookworm/main/binary-amd64/by-hash/SHA256/d991105027f7df3209aa78141bf808dd709165c4fcc2eb396a7cebf9913aea0d is a different file than was expected (expected sha256:d991105027f7df3209aa78141bf808dd709165c4fcc2eb396a7cebf9913aea0d, got sha256:091cacd14462fc2fbfef761ce452823614212c2a1a455edbf2cbc3535bbb6429)
      help: the mirror may be half updated: try again, or choose another
    ");
    assert_snapshot!(faulty(ArchiveFault::TruncatedPackages), @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot fetch the package index of bookworm
      because: the mirror that `MINKE_DEBIAN_MIRROR` names cannot be used
      because: http://mirror.test/dists/bookworm/main/binary-amd64/by-hash/SHA256/d991105027f7df3209aa78141bf808dd709165c4fcc2eb396a7cebf9913aea0d is a different file than was expected (expected 280 bytes, got 140)
      help: the mirror may be half updated: try again, or choose another
    ");
    assert_snapshot!(town.on(&archive().sign_with(&key())), @r"
    status: 1
    stderr: error: cannot plan the base image
      because: bookworm has no `python3`
      help: choose another suite with `base`, or another mirror
    ");
    town.still_builds();
}

#[test]
fn keyrings_and_mirrors_that_cannot_be_used() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let with = |name: &str, value: &str| {
        let mut command = town.command(&["build", "--quiet", "shop"]);
        let ran = town.finish(command.env(name, value).spawn().unwrap());
        town.assert_no_image(&ran);
        ran.seen()
    };
    town.write("no-key", "this is no key");
    assert_snapshot!(with("MINKE_DEBIAN_SIGNED_BY", "no-key"), @r"
    status: 1
    stderr: error: cannot plan the base image
      because: cannot use the keyring `TOWN/no-key`
      because: it is not a keyring
      because: there is no key in this keyring that may sign
      help: name a keyring as in apt's `Signed-By`
    ");
    assert_snapshot!(with("MINKE_DEBIAN_SIGNED_BY", "not-there"), @r"
    status: 1
    stderr: error: cannot plan the base image
      because: cannot use the keyring `TOWN/not-there`
      because: cannot read it
      because: No such file or directory (os error 2)
      help: name a keyring as in apt's `Signed-By`
    ");
    assert_snapshot!(with("MINKE_DEBIAN_MIRROR", "ftp://mirror.test/debian"), @r"
    status: 1
    stderr: error: cannot plan the base image
      because: the archive's address that was set in $MINKE_DEBIAN_MIRROR cannot be used
      because: this is not an http, https or file address: its scheme is `ftp`
      help: say it as in `http://host.test/debian`
    ");
    assert_snapshot!(with("MINKE_DEBIAN_MIRROR", "mirror"), @r"
    status: 1
    stderr: error: cannot plan the base image
      because: the archive's address that was set in $MINKE_DEBIAN_MIRROR cannot be used
      because: this is not an http, https or file address: relative URL without a base
      help: say it as in `http://host.test/debian`
    ");
}

#[test]
fn a_mirror_that_does_not_answer_as_it_should() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let release = "/debian/dists/bookworm/InRelease";
    let refused = |fault| {
        town.archive.fault(release, fault);
        town.refuses(&[])
    };
    assert_snapshot!(refused(Fault::Status(404)), @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot fetch the release file of bookworm
      because: the mirror that `MINKE_DEBIAN_MIRROR` names cannot be used
      because: there is nothing at http://archive.test/debian/dists/bookworm/InRelease
      help: the mirror has no such suite: choose another with `base`, or correct the mirror's address
    ");
    assert_snapshot!(refused(Fault::Status(403)), @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot fetch the release file of bookworm
      because: the mirror that `MINKE_DEBIAN_MIRROR` names cannot be used
      because: http://archive.test/debian/dists/bookworm/InRelease is not open to us (403, no credentials are known for this host)
      help: put the name and password for that host into ~/.netrc, or into the address: `https://NAME:PASSWORD@…`
    ");
    assert_snapshot!(refused(Fault::RedirectLoop), @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot fetch the release file of bookworm
      because: the mirror that `MINKE_DEBIAN_MIRROR` names cannot be used
      because: http://archive.test/debian/dists/bookworm/InRelease is redirected in a circle
      help: see that the address is right; a proxy or a login page may stand before it
    ");
    assert_snapshot!(refused(Fault::RedirectTo("ftp://mirror.test/".to_owned())), @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot fetch the release file of bookworm
      because: the mirror that `MINKE_DEBIAN_MIRROR` names cannot be used
      because: http://archive.test/debian/dists/bookworm/InRelease is redirected to something that is neither http nor https
      help: see that the address is right; a proxy or a login page may stand before it
    ");
    assert_snapshot!(refused(Fault::Body(b"<html>please log in</html>".to_vec())), @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot trust the release file of bookworm at http://archive.test/debian/dists/bookworm/InRelease, which `MINKE_DEBIAN_MIRROR` names
      because: this is not a clear-signed message
      because: not enough bytes in buffer: cleartext header
      help: for an archive of your own, name its keyring with `signed-by` in [tool.minke.debian]; else choose another mirror
    ");
    town.archive.heal(release);
    town.builds(&["shop"]);
}

#[test]
fn a_mirror_that_is_down_is_asked_again_and_then_given_up() {
    // Each of them has pauses of seconds between its tries: all at once.
    let faults = [Fault::Status(503), Fault::HangUp, Fault::NotHttp, Fault::TruncateAfter(100)];
    let Some(towns) = faults.iter().map(|_| Town::with(&[])).collect::<Option<Vec<Town>>>() else { return };
    let release = "/debian/dists/bookworm/InRelease";
    let started: Vec<_> = towns
        .iter()
        .zip(&faults)
        .map(|(town, fault)| {
            town.project("shop", &[]);
            town.archive.fault(release, fault.clone());
            town.command(&["build", "--quiet", "shop"]).spawn().unwrap()
        })
        .collect();
    // Nobody listens where a server has just gone.
    let gone = Server::new(|_| minke_testkit::Response::status(404)).url();
    let down = towns[0].at(&gone).seen().replace(&gone, "http://gone.test");
    assert_snapshot!(down, @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot fetch the release file of bookworm
      because: the mirror that `MINKE_DEBIAN_MIRROR` names cannot be used
      because: no connection for http://gone.test/dists/bookworm/InRelease
      because: Connection refused (os error 111)
      help: try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    ");
    let seen: Vec<String> = towns
        .iter()
        .zip(started)
        .map(|(town, child)| {
            let ran = town.finish(child);
            town.assert_no_image(&ran);
            assert_eq!(town.archive.requests(release), 5, "the first try and four more");
            ran.seen()
        })
        .collect();
    assert_snapshot!(seen[0], @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot fetch the release file of bookworm
      because: the mirror that `MINKE_DEBIAN_MIRROR` names cannot be used
      because: http://archive.test/debian/dists/bookworm/InRelease answers with status 503
      help: try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    ");
    assert_snapshot!(seen[1], @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot fetch the release file of bookworm
      because: the mirror that `MINKE_DEBIAN_MIRROR` names cannot be used
      because: no connection for http://archive.test/debian/dists/bookworm/InRelease
      because: Peer disconnected
      help: try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    ");
    assert_snapshot!(seen[2], @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot fetch the release file of bookworm
      because: the mirror that `MINKE_DEBIAN_MIRROR` names cannot be used
      because: http://archive.test/debian/dists/bookworm/InRelease does not answer in HTTP
      because: protocol: http parse fail: invalid HTTP version
      help: see that the address is right; a proxy or a login page may stand before it
    ");
    assert_snapshot!(seen[3], @r"
    status: 5
    stderr: error: cannot plan the base image
      because: cannot fetch the release file of bookworm
      because: the mirror that `MINKE_DEBIAN_MIRROR` names cannot be used
      because: http://archive.test/debian/dists/bookworm/InRelease is cut short after 100 bytes
      help: try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    ");
}

#[test]
fn a_mirror_that_stumbles_is_asked_again() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    town.archive.fault_once("/debian/dists/bookworm/InRelease", Fault::Status(502));
    town.archive.fault_once("/debian/dists/bookworm-updates/InRelease", Fault::HangUp);
    town.archive.fault_once("/security/dists/bookworm-security/InRelease", Fault::RetryAfter(1));
    town.builds(&["shop"]);
}

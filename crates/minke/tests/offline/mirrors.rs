//! Mirrors in order: one that fails is left, and what it should have had comes from the next.

use std::fs;

use insta::assert_snapshot;
use minke_testkit::{Fault, Response, Server};

use crate::town::{Ran, Town};

impl Town {
    /// Builds `shop` from these mirrors, where servers are waited for five seconds and asked twice.
    fn builds_from(&self, mirrors: &str) -> Ran {
        self.forget_the_lock();
        let mut command = self.command(&["build", "--quiet", "shop"]);
        command.env("MINKE_DEBIAN_MIRROR", mirrors).env("UV_HTTP_TIMEOUT", "5").env("UV_HTTP_RETRIES", "1");
        self.finish(command.spawn().unwrap())
    }

    /// What is locked is asked of nobody.
    fn forget_the_lock(&self) {
        // The first build finds none.
        let _ = fs::remove_file(self.path("shop/minke.lock"));
    }

    /// A mirror of the archive that is not the archive's own server.
    fn mirror(&self) -> Server {
        Server::serve_dir(self.archive_files())
    }
}

/// What was said, whichever of the release files, which are asked for at once, was refused first.
fn told(text: &str, gone: &str) -> String {
    text.replace(gone, "http://gone.test").replace("bookworm-updates/", "bookworm/")
}

#[test]
fn a_mirror_that_fails_is_left_for_the_next() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let built = town.builds(&["shop"]);
    // Nobody listens where a server has just gone.
    let gone = Server::new(|_| Response::status(404)).url();
    let mirrors = format!("{gone}/debian {}", town.archive.url_of("/debian"));
    let ran = town.builds_from(&mirrors);
    assert_eq!((ran.status, ran.stdout.trim_end()), (0, built.as_str()));
    assert_snapshot!(told(&ran.stderr, &gone), @"warning: the mirror http://gone.test/debian that `MINKE_DEBIAN_MIRROR` names has failed, http://archive.test/debian is asked instead: no connection for http://gone.test/debian/dists/bookworm/InRelease: Connection refused (os error 111)");

    town.write("shop/minke.toml", format!("[debian]\nmirror = ['{gone}/a', '{gone}/b']\n"));
    town.forget_the_lock();
    let mut command = town.command(&["build", "--quiet", "shop"]);
    command.env_remove("MINKE_DEBIAN_MIRROR").env("UV_HTTP_RETRIES", "0");
    let ran = town.finish(command.spawn().unwrap());
    assert_snapshot!(told(&ran.seen(), &gone), @r"
    status: 5
    stderr: warning: the mirror http://gone.test/a that `mirror` in minke.toml names has failed, http://gone.test/b is asked instead: no connection for http://gone.test/a/dists/bookworm/InRelease: Connection refused (os error 111)
    error: cannot plan the base image
      because: cannot fetch the release file of bookworm
      because: the mirror that `mirror` in minke.toml names cannot be used
      because: no connection for http://gone.test/b/dists/bookworm/InRelease
      because: Connection refused (os error 111)
      help: try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    ");
}

#[test]
fn a_mirror_that_lacks_a_file_or_has_a_wrong_one_is_helped_out() {
    let Some(town) = Town::without_cache(&[]) else { return };
    town.project("shop", &[]);
    let (lacking, wrong) = (town.mirror(), town.mirror());
    let debs = town.debs();
    let (missing, damaged) = (&debs[0], &debs[1]);
    lacking.fault(missing, Fault::Status(404));
    let ran = town.builds_from(&format!("{} {}", lacking.url_of("/debian"), town.archive.url_of("/debian")));
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert_eq!(town.archive.requests(missing), 1, "{:?}", lacking.counts());
    assert_eq!(town.archive.requests(damaged), 0, "the first still has all the others");

    fs::remove_dir_all(town.path("cache")).unwrap();
    wrong.fault(damaged, Fault::WrongBytes);
    let again = town.builds_from(&format!("{} {}", wrong.url_of("/debian"), town.archive.url_of("/debian")));
    assert_eq!((again.status, &again.stdout), (0, &ran.stdout), "{}", again.stderr);
    assert!(again.stderr.contains("is a different file than was expected"), "{}", again.stderr);
    assert_eq!(town.archive.requests(damaged), 1);
}

//! Servers and disks that fail in every way: each build ends in the right image or in the right error, and soon.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use minke_testkit::{Fault, Wheel, program, skip};

use crate::town::{Ran, Town};

/// No wait is longer than five seconds, and there is one more try, so this is more than enough for a build that fails.
const SOON: Duration = Duration::from_secs(120);

fn faults() -> Vec<(&'static str, Fault)> {
    vec![
        ("cut short", Fault::TruncateAfter(10)),
        ("connection closed", Fault::HangUp),
        ("silence", Fault::StallBeforeHead),
        ("silence in the body", Fault::StallAfter(10)),
        ("a slow drip", Fault::Drip(1, Duration::from_millis(50))),
        ("wrong bytes", Fault::WrongBytes),
        ("a shorter file", Fault::Body(b"short".to_vec())),
        ("429", Fault::Status(429)),
        ("500", Fault::Status(500)),
        ("503 for a second", Fault::RetryAfter(1)),
        ("404", Fault::Status(404)),
        ("a circle", Fault::RedirectLoop),
        ("not HTTP", Fault::NotHttp),
    ]
}

impl Town {
    /// Builds `shop` with as little patience as users can set.
    fn builds_impatiently(&self) -> Ran {
        let mut command = self.command(&["build", "--quiet", "shop"]);
        command.env("UV_HTTP_TIMEOUT", "5").env("UV_HTTP_RETRIES", "1");
        if let Some(uv) = program("uv") {
            command.env("PATH", uv.parent().unwrap()).env("UV_CACHE_DIR", self.path("cache-of-uv"));
            command.env("UV_DEFAULT_INDEX", self.index.url_of("/simple/")).env("NO_PROXY", "*");
        }
        let began = Instant::now();
        let ran = self.finish(command.spawn().unwrap());
        assert!(began.elapsed() < SOON);
        ran
    }

    /// The paths of two of the archive's packages that every base has.
    pub(crate) fn debs(&self) -> Vec<String> {
        let mut debs = self.archived("debian/pool");
        debs.retain(|path| ["/libssl3_", "/zlib1g_"].iter().any(|name| path.contains(name)));
        debs
    }

    /// The paths of the suite's index of packages, by its name and by its hash.
    fn indexes(&self) -> Vec<String> {
        self.archived("debian/dists/bookworm/main")
    }

    fn archived(&self, below: &str) -> Vec<String> {
        fn files(directory: &Path) -> Vec<PathBuf> {
            let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
            entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
        }
        let root = self.archive_files();
        let path = |file: PathBuf| format!("/{}", file.strip_prefix(root).unwrap().display());
        let mut paths: Vec<String> = files(&root.join(below)).into_iter().map(path).collect();
        paths.sort();
        paths
    }
}

/// Says in one line what a build ended with: its status, what happened, and what to do.
fn line(name: &str, ran: &Ran) -> String {
    let part = |line: &str, start| line.trim_start().strip_prefix(start).map(str::to_owned);
    let causes: Vec<_> = ran.stderr.lines().filter_map(|line| part(line, "because: ")).collect();
    let help = ran.stderr.lines().find_map(|line| part(line, "help: "));
    let help = help.unwrap_or_else(|| "NO HELP".to_owned());
    redacted(&format!("{name}: {} {} | {help}", ran.status, causes.join(" < ")))
}

/// Leaves out what this machine's own packages hash to, and how long their index is.
fn redacted(text: &str) -> String {
    const ENDS: [char; 6] = [' ', '/', ':', ',', ')', '`'];
    let words = text.split_inclusive(ENDS).scan("", |before, word| {
        let is_length = ["(expected ", "after "].contains(before);
        *before = word;
        let body = word.trim_end_matches(ENDS);
        let is_number = is_length && body.bytes().all(|byte| byte.is_ascii_digit());
        let is_digest = body.len() == 64 && body.bytes().all(|byte| byte.is_ascii_hexdigit());
        Some(if is_number || is_digest { word.replace(body, "…") } else { word.to_owned() })
    });
    words.collect()
}

/// Returns the lines, of which all but the first leave out what they begin with in common.
fn table(lines: &[String]) -> String {
    let parts: Vec<(&str, &str)> = lines.iter().filter_map(|line| line.split_once(": ")).collect();
    let first = parts[0].1;
    let rows = parts.iter().zip(lines).enumerate().map(|(number, ((name, rest), line))| {
        let shared = first.split_inclusive(" < ").scan(0, |end, part| {
            *end += part.len();
            Some(*end)
        });
        let shared = shared.take_while(|end| rest.get(..*end) == first.get(..*end)).last().unwrap_or(0);
        if number == 0 || shared == 0 { line.clone() } else { format!("{name}: … {}", &rest[shared..]) }
    });
    rows.collect::<Vec<_>>().join("\n")
}

/// Breaks one file in every way, or in these, each in a town of its own, all at once.
fn broken(
    found: impl Fn() -> Option<Town> + Sync,
    break_it: impl Fn(&Town, Fault) + Sync,
    names: &[&str],
) -> Option<Vec<String>> {
    found()?;
    Some(std::thread::scope(|scope| {
        let (found, break_it) = (&found, &break_it);
        let threads: Vec<_> = faults()
            .into_iter()
            .filter(|(name, _)| names.is_empty() || names.contains(name))
            .map(|(name, fault)| {
                scope.spawn(move || {
                    let town = found().expect("there is one already");
                    town.project("shop", &[]);
                    break_it(&town, fault);
                    let ran = town.builds_impatiently();
                    assert_eq!(ran.stdout, "", "{name}: nothing was built");
                    line(name, &ran)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }))
}

#[test]
fn a_release_file_that_comes_in_a_wrong_way() {
    let release = |town: &Town, fault| town.archive.fault("/debian/dists/bookworm/InRelease", fault);
    let Some(lines) = broken(|| Town::without_cache(&[]), release, &[]) else { return };
    assert_snapshot!(table(&lines), @r"
    cut short: 5 cannot fetch the release file of bookworm < the mirror that `MINKE_DEBIAN_MIRROR` names cannot be used < http://archive.test/debian/dists/bookworm/InRelease is cut short after … bytes | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    connection closed: … no connection for http://archive.test/debian/dists/bookworm/InRelease < Peer disconnected | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    silence: … http://archive.test/debian/dists/bookworm/InRelease took too long: no answer within 5s | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    silence in the body: … http://archive.test/debian/dists/bookworm/InRelease took too long: next to nothing more of the body within 5s | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    a slow drip: … http://archive.test/debian/dists/bookworm/InRelease took too long: next to nothing more of the body within 5s | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    wrong bytes: 5 cannot trust the release file of bookworm at http://archive.test/debian/dists/bookworm/InRelease, which `MINKE_DEBIAN_MIRROR` names < this is not a clear-signed message < not enough bytes in buffer: cleartext header | for an archive of your own, name its keyring with `signed-by` in [tool.minke.debian]; else choose another mirror
    a shorter file: 5 cannot trust the release file of bookworm at http://archive.test/debian/dists/bookworm/InRelease, which `MINKE_DEBIAN_MIRROR` names < this is not a clear-signed message < not enough bytes in buffer: cleartext header | for an archive of your own, name its keyring with `signed-by` in [tool.minke.debian]; else choose another mirror
    429: … http://archive.test/debian/dists/bookworm/InRelease answers with status 429 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    500: … http://archive.test/debian/dists/bookworm/InRelease answers with status 500 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    503 for a second: … http://archive.test/debian/dists/bookworm/InRelease answers with status 503 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    404: … there is nothing at http://archive.test/debian/dists/bookworm/InRelease | the mirror has no such suite: choose another with `base`, or correct the mirror's address
    a circle: … http://archive.test/debian/dists/bookworm/InRelease is redirected in a circle | see that the address is right; a proxy or a login page may stand before it
    not HTTP: … http://archive.test/debian/dists/bookworm/InRelease does not answer in HTTP < protocol: http parse fail: invalid HTTP version | see that the address is right; a proxy or a login page may stand before it
    ");
}

#[test]
fn an_index_of_packages_that_comes_in_a_wrong_way() {
    let index = |town: &Town, fault: Fault| {
        for path in town.indexes() {
            town.archive.fault(&path, fault.clone());
        }
    };
    let Some(lines) = broken(|| Town::without_cache(&[]), index, &[]) else { return };
    assert_snapshot!(table(&lines), @r"
    cut short: 5 cannot fetch the package index of bookworm < the mirror that `MINKE_DEBIAN_MIRROR` names cannot be used < http://archive.test/debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/… is cut short after … bytes | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    connection closed: … no connection for http://archive.test/debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/… < Peer disconnected | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    silence: … http://archive.test/debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/… took too long: no answer within 5s | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    silence in the body: … http://archive.test/debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/… took too long: next to nothing more of the body within 5s | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    a slow drip: … http://archive.test/debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/… took too long: next to nothing more of the body within 5s | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    wrong bytes: … http://archive.test/debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/… is a different file than was expected (expected sha256:…, got sha256:…) | the mirror may be half updated: try again, or choose another
    a shorter file: … http://archive.test/debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/… is a different file than was expected (expected … bytes, got 5) | the mirror may be half updated: try again, or choose another
    429: … http://archive.test/debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/… answers with status 429 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    500: … http://archive.test/debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/… answers with status 500 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    503 for a second: … http://archive.test/debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/… answers with status 503 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    404: … there is nothing at http://archive.test/debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/… | the mirror may be half updated: try again, or choose another
    a circle: … http://archive.test/debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/… is redirected in a circle | see that the address is right; a proxy or a login page may stand before it
    not HTTP: … http://archive.test/debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/… does not answer in HTTP < protocol: http parse fail: invalid HTTP version | see that the address is right; a proxy or a login page may stand before it
    ");
}

#[test]
fn a_package_that_comes_in_a_wrong_way() {
    // The same code as for wheels: what differs is what is said.
    let few = ["cut short", "silence", "wrong bytes", "404"];
    let package = |town: &Town, fault| town.archive.fault(&town.debs()[0], fault);
    let Some(lines) = broken(|| Town::without_cache(&[]), package, &few) else { return };
    let version = lines[0].split_once("libssl3 ").unwrap().1.split(' ').next().unwrap();
    let lines: Vec<_> = lines.iter().map(|line| line.replace(version, "VERSION")).collect();
    assert_snapshot!(table(&lines), @r"
    cut short: 5 cannot fetch the package libssl3 VERSION < the mirror that `MINKE_DEBIAN_MIRROR` names cannot be used < http://archive.test/debian/pool/main/l/libssl3/libssl3_VERSION_amd64.deb is cut short after … bytes | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    silence: … http://archive.test/debian/pool/main/l/libssl3/libssl3_VERSION_amd64.deb took too long: no answer within 5s | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    wrong bytes: … http://archive.test/debian/pool/main/l/libssl3/libssl3_VERSION_amd64.deb is a different file than was expected (expected sha256:…, got sha256:…) | if you trust the new file, lock again; else another mirror or index may have the right one
    404: … there is nothing at http://archive.test/debian/pool/main/l/libssl3/libssl3_VERSION_amd64.deb | the mirror may be half updated: try again, or choose another
    ");
}

fn toy() -> Wheel {
    Wheel::new("toy", "1.0").file("toy.py", "x = 1\n")
}

#[test]
fn a_wheel_that_comes_in_a_wrong_way() {
    let wheel = |town: &Town, fault| {
        town.project("shop", &[toy()]);
        town.index.fault(&format!("/files/{}", toy().file_name()), fault);
    };
    let Some(lines) = broken(|| Town::with(&[toy()]), wheel, &[]) else { return };
    assert_snapshot!(table(&lines), @r"
    cut short: 5 cannot fetch toy-1.0-py3-none-any.whl for Python 3.11.2 on x86_64 with glibc 2.36 < http://index.test/files/toy-1.0-py3-none-any.whl is cut short after … bytes | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    connection closed: … no connection for http://index.test/files/toy-1.0-py3-none-any.whl < Peer disconnected | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    silence: … http://index.test/files/toy-1.0-py3-none-any.whl took too long: no answer within 5s | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    silence in the body: … http://index.test/files/toy-1.0-py3-none-any.whl took too long: next to nothing more of the body within 5s | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    a slow drip: … http://index.test/files/toy-1.0-py3-none-any.whl took too long: next to nothing more of the body within 5s | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    wrong bytes: … http://index.test/files/toy-1.0-py3-none-any.whl is a different file than was expected (expected sha256:…, got sha256:…) | if you trust the new file, lock again; else another mirror or index may have the right one
    a shorter file: … http://index.test/files/toy-1.0-py3-none-any.whl is a different file than was expected (expected … bytes, got 5) | if you trust the new file, lock again; else another mirror or index may have the right one
    429: … http://index.test/files/toy-1.0-py3-none-any.whl answers with status 429 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    500: … http://index.test/files/toy-1.0-py3-none-any.whl answers with status 500 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    503 for a second: … http://index.test/files/toy-1.0-py3-none-any.whl answers with status 503 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    404: … there is nothing at http://index.test/files/toy-1.0-py3-none-any.whl | the index has it no more: lock again
    a circle: … http://index.test/files/toy-1.0-py3-none-any.whl is redirected in a circle | see that the address is right; a proxy or a login page may stand before it
    not HTTP: … http://index.test/files/toy-1.0-py3-none-any.whl does not answer in HTTP < protocol: http parse fail: invalid HTTP version | see that the address is right; a proxy or a login page may stand before it
    ");
}

#[test]
fn an_index_page_that_comes_in_a_wrong_way_is_uvs_to_tell() {
    if program("uv").is_none() {
        return skip("there is no uv");
    }
    let few = ["cut short", "connection closed", "silence", "429", "500", "a circle", "not HTTP"];
    let asked = |path: &str| {
        let page = |town: &Town, fault| {
            fs::remove_dir_all(town.path("shop")).unwrap();
            town.write("shop/requirements.txt", "toy\n");
            town.write("shop/main.py", "import toy\n");
            town.index.fault(path, fault);
        };
        // uv's words are uv's; who is at fault and what to do is ours.
        let ours = |line: String| {
            let (status, rest) = line.split_once(" cannot resolve").unwrap();
            format!("{path} {status} | {}", rest.rsplit_once(" | ").unwrap().1)
        };
        let lines = broken(|| Town::with(&[toy()]), page, &few).unwrap_or_default();
        lines.into_iter().map(ours).collect::<Vec<_>>().join("\n")
    };
    assert_snapshot!(asked("/simple/toy/"), @r"
    /simple/toy/ cut short: 5 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    /simple/toy/ connection closed: 5 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    /simple/toy/ silence: 5 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    /simple/toy/ 429: 5 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    /simple/toy/ 500: 5 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    /simple/toy/ a circle: 1 | correct the requirements; if they are right, see that UV_DEFAULT_INDEX or pip's `index-url` names the index that has them
    /simple/toy/ not HTTP: 5 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    ");
    assert_snapshot!(asked(&format!("/files/{}.metadata", toy().file_name())), @r"
    /files/toy-1.0-py3-none-any.whl.metadata cut short: 5 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    /files/toy-1.0-py3-none-any.whl.metadata connection closed: 5 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    /files/toy-1.0-py3-none-any.whl.metadata silence: 5 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    /files/toy-1.0-py3-none-any.whl.metadata 429: 5 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    /files/toy-1.0-py3-none-any.whl.metadata 500: 5 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    /files/toy-1.0-py3-none-any.whl.metadata a circle: 1 | correct the requirements; if they are right, see that UV_DEFAULT_INDEX or pip's `index-url` names the index that has them
    /files/toy-1.0-py3-none-any.whl.metadata not HTTP: 5 | try again; behind a proxy, set HTTPS_PROXY, and SSL_CERT_FILE for its certificate
    ");
}

#[test]
fn whatever_stumbles_once_the_image_is_the_same() {
    let Some(calm) = Town::with(&[toy()]) else { return };
    calm.project("shop", &[toy()]);
    let built = calm.builds(&["shop"]);
    let Some(town) = Town::without_cache(&[toy()]) else { return };
    town.project("shop", &[toy()]);
    let release = "/debian/dists/bookworm/InRelease".to_owned();
    let paths: Vec<String> = [release].into_iter().chain(town.indexes()).chain(town.debs()).collect();
    let passing =
        faults().into_iter().filter(|(name, _)| !["a shorter file", "404", "a circle"].contains(name));
    let passing: Vec<Fault> = passing.map(|(_, fault)| fault).collect();
    for (number, path) in paths.iter().enumerate() {
        // Nothing but its signature tells whether a release file is the right one.
        let fault = &passing[if number == 0 { 0 } else { number % passing.len() }];
        town.archive.fault_once(path, fault.clone());
    }
    town.index.fault_once(&format!("/files/{}", toy().file_name()), Fault::TruncateAfter(100));
    let ran = town.builds_impatiently();
    assert_eq!((ran.stderr.as_str(), ran.stdout.trim_end()), ("", built.as_str()));
}

/// Runs a script in which `$minke` builds `shop` and `$small` mounts a small file system; none where nobody may.
fn with_a_small_disk(town: &Town, script: &str) -> Option<String> {
    let Some(unshare) = program("unshare") else {
        skip("there is no unshare");
        return None;
    };
    let mut mounts = Command::new(&unshare);
    mounts.args(["--mount", "sh", "-c", "mount -t tmpfs -o size=1m small /mnt"]);
    if !mounts.output().is_ok_and(|output| output.status.success()) {
        skip("a file system can be mounted only by root, and not in every container");
        return None;
    }
    let minke = town.command(&["build", "--quiet", "shop"]);
    let mut command = Command::new(&unshare);
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(minke.get_program())
        .args(minke.get_args())
        .env_clear()
        .envs(minke.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir(minke.get_current_dir().unwrap());
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| town.redacted(&String::from_utf8_lossy(bytes));
    Some(text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_cache_that_is_full_is_an_error_and_the_next_build_with_room_is_right() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let built = town.builds(&["shop"]);
    for limit in ["size=1m", "size=12m", "nr_inodes=30", "nr_inodes=200"] {
        let script = format!(
            "mkdir -p cache-small; mount -t tmpfs -o {limit} small cache-small; export MINKE_CACHE=$PWD/cache-small\n\
             \"$@\" 2>&1; mount -o remount,size=900m,nr_inodes=0 cache-small; \"$@\""
        );
        let Some(seen) = with_a_small_disk(&town, &script) else { return };
        let (failed, right) = seen.trim_end().rsplit_once('\n').unwrap_or_default();
        assert_eq!(right, built, "{limit}: {seen}");
        assert!(failed.contains("No space left on device") && failed.contains("help: "), "{limit}: {failed}");
    }
}

#[test]
fn an_output_that_is_full_or_read_only_is_an_error_that_leaves_nothing_half() {
    let Some(town) = Town::with(&[]) else { return };
    town.project("shop", &[]);
    let mut seen = String::new();
    for (options, output) in [
        ("size=100k", "oci-archive:small/shop.tar"),
        ("size=100k", "docker-archive:small/shop.tar"),
        ("size=100k", "oci:small/layout"),
        ("nr_inodes=3", "oci:small/layout"),
        ("ro", "oci-archive:small/shop.tar"),
        ("ro", "oci:small/layout"),
    ] {
        let script = format!(
            "mkdir -p small; mount -t tmpfs -o {options} small small\n\"$@\" -o {output} 2>&1; echo status: $?\n\
             find small -type f -name '*.tar'"
        );
        let Some(told) = with_a_small_disk(&town, &script) else { return };
        seen += &redacted(&format!("{options} {output}\n{told}\n"));
    }
    assert_snapshot!(seen, @r#"
    size=100k oci-archive:small/shop.tar
    error: the image was built and is in minke's store, but cannot be handed over
      because: cannot write the image to `oci-archive:small/shop.tar`
      because: cannot write `TOWN/small/shop.tar`
      because: No space left on device (os error 28)
      help: make room there, or name another place; what was built is kept, so that the next build is short
    status: 1

    size=100k docker-archive:small/shop.tar
    error: the image was built and is in minke's store, but cannot be handed over
      because: cannot write the image to `docker-archive:small/shop.tar`
      because: cannot write `TOWN/small/shop.tar`
      because: No space left on device (os error 28)
      help: make room there, or name another place; what was built is kept, so that the next build is short
    status: 1

    size=100k oci:small/layout
    error: the image was built and is in minke's store, but cannot be handed over
      because: cannot write the image to `oci:small/layout`
      because: cannot write `TOWN/small/layout/blobs/sha256/…`
      because: No space left on device (os error 28)
      help: make room there, or name another place; what was built is kept, so that the next build is short
    status: 1

    nr_inodes=3 oci:small/layout
    error: the image was built and is in minke's store, but cannot be handed over
      because: cannot write the image to `oci:small/layout`
      because: cannot make `TOWN/small/layout/blobs/sha256`
      because: No space left on device (os error 28)
      help: make room there, or name another place; what was built is kept, so that the next build is short
    status: 1

    ro oci-archive:small/shop.tar
    error: the image was built and is in minke's store, but cannot be handed over
      because: cannot write the image to `oci-archive:small/shop.tar`
      because: cannot write `TOWN/small/shop.tar`
      because: Read-only file system (os error 30)
      help: name a place that you may write to
    status: 1

    ro oci:small/layout
    error: the image was built and is in minke's store, but cannot be handed over
      because: cannot write the image to `oci:small/layout`
      because: cannot make `TOWN/small/layout/blobs/sha256`
      because: Read-only file system (os error 30)
      help: name a place that you may write to
    status: 1
    "#);
}

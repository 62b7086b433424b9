use std::path::PathBuf;

use minke_net::ClientOptions;
use minke_testkit::{Deb, DebianArchive, SigningKey};

use super::*;
use crate::contents::{Missing, Supplier};

#[test]
fn a_suite_that_is_not_there_is_an_error_whatever_it_is_called() {
    let archive = tempfile::tempdir().unwrap();
    let mirror = format!("file://{}", archive.path().display());
    let client = Client::new(ClientOptions::default()).unwrap();
    for suite in ["sid", "sid-updates"] {
        let said = |value: &str| Some(Said { value: value.to_owned(), origin: Origin::Argument("--base") });
        let mirror =
            said(&mirror).map(|Said { value, origin }| Said { value: value.parse().unwrap(), origin });
        let settings = Settings { base: said(suite), mirror, ..Settings::default() };
        let wishes = (&settings, &Host::default());
        let error = Debian::open(&client, wishes, Arch::Amd64, &Reporter::silent()).err().unwrap();
        assert_eq!(error.to_string(), format!("cannot fetch the release file of {suite}"));
    }
}

/// A suite's archives in a directory, and what is asked of them.
struct Toys {
    directory: tempfile::TempDir,
    store: Store,
}

impl Toys {
    /// Writes the suite with some packages, its updates with others.
    fn new(suite: DebianArchive, updates: DebianArchive) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = SigningKey::new(1);
        std::fs::write(directory.path().join("key.asc"), key.public_armored()).unwrap();
        suite.sign_with(&key).write_to(directory.path());
        updates.sign_with(&key).write_to(directory.path());
        let store = Store::open(&directory.path().join("cache")).unwrap();
        Self { directory, store }
    }

    /// Returns where the list of files of the suite's own packages lies by its name.
    fn list_by_name(&self) -> PathBuf {
        self.directory.path().join("dists/trixie/main/Contents-amd64.gz")
    }

    /// Has the mirror forget the lists that the suite's release names.
    fn remove_lists_by_hash(&self) {
        for list in std::fs::read_dir(self.list_by_name().with_file_name("by-hash").join("SHA256")).unwrap() {
            std::fs::remove_file(list.unwrap().path()).unwrap();
        }
    }

    fn ask(&self, missing: &Missing, present: &[&str]) -> Result<String, DebianError> {
        let said = |value: PathBuf| Some(Said { value, origin: Origin::Default });
        let mirror = format!("file://{}", self.directory.path().display()).parse().unwrap();
        let settings = Settings {
            base: Some(Said { value: "trixie".to_owned(), origin: Origin::Default }),
            mirror: Some(Said { value: mirror, origin: Origin::Default }),
            signed_by: said(self.directory.path().join("key.asc")),
            ..Settings::default()
        };
        let host = Host { today: "2020-01-02".parse().unwrap(), ..Host::default() };
        let client = Client::new(ClientOptions::default()).unwrap();
        let debian = Debian::open(&client, (&settings, &host), Arch::Amd64, &Reporter::silent())?;
        let present = present.iter().map(|name| name.parse().unwrap()).collect();
        let found =
            debian.suppliers((&client, &self.store), missing, &present, &ClosureOptions::default())?;
        let line = |supplier: &Supplier| {
            let Supplier { package, path, place, packages, bytes: _ } = supplier;
            format!("{package} {path} {place:?} {packages}\n")
        };
        Ok(found.iter().map(line).collect())
    }
}

fn deb(name: &str) -> Deb {
    Deb::new(name, "1").compression(minke_testkit::Compression::None)
}

/// Packages that all have `libfoo.so.1` or its header, at different prices.
fn foos() -> DebianArchive {
    let soname = "/usr/lib/x86_64-linux-gnu/libfoo.so.1";
    DebianArchive::new("trixie").packages([
        deb("base").file("/usr/bin/base", "base"),
        deb("friend").file("/usr/share/friend", vec![7; 9000]),
        deb("a-foo-dear").file(soname, "dear").depends("friend"),
        deb("b-foo-cheap").file(soname, "cheap"),
        deb("c-foo-hostile").file(soname, "").field("Conflicts", "base"),
        deb("d-foo-broken").file(soname, "").depends("nobody"),
        deb("foo-tools").file("/usr/include/foo.h", "small"),
        deb("foo-dev").file("/usr/include/foo.h", vec![7; 9000]).depends("b-foo-cheap"),
        deb("foo-all-dev").architecture("all").file("/usr/share/pkgconfig/foo.pc", "all"),
        deb("foo-odd-dev").file("/usr/lib/x86_64-linux-gnu/odd/pkgconfig/foo.pc", "odd"),
    ])
}

#[test]
fn the_supplier_that_brings_least_is_the_best_and_who_cannot_be_there_is_none() {
    let toys = Toys::new(foos(), DebianArchive::new("trixie-updates"));
    let soname = Missing::Soname("libfoo.so.1".to_owned());
    insta::assert_snapshot!(toys.ask(&soname, &["base"]).unwrap(), @r"
        b-foo-cheap /usr/lib/x86_64-linux-gnu/libfoo.so.1 Exact 1
        a-foo-dear /usr/lib/x86_64-linux-gnu/libfoo.so.1 Exact 2
    ");
    // What is there already brings nothing.
    insta::assert_snapshot!(toys.ask(&soname, &["base", "a-foo-dear"]).unwrap(), @r"
        a-foo-dear /usr/lib/x86_64-linux-gnu/libfoo.so.1 Exact 0
        b-foo-cheap /usr/lib/x86_64-linux-gnu/libfoo.so.1 Exact 1
    ");
    insta::assert_snapshot!(toys.ask(&Missing::Soname("libbar.so.1".to_owned()), &["base"]).unwrap(), @"");
}

#[test]
fn for_builds_a_development_package_is_better_than_a_small_one() {
    let toys = Toys::new(foos(), DebianArchive::new("trixie-updates"));
    insta::assert_snapshot!(toys.ask(&Missing::Header("foo.h".to_owned()), &["base"]).unwrap(), @r"
        foo-dev /usr/include/foo.h Exact 2
        foo-tools /usr/include/foo.h Exact 1
    ");
}

#[test]
fn packages_for_all_machines_are_asked_where_none_of_the_machine_has_it_in_its_place() {
    let toys = Toys::new(foos(), DebianArchive::new("trixie-updates"));
    insta::assert_snapshot!(toys.ask(&Missing::PkgConfig("foo".to_owned()), &["base"]).unwrap(), @r"
        foo-all-dev /usr/share/pkgconfig/foo.pc Exact 1
        foo-odd-dev /usr/lib/x86_64-linux-gnu/odd/pkgconfig/foo.pc Far 1
    ");
}

#[test]
fn updates_may_lack_the_lists_that_they_promise_but_the_suite_may_not() {
    let soname = Missing::Soname("libfoo.so.1".to_owned());
    let toys = Toys::new(foos(), DebianArchive::new("trixie-updates").package(deb("new")));
    let lists = toys.directory.path().join("dists/trixie-updates/main/by-hash/SHA256");
    std::fs::remove_dir_all(lists).unwrap();
    let first = || Some(toys.ask(&soname, &[]).ok()?.lines().next()?.to_owned());
    assert_eq!(first(), Some("c-foo-hostile /usr/lib/x86_64-linux-gnu/libfoo.so.1 Exact 1".to_owned()));

    let toys = Toys::new(foos(), DebianArchive::new("trixie-updates"));
    toys.remove_lists_by_hash();
    std::fs::remove_file(toys.list_by_name()).unwrap();
    let error = toys.ask(&soname, &[]).unwrap_err();
    assert_eq!(error.to_string(), "cannot fetch the list of files of trixie");
    // What isn't a list cannot stand in for one.
    std::fs::write(toys.list_by_name(), "no list").unwrap();
    let error = toys.ask(&soname, &[]).unwrap_err();
    assert_eq!(error.to_string(), "cannot fetch the list of files of trixie");
}

#[test]
fn of_a_list_that_nobody_signed_that_is_believed_which_the_packages_confirm() {
    let soname = Missing::Soname("libfoo.so.1".to_owned());
    let toys = Toys::new(foos(), DebianArchive::new("trixie-updates"));
    let signed = std::fs::read(toys.list_by_name()).unwrap();
    toys.remove_lists_by_hash();
    insta::assert_snapshot!(toys.ask(&soname, &["base"]).unwrap(), @r"
        b-foo-cheap /usr/lib/x86_64-linux-gnu/libfoo.so.1 Exact 1
        a-foo-dear /usr/lib/x86_64-linux-gnu/libfoo.so.1 Exact 2
    ");

    // Another time's list: `friend` has no such file, the dear one isn't known yet, and nobody is gone since.
    let other = DebianArchive::new("trixie").packages([
        deb("b-foo-cheap").file("/usr/lib/x86_64-linux-gnu/libfoo.so.1", ""),
        deb("friend").file("/usr/lib/x86_64-linux-gnu/libfoo.so.1", ""),
        deb("gone").file("/usr/lib/x86_64-linux-gnu/libfoo.so.1", ""),
    ]);
    let toys = Toys::new(foos(), DebianArchive::new("trixie-updates"));
    toys.remove_lists_by_hash();
    let list =
        minke_testkit::compress(other.contents_text("amd64").as_bytes(), minke_testkit::Compression::Gz);
    std::fs::write(toys.list_by_name(), list).unwrap();
    let stood_in = toys.ask(&soname, &["base"]).unwrap();
    insta::assert_snapshot!(stood_in, @"b-foo-cheap /usr/lib/x86_64-linux-gnu/libfoo.so.1 Exact 1");
    // What was found that way is not for ever: the list is asked for again, and once it is there it counts.
    std::fs::write(toys.list_by_name(), &signed).unwrap();
    assert_eq!(toys.ask(&soname, &["base"]).unwrap(), stood_in);
    let by_hash = toys.list_by_name().with_file_name("by-hash").join("SHA256");
    std::fs::write(by_hash.join(Digest::of(&signed).hex()), &signed).unwrap();
    assert_eq!(toys.ask(&soname, &["base"]).unwrap().lines().count(), 2);
}

#[test]
fn an_archive_without_lists_answers_nothing() {
    let archive = foos().fault(minke_testkit::ArchiveFault::NoContents);
    let toys = Toys::new(archive, DebianArchive::new("trixie-updates"));
    assert_eq!(toys.ask(&Missing::Program("base".to_owned()), &[]).unwrap(), "");
}

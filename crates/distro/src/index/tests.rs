use super::*;

fn archive(suite: &str) -> Arc<Archive> {
    let base = format!("http://{suite}.test/debian").parse().unwrap();
    Arc::new(Archive { base, suite: suite.parse().unwrap() })
}

fn stanza(name: &str, version: &str, more: &str) -> String {
    let digest = Digest::of(name.as_bytes()).hex();
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\nDescription: a toy\n of many lines\n\
         Filename: pool/{name}.deb\nSize: 7\nSHA256: {digest}\n{more}\n"
    )
}

fn index(suites: &[(&str, &str)]) -> Result<PackageIndex, IndexError> {
    let mut index = PackageIndex::new(Arch::Amd64);
    for (suite, text) in suites {
        index.add(&archive(suite), Compression::None, text.as_bytes())?;
    }
    Ok(index)
}

#[test]
fn the_highest_version_wins_and_keeps_its_archive() {
    let main = stanza("aa", "1.0-1", "") + &stanza("bb", "2", "") + &stanza("cc", "1", "");
    let security = stanza("aa", "1.0-1+deb13u1", "") + &stanza("bb", "1", "") + &stanza("cc", "1", "");
    let index = index(&[("trixie", &main), ("trixie-security", &security)]).unwrap();
    let files: Vec<String> = ["aa", "bb", "cc"]
        .map(|name| {
            let package = index.find(name).unwrap().unwrap();
            format!("{} {}", package.version, package.file().unwrap().url)
        })
        .into();
    assert_eq!(
        files,
        [
            "1.0-1+deb13u1 http://trixie-security.test/debian/pool/aa.deb",
            "2 http://trixie.test/debian/pool/bb.deb",
            "1 http://trixie.test/debian/pool/cc.deb",
        ]
    );
    assert_eq!((index.len(), index.find("dd").unwrap()), (3, None));
}

#[test]
fn a_package_says_all_that_its_stanza_does() {
    let more = "Depends: libc6 (>= 2), aa | bb\nPre-Depends: cc\nProvides: vv (= 3), ww\nConflicts: dd (<< 1)\n\
        Breaks: ee\nEssential: yes\nMulti-Arch: same\nPriority: required\nInstalled-Size: 12\nSource: src (1.2)\n";
    let index = index(&[("trixie", &stanza("aa", "1:2.3-4", more))]).unwrap();
    let package = index.find("aa").unwrap().unwrap();
    let groups = |groups: &[AnyOf]| groups.iter().map(ToString::to_string).collect::<Vec<_>>();
    let relations = |relations: &[Relation]| relations.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(groups(&package.depends), ["libc6 (>= 2)", "aa | bb"]);
    assert_eq!(groups(&package.pre_depends), ["cc"]);
    assert_eq!(
        (relations(&package.conflicts), relations(&package.breaks)),
        (vec!["dd (<< 1)".into()], vec!["ee".into()])
    );
    let expected = Package {
        name: "aa".parse().unwrap(),
        version: "1:2.3-4".parse().unwrap(),
        architecture: PackageArch::Native(Arch::Amd64),
        provides: vec![
            Provided { name: "vv".parse().unwrap(), version: Some("3".parse().unwrap()) },
            Provided { name: "ww".parse().unwrap(), version: None },
        ],
        is_essential: true,
        multi_arch: MultiArch::Same,
        priority: Priority::Required,
        filename: "pool/aa.deb".into(),
        size_bytes: 7,
        digest: Digest::of(b"aa"),
        installed_kib: Some(12),
        source: "src".into(),
        archive: archive("trixie"),
        ..package.clone()
    };
    assert_eq!(package, expected);
}

#[test]
fn only_standing_versions_provide_a_name() {
    let old = stanza("aa", "1", "Provides: virtual-thing (= 1)\n")
        + &stanza("bb", "1", "Provides: virtual-thing, cc\n");
    let new =
        stanza("aa", "2", "") + &stanza("zz", "1", "Provides: other,\n virtual-thing\nPriority: important\n");
    let index = index(&[("trixie", &old), ("trixie-updates", &new)]).unwrap();
    let names: Vec<_> =
        index.providers("virtual-thing").unwrap().into_iter().map(|package| package.name).collect();
    assert_eq!(names.iter().map(PackageName::as_str).collect::<Vec<_>>(), ["zz", "bb"]);
}

#[test]
fn other_architectures_are_left_out() {
    let text =
        stanza("aa", "1", "").replace("amd64", "arm64") + &stanza("bb", "1", "").replace("amd64", "all");
    let index = index(&[("trixie", &text)]).unwrap();
    assert_eq!(index.names().collect::<Vec<_>>(), ["bb"]);
    assert_eq!(index.find("bb").unwrap().unwrap().architecture, PackageArch::All);
}

#[test]
fn stanzas_that_cannot_be_used_are_named() {
    let broken = |text: String| index(&[("trixie", &text)]).map(drop).map_err(|error| error.to_string());
    assert_eq!(
        broken(stanza("aa", "1", "").replace("Package: aa\n", "")),
        Err("`stanza 0` has no usable field `Package` in the package index of trixie".into())
    );
    let used = |text: String| {
        let index = index(&[("trixie", &text)]).unwrap();
        index.find("aa").map(drop).map_err(|error| error.to_string())
    };
    for (from, to, field) in [
        ("pool/aa.deb", "../../etc/passwd", "Filename"),
        ("pool/aa.deb", "http://evil.test/aa.deb", "Filename"),
        ("pool/aa.deb", "/pool/aa.deb", "Filename"),
        ("Size: 7", "Size: seven", "Size"),
        ("SHA256: ", "SHA256: 00", "SHA256"),
        ("Version: 1", "Version: 1_2", "Version"),
        ("Version: 1", "Version: 1\nDepends: a (", "Depends"),
    ] {
        let expected = format!("`aa` has no usable field `{field}` in the package index of trixie");
        assert_eq!(used(stanza("aa", "1", "").replace(from, to)), Err(expected), "{to}");
    }
}

#[test]
fn damaged_and_endless_indexes_are_refused() {
    let mut index = PackageIndex::new(Arch::Amd64);
    assert!(index.add(&archive("trixie"), Compression::Xz, &b"nonsense"[..]).is_err());
    let endless = std::io::repeat(b'x');
    let error = index.add(&archive("trixie"), Compression::None, endless).unwrap_err();
    assert_eq!(error.to_string(), "cannot decompress the package index of trixie");
    assert!(index.add(&archive("trixie"), Compression::None, &b"Package: \xff\xff\n"[..]).is_err());
    assert!(index.is_empty());
}

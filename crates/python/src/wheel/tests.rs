use std::error::Error;
use std::io::Cursor;

use minke_cas::Mode;
use minke_testkit::{Wheel, WheelFault as Fault, ZipEntry, sha256_urlsafe, zip};

use super::*;

fn venv() -> Venv {
    Venv {
        root: "/app/.venv".parse().unwrap(),
        python: "3.13.5".parse().unwrap(),
        interpreter: "/usr/bin/python3.13".parse().unwrap(),
    }
}

fn dependency() -> Provenance {
    Provenance { direct_url: None, request: Request::Dependency }
}

struct Bench {
    _directory: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        Self { _directory: directory, store }
    }

    fn install_bytes(&self, name: &str, bytes: &[u8], why: &Provenance) -> Result<Installed, WheelError> {
        let (reader, digest) = (Cursor::new(bytes.to_vec()), Digest::of(bytes));
        install(&self.store, WheelFile { reader, name: name.parse().unwrap(), digest }, &venv(), why)
    }

    fn install(&self, wheel: &Wheel) -> Installed {
        self.install_bytes(&wheel.file_name(), &wheel.build(), &dependency()).unwrap()
    }

    /// What the error and its sources say, a line each.
    fn refusal(&self, name: &str, bytes: &[u8]) -> String {
        let error = self.install_bytes(name, bytes, &dependency()).unwrap_err();
        let mut said = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            said = format!("{said}\n  {error}");
            cause = error.source();
        }
        said
    }

    fn text(&self, installed: &Installed, path: &str) -> String {
        let file = installed.tree.resolve_file(&path.parse().unwrap()).unwrap();
        String::from_utf8(self.store.read_file(file).unwrap()).unwrap()
    }
}

fn hello() -> Wheel {
    Wheel::new("hello", "1.0").file("hello.py", "print('hello')\n")
}

/// A wheel `hello 1.0` of its metadata and these members, which `record` lists.
fn with_record(members: &[ZipEntry], record: &str) -> Vec<u8> {
    let mut all = vec![
        ZipEntry::file("hello-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"),
        ZipEntry::file("hello-1.0.dist-info/METADATA", "Name: hello\nVersion: 1.0\n"),
    ];
    let line = |entry: &ZipEntry| {
        format!("{},sha256={},\n", String::from_utf8_lossy(&entry.name), sha256_urlsafe(&entry.content))
    };
    let own: String = all.iter().map(line).collect();
    all.extend(members.iter().cloned());
    all.push(ZipEntry::file("hello-1.0.dist-info/RECORD", format!("{record}{own}")));
    zip(&all)
}

fn whole() -> Wheel {
    Wheel::new("Toy.Hello", "1.0")
        .tag("cp313-cp313-manylinux_2_17_x86_64")
        .file("toy_hello/__init__.py", "def main():\n    print('hello')\n")
        .file("toy_hello/data,1.txt", "x")
        .executable("toy_hello/tool", "\u{7f}ELF")
        .file("toy_hello/__pycache__/__init__.cpython-313.pyc", "bytecode")
        .file("toy_hello.pth", "import toy_hello\n")
        .file("Toy_Hello-1.0.dist-info/INSTALLER", "stranger")
        .file("Toy_Hello-1.0.dist-info/REQUESTED", "")
        .data_script("toy-script", "#!python -u\nprint('script')\n")
        .data_script("toy-window", "#!pythonw\r\nprint('window')\n")
        .data_script("toy-binary", "\u{7f}ELF")
        .data_file("data", "share/toy/x.txt", "shared")
        .data_file("data", "lib64/toy.txt", "sixty-four")
        .data_file("headers", "toy.h", "int toy;")
        .data_file("purelib", "toy_pure.py", "pure")
        .data_file("platlib", "toy_plat.py", "plat")
        .raw_zip_entry(ZipEntry::dir("toy_hello/empty/"))
        .entry_point("toy-hello", "toy_hello:main [extra]")
        .entry_point_in("gui_scripts", "toy-gui", "toy_hello.gui:App.run")
        .requires_python(">=3.8")
}

#[test]
fn every_scheme_goes_to_its_place() {
    let bench = Bench::new();
    let installed = bench.install(&whole());
    let files = installed.tree.files().map(|(path, file)| format!("{path} {} {}", file.mode, file.size));
    insta::assert_snapshot!(files.collect::<Vec<_>>().join("\n"), @r"
    /app/.venv/bin/toy-binary 0755 4
    /app/.venv/bin/toy-gui 0755 118
    /app/.venv/bin/toy-hello 0755 112
    /app/.venv/bin/toy-script 0755 43
    /app/.venv/bin/toy-window 0755 41
    /app/.venv/include/site/python3.13/toy-hello/toy.h 0644 8
    /app/.venv/lib/python3.13/site-packages/Toy_Hello-1.0.dist-info/INSTALLER 0644 6
    /app/.venv/lib/python3.13/site-packages/Toy_Hello-1.0.dist-info/METADATA 0644 74
    /app/.venv/lib/python3.13/site-packages/Toy_Hello-1.0.dist-info/RECORD 0644 1441
    /app/.venv/lib/python3.13/site-packages/Toy_Hello-1.0.dist-info/WHEEL 0644 101
    /app/.venv/lib/python3.13/site-packages/Toy_Hello-1.0.dist-info/entry_points.txt 0644 101
    /app/.venv/lib/python3.13/site-packages/toy_hello/__init__.py 0644 31
    /app/.venv/lib/python3.13/site-packages/toy_hello/data,1.txt 0644 1
    /app/.venv/lib/python3.13/site-packages/toy_hello/tool 0755 4
    /app/.venv/lib/python3.13/site-packages/toy_hello.pth 0644 17
    /app/.venv/lib/python3.13/site-packages/toy_plat.py 0644 4
    /app/.venv/lib/python3.13/site-packages/toy_pure.py 0644 4
    /app/.venv/lib/toy.txt 0644 10
    /app/.venv/share/toy/x.txt 0644 6
    ");
}

#[test]
fn what_is_known_of_a_wheel_is_handed_back() {
    let Installed { tree: _, warnings, dist_info, console_scripts, gui_scripts, .. } =
        Bench::new().install(&whole());
    assert_eq!(dist_info.as_str(), "/app/.venv/lib/python3.13/site-packages/Toy_Hello-1.0.dist-info");
    assert_eq!(
        (console_scripts, gui_scripts),
        (["toy-hello".to_owned()].into(), ["toy-gui".to_owned()].into())
    );
    assert_eq!(warnings, [WheelWarning::Bytecode { files: 1, bytes: 8 }]);
    let installed = Bench::new().install(&whole());
    assert_eq!(installed.name.as_str(), "toy-hello");
    assert_eq!(installed.requires_python, Some(">=3.8".parse().unwrap()));
    assert!(!installed.root_is_purelib);
}

#[test]
fn scripts_start_with_the_environments_interpreter() {
    let bench = Bench::new();
    let installed = bench.install(&whole());
    let text = |name: &str| bench.text(&installed, &format!("/app/.venv/bin/{name}"));
    assert_eq!(text("toy-script"), "#!/app/.venv/bin/python -u\nprint('script')\n");
    assert_eq!(text("toy-window"), "#!/app/.venv/bin/python\r\nprint('window')\n");
    assert_eq!(text("toy-binary"), "\u{7f}ELF");
    insta::assert_snapshot!(text("toy-gui"), @r#"
    #!/app/.venv/bin/python
    import sys

    from toy_hello.gui import App

    if __name__ == "__main__":
        sys.exit(App.run())
    "#);
}

#[test]
fn record_lists_what_was_installed() {
    let bench = Bench::new();
    let installed = bench.install(&whole());
    let dist_info = installed.dist_info.join_str("RECORD").unwrap();
    let text = bench.text(&installed, dist_info.as_str());
    insta::assert_snapshot!(text, @r#"
    ../../../bin/toy-binary,sha256=O9u0_oOXzSuEJDCznM_wGoZjx1GUXvXpoJ4mf7ix01k,4
    ../../../bin/toy-gui,sha256=O02C9kJgF57kFyuQ8dmJpdQvV21VrjCBTyxiAFAocec,118
    ../../../bin/toy-hello,sha256=b07ZK4gr6WmvvAfwmWCNXrveLJvJ-rUaS-RwKRLC4y8,112
    ../../../bin/toy-script,sha256=Ce52o6cMn9bulCC5UzSvRg9q-k5GhRMruSCETNcDg3Y,43
    ../../../bin/toy-window,sha256=njCymIVsOX4TRAOY5Om2rjC2j1sZwYg0_3DxCCL9xAg,41
    ../../../include/site/python3.13/toy-hello/toy.h,sha256=MInae49pMuVEzW2sO6pPH04JbsJRHimJMkxYOhqL3JY,8
    ../../../share/toy/x.txt,sha256=pNJoaAF8DM_-Lv5QlE70IRg0ZgzKg0xun4bexqiCRvo,6
    ../../toy.txt,sha256=v50ZetfUsQ4SVcOa0o8t5N17L-pFPo3QUhO7JLazaDY,10
    Toy_Hello-1.0.dist-info/INSTALLER,sha256=LW_V3sfGnYSAe36Zi_x0HiTQrg85BTu_pk6B16VB2BQ,6
    Toy_Hello-1.0.dist-info/METADATA,sha256=U-D-tFgDt_d1IjpcR2wihzlc8zd07tjhZCQSJH2u2oo,74
    Toy_Hello-1.0.dist-info/RECORD,,
    Toy_Hello-1.0.dist-info/WHEEL,sha256=izJQVjOqiVox9a0Zlwh4fefuIMOl_FbgMXFFJfwmvN0,101
    Toy_Hello-1.0.dist-info/entry_points.txt,sha256=1zo6Vk8QA0lT0hjmjG1thWAveVlXHOk8lf1_OnDh7vE,101
    toy_hello.pth,sha256=v-KD9P6qB9yXe73kYPeEGp3KR3LICOGIyLcVvr3jxrY,17
    toy_hello/__init__.py,sha256=mOzwLNawIWvgpYOwfUfNbRtdBNj8G47BklT6DBHwEUU,31
    "toy_hello/data,1.txt",sha256=LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE,1
    toy_hello/tool,sha256=O9u0_oOXzSuEJDCznM_wGoZjx1GUXvXpoJ4mf7ix01k,4
    toy_plat.py,sha256=zmkRjSVyRoq378C8FIAnnnxi9ZTYk2mYjO9SSp-kApA,4
    toy_pure.py,sha256=uLoux-kHE8EEN3gWSvMlCCCUPCFlyfGfopmH4Baq5d0,4
    "#);

    // The law: RECORD has every file of the tree, with its digest and size, and nothing else.
    let record = Record::parse(&text).unwrap();
    assert_eq!(record.to_text(), text);
    assert_eq!(record.entries.len(), installed.tree.files().count());
}

#[test]
fn the_installer_says_who_and_why() {
    let bench = Bench::new();
    let said = |direct_url| {
        let wheel = hello();
        let why = Provenance { direct_url: Some(direct_url), request: Request::Project };
        let installed = bench.install_bytes(&wheel.file_name(), &wheel.build(), &why).unwrap();
        let text = |file: &str| bench.text(&installed, installed.dist_info.join_str(file).unwrap().as_str());
        assert_eq!((text("INSTALLER"), text("REQUESTED")), ("minke\n".to_owned(), String::new()));
        text("direct_url.json")
    };
    let text = |text: &str| text.to_owned();
    insta::assert_snapshot!(
        [
            said(DirectUrl::Archive { url: text("https://host.test/a.whl"), digest: Some(Digest::of(b"")) }),
            said(DirectUrl::Archive { url: text("https://host.test/a.whl"), digest: None }),
            said(DirectUrl::Directory { url: text("file:///a") }),
            said(DirectUrl::Vcs {
                vcs: text("git"),
                url: text("https://host.test/a.git"),
                requested_revision: Some(text("v1")),
                commit: text("abc"),
            }),
        ]
        .join("\n"),
        @r#"
        {"archive_info":{"hashes":{"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}},"url":"https://host.test/a.whl"}
        {"archive_info":{},"url":"https://host.test/a.whl"}
        {"dir_info":{},"url":"file:///a"}
        {"url":"https://host.test/a.git","vcs_info":{"commit_id":"abc","requested_revision":"v1","vcs":"git"}}
        "#
    );
}

#[test]
fn the_same_wheel_gives_the_same_tree_and_survives_being_stored() {
    let (first, second) = (Bench::new().install(&whole()), Bench::new().install(&whole()));
    assert_eq!(first, second);
    let stored = serde_json::to_string(&first).unwrap();
    assert_eq!(serde_json::from_str::<Installed>(&stored).unwrap(), first);
}

#[test]
fn contents_lie_in_one_pack_that_another_environment_shares() {
    let bench = Bench::new();
    let bytes = whole().build();
    let pack = PackId::of("wheel-1", &Digest::of(&bytes));
    let first = bench.install(&whole());
    let name = whole().file_name().parse().unwrap();
    let wheel = WheelFile { reader: Cursor::new(&bytes), name, digest: Digest::of(&bytes) };
    let elsewhere = Venv { root: "/opt/venv".parse().unwrap(), ..venv() };
    let second = install(&bench.store, wheel, &elsewhere, &dependency()).unwrap();
    for installed in [first, second] {
        let loose = installed.tree.files().filter(|(_, file)| file.pack != Some(pack)).count();
        assert_eq!(loose, 6, "two scripts with a new first line, two programs, INSTALLER and RECORD");
        for (path, file) in installed.tree.files() {
            assert_eq!(Digest::of(&bench.store.read_file(file).unwrap()), file.content, "{path}");
        }
    }
}

#[test]
fn hashes_better_than_sha256_are_checked_too() {
    let bench = Bench::new();
    let name = "hello-1.0-py3-none-any.whl";
    // Those of an empty file, as openssl says them.
    for record in [
        "a.py,sha384=OLBgp1GsljhM2TJ-sbHjaiH9txEUvgdDTAzHv2P24donTt6_529l-9Ua0vFImLlb,0\n",
        "a.py,sha512=z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg_SpIdNs6c5H0NE8XYXysP-DGNKHfuwvY7kxvUdBeoGlODJ6-SfaPg,0\n",
    ] {
        let empty = with_record(&[ZipEntry::file("a.py", "")], record);
        assert!(bench.install_bytes(name, &empty, &dependency()).is_ok(), "{record}");
        let other = with_record(&[ZipEntry::file("a.py", "x")], &record.replace(",0\n", ",\n"));
        let said = bench.refusal(name, &other);
        assert!(said.contains("its member `a.py` is not what RECORD says"), "{said}");
    }
}

#[test]
fn oddities_are_told_but_no_error() {
    let bench = Bench::new();
    let absent = bench.install(&hello().fault(Fault::Absent("gone.py".to_owned())));
    assert_eq!(absent.warnings, [WheelWarning::NotThere { path: "gone.py".to_owned() }]);
    let record = absent.dist_info.join_str("RECORD").unwrap();
    assert!(!bench.text(&absent, record.as_str()).contains("gone.py"));
}

#[test]
fn names_that_differ_in_case_alone_and_beyond_ascii_are_kept() {
    let bench = Bench::new();
    let installed = bench.install(&hello().file("Hello.py", "").file("héllo/日本.txt", "text"));
    let path = "/app/.venv/lib/python3.13/site-packages/héllo/日本.txt";
    assert_eq!(bench.text(&installed, path), "text");
    let modes: Vec<_> = installed.tree.files().map(|(_, file)| file.mode).collect();
    assert!(modes.iter().all(|mode| *mode == Mode::REGULAR));
}

/// Writes a wheel anew for another platform, with its texts in capitals and one more file.
fn rewritten(wheel: &Wheel) -> Result<Vec<u8>, RewriteError> {
    let name: WheelFileName = wheel.file_name().parse().unwrap();
    let new_name = name.on(&["manylinux_2_17_x86_64".to_owned(), "manylinux2014_x86_64".to_owned()].into());
    assert_eq!(new_name.as_str().parse::<WheelFileName>().unwrap(), new_name);
    let added = [("DIST-INFO/sboms/bill.json", "{}"), ("hello.libs/libx.so.1", "x")];
    let added = added.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).into();
    let whole = Rewrite { name: &name, new_name: &new_name, added: &added };
    let new = Cursor::new(Vec::new());
    let new = rewrite(Cursor::new(wheel.build()), new, &whole, |_, bytes| {
        Ok::<_, RewriteError>(bytes.to_ascii_uppercase())
    })?;
    Ok(new.into_inner())
}

#[test]
fn a_wheel_that_is_written_anew_can_be_installed_and_is_the_same_every_time() {
    let bench = Bench::new();
    let bytes = rewritten(&hello()).unwrap();
    assert_eq!(rewritten(&hello()).unwrap(), bytes);
    let name = "hello-1.0-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl";
    let installed = bench.install_bytes(name, &bytes, &dependency()).unwrap();
    let listed: Vec<_> = installed.tree.files().map(|(path, _)| path.to_string()).collect();
    insta::assert_snapshot!(listed.join("\n"), @r"
        /app/.venv/lib/python3.13/site-packages/hello-1.0.dist-info/INSTALLER
        /app/.venv/lib/python3.13/site-packages/hello-1.0.dist-info/METADATA
        /app/.venv/lib/python3.13/site-packages/hello-1.0.dist-info/RECORD
        /app/.venv/lib/python3.13/site-packages/hello-1.0.dist-info/WHEEL
        /app/.venv/lib/python3.13/site-packages/hello-1.0.dist-info/sboms/bill.json
        /app/.venv/lib/python3.13/site-packages/hello.libs/libx.so.1
        /app/.venv/lib/python3.13/site-packages/hello.py
    ");
    let wheel = installed.dist_info.join_str("WHEEL").unwrap();
    insta::assert_snapshot!(bench.text(&installed, wheel.as_str()), @r"
        Wheel-Version: 1.0
        Generator: toy town
        Root-Is-Purelib: false
        Tag: py3-none-manylinux2014_x86_64
        Tag: py3-none-manylinux_2_17_x86_64
    ");
}

#[test]
fn a_wheel_that_is_not_what_its_record_says_is_not_written_anew() {
    let said = |fault: Fault| rewritten(&hello().fault(fault)).unwrap_err().source().unwrap().to_string();
    let file = hello().build();
    let mut archive = zip_names(&file);
    let first = archive.remove(0);
    insta::assert_snapshot!(
        [Fault::WrongHash(first.clone()), Fault::Unrecorded(first.clone()), Fault::NoRecord, Fault::NoWheelFile]
            .map(said)
            .join("\n"),
        @r"
            its member `hello.py` is not what RECORD says; it is sha256:03e693d9f2f687e0f40e36a8df7fcb4d1c22974012b7c2a55c000eb30f305824
            its RECORD has no hash of `hello.py`
            it has no `hello-1.0.dist-info/RECORD`
            it has no `hello-1.0.dist-info/WHEEL`
        "
    );
}

/// The names in a wheel, in its order.
fn zip_names(bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    each_file(Cursor::new(bytes), |name, _| {
        names.push(name.to_owned());
        Ok(())
    })
    .unwrap();
    names
}

mod refusals;

//! The image's own Python compiles, and nothing of the host's has a hand in it.

mod common;

use std::process::Command;
use std::sync::Arc;

use common::{Base, base, path};
use minke_cas::{Digest, File, ImagePath, Mode, Ownership, PackId, Store, Tree};
use minke_exec::{CompileError, Interpreter, Isolation};

struct Workshop {
    base: Arc<Base>,
    interpreter: Interpreter,
}

impl std::ops::Deref for Workshop {
    type Target = Base;

    fn deref(&self) -> &Base {
        &self.base
    }
}

fn workshop() -> Option<Workshop> {
    let base = base()?;
    let room = base.store.room(&base.tree, Ownership::Caller).unwrap();
    let interpreter = Interpreter::in_room(&room, &base.python).unwrap();
    Some(Workshop { base, interpreter })
}

fn sources(store: &Store, texts: &[(&str, &[u8])]) -> Vec<(ImagePath, File)> {
    let file = |text: &[u8]| File::new(store.put(text).unwrap(), text.len() as u64, Mode::REGULAR);
    texts.iter().map(|(name, text)| (path(name), file(text))).collect()
}

fn pack(name: &str) -> PackId {
    PackId::of(name, &Digest::of(b""))
}

#[test]
fn the_bytes_are_those_of_py_compile() {
    let Some(shop) = workshop() else { return };
    let library = path(&format!("/usr/lib/{}", shop.python.name().unwrap()));
    let mut library: Vec<_> = shop
        .tree
        .files()
        .filter(|(path, _)| path.starts_with(&library) && path.as_str().ends_with(".py"))
        .map(|(path, file)| (path, file.clone()))
        .take(60)
        .collect();
    let ours = shop
        .interpreter
        .compile(&shop.store, pack("the_bytes_ar-ours"), &library, Isolation::OneProcess)
        .unwrap();

    let room = shop.store.room(&shop.tree, Ownership::Caller).unwrap();
    let made = tempfile::tempdir().unwrap();
    let script = "import py_compile, sys, warnings\n\
        warnings.simplefilter('ignore')\n\
        room, made = sys.argv[1:3]\n\
        for number, name in enumerate(sys.argv[3:]):\n    \
        py_compile.compile(room + name, f'{made}/{number}', name, doraise=True,\n        \
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)";
    let names = library.iter().map(|(path, _)| path.as_str());
    let status = Command::new(shop.python.as_str())
        .env_clear()
        .args(["-S", "-B", "-X", "utf8", "-c", script])
        .args([&room, made.path()])
        .args(names)
        .status()
        .unwrap();
    assert!(status.success());

    let expected: Vec<_> =
        (0..library.len()).map(|n| std::fs::read(made.path().join(n.to_string())).unwrap()).collect();
    let digests: Vec<_> = expected.iter().map(|bytes| Digest::of(bytes)).collect();
    let compiled: Vec<_> = ours.tree.files().map(|(_, file)| file.content).collect();
    assert_eq!(ours.failed, []);
    assert_eq!(digests.len(), compiled.len());
    // A tree lists `a/__pycache__` before `a/b.py`, so that the order isn't the sources'.
    let (mut digests, mut compiled) = (digests, compiled);
    digests.sort();
    compiled.sort();
    assert_eq!(digests, compiled);

    library.reverse();
    let reversed = shop
        .interpreter
        .compile(&shop.store, pack("the_bytes_ar-rev"), &library, Isolation::OneProcess)
        .unwrap();
    assert_eq!(ours, reversed);
    let bytes = shop.store.read_file(reversed.tree.files().next().unwrap().1).unwrap();
    assert_eq!(&bytes[4..8], [1, 0, 0, 0], "hash-based, unchecked");
}

#[test]
fn a_forked_file_does_not_depend_on_the_others() {
    let Some(shop) = workshop() else { return };
    let texts: Vec<(&str, &[u8])> = vec![
        ("/app/a.py", b"X = frozenset({1, 2, 3}); Y = (1, 2, 'three')\n"),
        ("/app/b.py", b"def f(v): return v in {1, 2, 3}, (1, 2, 'three')\n"),
        ("/app/pkg/c.py", b"class C:\n    '''doc'''\n    x = (1, 2, 'three')\n"),
    ];
    let all = sources(&shop.store, &texts);
    let compile = |name: &str, some: &[(ImagePath, File)]| {
        shop.interpreter.compile(&shop.store, pack(name), some, Isolation::ForkPerFile).unwrap().tree
    };
    let together = compile("a_forked_fil-all", &all);
    let mut apart = Tree::new();
    for (number, source) in all.iter().enumerate() {
        apart = apart.join(&compile(&number.to_string(), std::slice::from_ref(source))).unwrap();
    }
    assert_eq!(together, apart);
    let cached = shop.python.name().unwrap().replace("python3.", "cpython-3");
    let listed: Vec<_> = together.files().map(|(path, _)| path.to_string()).collect();
    assert_eq!(
        listed,
        [
            format!("/app/__pycache__/a.{cached}.pyc"),
            format!("/app/__pycache__/b.{cached}.pyc"),
            format!("/app/pkg/__pycache__/c.{cached}.pyc"),
        ]
    );
}

#[test]
fn sources_that_are_not_python_are_collected_and_nothing_else_is_compiled() {
    let Some(shop) = workshop() else { return };
    let deep = [b"(".repeat(5000), b")".repeat(5000)].concat();
    let long = format!("/p/{}.py", "n".repeat(250));
    let all = sources(
        &shop.store,
        &[
            ("/p/deep.py", &deep),
            ("/p/empty.py", b""),
            ("/p/latin.py", b"# -*- coding: latin-1 -*-\nx = '\xe9'\n"),
            ("/p/nul.py", b"x = 1\0\n"),
            ("/p/two.py", b"print 'hello'\n"),
            ("/p/unknown.py", b"# -*- coding: nonsense -*-\n"),
            ("/p/utf.py", b"x = '\xff'\n"),
            ("/p/warns.py", b"assert (1, 'x')\nx = '\\d'\n"),
            ("/p/data.txt", b"x"),
            (&long, b"x = 1\n"),
        ],
    );
    for isolation in [Isolation::OneProcess, Isolation::ForkPerFile] {
        let done = shop
            .interpreter
            .compile(&shop.store, pack(&format!("sources_that-{isolation:?}")), &all, isolation)
            .unwrap();
        let failed: Vec<_> =
            done.failed.iter().map(|(path, _)| path.name().unwrap()[..3].to_owned()).collect();
        assert_eq!(failed, ["dee", "nnn", "nul", "two", "unk", "utf"]);
        let message = &done.failed[3].1;
        assert!(message.starts_with("SyntaxError: Missing parentheses in call to 'print'"), "{message}");
        let made: Vec<_> = done.tree.files().map(|(path, _)| path.name().unwrap()[..3].to_owned()).collect();
        assert_eq!(made, ["emp", "lat", "war"]);
    }
}

#[test]
fn nothing_to_compile_is_no_error() {
    let Some(shop) = workshop() else { return };
    for isolation in [Isolation::OneProcess, Isolation::ForkPerFile] {
        let done = shop
            .interpreter
            .compile(&shop.store, pack(&format!("nothing_to_c-{isolation:?}")), &[], isolation)
            .unwrap();
        assert!(done.tree.is_empty() && done.failed.is_empty());
    }
}

#[test]
fn a_room_without_its_standard_library_says_what_python_said() {
    let Some(shop) = workshop() else { return };
    let mut tree = shop.tree.clone();
    tree.remove(&path(&format!("/usr/lib/{}", shop.python.name().unwrap())));
    let room = shop.store.room(&tree, Ownership::Caller).unwrap();
    let interpreter = Interpreter::in_room(&room, &shop.python).unwrap();
    let some = sources(&shop.store, &[("/p/a.py", b"x = 1\n")]);
    let error = interpreter
        .compile(&shop.store, pack("a_room_witho-none"), &some, Isolation::OneProcess)
        .unwrap_err();
    let CompileError::Failed { ending, stderr } = error else { panic!("{error}") };
    assert_eq!(ending, "exit status: 1");
    assert!(stderr.contains("No module named 'encodings'"), "{stderr}");
    assert!(!shop.store.has_pack(pack("a_room_witho-none")));
}

#[test]
fn libraries_and_modules_are_the_rooms() {
    let Some(shop) = workshop() else { return };
    let room = shop.store.room(&shop.tree, Ownership::Caller).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let wrapper = shop.interpreter.write_wrapper(directory.path()).unwrap();
    let script = "import sys, ctypes, ssl, sqlite3, lzma\n\
        print(*[p for p in sys.path if p], sep='\\n')\n\
        print(*sorted({l.split()[-1] for l in open('/proc/self/maps') if l.split()[-1].startswith('/')}), sep='\\n')";
    let output = Command::new(&wrapper)
        .args(["-I", "-S", "-B", "-c", script])
        .env_clear()
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let outside: Vec<_> = text.lines().filter(|line| !line.starts_with(room.to_str().unwrap())).collect();
    assert_eq!(outside, [""; 0], "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.lines().count() > 10);
}

/// The oldest Python that images have: what compiles may use nothing that is newer.
#[test]
fn python_3_8_compiles_too() {
    let python = "python3.8";
    if !Command::new(python).arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: this test needs python3.8 on PATH");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("a.py");
    std::fs::write(&source, "x = 1\n").unwrap();
    for mode in ["one-process", "fork-per-file"] {
        let fields = [mode, "2", "/p/a.py", source.to_str().unwrap(), "0", "6", ""].join("\0");
        let mut child = Command::new(python)
            .args(["-I", "-S", "-B", "-c", include_str!("../src/bytecode/compile.py")])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), fields.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{mode}");
        assert!(output.stdout.starts_with(b"cpython-38\nc\0\0\0\0"), "{mode}: {:?}", output.stdout);
    }
}

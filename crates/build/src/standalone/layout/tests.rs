use minke_cas::{Mode, StoreError};

use super::*;

const HEADER: &str =
    "/* x */\n#define PY_MAJOR_VERSION\t3\n#define PY_MINOR_VERSION\t12\n#define PY_MICRO_VERSION\t1\n";

fn tree(store: &Store, files: &[(&str, &str)]) -> Result<Tree, StoreError> {
    let mut tree = Tree::new();
    for (path, content) in files {
        let file = File::new(store.put(content.as_bytes())?, content.len() as u64, Mode::REGULAR);
        tree.insert(&path.parse().unwrap(), file.into()).unwrap();
    }
    Ok(tree)
}

fn found(files: &[(&str, &str)]) -> Result<String, String> {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let found = placed(&store, &tree(&store, files).unwrap(), "x.tar.gz");
    let files = |tree: &Tree| {
        tree.walk()
            .filter_map(|(path, entry)| match entry {
                Entry::Directory(_) => None,
                Entry::File(_) => Some(path.to_string()),
                Entry::Symlink(link) => Some(format!("{path} -> {}", link.target)),
            })
            .collect::<Vec<_>>()
            .join("\n")
    };
    found.map(|(tree, version)| format!("{version}\n{}", files(&tree))).map_err(|error| error.to_string())
}

#[test]
fn what_an_image_needs_is_taken_and_the_version_is_read_from_the_tree() {
    let found = found(&[
        ("/python/bin/python3.12", ""),
        ("/python/bin/pip3", "#!/install/bin/python3"),
        ("/python/bin/2to3", ""),
        ("/python/include/python3.12/patchlevel.h", HEADER),
        ("/python/lib/libpython3.12.so.1.0", ""),
        ("/python/lib/libffi.so.8", ""),
        ("/python/lib/tcl8.6/init.tcl", ""),
        ("/python/lib/python3.12/os.py", ""),
        ("/python/lib/python3.12/__pycache__/os.cpython-312.pyc", ""),
        ("/python/lib/python3.12/_sysconfigdata__linux_x86_64-linux-gnu.py", ""),
        ("/python/lib/python3.12/config-3.12-x86_64-linux-gnu/Makefile", ""),
        ("/python/lib/python3.12/lib-dynload/_tkinter.cpython-312.so", ""),
        ("/python/lib/python3.12/lib-dynload/math.cpython-312.so", ""),
        ("/python/lib/python3.12/site-packages/pip/__init__.py", ""),
        ("/python/lib/python3.12/test/test_os.py", ""),
        ("/python/lib/python3.12/unittest/case.py", ""),
        ("/python/lib/python3.12/ctypes/test/test_it.py", ""),
        ("/python/share/man/man1/python3.1", ""),
    ]);
    insta::assert_snapshot!(found.unwrap(), @r"
    3.12.1
    /usr/local/bin/python -> python3.12
    /usr/local/bin/python3 -> python3.12
    /usr/local/bin/python3.12
    /usr/local/lib/libffi.so.8
    /usr/local/lib/python3.12/_sysconfigdata__linux_x86_64-linux-gnu.py
    /usr/local/lib/python3.12/lib-dynload/math.cpython-312.so
    /usr/local/lib/python3.12/os.py
    /usr/local/lib/python3.12/unittest/case.py
    ");
}

#[test]
fn a_tree_may_begin_at_the_root_or_in_install() {
    for prefix in ["", "/python/install"] {
        let files = [
            ("bin/python3.12", ""),
            ("include/python3.12/patchlevel.h", HEADER),
            ("lib/python3.12/os.py", ""),
        ];
        let files = files.map(|(path, content)| (format!("{prefix}/{path}"), content));
        let files = files.each_ref().map(|(path, content)| (path.as_str(), *content));
        assert!(found(&files).unwrap().starts_with("3.12.1\n"), "{prefix}");
    }
}

#[test]
fn what_is_no_plain_cpython_is_refused() {
    let other = |name: &str, more: &str| {
        found(&[
            (&format!("/python/bin/{name}"), ""),
            (&format!("/python/lib/{name}/os.py"), ""),
            (&format!("/python/lib/{name}/{more}"), ""),
        ])
        .unwrap_err()
    };
    let refused = [
        other("pypy3.10", "x.py"),
        other("python3.13t", "x.py"),
        other("python3.12", "_sysconfigdata_d_linux_x86_64-linux-gnu.py"),
        other("python3.12", "x.py"),
    ];
    insta::assert_snapshot!(refused.join("\n"), @r"
    `x.tar.gz` has no `bin/python3.N` with its `lib/python3.N`
    `x.tar.gz` is a build of Python whose ABI is `t`: no wheels that minke knows load on it
    `x.tar.gz` is a build of Python whose ABI is `d`: no wheels that minke knows load on it
    `x.tar.gz` doesn't say its version: it has no `include/python3.12/patchlevel.h` with one
    ");
}

//! What packages really say, and what is made of it.

use super::*;

fn names(text: &str) -> Vec<Vec<String>> {
    python::loaded(text).into_iter().map(|Names(names)| names).collect()
}

#[test]
fn calls_that_load_libraries_name_them() {
    assert_eq!(names("import ctypes.util\nzbar = ctypes.util.find_library('zbar')"), [["zbar"]]);
    assert_eq!(
        names("from ctypes.util import find_library as _find_library\n_libname = _find_library(\"sndfile\")"),
        [["sndfile"]]
    );
    assert_eq!(names("import ctypes\nx = ctypes.CDLL(r'libfoo.so.2', mode=RTLD)"), [["libfoo.so.2"]]);
    let weasyprint = "import cffi\ngobject = _dlopen(\n    ffi, 'libgobject-2.0-0', 'gobject-2.0',  # remark ('no')\n    \
        'libgobject-2.0.so.0', 'libgobject-2.0.dylib')\n";
    assert_eq!(
        names(weasyprint),
        [vec!["libgobject-2.0-0", "gobject-2.0", "libgobject-2.0.so.0", "libgobject-2.0.dylib"]]
    );
    let cairo =
        "import cffi\ncairo = dlopen(ffi, ('cairo-2', 'cairo'), ('libcairo.so.2', 'libcairo.2.dylib'))";
    assert_eq!(names(cairo), [vec!["cairo-2", "cairo", "libcairo.so.2", "libcairo.2.dylib"]]);
}

#[test]
fn a_versioned_soname_needs_no_call_where_libraries_are_loaded() {
    assert_eq!(names("import ctypes\nyield 'libmagic.so.1'\nother = 'libmagic'"), [["libmagic.so.1"]]);
    assert_eq!(names("known = 'libmagic.so.1'"), [[""; 0]; 0]);
}

#[test]
fn what_is_no_call_and_no_name_is_passed_over() {
    assert_eq!(names("import ctypes\ndef find_library(name='x'): pass"), [[""; 0]; 0]);
    assert_eq!(names("import ctypes\nCDLL(f'lib{name}.so')\nCDLL(path)"), [[""; 0]; 0]);
    assert_eq!(names("import ctypes\n'''CDLL('inside.so.1')'''\n# CDLL('x.so')\n'unfinished"), [[""; 0]; 0]);
    assert_eq!(names("import ctypes\nCDLL('never closed'"), [[""; 0]; 0]);
}

#[test]
fn a_name_is_a_soname_or_any_version() {
    let wanted = |names: &[&str]| Names(names.iter().map(|name| (*name).to_owned()).collect()).wanted();
    let stem = |stem: &str| Wanted::Stem(stem.to_owned());
    assert_eq!(
        wanted(&["gobject-2.0", "libgobject-2.0.so.0", "x.dll", "y.dylib"]),
        [Wanted::Soname("libgobject-2.0.so.0".to_owned()), stem("gobject-2.0")]
    );
    assert_eq!(
        wanted(&["usb-1.0", "libusb-1.0", "libusb-1.0.so", "Libusb 1", "libcuda.so.1"]),
        [stem("usb-1.0")]
    );
}

#[test]
fn what_a_wheel_brings_is_there_under_its_new_name_too() {
    let files = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let stem = Wanted::Stem("sndfile".to_owned());
    let soname = Wanted::Soname("libsndfile.so.1".to_owned());
    for bundled in ["libsndfile_x86_64.so", "libsndfile-1a2b3c4d.so.1.0.37"] {
        assert!(stem.is_among(&files(&[bundled])) && soname.is_among(&files(&[bundled])), "{bundled}");
    }
    assert!(stem.is_among(&files(&["libsndfile.so.2"])) && !soname.is_among(&files(&["libsndfile.so.2"])));
    assert!(!stem.is_among(&files(&["libsndfiles.so.1"])));
}

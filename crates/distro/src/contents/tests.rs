use std::io::Seek;

use proptest::prelude::*;

use super::*;

const LIST: &str = "\
This file maps each file available in the Debian GNU/Linux system to the package.
FILE                                                    LOCATION
bin/cat                                                 utils/coreutils
lib/x86_64-linux-gnu/libz.so.1                          libs/zlib1g
usr/bin/pg_config                                       database/libpq-dev,database/postgresql-common
usr/include/libxml2/libxml/xmlversion.h                 libdevel/libxml2-dev
usr/include/rare/xmlversion.h                           contrib/libdevel/rare-dev
usr/include/with a blank.h\tlibdevel/blank-dev
usr/lib/debug/.build-id/00/11.debug                     debug/zlib1g-dbgsym
usr/lib/python3/dist-packages/numpy/__init__.py         python/python3-numpy
usr/lib/x86_64-linux-gnu/libfoo.so                      libdevel/libfoo-dev
usr/lib/x86_64-linux-gnu/libfoo.so.1                    libs/libfoo1
usr/lib/x86_64-linux-gnu/libfoo.so.2                    libs/libfoo2t64
usr/lib/x86_64-linux-gnu/pkgconfig/libpng.pc            libdevel/libpng-dev
usr/lib/x86_64-linux-gnu/pkgconfig/xlibpng.pc           libdevel/other-dev
usr/share/doc/zlib1g/copyright                          libs/zlib1g
usr/share/eigen3/cmake/Eigen3Config.cmake               libdevel/libeigen3-dev
usr/share/pkgconfig/libpng.pc                           libdevel/libpng-all-dev
";

fn index_of(list: &[u8]) -> (Contents, u64) {
    let mut file = tempfile::tempfile().unwrap();
    let count = Contents::build(Compression::None, list, &mut file).unwrap();
    file.rewind().unwrap();
    (Contents::open(file).unwrap(), count)
}

fn lines(listed: Vec<Listed>) -> String {
    let line = |listed: Listed| {
        let packages: Vec<&str> = listed.packages.iter().map(PackageName::as_str).collect();
        format!("{} {}\n", listed.path, packages.join(" "))
    };
    listed.into_iter().map(line).collect()
}

fn packages_of(contents: &Contents, path: &str) -> Vec<String> {
    let packages = contents.packages_of(&path.parse().unwrap()).unwrap();
    packages.iter().map(ToString::to_string).collect()
}

#[test]
fn a_path_is_found_with_all_who_have_it() {
    let (contents, count) = index_of(LIST.as_bytes());
    assert_eq!(count, 13);
    assert_eq!(packages_of(&contents, "/usr/bin/pg_config"), ["libpq-dev", "postgresql-common"]);
    assert_eq!(packages_of(&contents, "/usr/include/with a blank.h"), ["blank-dev"]);
    assert_eq!(packages_of(&contents, "/usr/include/rare/xmlversion.h"), ["rare-dev"]);
    assert!(packages_of(&contents, "/usr/bin/pg_confi").is_empty());
    assert!(packages_of(&contents, "/").is_empty());
}

#[test]
fn what_lay_at_the_root_before_the_merge_is_found_below_usr() {
    let (contents, _) = index_of(LIST.as_bytes());
    for path in ["/usr/lib/x86_64-linux-gnu/libz.so.1", "/lib/x86_64-linux-gnu/libz.so.1"] {
        assert_eq!(packages_of(&contents, path), ["zlib1g"], "{path}");
    }
    assert_eq!(packages_of(&contents, "/usr/bin/cat"), ["coreutils"]);
}

#[test]
fn a_name_is_found_in_every_directory() {
    let (contents, _) = index_of(LIST.as_bytes());
    insta::assert_snapshot!(lines(contents.under_name("xmlversion.h").unwrap()), @"
    /usr/include/libxml2/libxml/xmlversion.h libxml2-dev
    /usr/include/rare/xmlversion.h rare-dev
    ");
    assert_eq!(contents.under_name("xmlversion").unwrap(), []);
}

#[test]
fn an_ending_is_one_of_whole_components() {
    let (contents, _) = index_of(LIST.as_bytes());
    insta::assert_snapshot!(lines(contents.ending("/pkgconfig/libpng.pc").unwrap()), @"
    /usr/lib/x86_64-linux-gnu/pkgconfig/libpng.pc libpng-dev
    /usr/share/pkgconfig/libpng.pc libpng-all-dev
    ");
    insta::assert_snapshot!(lines(contents.ending("libxml/xmlversion.h").unwrap()), @"/usr/include/libxml2/libxml/xmlversion.h libxml2-dev");
    insta::assert_snapshot!(lines(contents.ending("Eigen3Config.cmake").unwrap()), @"/usr/share/eigen3/cmake/Eigen3Config.cmake libeigen3-dev");
    assert_eq!(contents.ending("xml/xmlversion.h").unwrap(), []);
}

#[test]
fn other_versions_of_a_library_are_found_by_its_beginning() {
    let (contents, _) = index_of(LIST.as_bytes());
    insta::assert_snapshot!(lines(contents.beginning("libfoo.so.", 9).unwrap()), @"
    /usr/lib/x86_64-linux-gnu/libfoo.so.1 libfoo1
    /usr/lib/x86_64-linux-gnu/libfoo.so.2 libfoo2t64
    ");
    assert_eq!(contents.beginning("lib", 2).unwrap().len(), 2);
}

#[test]
fn what_no_build_asks_for_is_left_out() {
    let (contents, _) = index_of(LIST.as_bytes());
    for name in ["copyright", "11.debug", "__init__.py", "FILE"] {
        assert_eq!(contents.under_name(name).unwrap(), [], "{name}");
    }
}

#[test]
fn an_empty_list_answers_nothing() {
    let (contents, count) = index_of(b"");
    assert_eq!((count, contents.under_name("cat").unwrap()), (0, Vec::new()));
}

#[test]
fn a_list_whose_lines_never_end_is_refused() {
    let error = Contents::build(Compression::None, io::repeat(b'a'), io::sink()).unwrap_err();
    assert!(matches!(error, ContentsError::Read(_)), "{error}");
}

#[test]
fn a_list_that_is_cut_off_is_refused() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(LIST.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let cut = &packed[..packed.len() - 9];
    let error = Contents::build(Compression::Gzip, cut, io::sink()).unwrap_err();
    assert!(matches!(error, ContentsError::Read(_)), "{error}");
}

/// A list that takes several blocks, and more than one run is sorted of.
fn long_list() -> String {
    let line = |number: u32| {
        let name = number.wrapping_mul(2_654_435_761);
        format!("usr/include/{:03}/{name:08x}.h  libdevel/lib{}-dev\n", number % 997, number % 7919)
    };
    (0..300_000).map(line).collect()
}

#[test]
fn a_long_list_is_sorted_in_runs_and_found_in_blocks() {
    let (contents, count) = index_of(long_list().as_bytes());
    assert_eq!(count, 300_000);
    assert!(contents.blocks.length() > 10);
    for number in [0_u32, 1, 149_999, 299_999] {
        let name = number.wrapping_mul(2_654_435_761);
        let path = format!("/usr/include/{:03}/{name:08x}.h", number % 997);
        assert_eq!(packages_of(&contents, &path), [format!("lib{}-dev", number % 7919)]);
    }
}

#[test]
fn the_same_list_gives_the_same_bytes_in_any_order() {
    let written = |list: &str| {
        let mut out = Vec::new();
        Contents::build(Compression::None, list.as_bytes(), &mut out).unwrap();
        out
    };
    let mut backwards: Vec<&str> = LIST.lines().collect();
    backwards.reverse();
    assert_eq!(written(LIST), written(&backwards.join("\n")));
}

/// Opens damaged bytes and asks them everything: an answer or an error, never a panic.
fn ask(bytes: &[u8]) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    if let Ok(contents) = Contents::open(file) {
        let _ = contents.under_name("libfoo.so.1");
        let _ = contents.beginning("", usize::MAX);
    }
}

proptest! {
    /// Asking gives what looking through the list gives.
    #[test]
    fn every_file_is_found_under_its_path_its_name_and_its_ending(
        files in proptest::collection::btree_map("usr/(lib|include)(/[ab.]{3}){1,3}", "[a-c]{2,3}", 0..40)
    ) {
        let list: String = files.iter().map(|(path, package)| format!("{path} libs/{package}\n")).collect();
        let (contents, count) = index_of(list.as_bytes());
        prop_assert_eq!(count as usize, files.len());
        for (path, package) in &files {
            let path: ImagePath = format!("/{path}").parse().unwrap();
            let expected = Listed { path: path.clone(), packages: vec![package.parse().unwrap()] };
            prop_assert_eq!(&contents.packages_of(&path).unwrap(), &expected.packages);
            prop_assert!(contents.under_name(path.name().unwrap()).unwrap().contains(&expected));
            prop_assert!(contents.ending(path.relative()).unwrap().contains(&expected));
        }
        let ending = contents.under_name("aaa").unwrap();
        prop_assert!(ending.iter().all(|listed| listed.path.name() == Some("aaa")));
    }

    /// Lists are foreign: an index or an error, never a panic.
    #[test]
    fn no_list_makes_it_panic(list in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Contents::build(Compression::None, list.as_slice(), io::sink());
    }

    /// Disks fail: an answer or an error, never a panic.
    #[test]
    fn no_damage_to_an_index_makes_it_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut written = Vec::new();
        Contents::build(Compression::None, LIST.as_bytes(), &mut written).unwrap();
        let at = at.index(written.len());
        if cut { written.truncate(at) } else { written[at] = byte }
        ask(&written);
    }
}

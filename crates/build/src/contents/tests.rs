use super::*;

fn chosen(missing: &Missing, files: &[(&str, &str)]) -> String {
    let listed = files.iter().map(|(path, packages)| Listed {
        path: path.parse().unwrap(),
        packages: packages.split(',').map(|name| name.parse().unwrap()).collect(),
    });
    let line = |candidate: Candidate| {
        let Candidate { place, kind, package, path } = candidate;
        format!("{place:?} {kind:?} {package} {path}\n")
    };
    missing.candidates(listed.collect(), Arch::Amd64).into_iter().map(line).collect()
}

#[test]
fn a_header_is_best_where_the_compiler_looks() {
    insta::assert_snapshot!(chosen(&Missing::Header("zlib.h".to_owned()), &[
        ("/usr/include/android/nested/zlib.h", "android-dev"),
        ("/usr/include/klibc/zlib.h", "libklibc-dev"),
        ("/usr/include/zlib.h", "zlib1g-dev,zlib-ng"),
        ("/usr/lib/python3.13/zlib.h", "stray"),
    ]), @"
    Exact Right zlib1g-dev /usr/include/zlib.h
    Exact Other zlib-ng /usr/include/zlib.h
    Near Right libklibc-dev /usr/include/klibc/zlib.h
    Far Right android-dev /usr/include/android/nested/zlib.h
    ");
}

#[test]
fn a_header_with_directories_is_looked_up_from_above_them() {
    insta::assert_snapshot!(chosen(&Missing::Header("libxml/xmlversion.h".to_owned()), &[
        ("/usr/include/libxml2/libxml/xmlversion.h", "libxml2-dev"),
        ("/usr/include/libxml/xmlversion.h", "other-dev"),
    ]), @"
    Exact Right other-dev /usr/include/libxml/xmlversion.h
    Near Right libxml2-dev /usr/include/libxml2/libxml/xmlversion.h
    ");
}

#[test]
fn the_machines_own_headers_count_and_those_of_libraries_too() {
    insta::assert_snapshot!(chosen(&Missing::Header("openssl/opensslconf.h".to_owned()), &[
        ("/usr/include/x86_64-linux-gnu/openssl/opensslconf.h", "libssl-dev"),
    ]), @"Exact Right libssl-dev /usr/include/x86_64-linux-gnu/openssl/opensslconf.h");
    insta::assert_snapshot!(chosen(&Missing::Header("glibconfig.h".to_owned()), &[
        ("/usr/lib/x86_64-linux-gnu/glib-2.0/include/glibconfig.h", "libglib2.0-dev"),
    ]), @"Near Right libglib2.0-dev /usr/lib/x86_64-linux-gnu/glib-2.0/include/glibconfig.h");
}

#[test]
fn a_library_of_the_machine_comes_before_one_of_a_choice_and_foreign_ones_dont_count() {
    insta::assert_snapshot!(chosen(&Missing::Soname("libblas.so.3".to_owned()), &[
        ("/usr/lib/i386-linux-gnu/libblas.so.3", "foreign"),
        ("/usr/lib/x86_64-linux-gnu/openblas-pthread/libblas.so.3", "libopenblas0-pthread"),
        ("/usr/lib/x86_64-linux-gnu/libblas.so.3", "exact"),
        ("/usr/lib/x86_64-linux-gnu/a/b/libblas.so.3", "deep"),
    ]), @"
    Exact Right exact /usr/lib/x86_64-linux-gnu/libblas.so.3
    Near Right libopenblas0-pthread /usr/lib/x86_64-linux-gnu/openblas-pthread/libblas.so.3
    ");
}

#[test]
fn what_is_linked_with_is_best_shared() {
    insta::assert_snapshot!(chosen(&Missing::Library("foo".to_owned()), &[
        ("/usr/lib/x86_64-linux-gnu/libfoo.a", "libfoo-static-dev"),
        ("/usr/lib/x86_64-linux-gnu/libfoo.so", "libfoo-dev"),
        ("/usr/lib/x86_64-linux-gnu/hdf5/libfoo.so", "libfoo-mpi-dev"),
    ]), @"
    Exact Right libfoo-dev /usr/lib/x86_64-linux-gnu/libfoo.so
    Near Right libfoo-static-dev /usr/lib/x86_64-linux-gnu/libfoo.a
    Far Right libfoo-mpi-dev /usr/lib/x86_64-linux-gnu/hdf5/libfoo.so
    ");
}

#[test]
fn programs_lie_on_the_path_and_modules_where_they_are_searched() {
    insta::assert_snapshot!(chosen(&Missing::Program("pg_config".to_owned()), &[
        ("/usr/bin/pg_config", "libpq-dev"),
        ("/usr/lib/postgresql/17/bin/pg_config", "postgresql-server-dev-17"),
    ]), @"Exact Other libpq-dev /usr/bin/pg_config");
    insta::assert_snapshot!(chosen(&Missing::Program("cargo".to_owned()), &[
        ("/usr/bin/cargo", "a-proxy,cargo"),
    ]), @"
    Exact Right cargo /usr/bin/cargo
    Exact Other a-proxy /usr/bin/cargo
    ");
    insta::assert_snapshot!(chosen(&Missing::PkgConfig("libpng".to_owned()), &[
        ("/usr/lib/x86_64-linux-gnu/pkgconfig/libpng.pc", "libpng-dev"),
        ("/usr/lib/odd/pkgconfig/libpng.pc", "odd-dev"),
    ]), @"
    Exact Right libpng-dev /usr/lib/x86_64-linux-gnu/pkgconfig/libpng.pc
    Far Right odd-dev /usr/lib/odd/pkgconfig/libpng.pc
    ");
    insta::assert_snapshot!(chosen(&Missing::CmakePackage("Eigen3".to_owned()), &[
        ("/usr/share/eigen3/cmake/Eigen3Config.cmake", "libeigen3-dev"),
        ("/usr/lib/x86_64-linux-gnu/cmake/ITK-5.4/Eigen3Config.cmake", "itk-dev"),
    ]), @"
    Exact Right libeigen3-dev /usr/share/eigen3/cmake/Eigen3Config.cmake
    Far Right itk-dev /usr/lib/x86_64-linux-gnu/cmake/ITK-5.4/Eigen3Config.cmake
    ");
}

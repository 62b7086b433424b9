use super::*;

/// The questions of a log, one a line; those of one that any of several things would answer beside each other.
fn asked(log: &str) -> String {
    let line = |question: Question| match question {
        Question::System(any) => any.iter().map(Missing::what).collect::<Vec<_>>().join(" or "),
        Question::Module(name) => format!("the module `{name}`"),
        Question::TooOld(said) => format!("newer: {said}"),
    };
    questions(log).into_iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn compilers_stop_at_a_header() {
    let cffi = "src/c/_cffi_backend.c:15:10: fatal error: ffi.h: No such file or directory\n   \
        15 | #include <ffi.h>\n      |          ^~~~~~~\ncompilation terminated.\n\
        error: command '/usr/bin/x86_64-linux-gnu-gcc' failed with exit code 1\n";
    insta::assert_snapshot!(asked(cffi), @"the header `ffi.h`");
    let ldap = "In file included from Modules/LDAPObject.c:3:\n\
        Modules/common.h:15:10: fatal error: lber.h: No such file or directory\n   15 | #include <lber.h>\n";
    insta::assert_snapshot!(asked(ldap), @"the header `lber.h`");
    let clang = "src/x.c:1:10: fatal error: 'libxml/xmlversion.h' file not found\n";
    insta::assert_snapshot!(asked(clang), @"the header `libxml/xmlversion.h`");
}

#[test]
fn linkers_and_loaders_name_libraries() {
    let linker = "/usr/bin/x86_64-linux-gnu-ld.bfd: cannot find -lodbc: No such file or directory\n\
        collect2: error: ld returned 1 exit status\n";
    insta::assert_snapshot!(asked(linker), @"the library `-lodbc`");
    let h5py = "Loading library to get build settings and version: libhdf5.so\n\
        error: Unable to load dependency HDF5, make sure HDF5 is installed properly\n\
        on sys.platform='linux' with platform.machine()='x86_64'\n\
        Library dirs checked: []\n\
        error: libhdf5.so: cannot open shared object file: No such file or directory\n";
    insta::assert_snapshot!(asked(h5py), @"the library `-lhdf5`");
    insta::assert_snapshot!(asked("ImportError: libGL.so.1: cannot open shared object file: No such file"), @"the library `libGL.so.1`");
}

#[test]
fn pkg_config_meson_and_cmake_name_modules() {
    let pkgconf = "Package libpng was not found in the pkg-config search path.\n\
        Perhaps you should add the directory containing `libpng.pc'\n\
        to the PKG_CONFIG_PATH environment variable\nPackage 'libpng', required by 'virtual:world', not found\n";
    insta::assert_snapshot!(asked(pkgconf), @"the pkg-config module `libpng`");
    let pycairo = "Found pkg-config: YES (/usr/bin/pkg-config) 1.8.1\nFound CMake: NO\n\
        Run-time dependency cairo found: NO (tried pkgconfig and cmake)\n\n\
        ../src/cairo/meson.build:31:12: ERROR: Dependency \"cairo\" not found, tried pkgconfig and cmake\n";
    insta::assert_snapshot!(asked(pycairo), @"the pkg-config module `cairo` or the CMake package `cairo`");
    let cmake = "CMake Error at /usr/share/cmake-3.31/Modules/FindPackageHandleStandardArgs.cmake:233 (message):\n  \
        Could NOT find ZLIB (missing: ZLIB_LIBRARY ZLIB_INCLUDE_DIR)\n";
    insta::assert_snapshot!(asked(cmake), @"the CMake package `ZLIB` or the pkg-config module `zlib` or the library `-lzlib`");
}

#[test]
fn modules_that_pkg_config_was_asked_for_in_turn_are_one_question() {
    let mysqlclient = "Trying pkg-config --exists mysqlclient\n\
        Command 'pkg-config --exists mysqlclient' returned non-zero exit status 1.\n\
        Trying pkg-config --exists mariadb\n\
        Command 'pkg-config --exists mariadb' returned non-zero exit status 1.\n\
        Trying pkg-config --exists libmariadb\n\
        Command 'pkg-config --exists libmariadb' returned non-zero exit status 1.\n\
        Exception: Can not find valid pkg-config name.\n\
        Specify MYSQLCLIENT_CFLAGS and MYSQLCLIENT_LDFLAGS env vars manually\n";
    insta::assert_snapshot!(asked(mysqlclient), @"the pkg-config module `mysqlclient` or the pkg-config module `mariadb` or the pkg-config module `libmariadb`");
}

#[test]
fn shells_python_and_packages_name_programs() {
    insta::assert_snapshot!(asked("/bin/sh: 1: krb5-config: not found\n"), @"the program `krb5-config`");
    insta::assert_snapshot!(asked("make: autoreconf: No such file or directory\n"), @"the program `autoreconf`");
    insta::assert_snapshot!(asked("unable to execute 'swig': No such file or directory\n"), @"the program `swig`");
    insta::assert_snapshot!(asked("FileNotFoundError: [Errno 2] No such file or directory: 'mysql_config'\n"), @"the program `mysql_config`");
    insta::assert_snapshot!(asked("FileNotFoundError: [Errno 2] No such file or directory: 'README.rst'\n"), @"");
    insta::assert_snapshot!(asked("../meson.build:3:10: ERROR: Program 'flex' not found or not executable\n"), @"the program `flex`");
    let psycopg2 = "running egg_info\nwriting psycopg2.egg-info/PKG-INFO\n\nError: pg_config executable not found.\n\n\
        pg_config is required to build psycopg2 from source.  Please add the directory\n\
        containing pg_config to the $PATH or specify the full executable path with the\noption:\n";
    insta::assert_snapshot!(asked(psycopg2), @"the program `pg_config`");
    insta::assert_snapshot!(asked("error: can't find Rust compiler\n"), @"the program `cargo`");
}

#[test]
fn modules_of_python_are_named_by_their_package() {
    let numpy =
        "  File \"<string>\", line 9, in <module>\nModuleNotFoundError: No module named 'numpy.distutils'\n";
    insta::assert_snapshot!(asked(numpy), @"the module `numpy`");
    insta::assert_snapshot!(asked("ImportError: No module named pkg_resources\n"), @"the module `pkg_resources`");
}

#[test]
fn prose_counts_where_nothing_plainer_was_said() {
    let lxml = "Building lxml version 6.1.3.\nBuilding without Cython.\n\
        Error: Please make sure the libxml2 and libxslt development packages are installed.\n";
    insta::assert_snapshot!(asked(lxml), @r"
        the library `-lxml2` or the pkg-config module `libxml2` or the pkg-config module `xml2`
        the library `-lxslt` or the pkg-config module `libxslt` or the pkg-config module `xslt`
    ");
    let both = format!("{lxml}x.c:1:10: fatal error: zlib.h: No such file or directory\n");
    insta::assert_snapshot!(asked(&both), @"the header `zlib.h`");
}

#[test]
fn a_rust_that_is_too_old_is_no_question_to_a_list_of_files() {
    let cargo = "error: package `getrandom v0.3.1` cannot be built because it requires rustc 1.85 or newer, while the \
        currently active rustc version is 1.63.0\n";
    insta::assert_snapshot!(asked(cargo), @"newer: error: package `getrandom v0.3.1` cannot be built because it requires rustc 1.85 or newer, while the currently active rustc version is 1.63.0");
}

#[test]
fn sentences_are_no_names() {
    insta::assert_snapshot!(asked("fatal error: something went wrong: No such file or directory\n"), @"");
    insta::assert_snapshot!(asked("cannot find -l\nNo module named \nDependency \"\" not found\n"), @"");
    insta::assert_snapshot!(asked("It was not found.\n"), @"");
}

/// The telling lines of logs, as packages' own builds wrote them where there was little more than a compiler.
const REAL: &[(&str, &str)] = &[
    (
        "python-ldap",
        "In file included from Modules/LDAPObject.c:3:\n\
         Modules/common.h:15:10: fatal error: lber.h: No such file or directory\n\
         error: Command '['gcc', '-Wsign-compare', '-DNDEBUG']' returned non-zero exit status 1.\n",
    ),
    (
        "pyodbc",
        "In file included from src/cnxninfo.cpp:7:\n\
         src/pyodbc.h:52:10: fatal error: sql.h: No such file or directory\ncompilation terminated.\n",
    ),
    (
        "pymssql",
        "[1/1] Cythonizing src/pymssql/_mssql.pyx\nbuilding 'pymssql._mssql' extension\n\
         src/pymssql/_mssql.c:1410:10: fatal error: sqlfront.h: No such file or directory\n",
    ),
    (
        "gmpy2",
        "src/gmpy2.h:77:10: fatal error: mpfr.h: No such file or directory\n   77 | #include <mpfr.h>\n\
         error: command '/usr/bin/gcc' failed with exit code 1\n",
    ),
    ("pycups", "cupsconnection.h:26:10: fatal error: cups/http.h: No such file or directory\n"),
    ("PyAudio", "src/pyaudio/device_api.c:9:10: fatal error: portaudio.h: No such file or directory\n"),
    ("PyMuPDF", "fitz/fitz_wrap.c:2733:10: fatal error: fitz.h: No such file or directory\n"),
    (
        "dbus-python",
        "dbus-gmain| Did not find CMake 'cmake'\ndbus-gmain| Found CMake: NO\n\
         dbus-gmain| Run-time dependency dbus-1 found: NO  (tried pkg-config)\n\n\
         ../subprojects/dbus-gmain/meson.build:107:11: ERROR: Dependency \"dbus-1\" not found (tried pkg-config)\n",
    ),
    (
        "shapely",
        "Run-time dependency geos found: NO  (tried pkg-config)\n\n\
         ../meson.build:98:13: ERROR: Dependency \"geos\" not found (tried pkg-config)\n",
    ),
    (
        "systemd-python",
        "Cannot find libsystemd or libsystemd-journal:\n\n\
         Package libsystemd was not found in the pkg-config search path.\n\
         Package 'libsystemd', required by 'virtual:world', not found\n",
    ),
    (
        "pycurl",
        "ConfigurationError: Could not run curl-config: [Errno 2] No such file or directory: 'curl-config'\n",
    ),
    (
        "gssapi",
        "/bin/sh: 1: krb5-config: not found\nTraceback (most recent call last):\n\
         subprocess.CalledProcessError: Command 'krb5-config --libs gssapi' returned non-zero exit status 127.\n",
    ),
    (
        "M2Crypto",
        "INFO:spawn:swig -python -I/usr/include\nerror: command 'swig' failed: No such file or directory\n",
    ),
    (
        "pygraphviz",
        "FileNotFoundError:\nCould not find `dot` executable!\n\
         Graphviz must be installed to build pygraphviz from source.\n",
    ),
    ("pyproj", "proj executable not found. Please set the PROJ_DIR variable. For more information see:\n"),
    (
        "rasterio",
        "INFO:root:Did not find executable gdal-config on sys.prefix or on PATH\n\
         INFO:root:Did not find executable %s on sys.prefix, searching on PATH\n",
    ),
    (
        "netCDF4",
        "    raise ValueError(\"Did not find netCDF version 4 headers.\")\n\
         ValueError: Did not find netCDF version 4 headers.\n",
    ),
];

#[test]
fn what_packages_say_where_nothing_is_there_is_understood() {
    let said: Vec<String> =
        REAL.iter().map(|(package, log)| format!("{package}: {}", asked(log).replace('\n', "; "))).collect();
    insta::assert_snapshot!(said.join("\n"), @r"
        python-ldap: the header `lber.h`
        pyodbc: the header `sql.h`
        pymssql: the header `sqlfront.h`
        gmpy2: the header `mpfr.h`
        pycups: the header `cups/http.h`
        PyAudio: the header `portaudio.h`
        PyMuPDF: the header `fitz.h`
        dbus-python: the pkg-config module `dbus-1` or the CMake package `dbus-1`
        shapely: the pkg-config module `geos` or the CMake package `geos`
        systemd-python: the pkg-config module `libsystemd`
        pycurl: the program `curl-config`
        gssapi: the program `krb5-config`
        M2Crypto: the program `swig`
        pygraphviz: the program `dot`
        pyproj: the program `proj`
        rasterio: the program `gdal-config`
        netCDF4: the pkg-config module `netcdf` or the library `-lnetcdf` or the program `netcdf`
    ");
}

use minke_testkit::Deb;

use super::*;
use crate::deb::{self, Unpacked};

const CERTIFICATE: &str = include_str!("test-certificate.pem");

struct Base {
    _home: tempfile::TempDir,
    store: Store,
    tree: Tree,
    controls: Vec<Control>,
}

fn base(debs: &[Deb]) -> Base {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let mut made = Base { _home: home, store, tree: Tree::new(), controls: Vec::new() };
    for file in debs {
        let bytes = file.build();
        let id = deb::pack_id(&minke_cas::Digest::of(&bytes));
        let Unpacked { tree, control } = deb::unpack(&bytes[..], &made.store, id).unwrap();
        let (tree, _) = part(&control.package, &tree);
        made.tree = made.tree.join(&tree).unwrap();
        made.controls.push(control);
    }
    made
}

impl Base {
    fn added(&self) -> Tree {
        additions(&self.tree, &self.controls, &self.store).unwrap()
    }

    fn text(&self, tree: &Tree, path: &str) -> String {
        let file = tree.resolve_file(&path.parse().unwrap()).unwrap();
        String::from_utf8(self.store.read_file(file).unwrap()).unwrap()
    }
}

#[test]
fn an_empty_base_gets_its_skeleton() {
    let base = base(&[]);
    insta::assert_snapshot!(format!("{:?}", base.added()), @r"
    /bin link usr/bin
    /dev/ dir 0755
    /etc/ dir 0755
    /etc/group file 0644 ef8dfa05
    /etc/hostname file 0644 e3b0c442
    /etc/hosts file 0644 87b03058
    /etc/mtab link /proc/mounts
    /etc/passwd file 0644 5885c2d3
    /etc/resolv.conf file 0644 e3b0c442
    /home/ dir 0755
    /home/nonroot/ dir 0700 65532:65532
    /lib link usr/lib
    /media/ dir 0755
    /mnt/ dir 0755
    /opt/ dir 0755
    /proc/ dir 0755
    /root/ dir 0700
    /run/ dir 0755
    /run/lock/ dir 1777
    /sbin link usr/sbin
    /srv/ dir 0755
    /sys/ dir 0755
    /tmp/ dir 1777
    /usr/ dir 0755
    /usr/bin/ dir 0755
    /usr/lib/ dir 0755
    /usr/local/ dir 0755
    /usr/local/bin/ dir 0755
    /usr/local/etc/ dir 0755
    /usr/local/include/ dir 0755
    /usr/local/lib/ dir 0755
    /usr/local/sbin/ dir 0755
    /usr/local/share/ dir 0755
    /usr/local/src/ dir 0755
    /usr/sbin/ dir 0755
    /var/ dir 0755
    /var/cache/ dir 0755
    /var/lib/ dir 0755
    /var/lock link /run/lock
    /var/log/ dir 0755
    /var/run link /run
    /var/tmp/ dir 1777
    ");
}

#[test]
fn additions_join_the_base_and_leave_what_it_has() {
    let base = base(&[
        Deb::new("base-files", "13")
            .dir("/tmp")
            .mode(0o1777)
            .symlink("/bin", "usr/bin")
            .dir("/usr/bin")
            .dir("/var/run")
            .dir("/var/lock")
            .file("/etc/dpkg/origins/debian", "x"),
        Deb::new("own", "1").file("/etc/passwd", "mine"),
        Deb::new("libc-bin", "2")
            .file("/usr/share/libc-bin/nsswitch.conf", "passwd: files\n")
            .file("/usr/bin/getent", "x")
            .file("/sbin/ldconfig", "x"),
        Deb::new("tzdata", "1").file("/usr/share/zoneinfo/Etc/UTC", "utc"),
        Deb::new("python3.13-minimal", "3")
            .file("/usr/bin/python3.13", "x")
            .symlink("/usr/lib/python3.13/sitecustomize.py", "/etc/python3.13/sitecustomize.py"),
    ]);
    let whole = base.tree.join(&base.added()).unwrap();
    assert_eq!(base.text(&whole, "/etc/passwd"), "mine");
    assert_eq!(base.text(&whole, "/etc/nsswitch.conf"), "passwd: files\n");
    assert_eq!(base.text(&whole, "/etc/timezone"), "Etc/UTC\n");
    for (path, end) in [
        ("/etc/localtime", Some("/usr/share/zoneinfo/Etc/UTC")),
        ("/bin/python3", Some("/usr/bin/python3.13")),
        ("/usr/lib/python3.13/sitecustomize.py", Some("/etc/python3.13/sitecustomize.py")),
        ("/etc/dpkg/origins/default", Some("/etc/dpkg/origins/debian")),
        ("/sbin/ldconfig", Some("/usr/sbin/ldconfig")),
        ("/var/lock", Some("/run/lock")),
        ("/usr/bin/getent", None),
        ("/lib64", None),
    ] {
        let found = whole.resolve(&path.parse().unwrap());
        assert_eq!(found.as_ref().map(ImagePath::as_str), end, "{path}");
    }
}

#[test]
fn certificates_are_bundled_and_linked_by_their_hash() {
    let directory = "/usr/share/ca-certificates/mozilla";
    let base = base(&[Deb::new("ca-certificates", "1")
        .file(&format!("{directory}/B_(two),_x.crt"), CERTIFICATE.trim_end())
        .file(&format!("{directory}/A.crt"), CERTIFICATE)]);
    let added = base.added();
    assert_eq!(base.text(&added, "/etc/ssl/certs/ca-certificates.crt"), CERTIFICATE.repeat(2));
    let below = |top: &str| {
        let top: ImagePath = top.parse().unwrap();
        let wanted =
            |path: &ImagePath, entry: &Entry| path.starts_with(&top) && matches!(entry, Entry::Symlink(_));
        format!("{:?}", added.filter(wanted))
    };
    insta::assert_snapshot!(below("/etc/ssl/certs"), @r"
    /etc/ dir 0755
    /etc/ssl/ dir 0755
    /etc/ssl/certs/ dir 0755
    /etc/ssl/certs/0388a6b1.0 link A.pem
    /etc/ssl/certs/0388a6b1.1 link B_=two=__x.pem
    /etc/ssl/certs/A.pem link /usr/share/ca-certificates/mozilla/A.crt
    /etc/ssl/certs/B_=two=__x.pem link /usr/share/ca-certificates/mozilla/B_(two),_x.crt
    ");
    insta::assert_snapshot!(below("/usr/lib/ssl"), @r"
    /usr/ dir 0755
    /usr/lib/ dir 0755
    /usr/lib/ssl/ dir 0755
    /usr/lib/ssl/cert.pem link /etc/ssl/certs/ca-certificates.crt
    /usr/lib/ssl/certs link /etc/ssl/certs
    /usr/lib/ssl/openssl.cnf link /etc/ssl/openssl.cnf
    /usr/lib/ssl/private link /etc/ssl/private
    ");
}

#[test]
fn a_broken_certificate_is_named() {
    let base = base(&[Deb::new("ca-certificates", "1").file("/usr/share/ca-certificates/x.crt", "nonsense")]);
    let error = additions(&base.tree, &base.controls, &base.store).unwrap_err();
    assert_eq!(error.to_string(), "`/usr/share/ca-certificates/x.crt` is not a certificate");
}

#[test]
fn the_alternative_of_the_highest_priority_is_linked() {
    let blas = |name: &str, priority: u32| {
        let path = format!("/usr/lib/{name}/libblas.so.3");
        let script = format!(
            "set -e\nupdate-alternatives --install /usr/lib/libblas.so.3 libblas.so.3 \\\n  {path} {priority}\n"
        );
        Deb::new(name, "1").file(&path, name).control_file("postinst", &script)
    };
    let base = base(&[blas("openblas", 100), blas("refblas", 10)]);
    let whole = base.tree.join(&base.added()).unwrap();
    assert_eq!(base.text(&whole, "/usr/lib/libblas.so.3"), "openblas");
    assert!(base.controls.iter().all(|control| not_run(control).is_none()));
}

#[test]
fn a_script_that_nobody_knows_gets_a_warning() {
    let base = base(&[
        Deb::new("fontconfig", "1").control_file("postinst", "#!/bin/sh\nfc-cache -s\n"),
        Deb::new("tzdata", "1").control_file("postinst", "#!/bin/sh\ndb_get tzdata/Areas\n"),
        Deb::new("python3.13-minimal", "1").control_file("postinst", "#!/bin/sh\npy_compile\n"),
        Deb::new("zlib1g", "1"),
    ]);
    let warnings: Vec<_> = base.controls.iter().filter_map(not_run).collect();
    assert_eq!(warnings, [NotRun { package: "fontconfig".parse().unwrap(), script: Script::Postinst }]);
}

#[test]
fn the_base_is_rooted_in_the_interpreter() {
    let roots: Vec<_> = base_roots(13).into_iter().map(|name| name.to_string()).collect();
    assert_eq!(
        roots,
        [
            "base-files",
            "ca-certificates",
            "libc-bin",
            "libpython3.13-stdlib",
            "media-types",
            "netbase",
            "python3.13-minimal",
            "tzdata"
        ]
    );
    assert!(left_out().keys().all(|name| !base_roots(13).contains(name)));
}

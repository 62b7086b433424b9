use minke_cas::Digest;
use proptest::prelude::*;

use super::*;
use crate::compression::Compression;
use crate::name::Arch;
use crate::sources::Archive;

/// `name version: field value; field value`, one package a line.
fn index(packages: &str) -> PackageIndex {
    let mut text = String::new();
    for line in packages.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (head, fields) = line.split_once(':').unwrap_or((line, ""));
        let (name, version) = head.split_once(' ').unwrap_or((head, "1"));
        let digest = Digest::of(name.as_bytes()).hex();
        text += &format!("Package: {name}\nVersion: {version}\nArchitecture: amd64\n");
        text += &format!("Filename: pool/{name}.deb\nSize: 1\nSHA256: {digest}\n");
        for field in fields.split(';').map(str::trim).filter(|field| !field.is_empty()) {
            let (field, value) = field.split_once(' ').unwrap();
            text += &format!("{field}: {value}\n");
        }
        text += "\n";
    }
    let archive = Archive { base: "http://mirror.test/".parse().unwrap(), suite: "trixie".parse().unwrap() };
    let mut index = PackageIndex::new(Arch::Amd64);
    index.add(&Arc::new(archive), Compression::None, text.as_bytes()).unwrap();
    index
}

fn names(names: &str) -> BTreeSet<PackageName> {
    names.split_whitespace().map(|name| name.parse().unwrap()).collect()
}

/// The packages that are chosen, or what is wrong.
fn chosen(packages: &str, roots: &str) -> String {
    match closure(&index(packages), &names(roots), &ClosureOptions::default()) {
        Ok(closure) => closure.packages.keys().map(PackageName::as_str).collect::<Vec<_>>().join(" "),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_package_comes_with_what_it_needs_and_says_why() {
    let index =
        index("app: Depends lib (>= 1), tool; Pre-Depends base\n lib\n tool: Depends lib\n base\n other");
    let closure = closure(&index, &names("app"), &ClosureOptions::default()).unwrap();
    let reasons: Vec<_> =
        closure.packages.iter().map(|(name, chosen)| format!("{name}: {}", chosen.why)).collect();
    assert_eq!(
        reasons,
        ["app: asked for", "base: app needs base", "lib: app needs lib (>= 1)", "tool: app needs tool"]
    );
}

#[test]
fn bounds_decide_between_alternatives() {
    let packages = "app: Depends python3 (>= 3.11) | python3-tomli\n python3 3.9\n python3-tomli";
    assert_eq!(chosen(packages, "app"), "app python3-tomli");
    assert_eq!(chosen(&packages.replace("3.9", "3.13"), "app"), "app python3");
}

#[test]
fn an_alternative_that_is_there_anyway_is_taken() {
    let packages = "app: Depends aa | bb\n zz: Depends bb\n aa\n bb";
    assert_eq!(chosen(packages, "app"), "aa app");
    assert_eq!(chosen(packages, "app zz"), "app bb zz");
    assert_eq!(chosen(packages, "app bb"), "app bb");
}

#[test]
fn an_alternative_whose_own_needs_cannot_be_met_is_passed_over() {
    let packages = "app: Depends aa | bb\n aa: Depends deep\n deep: Depends missing\n bb";
    assert_eq!(chosen(packages, "app"), "app bb");
    let excluded = "app: Depends aa | bb, cc\n aa: Conflicts cc\n bb\n cc";
    assert_eq!(chosen(excluded, "app"), "app bb cc");
}

#[test]
fn virtual_packages_resolve_through_provides() {
    let packages = "app: Depends libthing\n libthing64: Provides libthing (= 2)";
    assert_eq!(chosen(packages, "app"), "app libthing64");
    let bounded = packages.replace("Depends libthing", "Depends libthing (>= 2)");
    assert_eq!(chosen(&bounded, "app"), "app libthing64");
    let unversioned = bounded.replace(" (= 2)", "");
    assert_eq!(
        chosen(&unversioned, "app"),
        "app needs `libthing (>= 2)`: no package provides `libthing (>= 2)`"
    );
    let two = "app: Depends mta\n bb: Provides mta\n aa: Provides mta\n cc: Provides mta; Priority important";
    assert_eq!(chosen(two, "app"), "app cc");
}

#[test]
fn a_renamed_package_is_found_by_its_old_name() {
    let renamed = "libthing64: Provides libthing (= 2)";
    assert_eq!(chosen(renamed, "libthing"), "libthing64");
    let two = "bb: Provides mta\n aa: Provides mta";
    assert_eq!(chosen(two, "mta"), "`mta` is no package, but one of aa, bb");
}

#[test]
fn what_cannot_be_had_is_named_with_who_needs_it() {
    assert_eq!(chosen("app", "app nothing"), "there is no package `nothing`");
    assert_eq!(
        chosen("app: Depends lib\n lib: Depends base (>= 3) | gone\n base 2", "app"),
        "app → lib needs `base (>= 3) | gone`: there is `base` 2 only, there is no `gone`"
    );
    assert_eq!(
        chosen("app: Depends aa | bb\n aa: Depends gone\n bb: Depends base:i386\n base", "app"),
        "app needs `aa | bb`: `aa` cannot be used, as app → aa needs `gone`: there is no `gone`, \
         `bb` cannot be used, as app → bb needs `base:i386`: there is `base` 1 only"
    );
}

#[test]
fn packages_that_exclude_each_other_are_named() {
    assert_eq!(
        chosen("app: Depends aa, bb\n aa: Breaks bb (<< 2)\n bb", "app"),
        "`aa` excludes `bb` (`bb (<< 2)`), but `app` needs `aa` and `app` needs `bb`"
    );
    assert_eq!(chosen("aa: Conflicts mta; Provides mta\n bb: Provides mta", "aa"), "aa");
    assert_eq!(
        chosen("aa: Conflicts mta; Provides mta\n bb: Provides mta", "aa bb"),
        "`aa` excludes `bb` (`mta`), but `aa` was asked for and `bb` was asked for"
    );
}

#[test]
fn qualifiers_that_mean_this_architecture_are_met() {
    assert_eq!(chosen("app: Depends aa:any, bb:native, cc:amd64\n aa\n bb\n cc", "app"), "aa app bb cc");
}

#[test]
fn a_package_that_is_left_out_satisfies_whoever_asks_for_it() {
    let index = index(
        "app: Depends debconf (>= 9) | debconf-2.0, lib\n lib: Depends debconf-2.0\n debconf: Depends perl; Provides debconf-2.0\n perl",
    );
    let options =
        ClosureOptions { left_out: [("debconf".parse().unwrap(), "only scripts".to_owned())].into() };
    let left = closure(&index, &names("app"), &options).unwrap();
    assert_eq!(left.packages.keys().map(PackageName::as_str).collect::<Vec<_>>(), ["app", "lib"]);
    // Its version is too low for `app`, but then nobody looks at it.
    let expected = LeftOut { reason: "only scripts".into(), wanted_by: names("app lib") };
    assert_eq!(left.left_out, [("debconf".parse().unwrap(), expected)].into());
    let asked_for = closure(&index, &names("app debconf"), &options).unwrap();
    assert_eq!(asked_for.packages.len(), 4);
}

proptest! {
    // Whatever the packages, the search ends, and what it finds is closed: every need of every chosen package is met.
    #[test]
    fn what_is_found_is_closed(needs in prop::collection::vec((0..12_usize, 0..12_usize, 0..3_u8), 0..40)) {
        let mut lines: Vec<Vec<String>> = vec![Vec::new(); 12];
        for (from, to, kind) in needs {
            lines[from].push(match kind {
                0 => format!("Depends pkg{to}"),
                1 => format!("Depends pkg{to} | pkg{}", (to + 1) % 12),
                _ => format!("Breaks pkg{to} (<< 1)"),
            });
        }
        let text: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(number, fields)| {
                let join = |name: &str| {
                    let values: Vec<_> = fields.iter().filter_map(|field| field.strip_prefix(name)).collect();
                    if values.is_empty() { String::new() } else { format!("{name} {};", values.join(",")) }
                };
                format!("pkg{number}: {} {}", join("Depends"), join("Breaks"))
            })
            .collect();
        let found = closure(&index(&text.join("\n")), &names("pkg0 pkg1"), &ClosureOptions::default()).unwrap();
        for chosen in found.packages.values() {
            for group in &chosen.package.depends {
                let met = |relation: &Relation| found.packages.values().any(|one| one.package.satisfies(relation));
                prop_assert!(group.0.iter().any(met));
            }
        }
    }
}

/// What moves when the closure of `roots` is chosen anew and all was at version 1 before, `free` excepted.
fn moving(packages: &str, roots: &str, free: &str) -> String {
    let closure = closure(&index(packages), &names(roots), &ClosureOptions::default()).unwrap();
    let before = |name: &PackageName| (name.clone(), "1".parse().unwrap());
    let before = closure.packages.keys().filter(|name| name.as_str() != "new").map(before).collect();
    let staying = staying(&closure, &before, &names(free));
    let moving = closure.packages.keys().filter(|name| !staying.contains(*name));
    moving.map(PackageName::as_str).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_locked_stays_when_a_package_is_added() {
    let packages = "app: Depends lib\n lib 2\n new 2: Depends lib\n";
    assert_eq!(moving(packages, "app new", ""), "new");
}

#[test]
fn a_new_package_takes_along_what_is_too_old_for_it() {
    let packages = "app: Depends lib\n lib 2: Depends base\n base 2\n new 2: Depends lib (>= 2) | none\n";
    assert_eq!(moving(packages, "app new", ""), "lib new");
}

#[test]
fn a_new_package_takes_along_what_it_breaks() {
    let packages = "app: Depends lib\n lib 2\n new 2: Breaks lib (<< 2)\n";
    assert_eq!(moving(packages, "app new", ""), "lib new");
}

#[test]
fn packages_of_one_source_move_together() {
    let packages =
        "app: Depends lib, data, other\n lib 2: Source gcc; Depends data\n data 2: Source gcc\n other 2";
    assert_eq!(moving(packages, "app", "lib"), "data lib");
    assert_eq!(moving(packages, "app", "other"), "other");
}

//! Says what was copied into a wheel, and whose it is.
//!
//! Spec: <https://peps.python.org/pep-0770/>, <https://cyclonedx.org/docs/1.6/json/>

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use minke_python::WheelFileName;
use serde_json::{Value, json};

use super::Graft;

/// Where dpkg keeps what it knows.
const DPKG: &str = "/var/lib/dpkg";

/// Returns the Debian packages of this machine that files are of, with version and architecture as package addresses
/// have them: `libxml2@2.9.14?arch=amd64`. A file of no package isn't there.
pub(super) fn owners<'file>(files: impl Iterator<Item = &'file Path>) -> BTreeMap<PathBuf, String> {
    // No package has files elsewhere, and not below /usr/local.
    let is_systems = |path: &&str| {
        ["/usr/", "/lib", "/opt/"].iter().any(|start| path.starts_with(start))
            && !path.starts_with("/usr/local/")
    };
    // Packages made before /usr was merged say `/lib`.
    let names = |path: &'file str| [path, path.strip_prefix("/usr").unwrap_or(path)].map(|name| (name, path));
    let wanted: BTreeMap<&str, &str> =
        files.filter_map(Path::to_str).filter(is_systems).flat_map(names).collect();
    let mut owners = BTreeMap::new();
    if wanted.is_empty() {
        return owners;
    }
    let status = fs::read_to_string(format!("{DPKG}/status")).unwrap_or_default();
    let lists =
        fs::read_dir(format!("{DPKG}/info")).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut lists: Vec<PathBuf> =
        lists.filter(|list| list.extension().is_some_and(|extension| extension == "list")).collect();
    lists.sort();
    for list in lists {
        let text = fs::read_to_string(&list).unwrap_or_default();
        for path in text.lines().filter_map(|line| wanted.get(line)) {
            let name = list.file_stem().unwrap_or_default().to_string_lossy();
            let package = package(name.split(':').next().unwrap_or_default(), &status);
            owners.extend(package.map(|package| (PathBuf::from(path), package)));
        }
    }
    owners
}

fn package(name: &str, status: &str) -> Option<String> {
    let paragraph = status.split("\n\n").find(|text| field(text, "Package") == Some(name))?;
    let version = field(paragraph, "Version")?.replace(':', "%3A").replace('+', "%2B");
    Some(format!("{name}@{version}?arch={}", field(paragraph, "Architecture")?))
}

fn field<'text>(paragraph: &'text str, name: &str) -> Option<&'text str> {
    paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Writes the bill; it depends on what was copied alone.
pub(super) fn write(wheel: &WheelFileName, grafts: &[Graft]) -> Vec<u8> {
    let (name, version) = (wheel.name().as_str(), wheel.version().to_string());
    let purl = format!("pkg:pypi/{name}@{}", version.replace('+', "%2B"));
    let whole = json!({ "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl });
    let system = system();
    let reference = |graft: &Graft| format!("{purl}#{}", graft.file);
    let component = |graft: &Graft| {
        let file = graft.file.rsplit('/').next().unwrap_or_default();
        let mut component = json!({
            "type": "library",
            "bom-ref": reference(graft),
            "name": file,
            "hashes": [{ "alg": "SHA-256", "content": graft.digest.hex() }],
            "properties": [{ "name": "minke:file", "value": graft.file }],
        });
        if let Some((package, rest)) = graft.package.as_deref().and_then(|package| package.split_once('@')) {
            let version = rest.split('?').next().unwrap_or_default();
            component["name"] = package.into();
            component["version"] = version.replace("%3A", ":").replace("%2B", "+").into();
            component["purl"] = format!("pkg:deb/{}/{package}@{rest}", system).into();
        }
        component
    };
    let components: Vec<Value> = grafts.iter().map(component).collect();
    let mut dependencies =
        vec![json!({ "ref": purl, "dependsOn": grafts.iter().map(reference).collect::<Vec<_>>() })];
    dependencies.extend(grafts.iter().map(|graft| json!({ "ref": reference(graft) })));
    let tool = json!({ "type": "application", "name": "minke", "version": env!("CARGO_PKG_VERSION") });
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "component": whole, "tools": { "components": [tool] } },
        "components": components,
        "dependencies": dependencies,
    });
    let mut text = serde_json::to_vec_pretty(&bill).expect("a bill has text keys");
    text.push(b'\n');
    text
}

/// Returns what this machine's system calls itself, `debian` where it doesn't say.
fn system() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let said = text.lines().find_map(|line| line.strip_prefix("ID="));
    said.map_or_else(|| "debian".to_owned(), |id| id.trim_matches('"').to_owned())
}

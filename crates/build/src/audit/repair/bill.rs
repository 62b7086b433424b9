//! Says what was copied into a wheel, and whose it is.
//!
//! Spec: <https://peps.python.org/pep-0770/>, <https://cyclonedx.org/docs/1.6/json/>

use std::fs;
use std::path::Path;

use minke_python::WheelFileName;
use serde_json::{Value, json};

use super::Graft;

/// Where dpkg keeps what it knows.
const DPKG: &str = "/var/lib/dpkg";

/// Returns the Debian package of this machine that a file is of, with its version and architecture as package addresses
/// have them: `libxml2@2.9.14?arch=amd64`; none for any other file.
pub(super) fn owner(file: &Path) -> Option<String> {
    let path = file.to_str()?;
    // Packages made before /usr was merged say `/lib`.
    let old = path.strip_prefix("/usr").unwrap_or(path);
    let lists = fs::read_dir(format!("{DPKG}/info")).ok()?.flatten().map(|entry| entry.path());
    let lists = lists.filter(|list| list.extension().is_some_and(|extension| extension == "list"));
    let owns = |list: &std::path::PathBuf| {
        let text = fs::read_to_string(list).unwrap_or_default();
        text.lines().any(|line| line == path || line == old)
    };
    let mut owning: Vec<_> = lists.filter(owns).collect();
    owning.sort();
    let name = owning.first()?.file_stem()?.to_str()?.to_owned();
    let name = name.split(':').next().unwrap_or_default();
    let status = fs::read_to_string(format!("{DPKG}/status")).ok()?;
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

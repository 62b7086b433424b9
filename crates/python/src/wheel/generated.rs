//! What an installer adds to a wheel's files: programs for entry points, and who installed it and why.
//!
//! Spec: <https://packaging.python.org/en/latest/specifications/recording-installed-packages/>,
//! <https://packaging.python.org/en/latest/specifications/direct-url/>

use std::collections::BTreeMap;

use minke_cas::{File, ImagePath, Mode, Name, Store};
use serde_json::json;

use super::layout::Layout;
use super::{DirectUrl, Provenance, Request, WheelFault, record_of};
use crate::{EntryPoint, EntryPoints};

/// Adds the programs and the installer's own files; they take the place of what the wheel has there.
pub(super) fn add(
    store: &Store,
    layout: &Layout<'_>,
    entry_points: &EntryPoints,
    provenance: &Provenance,
    files: &mut BTreeMap<ImagePath, File>,
) -> Result<(), WheelFault> {
    for group in ["console_scripts", "gui_scripts"] {
        for (name, value) in entry_points.group(group) {
            let refused = || WheelFault::Script { name: name.to_owned(), value: value.to_owned() };
            let file_name: Name = name.parse().map_err(|_| refused())?;
            let path = layout.venv().bin().join(&file_name);
            layout.check(name, &path)?;
            let text = program(layout, value).ok_or_else(refused)?;
            files.insert(path, stored(store, &text, Mode::EXECUTABLE)?);
        }
    }
    let mut own = vec![("INSTALLER", "minke\n".to_owned())];
    if provenance.request == Request::Project {
        own.push(("REQUESTED", String::new()));
    }
    if let Some(url) = &provenance.direct_url {
        own.push(("direct_url.json", direct_url(url)));
    }
    let dist_info = layout.dist_info();
    let path = |file: &str| dist_info.join_str(file).expect("it is one component");
    for (file, text) in own {
        files.insert(path(file), stored(store, &text, Mode::REGULAR)?);
    }
    let record = record_of(files, layout).to_text();
    files.insert(path("RECORD"), stored(store, &record, Mode::REGULAR)?);
    Ok(())
}

fn stored(store: &Store, text: &str, mode: Mode) -> Result<File, WheelFault> {
    Ok(File::new(store.put(text.as_bytes())?, text.len() as u64, mode))
}

/// The program for `module:function`, as pip and uv write it but for what they do on Windows alone.
fn program(layout: &Layout<'_>, value: &str) -> Option<String> {
    let EntryPoint { module, attribute, .. } = value.parse().ok()?;
    let function = attribute?;
    let imported = function.split('.').next().expect("a split has a first part");
    Some(format!(
        "#!{}\nimport sys\n\nfrom {module} import {imported}\n\nif __name__ == \"__main__\":\n    \
         sys.exit({function}())\n",
        layout.venv().program()
    ))
}

fn direct_url(url: &DirectUrl) -> String {
    // Keys in alphabetical order: so they come out whether or not serde_json is built to keep theirs.
    let value = match url {
        DirectUrl::Archive { url, digest: None } => json!({ "archive_info": {}, "url": url }),
        DirectUrl::Archive { url, digest: Some(digest) } => {
            json!({ "archive_info": { "hashes": { "sha256": digest.hex() } }, "url": url })
        }
        DirectUrl::Directory { url } => json!({ "dir_info": {}, "url": url }),
        DirectUrl::Vcs { vcs, url, requested_revision: None, commit } => {
            json!({ "url": url, "vcs_info": { "commit_id": commit, "vcs": vcs } })
        }
        DirectUrl::Vcs { vcs, url, requested_revision: Some(revision), commit } => json!({
            "url": url,
            "vcs_info": { "commit_id": commit, "requested_revision": revision, "vcs": vcs },
        }),
    };
    value.to_string()
}

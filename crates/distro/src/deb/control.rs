//! The control member of a package: what it says of itself, and which scripts it would run.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use serde::{Deserialize, Serialize};

use super::DebError;
use super::ar::Ar;
use super::members::{self, Kind};
use crate::compression::{Compression, is_too_large};
use crate::name::{PackageName, Version};
use crate::stanza;

/// What a package says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Control {
    /// Its name.
    pub package: PackageName,
    /// Its version.
    pub version: Version,
    /// All its fields as they are written, as `dpkg-deb --field` shows them.
    pub text: String,
    /// The MD5 of each file that isn't configuration, as its maintainer listed them; may be empty.
    pub md5sums: String,
    /// The paths of its configuration files.
    pub conffiles: Vec<String>,
    /// The scripts that it would run and that don't run here.
    pub scripts: BTreeMap<Script, String>,
}

/// When a maintainer script would run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Script {
    /// Before the package is unpacked.
    Preinst,
    /// After that.
    Postinst,
}

/// The longest list of checksums in Debian has 5 MB.
const LONGEST_FILE: u64 = 32 << 20;
const LONGEST_CONTROL: u64 = 128 << 20;

impl Control {
    /// Returns the value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        stanza::field(&self.text, name)
    }

    /// Returns how much the package takes when unpacked, in KiB, as its maintainer's machine estimated.
    pub fn installed_kib(&self) -> Option<u64> {
        self.field("Installed-Size")?.parse().ok()
    }
}

/// Reads the current member of the archive as `control.tar`.
pub(super) fn read<R: Read>(ar: &mut Ar<R>, compression: Compression) -> Result<Control, DebError> {
    const MEMBER: &str = "control.tar";
    let wanted: BTreeSet<&str> = ["control", "md5sums", "conffiles", "preinst", "postinst"].into();
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let damaged = |source| DebError::Damaged { member: MEMBER, source };
    let read = (|| {
        let decoder = compression.decoder(ar.by_ref(), LONGEST_CONTROL).map_err(damaged)?;
        members::each(decoder, damaged, |member| {
            let name = member.name.trim_start_matches("./");
            if !matches!(member.kind, Kind::File) || !wanted.contains(name) {
                return Ok(());
            }
            let mut bytes = Vec::new();
            member.content.take(LONGEST_FILE + 1).read_to_end(&mut bytes).map_err(damaged)?;
            if bytes.len() as u64 > LONGEST_FILE {
                return Err(DebError::TooLarge { limit_bytes: LONGEST_FILE });
            }
            files.insert(name.to_owned(), bytes);
            Ok(())
        })
    })();
    read.map_err(|error| explain(error, ar))?;
    control(&mut files)
}

/// Tells a member that is cut short or too long from one that is damaged.
fn explain<R: Read>(error: DebError, ar: &Ar<R>) -> DebError {
    match error {
        DebError::Damaged { source, .. } if is_too_large(&source) => {
            DebError::TooLarge { limit_bytes: LONGEST_CONTROL }
        }
        DebError::Damaged { member, source } => ar.failure(member, source),
        error => error,
    }
}

fn control(files: &mut BTreeMap<String, Vec<u8>>) -> Result<Control, DebError> {
    let mut text = |name: &str| {
        let bytes = files.remove(name).unwrap_or_default();
        // Scripts and old changelog-like fields may hold other encodings; nobody here depends on them.
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    };
    let control = text("control");
    let stanza = stanza::stanzas(&control).next().ok_or(DebError::Control { field: "Package" })?.to_owned();
    let field = |name| stanza::field(&stanza, name).ok_or(DebError::Control { field: name });
    let scripts = [(Script::Preinst, text("preinst")), (Script::Postinst, text("postinst"))];
    Ok(Control {
        package: field("Package")?.parse().map_err(|_| DebError::Control { field: "Package" })?,
        version: field("Version")?.parse().map_err(|_| DebError::Control { field: "Version" })?,
        md5sums: text("md5sums"),
        conffiles: text("conffiles").lines().map(|line| line.trim().to_owned()).collect(),
        scripts: scripts.into_iter().filter(|(_, script)| !script.is_empty()).collect(),
        text: stanza,
    })
}

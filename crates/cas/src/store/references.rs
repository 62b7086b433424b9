//! What a remembered result speaks of: every blob and pack whose digest stands in it.
//!
//! Results are any value that can be written as JSON; what they need of the store is found in the text, as
//! everything in it that looks like a digest and *is* one of something stored. So nobody has to declare it and
//! nobody can forget to. What is found too much costs nothing but a computation, should it be taken away.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Store;
use super::pack::PackId;
use crate::Digest;

/// What must be there for a result to be believed, each with its length in bytes.
#[derive(Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Needs {
    pub(super) blobs: Vec<(Digest, u64)>,
    pub(super) packs: Vec<(PackId, u64)>,
}

impl Store {
    /// Finds out what a value needs, which is in the store when the value is kept.
    pub(super) fn needs_of(&self, json: &[u8]) -> Needs {
        let mut needs = Needs::default();
        for digest in mentioned(json) {
            if let Some(size) = self.pack_size(PackId::from_digest(digest)) {
                needs.packs.push((PackId::from_digest(digest), size));
            } else if let Some(size) = self.blob_size(&digest) {
                needs.blobs.push((digest, size));
            }
        }
        needs
    }

    /// Tells whether everything is there, and none of it shorter than it was.
    pub(super) fn are_there(&self, needs: &Needs) -> bool {
        needs.packs.iter().all(|(id, size)| self.pack_size(*id) == Some(*size))
            && needs.blobs.iter().all(|(digest, size)| self.blob_size(digest) == Some(*size))
    }
}

const MARK: &[u8] = b"sha256:";

/// Returns all digests in a JSON text, but for the contents of files that lie in a pack: there the pack is needed.
pub(super) fn mentioned(json: &[u8]) -> BTreeSet<Digest> {
    let mut found = BTreeSet::new();
    let mut at = 0;
    while let Some(next) = json[at..].iter().position(|&byte| byte == b's') {
        at += next;
        let Some(digits) = json[at..].strip_prefix(MARK).and_then(|rest| rest.get(..64)) else {
            at += 1;
            continue;
        };
        let end = at + MARK.len() + digits.len();
        let digest = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<Digest>().ok());
        if !is_in_a_pack(&json[..at], &json[end..]) {
            found.extend(digest);
        }
        at = end;
    }
    found
}

/// Tells whether what stands round a digest makes it a [`File`](crate::File)'s content that has a pack.
fn is_in_a_pack(before: &[u8], after: &[u8]) -> bool {
    let size_and_pack = || {
        let rest = after.strip_prefix(b"\",\"size\":")?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest[digits..].strip_prefix(b",\"pack\":\"")
    };
    before.ends_with(b"{\"content\":\"") && size_and_pack().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{File, Mode, Tree};

    #[test]
    fn all_digests_of_a_value_are_found_but_for_contents_of_packs() {
        let [blob, content, pack, key] =
            ["blob", "content", "pack", "key"].map(|text| Digest::of(text.as_bytes()));
        let mut tree = Tree::new();
        let mut insert = |path: &str, file: File| tree.insert(&path.parse().unwrap(), file.into()).unwrap();
        insert("/own", File::new(blob, 3, Mode::REGULAR));
        insert(
            "/packed",
            File { pack: Some(PackId::from_digest(pack)), ..File::new(content, 3, Mode::REGULAR) },
        );
        let value = (tree, std::collections::BTreeMap::from([(key, "sha256:sha256:short")]));
        let json = serde_json::to_vec(&value).unwrap();
        assert_eq!(mentioned(&json), BTreeSet::from([blob, pack, key]));
    }
}

//! Why a layer is another one than at the last build of an image: field by field.
//!
//! What each layer was made from is noted beside the cache's results, under the image's name and platform, and is
//! compared with what it is made from now. A note that is lost costs an answer, nothing else.

use std::collections::{BTreeMap, BTreeSet};

use minke_cas::{Digest, Store};
use serde::{Deserialize, Serialize};

/// What an image's layers are made from: of each layer its fields, such as `numpy` or `/app/main.py`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Inputs {
    layers: BTreeMap<String, BTreeMap<String, String>>,
}

/// One reason why a layer is another one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Reason {
    /// The layer.
    pub layer: String,
    /// What of it; none where the whole layer came or went.
    pub field: Option<String>,
    /// What it was; none where it is new.
    pub before: Option<String>,
    /// What it is; none where it is gone.
    pub after: Option<String>,
}

const KIND: &str = "inputs-1";

const IMAGE: &str = "inputs-of-1";

/// Tells whether what was noted last under a name is what this very image was made from.
pub fn is_noted(store: &Store, name: &str, image: &Digest) -> bool {
    store.jotted(IMAGE, &Digest::of(name.as_bytes())).is_some_and(|noted| noted == image.as_bytes())
}

impl Inputs {
    /// Adds a field of a layer.
    pub fn add(&mut self, layer: &str, field: impl Into<String>, value: impl Into<String>) {
        self.layers.entry(layer.to_owned()).or_default().insert(field.into(), value.into());
    }

    /// Notes an image's inputs under its name, and returns how they differ from those that were noted there; none if
    /// nothing was.
    pub fn note(&self, store: &Store, name: &str, image: &Digest) -> Option<Vec<Reason>> {
        let key = Digest::of(name.as_bytes());
        let before: Option<Self> =
            store.jotted(KIND, &key).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if before.as_ref() != Some(self) {
            // Without it the next build has nothing to compare with, and says so.
            let _ = store.jot(KIND, &key, &serde_json::to_vec(self).expect("texts are JSON"));
        }
        let _ = store.jot(IMAGE, &key, image.as_bytes());
        before.map(|before| before.reasons(self))
    }

    fn reasons(&self, later: &Self) -> Vec<Reason> {
        let names: BTreeSet<&String> = self.layers.keys().chain(later.layers.keys()).collect();
        let of_layer = |layer: &String| match (self.layers.get(layer), later.layers.get(layer)) {
            (Some(before), Some(after)) => differences(layer, before, after),
            (before, after) => {
                let said = |there: bool| there.then(|| "there".to_owned());
                let (before, after) = (said(before.is_some()), said(after.is_some()));
                vec![Reason { layer: layer.clone(), field: None, before, after }]
            }
        };
        names.into_iter().flat_map(of_layer).collect()
    }
}

fn differences(
    layer: &str,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<Reason> {
    let fields: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let reason = |field: &String| Reason {
        layer: layer.to_owned(),
        field: Some(field.clone()),
        before: before.get(field).cloned(),
        after: after.get(field).cloned(),
    };
    fields.into_iter().map(reason).filter(|reason| reason.before != reason.after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_went_and_changed_is_said_by_field() {
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        let mut inputs = Inputs::default();
        inputs.add("rest", "six", "1.16");
        inputs.add("rest", "idna", "3.1");
        inputs.add("app", "/app/main.py", "aaaa");
        inputs.add("system", "libgomp1", "14");
        let (name, image) = ("shop:latest linux/amd64", Digest::of(b"an image"));
        assert_eq!(inputs.note(&store, name, &image), None);
        assert_eq!(inputs.note(&store, name, &image), Some(Vec::new()));
        assert!(is_noted(&store, name, &image) && !is_noted(&store, name, &Digest::of(b"another")));
        let mut later = Inputs::default();
        later.add("rest", "six", "1.17");
        later.add("rest", "rich", "14");
        later.add("app", "/app/main.py", "aaaa");
        let reasons = later.note(&store, name, &Digest::of(b"another")).unwrap();
        let lines: Vec<_> = reasons
            .iter()
            .map(|Reason { layer, field, before, after }| format!("{layer} {field:?} {before:?} {after:?}"))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        rest Some("idna") Some("3.1") None
        rest Some("rich") None Some("14")
        rest Some("six") Some("1.16") Some("1.17")
        system None Some("there") None
        "#);
    }
}

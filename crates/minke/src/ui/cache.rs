//! What `minke cache` says: a table of kinds, what was dropped, what is left.

use std::collections::BTreeMap;
use std::path::Path;

use minke_cas::{Kind, Swept, Usage, Verified};
use serde_json::{Value, json};

use super::columns::{lay_out, numbers, words};
use super::paint::Paint;
use super::text::{count, size};

/// A kind's name for programs, and what it is for people.
fn named(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Blob => ("blobs", "downloads, compressed parts, layers, manifests"),
        Kind::Pack => ("packs", "what packages and wheels unpack to"),
        Kind::Result => ("results", "what was computed from what"),
        Kind::Note => ("notes", "digests of projects' files as they were seen last"),
        Kind::Room => ("rooms", "trees that programs were run in"),
        Kind::Partial => ("partial", "downloads that aren't whole"),
        Kind::Unfinished => ("unfinished", "work of running or ended processes"),
        Kind::Name => ("names", "what you call images"),
        Kind::Other => ("other", "what uv and others keep here"),
        Kind::Older => ("older", "what older versions of minke have left"),
    }
}

fn sum<'usage>(usage: impl Iterator<Item = &'usage Usage>) -> Usage {
    usage.fold(Usage::default(), |sum, usage| Usage {
        entries: sum.entries + usage.entries,
        bytes: sum.bytes + usage.bytes,
    })
}

/// Lays out what lies in the cache, under its place.
pub(super) fn usage(usage: &BTreeMap<Kind, Usage>, width: usize, paint: Paint) -> Vec<String> {
    let row = |name: &str, usage: Usage, what: &str| {
        [name.to_owned(), usage.entries.to_string(), size(usage.bytes), what.to_owned()]
    };
    let mut rows: Vec<_> = usage
        .iter()
        .map(|(kind, usage)| {
            let (name, what) = named(*kind);
            row(name, *usage, what)
        })
        .collect();
    rows.push(row("total", sum(usage.values()), ""));
    let columns = [words("kind"), numbers("entries"), numbers("size"), words("what")];
    let mut lines = lay_out(&columns, &rows, width, paint);
    if let Some(total) = lines.last_mut() {
        *total = paint.strong(&total);
    }
    lines
}

/// Says in a line what was dropped and what is left.
pub(super) fn swept(swept: &Swept) -> String {
    let left = size(swept.left.bytes);
    let kinds = swept.dropped.iter().map(|(kind, usage)| format!("{} {}", usage.entries, named(*kind).0));
    match swept.dropped.is_empty() {
        true => format!("nothing to drop; {left} are left"),
        false => {
            let dropped = size(sum(swept.dropped.values()).bytes);
            format!("dropped {dropped} ({}); {left} are left", kinds.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Says what was wrong, a line each, and how much was read.
pub(super) fn verified(verified: &Verified) -> Vec<String> {
    let dropped = verified.dropped.iter().map(|dropped| match dropped.kind {
        Kind::Name => format!("dropped the name `{}`: its image is not whole", dropped.what),
        _ => format!("dropped {}", dropped.what),
    });
    let Usage { entries, bytes } = verified.checked;
    let outcome = match verified.dropped.len() as u64 {
        0 => "all right".to_owned(),
        wrong => format!("{} dropped", count(wrong, "thing")),
    };
    dropped.chain([format!("{} in {} read: {outcome}", size(bytes), count(entries, "thing"))]).collect()
}

fn by_kind(usage: &BTreeMap<Kind, Usage>) -> Value {
    let kinds = usage.iter().map(|(kind, usage)| (named(*kind).0.to_owned(), of(usage)));
    Value::Object(kinds.collect())
}

fn of(usage: &Usage) -> Value {
    json!({"entries": usage.entries, "bytes": usage.bytes})
}

/// The table as one object.
pub(super) fn usage_json(home: &Path, usage: &BTreeMap<Kind, Usage>) -> Value {
    json!({"directory": home.display().to_string(), "kinds": by_kind(usage), "total": of(&sum(usage.values()))})
}

/// What was dropped and what is left as one object.
pub(super) fn swept_json(swept: &Swept) -> Value {
    json!({"dropped": by_kind(&swept.dropped), "left": of(&swept.left)})
}

/// What was read and what was wrong as one object.
pub(super) fn verified_json(verified: &Verified) -> Value {
    let dropped = verified.dropped.iter();
    let dropped = dropped.map(|dropped| json!({"kind": named(dropped.kind).0, "what": dropped.what}));
    json!({"checked": of(&verified.checked), "dropped": dropped.collect::<Value>()})
}

#[cfg(test)]
mod tests {
    use minke_cas::Dropped;

    use super::*;

    #[test]
    fn a_table_a_line_and_a_list_say_what_there_is() {
        let of = |entries, bytes| Usage { entries, bytes };
        let kinds = BTreeMap::from([(Kind::Blob, of(12, 3_400_000)), (Kind::Name, of(1, 71))]);
        insta::assert_snapshot!(usage(&kinds, 100, Paint::Plain).join("\n"), @r"
            kind   entries    size  what
            blobs       12  3.4 MB  downloads, compressed parts, layers, manifests
            names        1    71 B  what you call images
            total       13  3.4 MB
        ");
        let dropped = BTreeMap::from([(Kind::Blob, of(2, 1_000)), (Kind::Result, of(1, 500))]);
        insta::assert_snapshot!(swept(&Swept { dropped, left: of(3, 9_000) }), @"dropped 1.5 kB (2 blobs, 1 results); 9.0 kB are left");
        insta::assert_snapshot!(swept(&Swept { dropped: BTreeMap::new(), left: of(3, 9_000) }), @"nothing to drop; 9.0 kB are left");
        let wrong = |kind, what: &str| Dropped { kind, what: what.to_owned() };
        let list = vec![wrong(Kind::Blob, "blobs/ab/ab12"), wrong(Kind::Name, "hello:latest")];
        let lines = verified(&Verified { checked: of(20, 5_000), dropped: list });
        insta::assert_snapshot!(lines.join("\n"), @r"
        dropped blobs/ab/ab12
        dropped the name `hello:latest`: its image is not whole
        5.0 kB in 20 things read: 2 things dropped
        ");
    }
}

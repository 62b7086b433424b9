//! What `gc`, `verify` and `clean` take, and what they leave.

use std::time::{Duration, SystemTime};

use super::*;
use crate::Meter;

/// A store with an image of a manifest, a config and a layer, and things that nobody has named.
struct Yard {
    _directory: tempfile::TempDir,
    store: Store,
    manifest: Digest,
    layer: Digest,
    download: Digest,
    tree: Tree,
}

fn yard() -> Yard {
    let (_directory, store) = store();
    let (config, layer) = (store.put(b"{}").unwrap(), store.put(b"a layer").unwrap());
    let json = format!(r#"{{"config": {{"digest": "{config}"}}, "layers": [{{"digest": "{layer}"}}]}}"#);
    let manifest = store.put(json.as_bytes()).unwrap();
    store.set_name("images", "hello:latest", &manifest.to_string()).unwrap();
    let download = store.put(b"a download").unwrap();
    let mut pack = store.pack_writer(PackId::of("test-1", &download)).unwrap();
    let (content, size) = pack.add(&b"content"[..]).unwrap();
    let mut tree = Tree::new();
    let file = File { pack: Some(pack.finish().unwrap()), ..File::new(content, size, Mode::REGULAR) };
    tree.insert(&"/a".parse().unwrap(), file.into()).unwrap();
    store.remember("tree-1", &1, &tree).unwrap();
    // By another process: who has asked for a room keeps it.
    Store::open(_directory.path()).unwrap().room(&tree, Ownership::Caller).unwrap();
    Yard { _directory, store, manifest, layer, download, tree }
}

impl Yard {
    fn has_image(&self) -> bool {
        self.store.has(&self.manifest) && self.store.has(&self.layer)
    }

    fn dropped(&self) -> Vec<String> {
        let verified = self.store.verify(2, &Meter::default()).unwrap();
        let name =
            |dropped: Dropped| format!("{:?} {}", dropped.kind, dropped.what.split('/').next().unwrap());
        verified.dropped.into_iter().map(name).collect()
    }

    /// Makes something look as if nobody had used it for so many days.
    fn age(&self, path: &Path, days: u32) {
        let then = SystemTime::now() - Duration::from_secs(86_400) * days;
        fs::File::open(path).unwrap().set_modified(then).unwrap();
    }

    fn pack_path(&self) -> PathBuf {
        let pack = self.tree.files().next().unwrap().1.pack.unwrap();
        self.store.root().join(pack.place())
    }
}

#[test]
fn a_cache_that_is_whole_is_left_as_it_is() {
    let yard = yard();
    let verified = yard.store.verify(2, &Meter::default()).unwrap();
    assert_eq!((verified.checked.entries, verified.dropped), (7, vec![]));
    let swept = yard.store.gc(Keep { used_within: Some(Duration::from_secs(60)), most_bytes: None }).unwrap();
    assert_eq!((swept.dropped.len(), swept.left.entries), (0, 7));
}

#[test]
fn what_is_wrong_goes_and_so_does_what_needs_it() {
    let yard = yard();
    fs::write(yard.store.blob_path(&yard.download), "changed!!!").unwrap();
    assert_eq!(yard.dropped(), ["Blob blobs"]);
    let path = yard.pack_path();
    let mut bytes = fs::read(&path).unwrap();
    bytes[0] ^= 1;
    fs::write(path, bytes).unwrap();
    assert_eq!(yard.dropped(), ["Pack packs", "Result memo"]);
    let room = fs::read_dir(yard.store.root().join("rooms")).unwrap().flatten();
    let room = room.map(|entry| entry.path()).find(|path| path.is_dir()).unwrap();
    fs::write(room.join("a"), "changed").unwrap();
    assert_eq!(yard.dropped(), ["Room rooms"]);
    fs::write(yard.store.blob_path(&yard.layer), "a lay").unwrap();
    assert_eq!(yard.dropped(), ["Blob blobs", "Name hello:latest"]);
    assert_eq!(yard.dropped(), [""; 0]);
    assert_eq!(yard.store.names("images").unwrap(), []);
}

#[test]
fn what_nobody_has_used_for_long_goes_and_images_stay() {
    let yard = yard();
    yard.age(&yard.store.blob_path(&yard.layer), 40);
    yard.age(&yard.store.blob_path(&yard.download), 40);
    let month = Keep { used_within: Some(Duration::from_secs(30 * 86_400)), most_bytes: None };
    // To look for something is to use it.
    assert!(yard.store.has(&yard.download));
    assert_eq!(yard.store.gc(month).unwrap().dropped, BTreeMap::new());
    yard.age(&yard.store.root().join(super::super::blob::blob_place(&yard.download)), 40);
    yard.age(&yard.pack_path(), 40);
    let swept = yard.store.gc(month).unwrap();
    let kinds: Vec<_> = swept.dropped.iter().map(|(kind, usage)| (*kind, usage.entries)).collect();
    // The result needs the pack.
    assert_eq!(kinds, [(Kind::Blob, 1), (Kind::Pack, 1), (Kind::Result, 1)]);
    assert!(yard.has_image());
    assert_eq!(yard.store.recall::<_, Tree>("tree-1", &1), None);
}

#[test]
fn what_was_used_last_goes_last() {
    let yard = yard();
    let all = yard.store.gc(Keep::default()).unwrap().left.bytes;
    yard.age(&yard.pack_path(), 3);
    yard.age(&yard.store.root().join(super::super::blob::blob_place(&yard.download)), 2);
    let swept = yard.store.gc(Keep { used_within: None, most_bytes: Some(all - 1) }).unwrap();
    let kinds: Vec<_> = swept.dropped.keys().copied().collect();
    assert_eq!(kinds, [Kind::Pack, Kind::Result]);
    assert!(yard.store.has(&yard.download));
    yard.store.gc(Keep { used_within: None, most_bytes: Some(0) }).unwrap();
    assert!(!yard.store.has(&yard.download) && yard.has_image());
}

#[test]
fn cleaning_leaves_images_unless_all_is_to_go() {
    let yard = yard();
    fs::create_dir_all(yard.store.root().join("uv/x")).unwrap();
    fs::create_dir_all(yard.store.root().with_file_name("v1")).unwrap();
    yard.store.clean(Clean::ButImages).unwrap();
    assert!(yard.has_image());
    let kinds: Vec<_> = yard.store.usage().unwrap().into_keys().collect();
    assert_eq!(kinds, [Kind::Blob, Kind::Name, Kind::Older]);
    yard.store.clean(Clean::All).unwrap();
    assert_eq!(yard.store.usage().unwrap(), BTreeMap::new());
    // It can be used on.
    yard.store.set_name("images", "a", "1").unwrap();
    yard.store.remember("tree-1", &1, &Tree::new()).unwrap();
}

#[test]
fn who_takes_from_the_cache_waits_for_those_who_use_it() {
    let yard = yard();
    let other = Store::open(yard.store.root().parent().unwrap()).unwrap();
    let tree = yard.tree.clone();
    let collects = std::thread::spawn(move || {
        yard.store.gc(Keep { used_within: Some(Duration::ZERO), most_bytes: None }).unwrap();
        yard
    });
    std::thread::sleep(Duration::from_millis(100));
    assert!(!collects.is_finished());
    // A container needs its room alone.
    let room = other.room(&tree, Ownership::Caller).unwrap();
    other.let_go();
    let yard = collects.join().unwrap();
    assert!(yard.has_image() && !yard.store.has(&yard.download));
    assert!(room.is_dir());
    drop(other);
    yard.store.gc(Keep { used_within: Some(Duration::ZERO), most_bytes: None }).unwrap();
    assert!(!room.exists());
}

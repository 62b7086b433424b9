//! Caches that crashed, that others use, or that lie above others.

use std::io::Write;

use super::*;

#[test]
fn an_empty_or_short_blob_is_never_believed() {
    let (_directory, store) = store();
    let digest = store.put(b"bytes").unwrap();
    assert!(store.has_whole(&digest, 5));
    fs::write(store.blob_path(&digest), "by").unwrap();
    assert!(!store.has_whole(&digest, 5));
    let file = File::new(digest, 5, Mode::REGULAR);
    assert!(matches!(store.content(&file), Err(StoreError::Damaged { .. })));
    fs::write(store.blob_path(&digest), "").unwrap();
    assert!(!store.has(&digest));
    assert!(matches!(store.open_blob(&digest), Err(StoreError::Damaged { .. })));
    store.put(b"bytes").unwrap();
    assert_eq!(store.read_blob(&digest).unwrap(), b"bytes");
    let nothing = store.put(b"").unwrap();
    assert!(store.has(&nothing));
}

#[test]
fn a_result_is_believed_only_while_all_that_it_speaks_of_is_there() {
    let (_directory, store) = store();
    let (blob, text) = (Digest::of(b"blob"), store.put(b"text").unwrap());
    let mut pack = store.pack_writer(PackId::of("test-1", &blob)).unwrap();
    let (content, size) = pack.add(&b"content"[..]).unwrap();
    let file = File { pack: Some(pack.id()), ..File::new(content, size, Mode::REGULAR) };
    let pack = pack.finish().unwrap();
    let mut tree = Tree::new();
    tree.insert(&"/a".parse().unwrap(), file.into()).unwrap();
    tree.insert(&"/b".parse().unwrap(), File::new(text, 4, Mode::REGULAR).into()).unwrap();
    let damages: [&dyn Fn(); 4] = [
        &|| fs::remove_file(store.blob_path(&text)).unwrap(),
        &|| fs::write(store.blob_path(&text), "tex").unwrap(),
        &|| fs::remove_file(store.root().join(pack.place())).unwrap(),
        &|| fs::write(store.root().join(pack.place()), "").unwrap(),
    ];
    for damage in damages {
        let whole_pack = fs::read(store.root().join(pack.place())).unwrap();
        store.remember("tree-1", &1, &tree).unwrap();
        assert_eq!(store.recall::<_, Tree>("tree-1", &1), Some(tree.clone()));
        damage();
        assert_eq!(store.recall::<_, Tree>("tree-1", &1), None);
        store.put(b"text").unwrap();
        fs::write(store.blob_path(&text), "text").unwrap();
        fs::write(store.root().join(pack.place()), whole_pack).unwrap();
    }
}

#[test]
fn a_cache_of_a_newer_minke_is_refused_and_an_older_one_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("v1/blobs")).unwrap();
    fs::write(directory.path().join("v1/blobs/x"), "x").unwrap();
    Store::open(directory.path()).unwrap();
    assert_eq!(fs::read(directory.path().join("v1/blobs/x")).unwrap(), b"x");
    fs::create_dir(directory.path().join("v7")).unwrap();
    let refused = Store::open(directory.path()).err().unwrap();
    let text = refused.to_string().replace(directory.path().to_str().unwrap(), "CACHE");
    assert_eq!(text, "the cache in `CACHE` is of format 7; this minke knows formats up to 2");
}

#[test]
fn what_was_being_written_when_the_power_failed_is_not_believed() {
    let (directory, store) = store();
    let (whole, cut) = (store.put(b"whole").unwrap(), store.put(b"cut short").unwrap());
    let pack = |text: &[u8]| {
        let mut pack = store.pack_writer(PackId::of("test-1", &Digest::of(text))).unwrap();
        pack.add(text).unwrap();
        pack.finish().unwrap()
    };
    let (good, zeroed) = (pack(b"good"), pack(b"zeroed"));
    store.room(&Tree::new(), Ownership::Caller).unwrap();
    fs::write(store.blob_path(&cut), "cut").unwrap();
    let path = store.root().join(zeroed.place());
    let mut bytes = fs::read(&path).unwrap();
    bytes[..4].fill(0);
    fs::write(&path, bytes).unwrap();
    drop(store);
    // The same boot: nobody looks.
    let store = Store::open(directory.path()).unwrap();
    assert!(store.has(&cut));
    drop(store);
    fs::remove_dir_all(directory.path().join("v2/boots")).unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert!(store.has(&whole) && !store.has(&cut));
    assert!(store.has_pack(good) && !store.has_pack(zeroed));
    assert_eq!(fs::read_dir(store.root().join("rooms")).unwrap().count(), 0);
}

#[test]
fn a_result_is_computed_by_one_while_the_others_wait() {
    let (directory, _) = store();
    let runs = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                // A store of one's own each, as processes have.
                let store = Store::open(directory.path()).unwrap();
                let made: Result<u32, StoreError> = store.memo("slow-1", &1, || {
                    std::thread::sleep(std::time::Duration::from_millis(200));
                    // A result within a result.
                    store.memo("inner-1", &2, || {
                        runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        Ok(42)
                    })
                });
                assert_eq!(made.unwrap(), 42);
            });
        }
    });
    assert_eq!(runs.into_inner(), 1);
    let left = fs::read_dir(directory.path().join("v2/locks")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["boot"]);
}

#[test]
fn a_wait_of_more_than_a_second_is_told() {
    let (directory, _) = store();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let told: Arc<dyn Fn(&str) + Send + Sync> = {
        let heard = Arc::clone(&heard);
        Arc::new(move |what: &str| heard.lock().unwrap().push(what.to_owned()))
    };
    let open = || Store::open_over(directory.path(), &[], Listener::to(&told)).unwrap();
    let (first, second) = (open(), open());
    std::thread::scope(|scope| {
        let (begun, begins) = std::sync::mpsc::channel();
        scope.spawn(move || {
            let slow: Result<u32, StoreError> = first.memo("slow-1", &1, || {
                begun.send(()).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(1300));
                Ok(1)
            });
            slow.unwrap();
        });
        begins.recv().unwrap();
        let waited: Result<u32, StoreError> =
            second.memo("slow-1", &1, || unreachable!("it was made elsewhere"));
        assert_eq!(waited.unwrap(), 1);
    });
    assert_eq!(*heard.lock().unwrap(), ["another minke, which is making the same thing (slow-1)"]);
}

#[test]
fn a_download_is_gone_on_with_where_it_was_left() {
    let (directory, first) = store();
    let digest = Digest::of(b"all of it");
    let source = crate::Source { url: "http://host.test/a".parse().unwrap(), digest, size: Some(9) };
    let ours = |store: &Store| match store.claim(&source, "a download", |_| {}).unwrap() {
        Claim::Ours(partial) => partial,
        Claim::There => panic!("nobody has fetched it"),
    };
    let mut partial = ours(&first);
    assert_eq!((partial.have(), partial.note()), (0, None));
    partial.restart("etag").unwrap();
    partial.write_all(b"all ").unwrap();
    drop(partial);
    let second = Store::open(directory.path()).unwrap();
    let mut partial = ours(&second);
    assert_eq!((partial.have(), partial.note().as_deref()), (4, Some("etag")));
    partial.write_all(b"wrong").unwrap();
    assert!(matches!(partial.finish(), Err(StoreError::Mismatch { size: 9, .. })));
    assert_eq!(partial.have(), 0);
    let waits = std::thread::spawn(move || match first.claim(&source, "a download", |_| {}).unwrap() {
        Claim::Ours(_) => panic!("somebody else has fetched it"),
        Claim::There => first.read_blob(&digest).unwrap(),
    });
    std::thread::sleep(std::time::Duration::from_millis(50));
    partial.write_all(b"all of it").unwrap();
    partial.finish().unwrap();
    assert_eq!(waits.join().unwrap(), b"all of it");
    assert_eq!(fs::read_dir(second.root().join("partial")).unwrap().count(), 0);
}

#[test]
fn a_cache_above_another_reads_both_and_writes_its_own() {
    let (lower_directory, lower) = store();
    let text = lower.put(b"text").unwrap();
    let mut pack = lower.pack_writer(PackId::of("test-1", &Digest::of(b""))).unwrap();
    let (content, size) = pack.add(&b"packed"[..]).unwrap();
    let packed = File { pack: Some(pack.finish().unwrap()), ..File::new(content, size, Mode::REGULAR) };
    let mut tree = Tree::new();
    tree.insert(&"/packed".parse().unwrap(), packed.into()).unwrap();
    tree.insert(&"/text".parse().unwrap(), File::new(text, 4, Mode::REGULAR).into()).unwrap();
    lower.remember("tree-1", &1, &tree).unwrap();
    let room = lower.room(&tree, Ownership::Caller).unwrap();
    let upper_directory = tempfile::tempdir().unwrap();
    let absent = upper_directory.path().join("absent");
    let also = [absent, lower_directory.path().to_owned()];
    let upper = Store::open_over(upper_directory.path(), &also, Listener::default()).unwrap();
    assert_eq!(upper.read_blob(&text).unwrap(), b"text");
    assert_eq!(upper.recall::<_, Tree>("tree-1", &1), Some(tree.clone()));
    let texts: Vec<_> = tree.files().map(|(_, file)| upper.read_file(file).unwrap()).collect();
    assert_eq!(texts, [&b"packed"[..], b"text"]);
    assert_eq!(upper.room(&tree, Ownership::Caller).unwrap(), room);
    upper.put(b"text").unwrap();
    let new = upper.put(b"new").unwrap();
    assert!(!lower.has(&new));
    assert_eq!(fs::read_dir(upper.root().join("blobs")).unwrap().count(), 1);
    // What gets a name here must not depend on what is below.
    let json = format!(r#"{{"layers": [{{"digest": "{text}"}}]}}"#);
    let manifest = lower.put(json.as_bytes()).unwrap();
    upper.set_name("images", "a", &manifest.to_string()).unwrap();
    drop(upper);
    let alone = Store::open(upper_directory.path()).unwrap();
    assert!(alone.has(&manifest) && alone.has(&text));
}

#[test]
fn a_cache_that_cannot_be_written_is_read() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, store) = store();
    let text = store.put(b"text").unwrap();
    store.set_name("images", "a", "1").unwrap();
    drop(store);
    let scratch = directory.path().join("v2/scratch");
    fs::set_permissions(&scratch, fs::Permissions::from_mode(0o500)).unwrap();
    if tempfile::tempdir_in(&scratch).is_ok() {
        // Root may write everywhere; the tests of the binary mount a file system read-only.
        return;
    }
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.read_blob(&text).unwrap(), b"text");
    store.put(b"text").unwrap();
    store.set_name("images", "a", "1").unwrap();
    store.scratch().unwrap();
    assert!(matches!(store.put(b"new"), Err(StoreError::ReadOnly { .. })));
    assert!(matches!(store.set_name("images", "a", "2"), Err(StoreError::ReadOnly { .. })));
}

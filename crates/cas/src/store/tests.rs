use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::{Entry, ImagePath, Mode, Tree};

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    (directory, store)
}

fn leftovers(store: &Store) -> usize {
    let run = fs::read_dir(store.root().join("scratch")).unwrap().next().unwrap().unwrap().path();
    fs::read_dir(run).unwrap().count() - 1
}

#[test]
fn a_blob_is_found_by_its_digest() {
    let (_directory, store) = store();
    let digest = store.put(b"bytes").unwrap();
    assert_eq!(digest, Digest::of(b"bytes"));
    assert_eq!(store.read_blob(&digest).unwrap(), b"bytes");
    assert_eq!(leftovers(&store), 0);
}

#[test]
fn wrong_bytes_are_refused_and_leave_nothing() {
    let (_directory, store) = store();
    let expected = Digest::of(b"right");
    let refused = store.put_expected(&b"wrong"[..], &expected).unwrap_err();
    assert_eq!(refused.to_string(), format!("expected {expected}, got {} (5 bytes)", Digest::of(b"wrong")));
    assert!(!store.has(&expected) && !store.has(&Digest::of(b"wrong")));
    assert_eq!(leftovers(&store), 0);
}

#[test]
fn a_pack_gives_each_content_back() {
    let (_directory, store) = store();
    let mut pack = store.pack_writer(PackId::of("test-1", &Digest::of(b""))).unwrap();
    let files: Vec<_> = ["one", "two", "one", ""]
        .into_iter()
        .map(|text| {
            let (content, size) = pack.add(text.as_bytes()).unwrap();
            File { pack: Some(pack.id()), ..File::new(content, size, Mode::REGULAR) }
        })
        .collect();
    let id = pack.finish().unwrap();
    assert!(store.has_pack(id));
    let texts: Vec<_> = files.iter().map(|file| store.read_file(file).unwrap()).collect();
    assert_eq!(texts, [&b"one"[..], b"two", b"one", b""]);
    assert_eq!(leftovers(&store), 0);
}

#[test]
fn a_pack_that_was_cut_short_is_not_believed() {
    let (_directory, store) = store();
    let mut pack = store.pack_writer(PackId::of("test-1", &Digest::of(b""))).unwrap();
    let (content, size) = pack.add(&b"content"[..]).unwrap();
    let id = pack.finish().unwrap();
    let path = store.root().join(id.place());
    fs::write(&path, "cont").unwrap();
    let file = File { pack: Some(id), ..File::new(content, size, Mode::REGULAR) };
    assert_eq!(
        store.read_file(&file).unwrap_err().to_string(),
        format!("`{}` in the cache is damaged", path.display())
    );
}

#[test]
fn a_result_is_computed_once() {
    let (_directory, store) = store();
    let mut runs = 0;
    for _ in 0..2 {
        let doubled: Result<u32, StoreError> = store.memo("double-1", &21, || {
            runs += 1;
            Ok(42)
        });
        assert_eq!(doubled.unwrap(), 42);
    }
    assert_eq!(runs, 1);
}

#[test]
fn names_with_any_characters_are_kept_and_listed() {
    let (_directory, store) = store();
    store.set_name("images", "b/c:latest", "2").unwrap();
    store.set_name("images", "a", "1").unwrap();
    store.set_name("images", "a", "3").unwrap();
    let (long, longer) = ("c".repeat(100), "c".repeat(255));
    store.set_name("images", &long, "4").unwrap();
    store.set_name("images", &longer, "5").unwrap();
    let all = [("a", "3"), ("b/c:latest", "2"), (&long, "4"), (&longer, "5")];
    let all = all.map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(store.names("images").unwrap(), all);
    assert!(store.forget_name("images", "a").unwrap());
    assert!(!store.forget_name("images", "a").unwrap());
}

#[test]
fn a_room_holds_the_tree() {
    let (_directory, store) = store();
    let mut tree = Tree::new();
    let content = store.put(b"#!/bin/sh\n").unwrap();
    let path = |text: &str| text.parse::<ImagePath>().unwrap();
    tree.insert(&path("/bin/x"), File::new(content, 10, Mode::EXECUTABLE).into()).unwrap();
    tree.insert(&path("/y"), Entry::symlink("bin/x")).unwrap();
    tree.set_directory(&path("/bin"), Mode::from_bits(0o555), crate::Owner::default()).unwrap();
    let room = store.room(&tree, Ownership::Caller).unwrap();
    let mut text = String::new();
    fs::File::open(room.join("y")).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "#!/bin/sh\n");
    assert_eq!(store.room(&tree, Ownership::Caller).unwrap(), room);
    let plain = store.room(&tree, Ownership::Plain(None)).unwrap();
    let mode = |at: &str| fs::metadata(plain.join(at)).unwrap().permissions().mode() & 0o7777;
    assert_ne!(plain, room);
    assert_eq!((mode("bin"), mode("bin/x")), (0o755, 0o755));
    // A directory that isn't writable goes as well, when what a dead process left is swept away.
    let left = store.scratch().unwrap();
    store.write_tree(&tree, &left.path().join("room"), Ownership::Caller).unwrap();
    let place = left.path().to_owned();
    drop(left);
    assert!(!place.exists());
}

#[test]
fn rooms_that_are_nearly_the_same_share_files() {
    let (_directory, store) = store();
    let path = |text: &str| text.parse::<ImagePath>().unwrap();
    let tree = |files: &[(&str, &str, Mode)]| {
        let mut tree = Tree::new();
        for (at, text, mode) in files {
            let content = store.put(text.as_bytes()).unwrap();
            tree.insert(&path(at), File::new(content, text.len() as u64, *mode).into()).unwrap();
        }
        tree
    };
    let compiler = "cc".repeat(1000);
    let first = tree(&[("/bin/cc", &compiler, Mode::EXECUTABLE), ("/a", "1", Mode::REGULAR)]);
    let second = tree(&[("/bin/cc", &compiler, Mode::EXECUTABLE), ("/a", "2", Mode::REGULAR)]);
    let third = tree(&[("/bin/cc", &compiler, Mode::REGULAR)]);
    let linked = |mut tree: Tree, target: &str| {
        tree.insert(&path("/sh"), Entry::symlink(target)).unwrap();
        tree
    };
    let (first, second, third) = (linked(first, "bin/cc"), linked(second, "bin/cc"), linked(third, "a"));
    let room = |tree, ownership| store.room(tree, ownership).unwrap();
    let inode = |room: &std::path::Path, at: &str| fs::symlink_metadata(room.join(at)).unwrap().ino();
    let plain = Ownership::Plain(None);
    let rooms = [&first, &second, &third].map(|tree| room(tree, plain));
    let [one, two, three] = &rooms;
    assert_eq!(inode(one, "bin/cc"), inode(two, "bin/cc"));
    assert_ne!(inode(one, "a"), inode(two, "a"));
    assert_eq!(fs::read_to_string(two.join("a")).unwrap(), "2");
    assert_ne!(inode(two, "bin/cc"), inode(three, "bin/cc"), "its mode is another one");
    assert_eq!(inode(one, "sh"), inode(two, "sh"));
    assert_eq!(fs::read_link(three.join("sh")).unwrap().to_str(), Some("a"));
    assert_ne!(
        inode(one, "bin/cc"),
        inode(&room(&first, Ownership::Caller), "bin/cc"),
        "rooms of another kind"
    );
    let bytes = store.usage().unwrap()[&Kind::Room].bytes;
    assert!((6000..9000).contains(&bytes), "what is shared counts once: {bytes}");
    // What was cut short isn't passed on.
    fs::write(two.join("bin/cc"), "cut").unwrap();
    fs::remove_dir_all(one).unwrap();
    fs::remove_dir_all(three).unwrap();
    assert_eq!(fs::metadata(room(&first, plain).join("bin/cc")).unwrap().len(), 2000);
}

#[test]
fn what_is_deeper_than_any_path_goes_too() {
    let (_directory, store) = store();
    let left = store.scratch().unwrap();
    let (mut place, name) = (left.path().join("deep"), "x".repeat(200));
    fs::create_dir(&place).unwrap();
    // Built from below: a path to the bottom of it could not be said.
    for number in 0..60 {
        let above = left.path().join(number.to_string());
        fs::create_dir(&above).unwrap();
        fs::write(above.join("file"), "").unwrap();
        fs::rename(&place, above.join(&name)).unwrap();
        place = above;
    }
    fs::set_permissions(&place, fs::Permissions::from_mode(0o000)).unwrap();
    std::os::unix::fs::symlink("/", left.path().join("link")).unwrap();
    let path = left.path().to_owned();
    drop(left);
    assert!(!path.exists());
}

#[test]
fn what_a_dead_process_left_is_swept_away() {
    let (directory, store) = store();
    let left = store.root().join("scratch/run-dead");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("lock"), "").unwrap();
    fs::write(left.join("0"), "half a blob").unwrap();
    Store::open(directory.path()).unwrap();
    assert!(!left.exists());
}

#[test]
fn processes_that_begin_at_once_do_not_sweep_each_other_away() {
    let directory = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for round in 0..40_u8 {
                    Store::open(directory.path()).unwrap().put(&[round]).unwrap();
                }
            });
        }
    });
}

#[test]
fn more_packs_are_read_than_a_process_may_keep_open() {
    let (_directory, store) = store();
    let write = |number: usize| {
        let text = number.to_string();
        let mut pack = store.pack_writer(PackId::of("test-1", &Digest::of(text.as_bytes()))).unwrap();
        let (content, size) = pack.add(text.as_bytes()).unwrap();
        let file = File { pack: Some(pack.finish().unwrap()), ..File::new(content, size, Mode::REGULAR) };
        assert_eq!(store.read_file(&file).unwrap(), text.as_bytes());
        file
    };
    let files: Vec<_> = (0..300).map(write).collect();
    assert_eq!(store.read_file(&files[0]).unwrap(), b"0");
    assert!(store.inner.packs.lock().unwrap().len() <= 128);
}

#[test]
fn a_file_is_stored_as_it_is() {
    let (directory, store) = store();
    let path = directory.path().join("file");
    let bytes = vec![7; 200_000];
    fs::write(&path, &bytes).unwrap();
    for _ in 0..2 {
        assert_eq!(store.put_file(&path).unwrap(), (Digest::of(&bytes), 200_000));
    }
    assert_eq!(store.read_blob(&Digest::of(&bytes)).unwrap(), bytes);
    assert_eq!(leftovers(&store), 0);
}

mod shared;
mod upkeep;

//! What programs write goes into the folder and reaches the others; what they do where a placeholder stands is done to its
//! file, and nothing that only this device has is ever dropped.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::Errno;
use syncline_drive::journal::{Journal, Pin};

use crate::world::{World, noise, run};

impl World {
    /// Says of a file whether it is wanted here, as `pin` and `evict` do.
    fn want(&self, path: &str, pin: Option<Pin>) {
        let mut journal = Journal::beside(&self.house.state(&self.seen).join("journal.db")).unwrap();
        let base = journal.base(syncline::decide::TREE_ROOT).unwrap();
        let id = path.split('/').fold(base.root(), |at, name| base.at(at, name).unwrap());
        journal.write(|batch| batch.pin(id, pin)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_made_through_the_view_reaches_the_other_device() {
    let Some(mut world) = World::with(&[("d/a", b"one")]).await else { return };
    fs::write(world.at("new"), b"new").unwrap();
    fs::create_dir_all(world.at("x/y")).unwrap();
    fs::write(world.at("x/y/z"), noise(100_000, 1)).unwrap();
    fs::set_permissions(world.at("new"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("new", world.at("link")).unwrap();
    fs::write(world.at("d/b"), b"two").unwrap();
    fs::rename(world.at("x/y"), world.at("d/y")).unwrap();
    fs::remove_dir(world.at("x")).unwrap();
    world.settle().await;
    let shown = world.full.show();
    let paths: Vec<&str> = shown.keys().map(String::as_str).collect();
    assert_eq!(paths, ["d/", "d/a", "d/b", "d/y/", "d/y/z", "link", "new"]);
    assert_eq!((shown["new"].as_str(), shown["link"].as_str(), shown["d/b"].as_str()), ("* new", "-> new", "two"));
    assert_eq!(world.way.brought(), 0);
    assert_eq!(fs::read_link(world.at("link")).unwrap(), Path::new("new"));
    // What only others did is here as well.
    fs::rename(world.full.at("d"), world.full.at("e")).unwrap();
    world.full.write("e/c", "three");
    world.settle().await;
    assert_eq!(
        (world.names(""), world.names("e")),
        (vec!["e".into(), "link".into(), "new".into()], vec!["a".into(), "b".into(), "c".into(), "y".into()])
    );
    world.assert_placeholder("e/c", 5);
    assert_eq!((world.read("e/c"), world.read("e/a")), (b"three".to_vec(), b"one".to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_behaves_as_on_any_disk() {
    let Some(world) = World::with(&[("a", b"0123456789")]).await else { return };
    let mut file = File::options().read(true).write(true).create_new(true).open(world.at("f")).unwrap();
    file.write_all(b"hello world").unwrap();
    file.seek(SeekFrom::Start(6)).unwrap();
    file.write_all(b"there").unwrap();
    file.sync_all().unwrap();
    file.set_len(8).unwrap();
    assert_eq!(world.read("f"), b"hello th");
    File::options().append(true).open(world.at("f")).unwrap().write_all(b"+").unwrap();
    assert_eq!(world.read("f"), b"hello th+");
    assert_eq!(File::create_new(world.at("f")).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(File::create_new(world.at("a")).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(fs::create_dir(world.at("a")).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(world.way.brought(), 0);
    // Deleted while it is open.
    fs::remove_file(world.at("f")).unwrap();
    assert_eq!((file.metadata().unwrap().len(), file.metadata().unwrap().nlink()), (9, 0));
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello th+");
    drop(file);
    let made = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    let file = File::create(world.at("g")).unwrap();
    file.set_modified(made).unwrap();
    assert_eq!(fs::metadata(world.at("g")).unwrap().modified().unwrap(), made);
    rustix::fs::setxattr(world.at("g"), "user.colour", b"red", rustix::fs::XattrFlags::empty()).unwrap();
    let mut value = [0; 16];
    assert_eq!(rustix::fs::getxattr(world.at("g"), "user.colour", &mut value[..]).unwrap(), 3);
    assert_eq!(
        rustix::fs::setxattr(world.at("g"), "user.syncline.state", b"x", rustix::fs::XattrFlags::empty()),
        Err(Errno::PERM)
    );
    // Names that the engine uses itself are nobody else's.
    assert_eq!(File::create(world.at(".syncline-new-0")).unwrap_err().raw_os_error(), Some(Errno::PERM.raw_os_error()));
    assert!(rustix::fs::statvfs(world.at("")).unwrap().f_blocks > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn e30_who_reads_a_file_that_is_changed_elsewhere_keeps_its_bytes_and_then_it_is_a_placeholder_of_the_new_ones() {
    let old = noise(300_000, 5);
    let Some(mut world) = World::with(&[("d/a", &old), ("b", b"b")]).await else { return };
    let reader = File::open(world.at("d/a")).unwrap();
    let mut begin = vec![0; 1_000];
    reader.read_exact_at(&mut begin, 0).unwrap();
    world.seen.sync().await;
    let brought = world.way.brought();
    world.full.write("d/a", "new bytes");
    world.full.sync().await;
    world.seen.sync().await;
    assert_eq!(world.state("d/a"), "stale");
    let mut rest = vec![0; 299_000];
    reader.read_exact_at(&mut rest, 1_000).unwrap();
    assert!([begin, rest].concat() == old);
    assert!(world.read("d/a") == old, "nobody gets bytes of two versions");
    drop(reader);
    // The kernel says that it was closed after it was.
    for _ in 0..100 {
        world.seen.engine().asked().await;
        world.seen.sync().await;
        if !world.seen.at("d/a").exists() {
            break;
        }
    }
    world.assert_placeholder("d/a", 9);
    assert_eq!((world.way.brought(), world.names("d")), (brought, vec!["a".to_owned()]));
    assert_eq!(world.read("d/a"), b"new bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn e31_who_writes_all_of_a_placeholder_brings_nothing_and_who_writes_a_part_brings_it_first() {
    let files: [(&str, &[u8]); 4] =
        [("all", b"old old old"), ("part", b"0123456789"), ("cut", b"0123456789"), ("none", b"x")];
    let Some(mut world) = World::with(&files).await else { return };
    // There need not even be a server.
    world.way.gone.store(true, Ordering::Relaxed);
    fs::write(world.at("all"), b"new").unwrap();
    assert_eq!((world.read("all"), world.state("all").as_str()), (b"new".to_vec(), "dirty"));
    let emptied = OpenOptions::new().write(true).open(world.at("none")).unwrap();
    emptied.set_len(0).unwrap();
    drop(emptied);
    assert_eq!(world.read("none"), b"");
    assert_eq!(world.way.brought(), 0);
    world.way.gone.store(false, Ordering::Relaxed);

    let part = OpenOptions::new().write(true).open(world.at("part")).unwrap();
    assert_eq!((world.way.brought(), world.state("part").as_str()), (0, "placeholder"));
    part.write_all_at(b"XY", 4).unwrap();
    assert_eq!(world.way.brought(), 1);
    drop(part);
    OpenOptions::new().write(true).open(world.at("cut")).unwrap().set_len(3).unwrap();
    assert_eq!((world.read("part"), world.read("cut")), (b"0123XY6789".to_vec(), b"012".to_vec()));
    assert_eq!(world.way.brought(), 2);
    world.settle().await;
    let shown = world.full.show();
    let texts = ["all", "cut", "none", "part"].map(|name| shown[name].clone());
    assert_eq!(texts, ["new", "012", "", "0123XY6789"]);
    assert_eq!((shown.len(), world.state("all").as_str()), (4, "clean"), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_others_wrote_into_a_file_that_was_written_here_stays_beside_it() {
    let Some(mut world) = World::with(&[("emptied", b"old"), ("part", b"old")]).await else { return };
    // The other device is ahead of what is seen here.
    world.full.write("emptied", "theirs 1");
    world.full.write("part", "theirs 2");
    world.full.sync().await;
    fs::write(world.at("emptied"), b"mine 1").unwrap();
    OpenOptions::new().append(true).open(world.at("part")).unwrap().write_all(b" and mine 2").unwrap();
    world.settle().await;
    let mut texts: Vec<String> = world.full.show().into_values().collect();
    texts.sort();
    assert_eq!(texts, ["mine 1", "old and mine 2", "theirs 1", "theirs 2"]);
    let mut here: Vec<Vec<u8>> = world.names("").iter().map(|name| world.read(name)).collect();
    here.sort();
    assert_eq!(here, texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn e32_an_open_or_changed_file_is_not_evicted_and_one_that_nobody_has_open_is() {
    let Some(mut world) = World::with(&[("open", b"open"), ("dirty", b"dirty"), ("free", b"free")]).await else {
        return;
    };
    let open = File::open(world.at("open")).unwrap();
    assert_eq!((world.read("dirty"), world.read("free")), (b"dirty".to_vec(), b"free".to_vec()));
    world.seen.sync().await;
    let mut writer = OpenOptions::new().append(true).open(world.at("dirty")).unwrap();
    writer.write_all(b" by hand").unwrap();
    ["open", "dirty", "free"].into_iter().for_each(|name| world.want(name, Some(Pin::OnlineOnly)));
    world.seen.sync().await;
    world.assert_placeholder("free", 4);
    assert_eq!(fs::read(world.seen.at("open")).unwrap(), b"open");
    assert_eq!(fs::read(world.seen.at("dirty")).unwrap(), b"dirty by hand");
    // The server has it by now, and its writer goes on.
    writer.write_all(b", twice").unwrap();
    world.seen.sync().await;
    assert_eq!(world.read("dirty"), b"dirty by hand, twice");
    drop((open, writer));
    for _ in 0..100 {
        world.seen.engine().asked().await;
        world.seen.sync().await;
        if world.seen.show().is_empty() {
            break;
        }
    }
    world.assert_placeholder("open", 4);
    world.assert_placeholder("dirty", 20);
    world.settle().await;
    assert_eq!(world.full.read("dirty"), "dirty by hand, twice");
    // What is pinned is brought by itself, and is not evicted.
    world.want("open", Some(Pin::Pinned));
    world.seen.sync().await;
    assert_eq!((fs::read(world.seen.at("open")).unwrap(), world.state("open").as_str()), (b"open".to_vec(), "clean"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn programs_save_a_placeholder_in_their_ways_and_it_is_one_file_everywhere() {
    let files: [(&str, &[u8]); 3] = [("vim", b"old"), ("word", b"old"), ("sed", b"old")];
    let Some(mut world) = World::with(&files).await else { return };
    // Writes another and puts it in its place.
    fs::write(world.at("4913~"), b"new vim").unwrap();
    fs::rename(world.at("4913~"), world.at("vim")).unwrap();
    // Moves the old one aside and writes a new one.
    fs::write(world.at("word.tmp"), b"new word").unwrap();
    fs::rename(world.at("word"), world.at("word.bak~")).unwrap();
    fs::rename(world.at("word.tmp"), world.at("word")).unwrap();
    fs::remove_file(world.at("word.bak~")).unwrap();
    run("sed", &["-i", "s/old/new sed/", world.at("sed").to_str().unwrap()]);
    let before: Vec<_> = world.names("");
    world.settle().await;
    let shown = world.full.show();
    assert_eq!((before, shown.len()), (vec!["sed".into(), "vim".into(), "word".into()], 3), "{shown:?}");
    for name in ["vim", "word", "sed"] {
        assert_eq!((shown[name].trim(), world.read(name)), (&*format!("new {name}"), shown[name].clone().into_bytes()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn placeholders_are_deleted_moved_and_copied_without_being_brought() {
    let files: [(&str, &[u8]); 6] =
        [("gone", b"1"), ("d/gone", b"2"), ("d/e/gone", b"3"), ("moved", b"4"), ("stays", b"5"), ("f/x", b"6")];
    let Some(mut world) = World::with(&files).await else { return };
    // Deleted without a server: it is told when there is one.
    world.way.gone.store(true, Ordering::Relaxed);
    fs::remove_file(world.at("gone")).unwrap();
    assert_eq!(fs::remove_dir(world.at("d")).unwrap_err().kind(), std::io::ErrorKind::DirectoryNotEmpty);
    fs::remove_dir_all(world.at("d")).unwrap();
    assert_eq!(world.names(""), ["f", "moved", "stays"]);
    // A move of what is not here is the server's to say.
    let error = fs::rename(world.at("moved"), world.at("f/moved")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::NETUNREACH.raw_os_error()));
    assert_eq!(
        (world.names(""), world.names("f")),
        (vec!["f".into(), "moved".into(), "stays".into()], vec!["x".into()])
    );
    world.restart().await;
    assert_eq!(world.names(""), ["f", "moved", "stays"], "what was deleted is a placeholder again");
    world.way.gone.store(false, Ordering::Relaxed);
    fs::rename(world.at("moved"), world.at("f/moved too")).unwrap();
    assert_eq!(world.names("f"), ["moved too", "x"]);
    fs::rename(world.at("f"), world.at("g")).unwrap();
    assert_eq!(world.names("g"), ["moved too", "x"], "a folder takes its placeholders along");
    world.settle().await;
    let shown: Vec<_> = world.full.show().into_iter().filter(|(path, _)| !path.ends_with('/')).collect();
    let expected = [("g/moved too", "4"), ("g/x", "6"), ("stays", "5")];
    assert_eq!(shown, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
    assert_eq!(
        (world.names(""), world.names("g")),
        (vec!["g".into(), "stays".into()], vec!["moved too".into(), "x".into()])
    );
    assert_eq!(world.way.brought(), 0);
    // Into a folder that the server does not have yet: who moves copies.
    fs::create_dir(world.at("fresh")).unwrap();
    run("mv", &[world.at("stays").to_str().unwrap(), world.at("fresh/stays").to_str().unwrap()]);
    run("cp", &["-rp", world.at("g").to_str().unwrap(), world.at("copy").to_str().unwrap()]);
    world.settle().await;
    let shown: Vec<_> = world.full.show().into_keys().filter(|path| !path.ends_with('/')).collect();
    assert_eq!(shown, ["copy/moved too", "copy/x", "fresh/stays", "g/moved too", "g/x"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_that_others_changed_survives_its_delete_as_a_placeholder_here() {
    let Some(mut world) = World::with(&[("a", b"one"), ("b", b"two")]).await else { return };
    world.full.write("a", "changed");
    world.full.sync().await;
    fs::remove_file(world.at("a")).unwrap();
    assert_eq!(world.names(""), ["b"]);
    world.settle().await;
    assert_eq!((world.full.read("a"), world.names("")), ("changed".into(), vec!["a".into(), "b".into()]));
    world.assert_placeholder("a", 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_view_did_before_its_process_died_counts() {
    let files: [(&str, &[u8]); 4] = [("read", b"read"), ("part", b"part"), ("gone", b"gone"), ("all", b"all")];
    let Some(mut world) = World::with(&files).await else { return };
    assert_eq!(world.read("read"), b"read");
    OpenOptions::new().append(true).open(world.at("part")).unwrap().write_all(b" more").unwrap();
    fs::remove_file(world.at("gone")).unwrap();
    fs::write(world.at("all"), b"another").unwrap();
    // The engine never looked; meanwhile others went on.
    for name in ["part", "all"] {
        world.full.write(name, format!("theirs {name}"));
    }
    world.full.sync().await;
    let brought = world.way.brought();
    world.restart().await;
    world.settle().await;
    assert_eq!(world.names("").len(), 5, "{:?}", world.names(""));
    let mut texts: Vec<String> = world.full.show().into_values().collect();
    texts.sort();
    assert_eq!(texts, ["another", "part more", "read", "theirs all", "theirs part"]);
    assert_eq!((world.read("read"), world.way.brought()), (b"read".to_vec(), brought));
}

/// A disk of its own that is as small as a test wants it.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        run("mount", &["-t", "tmpfs", "-o", "size=7m", "syncline-test", dir.path().to_str().unwrap()]);
        Self(dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["-l", self.0.path().to_str().unwrap()]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn e33_a_disk_that_is_full_while_a_file_comes_is_said_and_the_placeholder_stays() {
    let (large, small) = (noise(4 << 20, 7), noise(1_000, 8));
    let disk = SmallDisk::new();
    let Some(mut world) = World::within(disk.0.path(), &[("d/large", &large), ("small", &small)]).await else { return };
    for _ in 0..2 {
        let error = fs::read(world.at("d/large")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::NOSPC.raw_os_error()), "{error}");
        world.assert_placeholder("d/large", large.len());
        assert!(world.read("small") == small);
        let synced = world.seen.sync().await;
        assert_eq!((synced.told, synced.troubles.len()), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_writes_to_a_placeholder_that_others_changed_since_he_opened_it_appends_or_gets_an_error() {
    let Some(mut world) = World::with(&[("log", b"one"), ("part", b"one")]).await else { return };
    let mut log = OpenOptions::new().append(true).open(world.at("log")).unwrap();
    let part = OpenOptions::new().write(true).open(world.at("part")).unwrap();
    for name in ["log", "part"] {
        world.full.write(name, "longer than one");
    }
    world.settle().await;
    log.write_all(b" and more").unwrap();
    let error = part.write_all_at(b"1", 0).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::STALE.raw_os_error()));
    drop((log, part));
    world.settle().await;
    assert_eq!(world.full.read("log"), "longer than one and more");
    assert_eq!(world.full.read("part"), "longer than one");
    OpenOptions::new().write(true).open(world.at("part")).unwrap().write_all_at(b"L", 0).unwrap();
    world.settle().await;
    assert_eq!(world.full.read("part"), "Longer than one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_folder_that_comes_is_never_seen_without_its_placeholders() {
    let Some(mut world) = World::with(&[("pinned", b"one")]).await else { return };
    world.want("pinned", Some(Pin::Pinned));
    world.full.write("new/a", "theirs");
    world.full.sync().await;
    world.way.close();
    let (folder, way) = (world.at("new"), Arc::clone(&world.way));
    let look = tokio::task::spawn_blocking(move || {
        let since = std::time::Instant::now();
        while way.brought() == 0 && since.elapsed() < std::time::Duration::from_secs(60) {
            std::thread::yield_now();
        }
        // While a file is still being brought.
        let seen = fs::read_dir(&folder).map(|all| all.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>());
        let removed = fs::remove_dir(&folder).map_err(|error| error.kind());
        way.open();
        (seen, removed)
    });
    world.seen.sync().await;
    let (seen, removed) = look.await.unwrap();
    assert_eq!(seen.unwrap(), ["a"]);
    assert_eq!(removed, Err(std::io::ErrorKind::DirectoryNotEmpty));
    world.settle().await;
    assert_eq!(world.full.read("new/a"), "theirs");
}

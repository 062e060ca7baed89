//! What editors, people and other programs do to files.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::house::{Drive, House};

async fn alike(drives: &mut [&mut Drive]) {
    for _ in 0..2 {
        for drive in drives.iter_mut() {
            let synced = drive.sync().await;
            assert!(synced.troubles.is_empty(), "{synced:?}");
        }
    }
    let first = drives[0].show();
    for drive in drives.iter_mut() {
        let synced = drive.sync().await;
        assert_eq!((synced.told, synced.done), (0, 0), "what is alike is told again");
        assert_eq!(drive.show(), first);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_one_device_appears_on_the_other() {
    let house = House::new();
    let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
    a.write("notes/today.txt", "milk");
    a.write("run.sh", "#!/bin/sh");
    fs::set_permissions(a.at("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("notes/today.txt", a.at("today")).unwrap();
    fs::create_dir(a.at("empty")).unwrap();
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    a.write("large.bin", &large);
    alike(&mut [&mut a, &mut b]).await;
    assert_eq!(b.read("notes/today.txt"), "milk");
    assert_eq!(fs::read(b.at("large.bin")).unwrap(), large);
    b.write("notes/today.txt", "milk and bread");
    fs::rename(b.at("notes"), b.at("lists")).unwrap();
    alike(&mut [&mut b, &mut a]).await;
    assert_eq!(a.read("lists/today.txt"), "milk and bread");
}

/// What a sync told, by kind of op: so that a save is one new content and nothing else.
async fn told(drive: &mut Drive) -> usize {
    let synced = drive.sync().await;
    assert!(synced.troubles.is_empty() && synced.notices.is_empty(), "{synced:?}");
    synced.told
}

fn node(drive: &mut Drive, path: &str) -> syncline::EntityId {
    let base = drive.engine().base();
    path.split('/').try_fold(base.root(), |folder, name| base.at(folder, name)).unwrap_or_else(|| panic!("no {path}"))
}

/// What is written, and how a program writes it.
type Way = (&'static str, fn(&Drive));

/// E10, E11: whatever way a program saves, it is the same file with a new content.
#[tokio::test(flavor = "multi_thread")]
async fn e10_e11_every_way_of_saving_is_one_new_content_of_the_same_file() {
    let house = House::new();
    let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
    a.write("doc.txt", "first");
    alike(&mut [&mut a, &mut b]).await;
    let doc = node(&mut a, "doc.txt");
    let ways: [Way; 5] = [
        ("in place", |drive| drive.write("doc.txt", "in place")),
        ("cut, then written", |drive| {
            fs::File::create(drive.at("doc.txt")).unwrap();
            drive.write("doc.txt", "cut, then written");
        }),
        ("beside, renamed over", |drive| {
            drive.write("doc.txt.saving~", "beside, renamed over");
            fs::rename(drive.at("doc.txt.saving~"), drive.at("doc.txt")).unwrap();
        }),
        ("the old one moved to a backup", |drive| {
            fs::rename(drive.at("doc.txt"), drive.at("doc.txt~")).unwrap();
            drive.write("doc.txt", "the old one moved to a backup");
        }),
        // doc -> ~WRL.tmp; ~WRD.tmp -> doc; ~WRL.tmp deleted.
        ("the office's dance", |drive| {
            drive.write("~WRD0001.tmp", "the office's dance");
            fs::rename(drive.at("doc.txt"), drive.at("~WRL0001.tmp")).unwrap();
            fs::rename(drive.at("~WRD0001.tmp"), drive.at("doc.txt")).unwrap();
            fs::remove_file(drive.at("~WRL0001.tmp")).unwrap();
        }),
    ];
    for (text, save) in ways {
        save(&a);
        assert_eq!(told(&mut a).await, 1, "{text}");
        assert_eq!(node(&mut a, "doc.txt"), doc, "{text}: another file");
        alike_but_backups(&mut a, &mut b).await;
        assert_eq!(b.read("doc.txt"), text);
    }
}

async fn alike_but_backups(a: &mut Drive, b: &mut Drive) {
    b.sync().await;
    let mut shown = a.show();
    shown.retain(|path, _| !path.ends_with('~'));
    assert_eq!(shown, b.show());
}

/// E09: a file that is touched is not told.
#[tokio::test(flavor = "multi_thread")]
async fn e09_a_file_that_was_touched_is_not_told() {
    let house = House::new();
    let mut a = house.drive("A", 1).await;
    a.write("f", "same");
    told(&mut a).await;
    a.write("f", "same");
    assert_eq!(told(&mut a).await, 0);
}

/// Case-only renames, and names that differ in nothing but case or composition.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_count_as_the_same_are_one_file_or_get_names_of_their_own() {
    let house = House::new();
    let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
    a.write("foo.txt", "1");
    alike(&mut [&mut a, &mut b]).await;
    let foo = node(&mut a, "foo.txt");
    fs::rename(a.at("foo.txt"), a.at("Foo.txt")).unwrap();
    alike(&mut [&mut a, &mut b]).await;
    assert_eq!((node(&mut b, "Foo.txt"), b.read("Foo.txt").as_str()), (foo, "1"));
    // E37: twins in one folder.
    a.write("FOO.txt", "2");
    // The same letters, composed and not.
    a.write("caf\u{e9}", "3");
    a.write("cafe\u{301}", "4");
    a.sync().await;
    b.sync().await;
    a.sync().await;
    let contents = |drive: &Drive| -> Vec<String> {
        let mut contents: Vec<String> = drive.show().into_values().collect();
        contents.sort();
        contents
    };
    assert_eq!(contents(&a), ["1", "2", "3", "4"]);
    assert_eq!(contents(&b), ["1", "2", "3", "4"]);
    assert_eq!(b.read("Foo.txt"), "1");
    assert_eq!(b.show().keys().filter(|name| name.contains("conflict")).count(), 2);
}

/// E34: what the tree does not take stays, is said once, and goes on when it has another name.
#[tokio::test(flavor = "multi_thread")]
async fn e34_names_that_are_refused_stay_where_they_are_until_they_are_changed() {
    let house = House::new();
    let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
    for (name, text) in [("CON.txt", "1"), ("a:b", "2"), ("x ", "3"), ("good", "4")] {
        a.write(name, text);
    }
    a.write("no?/inside", "5");
    let first = a.sync().await;
    assert_eq!(first.notices.len(), 4, "{first:?}");
    let again = a.sync().await;
    assert_eq!((again.told, again.notices.len()), (0, 0), "what was refused is asked for again");
    b.sync().await;
    assert_eq!(b.show().len(), 1, "{:?}", b.show());
    fs::rename(a.at("a:b"), a.at("a-b")).unwrap();
    fs::rename(a.at("no?"), a.at("yes")).unwrap();
    a.sync().await;
    b.sync().await;
    assert_eq!((b.read("a-b"), b.read("yes/inside")), ("2".to_owned(), "5".to_owned()));
    assert_eq!(a.read("CON.txt"), "1");
}

/// E21: a device that joins with files of its own deletes nothing and adopts what is the same.
#[tokio::test(flavor = "multi_thread")]
async fn e21_a_new_device_with_files_is_united_with_the_server() {
    let house = House::new();
    let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
    a.write("d/same", "1");
    a.write("d/other", "2");
    a.sync().await;
    b.write("d/same", "1");
    b.write("d/other", "3");
    b.write("d/mine", "4");
    let synced = b.sync().await;
    assert_eq!(synced.told, 2, "{synced:?}");
    alike(&mut [&mut a, &mut b]).await;
    let mut contents: Vec<String> = a.show().into_values().filter(|text| !text.is_empty()).collect();
    contents.sort();
    assert_eq!(contents, ["1", "2", "3", "4"]);
    assert_eq!(a.read("d/other"), "2", "what was first keeps its name");
}

/// E49: a journal that does not read costs no file.
#[tokio::test(flavor = "multi_thread")]
async fn e49_a_journal_that_does_not_read_is_put_aside_and_nothing_is_deleted() {
    let house = House::new();
    let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
    a.write("kept", "1");
    a.write("gone", "2");
    alike(&mut [&mut a, &mut b]).await;
    b.engine = None;
    let journal = house.state(&b).join("journal.db");
    for file in fs::read_dir(house.state(&b)).unwrap() {
        let path = file.unwrap().path();
        if path != journal && path.file_name().unwrap().to_string_lossy().starts_with("journal.db") {
            fs::remove_file(path).unwrap();
        }
    }
    fs::write(&journal, "this is no database, and long enough to be looked at").unwrap();
    fs::remove_file(b.at("gone")).unwrap();
    house.start(&mut b).unwrap();
    assert!(b.engine().aside().is_some());
    alike(&mut [&mut b, &mut a]).await;
    assert_eq!(
        (b.read("kept"), b.read("gone")),
        ("1".to_owned(), "2".to_owned()),
        "nobody can know that it was deleted"
    );
}

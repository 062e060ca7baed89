//! Devices that were away for long, that died before an answer came, and devices whose clock is wrong.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use syncline::client::{BlobTransport, CallError, News};
use syncline_drive::engine::EngineError;

use crate::house::{DAY_MS, Drive, House};
use crate::way::Meddler;

/// Two devices with the same files, of which one goes away; then the other deletes some, and 120 days later nobody knows it.
async fn parted(house: &House) -> (Drive, Drive) {
    let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
    let kept = ["lives", "edited", "d/lives"];
    let gone = ["clean", "dirty", "d/clean", "e/clean", "e/dirty", "e/f/clean", "gone on both", "moved", "g/clean"];
    for path in kept.into_iter().chain(gone) {
        a.write(path, path);
    }
    a.sync().await;
    b.sync().await;
    assert_eq!(a.show(), b.show());
    a.engine = None;
    for path in ["clean", "dirty", "d/clean", "gone on both", "moved"] {
        fs::remove_file(b.at(path)).unwrap();
    }
    for path in ["e", "g"] {
        fs::remove_dir_all(b.at(path)).unwrap();
    }
    b.write("new", "of b");
    b.sync().await;
    house.later(120 * DAY_MS);
    assert!(house.purge().await >= 10, "too little was purged");
    house.prune().await;
    (a, b)
}

async fn settled(drives: &mut [&mut Drive]) -> BTreeMap<String, String> {
    for _ in 0..2 {
        for drive in drives.iter_mut() {
            let synced = drive.sync().await;
            assert!(synced.troubles.is_empty(), "{synced:?}");
        }
    }
    let shown = drives[0].show();
    for drive in drives.iter_mut() {
        let synced = drive.sync().await;
        assert_eq!((synced.told, synced.done), (0, 0), "what is alike is told again");
        assert_eq!(drive.show(), shown);
    }
    shown
}

fn texts(shown: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    shown.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect()
}

/// E20. What the device did not touch goes; what it changed, or put into a folder that is gone, is there anew.
#[tokio::test(flavor = "multi_thread")]
async fn e20_a_device_that_was_away_for_longer_than_the_log_goes_back_brings_back_what_it_changed_and_nothing_else() {
    let house = House::new();
    let (mut a, mut b) = parted(&house).await;
    for path in ["dirty", "e/dirty", "edited", "e/f/new"] {
        a.write(path, "by a");
    }
    for path in ["gone on both", "d/lives"] {
        fs::remove_file(a.at(path)).unwrap();
    }
    house.start(&mut a).unwrap();
    let synced = a.sync().await;
    assert!(!synced.united, "another history was seen: {synced:?}");
    let shown = settled(&mut [&mut a, &mut b]).await;
    let expected = [
        ("d/", ""),
        ("dirty", "by a"),
        ("e/", ""),
        ("e/dirty", "by a"),
        ("e/f/", ""),
        ("e/f/new", "by a"),
        ("edited", "by a"),
        ("lives", "lives"),
        ("new", "of b"),
    ];
    assert_eq!(texts(&shown), expected);
}

/// E20: who touched nothing has nothing to tell.
#[tokio::test(flavor = "multi_thread")]
async fn e20_a_device_that_changed_nothing_while_it_was_away_resurrects_nothing() {
    let house = House::new();
    let (mut a, mut b) = parted(&house).await;
    house.start(&mut a).unwrap();
    let commits = b.engine().server().cursor();
    settled(&mut [&mut a, &mut b]).await;
    assert_eq!(a.show(), b.show());
    assert!(!a.at("e").exists() && !a.at("g").exists() && a.at("d/lives").exists());
    assert!(matches!(a.engine().server().news(), News::On(_)));
    let after = a.engine().server().cursor();
    assert!(after.seq.get() - commits.seq.get() <= 10, "only the purge is in the log: {commits:?} {after:?}");
}

/// What two devices make of the same races, by a clock that is off by so much on the second.
async fn races(off_ms: i64) -> BTreeMap<String, String> {
    let house = House::new();
    let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
    b.off_ms = off_ms;
    house.start(&mut b).unwrap();
    for path in ["both", "edited", "deleted", "renamed", "d/x", "d/y"] {
        a.write(path, path);
    }
    a.sync().await;
    b.sync().await;
    a.write("both", "by a");
    a.write("deleted", "by a");
    a.write("new", "by a");
    fs::rename(a.at("renamed"), a.at("by a")).unwrap();
    fs::remove_dir_all(a.at("d")).unwrap();
    b.write("both", "by b");
    fs::remove_file(b.at("deleted")).unwrap();
    b.write("new", "by b");
    fs::rename(b.at("renamed"), b.at("by b")).unwrap();
    b.write("d/x", "by b");
    // Its files say the wrong time, too.
    let wrong = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 86_400);
    b.write("edited", "by b, whose clock is wrong");
    if off_ms != 0 {
        fs::File::options().write(true).open(b.at("edited")).unwrap().set_modified(wrong).unwrap();
    }
    settled(&mut [&mut a, &mut b]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn e48_a_clock_that_is_two_days_off_changes_nothing() {
    let right = races(0).await;
    let stamped: Vec<&String> = right.keys().filter(|path| path.contains("(conflict B 2023-11-14 ")).collect();
    assert_eq!(stamped.len(), 2, "the server's time stamps conflicts: {right:?}");
    for days in [-2, 2] {
        assert_eq!(races(days * DAY_MS).await, right, "{days} days off");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn e01_a_commit_whose_answer_was_lost_is_sent_again_after_a_restart_and_is_in_the_log_once() {
    let house = House::new();
    let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
    a.write("doc", "first");
    a.sync().await;
    b.sync().await;
    let way = Meddler::on(house.way());
    let through: Arc<dyn BlobTransport> = Arc::<Meddler>::clone(&way);
    house.start_over(&mut a, through).unwrap();
    way.deafens.store(true, Ordering::Relaxed);
    a.write("doc", "second");
    a.write("new", "new");
    let before = house.commits().await;
    let cut = a.engine().sync(false).await;
    assert!(matches!(cut, Err(EngineError::Call(CallError::Interrupted(_)))), "{cut:?}");
    assert_eq!(house.commits().await, before + 1, "the server did it");
    // Others go on from it before the device is back.
    b.sync().await;
    b.write("doc", "third");
    b.sync().await;
    house.start(&mut a).unwrap();
    a.sync().await;
    b.sync().await;
    assert_eq!(house.commits().await, before + 2, "it is in the log once");
    for device in [&a, &b] {
        assert_eq!(
            device.show(),
            BTreeMap::from([("doc", "third"), ("new", "new")].map(|(at, text)| (at.into(), text.into())))
        );
    }
}

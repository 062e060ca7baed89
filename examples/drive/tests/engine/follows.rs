//! Devices that follow: what is heard and what is not, on a clock that does not run by itself.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use syncline_drive::engine::Synced;
use syncline_drive::follow::Follow;
use syncline_drive::watch::{AHEAD, Noise, Watch};
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::{Instant, timeout};

use crate::house::{Drive, House};
use crate::way::Meddler;

/// Longer than any of these tests goes on: whoever looks before heard why.
const NEVER_MS: u64 = 60 * 60 * 1_000;

/// A device that follows, and hears what it is told to hear.
struct Following {
    follow: Follow,
    noises: Sender<Noise>,
}

impl Following {
    /// Brought up to date, and to where it waits.
    async fn begin(house: &House, drive: &mut Drive, poll_ms: u64) -> Self {
        let (noises, heard) = channel(AHEAD);
        let engine = drive.engine.take().unwrap();
        let follow = Follow::new(engine, Some(Watch::of(heard)), house.env(), false).with_poll_ms(poll_ms);
        let mut following = Self { follow, noises };
        following.next().await;
        following
    }

    async fn hear(&self, noise: Noise) {
        self.noises.send(noise).await.unwrap();
    }

    async fn wrote(&self, path: &str) {
        self.hear(Noise::Wrote(path.to_owned(), 1)).await;
    }

    /// The next sync, whenever it is due.
    async fn next(&mut self) -> Synced {
        self.follow.wait().await;
        self.follow.sync().await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Syncs whenever one is due, for so long.
    async fn for_ms(&mut self, ms: u64) {
        let end = Instant::now() + Duration::from_millis(ms);
        while tokio::time::timeout_at(end, self.follow.wait()).await.is_ok() {
            self.follow.sync().await.unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// Syncs until the server was told something; says after how many ms.
    async fn told_after(&mut self) -> u128 {
        let begun = Instant::now();
        let told = async { while self.next().await.told == 0 {} };
        timeout(Duration::from_millis(NEVER_MS / 2), told).await.expect("the server was told nothing");
        begun.elapsed().as_millis()
    }
}

#[tokio::test(start_paused = true)]
async fn e12_a_file_that_is_written_a_hundred_times_is_told_twice_at_most_and_as_it_is_at_last() {
    let house = House::new();
    let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
    let mut following = Following::begin(&house, &mut a, NEVER_MS).await;
    for number in 1..=100 {
        a.write("log", format!("line {number}"));
        following.wrote("log").await;
        following.for_ms(20).await;
    }
    following.for_ms(30_000).await;
    let commits = house.commits().await;
    assert!((1..=2).contains(&commits), "{commits} commits");
    b.sync().await;
    assert_eq!(b.read("log"), "line 100");
}

#[tokio::test(start_paused = true)]
async fn e12_a_file_that_is_written_for_ever_is_told_now_and_then() {
    let house = House::new();
    let mut a = house.drive("A", 1).await;
    let mut following = Following::begin(&house, &mut a, NEVER_MS).await;
    for number in 0..400 {
        a.write("log", format!("line {number}"));
        following.wrote("log").await;
        following.for_ms(100).await;
    }
    let commits = house.commits().await;
    assert!((3..=4).contains(&commits), "{commits} commits in 40 seconds");
}

#[tokio::test(start_paused = true)]
async fn e12_two_contents_of_one_file_are_told_five_seconds_apart_and_other_files_at_once() {
    let house = House::new();
    let mut a = house.drive("A", 1).await;
    let mut following = Following::begin(&house, &mut a, NEVER_MS).await;
    a.write("doc", "first");
    following.wrote("doc").await;
    assert_eq!(following.told_after().await, 500);
    a.write("doc", "second");
    a.write("other", "first");
    following.wrote("doc").await;
    following.wrote("other").await;
    assert_eq!(following.told_after().await, 500, "the other one");
    assert_eq!(following.told_after().await, 4_500);
    assert_eq!(house.commits().await, 3);
}

/// What is gone may come back, and what a look misses meanwhile is no delete.
#[tokio::test(start_paused = true)]
async fn e10_a_file_that_is_gone_while_it_is_saved_is_not_deleted() {
    let house = House::new();
    let mut a = house.drive("A", 1).await;
    a.write("doc", "first");
    a.write("d/inside", "x");
    let mut following = Following::begin(&house, &mut a, NEVER_MS).await;
    let doc = following.follow.mounts().own().base().len();
    following.for_ms(10_000).await;
    fs::remove_file(a.at("doc")).unwrap();
    fs::rename(a.at("d"), a.root.with_extension("away")).unwrap();
    following.hear(Noise::Vanished("doc".into())).await;
    following.hear(Noise::Vanished("d".into())).await;
    a.write("other", "x");
    following.wrote("other").await;
    assert_eq!(following.told_after().await, 500);
    assert_eq!(following.follow.mounts().own().base().len(), doc + 1, "what may come back was deleted");
    a.write("doc", "second");
    following.wrote("doc").await;
    assert_eq!(following.told_after().await, 500);
    assert_eq!(following.follow.mounts().own().base().len(), doc + 1);
    assert_eq!(following.told_after().await, 1_000, "the folder did not come back");
    assert_eq!(following.follow.mounts().own().base().len(), doc - 1);
}

#[tokio::test(start_paused = true)]
async fn e13_a_file_in_a_new_folder_of_which_nothing_was_heard_is_told() {
    let house = House::new();
    let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
    // Nor does its own commit wake it.
    let way = Meddler::on(house.way());
    way.silent.store(true, Ordering::Relaxed);
    house.start_over(&mut a, way).unwrap();
    let mut following = Following::begin(&house, &mut a, NEVER_MS).await;
    let begun = Instant::now();
    fs::create_dir_all(a.at("a/b/c")).unwrap();
    following.hear(Noise::NewFolder("a".into())).await;
    following.told_after().await;
    // The watcher was not there yet.
    a.write("a/b/c/leaf", "heard by nobody");
    following.told_after().await;
    assert!(begun.elapsed() <= Duration::from_secs(3), "after {:?}", begun.elapsed());
    b.sync().await;
    assert_eq!(b.read("a/b/c/leaf"), "heard by nobody");
}

#[tokio::test(start_paused = true)]
async fn e14_whatever_a_watcher_missed_is_found_by_a_full_look() {
    let house = House::new();
    let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
    for name in ["written", "gone", "moved"] {
        a.write(name, name);
    }
    let mut following = Following::begin(&house, &mut a, NEVER_MS).await;
    a.write("written", "again");
    fs::remove_file(a.at("gone")).unwrap();
    fs::rename(a.at("moved"), a.at("elsewhere")).unwrap();
    a.write("d/new", "new");
    following.hear(Noise::Missed).await;
    assert!(following.told_after().await < 500);
    following.for_ms(10_000).await;
    b.sync().await;
    assert_eq!(b.show(), a.show());
}

/// More than anybody can keep in mind while a sync goes on.
#[tokio::test]
async fn e14_a_real_watcher_that_is_not_listened_to_says_that_it_missed_something() {
    let house = House::new();
    let a = house.drive("A", 1).await;
    let mut watch = Watch::begin(&a.root).unwrap();
    for number in 0..AHEAD * 16 {
        a.write(&(number % 100).to_string(), number.to_string());
        if number % AHEAD == AHEAD - 1 && watch.heard() == Some(Noise::Missed) {
            return;
        }
    }
    panic!("nobody said that something was missed");
}

#[tokio::test(start_paused = true)]
async fn e16_an_edit_waits_while_a_program_has_the_file_open_and_no_longer_than_half_an_hour() {
    let house = House::new();
    let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
    b.write("doc.docx", "first");
    b.sync().await;
    let mut following = Following::begin(&house, &mut a, NEVER_MS).await;
    assert_eq!(a.read("doc.docx"), "first");
    let edit = |text: &'static str| b.write("doc.docx", text);
    a.write("~$doc.docx", "somebody");
    edit("second");
    b.sync().await;
    following.for_ms(60_000).await;
    assert_eq!(a.read("doc.docx"), "first", "it was written under its program");
    fs::remove_file(a.at("~$doc.docx")).unwrap();
    following.hear(Noise::Vanished("~$doc.docx".into())).await;
    following.for_ms(3_000).await;
    assert_eq!(a.read("doc.docx"), "second");
    let lock = fs::File::create(a.at("~$doc.docx")).unwrap();
    b.write("doc.docx", "third");
    b.sync().await;
    following.for_ms(1_000).await;
    assert_eq!(a.read("doc.docx"), "second");
    lock.set_modified(SystemTime::now() - Duration::from_secs(30 * 60 + 1)).unwrap();
    following.hear(Noise::Missed).await;
    following.for_ms(1_000).await;
    assert_eq!(a.read("doc.docx"), "third", "its program is long gone");
}

#[tokio::test(start_paused = true)]
async fn e25_a_device_that_is_never_woken_is_behind_by_its_poll_at_most() {
    const POLL_MS: u64 = 5 * 60 * 1_000;
    let house = House::new();
    let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
    let way = Meddler::on(house.way());
    way.silent.store(true, Ordering::Relaxed);
    house.start_over(&mut a, way).unwrap();
    let mut following = Following::begin(&house, &mut a, POLL_MS).await;
    for round in 0..4 {
        b.write("doc", round.to_string());
        b.sync().await;
        following.for_ms(POLL_MS * 5 / 4).await;
        assert_eq!(a.read("doc"), round.to_string());
    }
    following.for_ms(POLL_MS * 3 / 4 - 1).await;
    b.write("doc", "of the last moment");
    b.sync().await;
    assert_eq!(a.read("doc"), "3");
}

#[tokio::test(start_paused = true)]
async fn e25_a_wake_brings_news_at_once_and_one_without_news_changes_nothing() {
    let house = House::new();
    let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
    let mut following = Following::begin(&house, &mut a, NEVER_MS).await;
    let begun = Instant::now();
    b.write("doc", "news");
    b.sync().await;
    following.for_ms(1_000).await;
    assert_eq!(a.read("doc"), "news", "after {:?}", begun.elapsed());
    // Its own commit wakes it, too.
    a.write("mine", "x");
    following.wrote("mine").await;
    following.told_after().await;
    let commits = house.commits().await;
    following.for_ms(10_000).await;
    assert_eq!(house.commits().await, commits);
}

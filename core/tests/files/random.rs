//! Random folders: two or three devices, acts and syncs in any order, devices that die in the middle of one.
//!
//! Why: the table holds what somebody thought of. How: every run is made from its number, which a failure names; as many runs
//! as `SYNCLINE_FILES_RUNS` says, from `SYNCLINE_FILES_SEED` on. What must hold: a sync ends; what was synced has nothing left
//! to sync; all folders end as the server's tree; a content that nobody overwrote or deleted where it lay is still there.

use std::collections::{BTreeMap, BTreeSet};

use crate::device::{Device, Fuse};
use crate::disk::Disk;
use crate::races::NEVER;
use crate::server::Server;

/// Numbers that look random and are the same every time (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((x ^ (x >> 31)) % end as u64).unwrap()
    }
}

/// What users wrote, and what some user took away again.
#[derive(Default)]
struct Ledger {
    last: u64,
    written: BTreeSet<u64>,
    given_up: BTreeSet<u64>,
}

fn values(disk: &Disk) -> BTreeSet<u64> {
    disk.files.values().filter_map(|file| file.value).collect()
}

/// How often each content is there.
fn counts(disk: &Disk) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    disk.files.values().filter_map(|file| file.value).for_each(|value| *counts.entry(value).or_default() += 1);
    counts
}

/// Does one thing in a folder, if it can be done.
fn act(disk: &mut Disk, dice: &mut Dice, ledger: &mut Ledger) {
    let numbers: Vec<u64> = disk.files.keys().copied().collect();
    let pick = |dice: &mut Dice, of: Vec<u64>| if of.is_empty() { None } else { Some(of[dice.below(of.len())]) };
    let folders: Vec<u64> = numbers.iter().copied().filter(|number| disk.files[number].value.is_none()).collect();
    let files: Vec<u64> = numbers.iter().copied().filter(|number| disk.files[number].value.is_some()).collect();
    let folder = if dice.below(2) == 0 { None } else { pick(dice, folders) };
    let name = ["a", "b", "c", "d", "A"][dice.below(5)];
    let place = folder.map_or(name.to_owned(), |folder| format!("{}/{name}", disk.path(folder)));
    let any = pick(dice, numbers).map(|number| disk.path(number)).unwrap_or_default();
    let before = counts(disk);
    let value = ledger.last + 1;
    // Whether it could be done is seen by what is there then.
    let _ = match dice.below(20) {
        0..3 => disk.write(&place, value),
        3..5 => disk.save(&place, value),
        5..8 => pick(dice, files).is_some_and(|number| disk.write(&disk.path(number), value)),
        8..11 => disk.make_folder(&place),
        11..17 => disk.rename(&any, &place),
        _ => disk.remove(&any),
    };
    if std::env::var_os("SYNCLINE_FILES_TOLD").is_some() {
        let mut shown: Vec<String> =
            disk.files.iter().map(|(n, f)| format!("{}={:?}#{n}", disk.path(*n), f.value)).collect();
        shown.sort();
        eprintln!("act: {shown:?}");
    }
    if values(disk).contains(&value) {
        ledger.last = value;
        ledger.written.insert(value);
    }
    // Of two files with one content either may be meant: who takes one away gives the content up.
    let after = counts(disk);
    ledger.given_up.extend(before.iter().filter(|(v, n)| after.get(v) < Some(*n)).map(|(value, _)| *value));
}

fn check(devices: &mut [Device], server: &mut Server, run: u64, ledger: &Ledger) {
    // Three rounds: who learns last tells first.
    for _ in 0..3 {
        for device in devices.iter_mut() {
            device.sync(server, &mut Fuse(NEVER));
        }
    }
    let last = server.last;
    for device in devices.iter_mut() {
        device.sync(server, &mut Fuse(NEVER));
        assert_eq!(server.last, last, "run {run}: what was synced is told again");
        assert!(device.plan().0.is_empty(), "run {run}: {} is never done", device.label);
        assert_eq!(device.show(), server.show(), "run {run}: {}", device.label);
        assert!(device.issues.is_empty(), "run {run}: {:?}", device.issues);
    }
    let kept = values(&devices[0].disk);
    let lost: Vec<&u64> = ledger.written.iter().filter(|v| !ledger.given_up.contains(v) && !kept.contains(v)).collect();
    assert!(lost.is_empty(), "run {run}: lost {lost:?}");
}

fn runs() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let from = number("SYNCLINE_FILES_SEED").unwrap_or(0);
    from..from + number("SYNCLINE_FILES_RUNS").unwrap_or(1_500)
}

fn race(run: u64, deaths: bool) {
    let (mut dice, mut ledger) = (Dice(run), Ledger::default());
    let mut server = Server::new();
    server.through_reads = false;
    let count = 2 + dice.below(2);
    let mut devices: Vec<Device> =
        (1..).zip(["A", "B", "C"]).take(count).map(|(n, label)| Device::new(n, label, &server)).collect();
    for device in &mut devices {
        device.ops_max = [1, 2, 3, 1_000, 1_000][dice.below(5)];
        device.disk.knows_births = dice.below(4) > 0;
    }
    for _ in 0..8 {
        act(&mut devices[0].disk, &mut dice, &mut ledger);
    }
    for _ in 0..=dice.below(24) {
        let device = &mut devices[dice.below(count)];
        match dice.below(3) {
            0 => {
                let fuse = if deaths { dice.below(12) } else { NEVER };
                device.sync(&mut server, &mut Fuse(fuse));
            }
            _ => {
                for _ in 0..=dice.below(3) {
                    act(&mut device.disk, &mut dice, &mut ledger);
                }
            }
        }
    }
    check(&mut devices, &mut server, run, &ledger);
}

#[test]
fn folders_that_race_end_alike_and_nothing_is_lost_that_nobody_took_away() {
    for run in runs() {
        race(run, false);
    }
}

#[test]
fn devices_that_die_in_the_middle_of_a_sync_go_on_where_they_were() {
    for run in runs() {
        race(run, true);
    }
}

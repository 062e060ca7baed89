//! One life of a store: written to, cut, recovered, written to again.

use std::path::Path;

use syncline::store::{StoreError, StoreErrorKind};
use syncline_prove::Chance;
use syncline_storage_sqlite::{Durability, SqliteOptions, SqliteStore};
use syncline_test_vfs::Machine;

use super::device;
use super::writer::{Writer, check_by, options};
use crate::part::{Counts, count};

/// What a life has to endure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the modes there are")]
pub enum Mode {
    /// Cuts while the write-ahead log is copied back all the time.
    OftenCopied,
    /// Cuts while it never is, but when the store is opened and closed.
    RarelyCopied,
    /// The disk fails or is full once, the store goes on, and then the power is cut.
    AfterAnError,
    /// Another cut, or two, while the store recovers from the first.
    CutTwice,
    /// A store whose acknowledged writes may be lost, but only from the end and whole.
    MayLose,
    /// A replica on a device: write, sync, read.
    Device,
    /// A replica whose last seconds may be lost, which then syncs what the server has.
    DeviceMayLose,
}

/// All of them.
pub const MODES: [Mode; 7] = [
    Mode::OftenCopied,
    Mode::RarelyCopied,
    Mode::AfterAnError,
    Mode::CutTwice,
    Mode::MayLose,
    Mode::Device,
    Mode::DeviceMayLose,
];

/// Times that the power goes in one life. Where no operation met it, it goes while the store is at rest.
pub const CUTS: u64 = 20;

/// What failures of a disk are counted as.
pub const FAILURES: &str = "I/O errors";

impl Mode {
    /// What the cuts are counted as that fell into an operation of its store.
    #[must_use]
    pub const fn cuts(self) -> &'static str {
        match self {
            Self::OftenCopied => "cuts, WAL copied often",
            Self::RarelyCopied => "cuts, WAL copied rarely",
            Self::AfterAnError => "cuts after an I/O error",
            Self::CutTwice => "cuts, recovery cut too",
            Self::MayLose => "cuts, may lose seconds",
            Self::Device => "cuts of a device",
            Self::DeviceMayLose => "cuts of a weak device",
        }
    }

    pub(super) const fn durability(self) -> Durability {
        match self {
            Self::MayLose | Self::DeviceMayLose => Durability::MayLoseLastSeconds,
            _ => Durability::Full,
        }
    }
}

/// Lives one life on a machine that nobody uses, with its files in a folder of its own.
///
/// # Panics
/// When a promise is broken; the message names the cut.
pub fn life(mode: Mode, seed: u64, machine: &Machine, folder: &Path) -> Counts {
    machine.renew(seed);
    match mode {
        Mode::Device | Mode::DeviceMayLose => device::life(mode, seed, machine, folder),
        _ => life_of_a_server(mode, seed, machine, folder),
    }
}

/// The life of this seed, in the mode whose turn it is, in a folder of its own in `place`.
///
/// # Panics
/// As [`life`], or when there is no folder.
pub fn life_of(seed: u64, machine: &Machine, place: &Path) -> Counts {
    let mode = MODES[usize::try_from(seed % MODES.len() as u64).unwrap_or(0)];
    let folder = place.join(seed.to_string());
    std::fs::create_dir(&folder).expect("a folder");
    let counts = life(mode, seed, machine, &folder);
    std::fs::remove_dir_all(&folder).expect("removed");
    counts
}

fn life_of_a_server(mode: Mode, seed: u64, machine: &Machine, folder: &Path) -> Counts {
    let mut chance = Chance::new(seed);
    let mut counts = Counts::new();
    let often = match mode {
        Mode::OftenCopied => true,
        Mode::RarelyCopied => false,
        _ => chance.once_in(2),
    };
    let options = options(machine, folder, if often { 4 } else { 10_000 }, mode.durability());
    let mut writer = Writer::default();
    for cut in 0..CUTS {
        let run = format!("{mode:?}, cut {cut}");
        if cut == 0 || mode == Mode::CutTwice || chance.once_in(4) {
            cut_while_opening(&options, machine, &mut chance, &mut counts);
        }
        let store = SqliteStore::open(options.clone()).unwrap_or_else(|error| panic!("{run}: {error}"));
        assert_eq!(store.contradictions(), [], "{run}");
        let lost = check_by(mode.durability(), &mut writer, &store, &run);
        count(&mut counts, "pushes lost as allowed", lost as u64);
        let mut until = writer.pushed() + usize::try_from(1 + chance.below(6)).unwrap_or(1);
        let mut begins = 1;
        if mode == Mode::AfterAnError {
            plan_error(machine, &mut chance);
            // The power goes when it came, or mostly.
            (begins, until) = (ERROR_WITHIN, until + 6);
        }
        let failures = machine.failures();
        let most = chance.of(&[20, 120, 400]);
        machine.cut_power_at(begins + chance.below(most));
        push_on(&mut writer, &store, machine, until, &run);
        // Where it did not fall before, it may fall into closing, and else comes after.
        drop(store);
        let failed = machine.failures() - failures;
        count(&mut counts, FAILURES, failed);
        if mode == Mode::AfterAnError && failed == 0 && machine.is_off() {
            count(&mut counts, "cuts before the error came", 1);
            machine.restart();
            continue;
        }
        cut_at_last(mode, machine, &mut counts);
    }
    let store = SqliteStore::open(options).unwrap_or_else(|error| panic!("{mode:?}, at the end: {error}"));
    check_by(mode.durability(), &mut writer, &store, "at the end");
    let until = writer.pushed() + 3;
    writer.push_until(&store, until).unwrap_or_else(|error| panic!("{mode:?}, at the end: {error}"));
    writer.check(&store, "at the end, written on");
    counts
}

/// The power goes if it has not gone, and comes back.
pub(super) fn cut_at_last(mode: Mode, machine: &Machine, counts: &mut Counts) {
    count(counts, if machine.is_off() { mode.cuts() } else { "power gone at rest" }, 1);
    machine.cut_power();
    machine.restart();
}

/// The power goes while the store is opened, which is when it recovers, up to three times in a row.
fn cut_while_opening(options: &SqliteOptions, machine: &Machine, chance: &mut Chance, counts: &mut Counts) {
    for _ in 0..=chance.below(3) {
        machine.cut_power_at(1 + chance.below(14));
        // It opens when the cut would have come later.
        let opened = SqliteStore::open(options.clone());
        count(counts, "cuts while recovering", u64::from(machine.is_off()));
        assert!(opened.is_ok() || machine.is_off(), "it does not open: {opened:?}");
        drop(opened);
        machine.cut_power();
        machine.restart();
    }
}

/// Operations within which a planned error comes, unless it is one of syncs, which are fewer.
const ERROR_WITHIN: u64 = 40;

fn plan_error(machine: &Machine, chance: &mut Chance) {
    let at = 1 + chance.below(ERROR_WITHIN);
    match chance.below(3) {
        0 => machine.fill_disk_once_at(at),
        1 => machine.fail_once_at(at),
        _ => machine.fail_sync_at(1 + chance.below(4)),
    }
}

/// Pushes on, and after an error again with the same ids, until the power is off.
fn push_on(writer: &mut Writer, store: &SqliteStore, machine: &Machine, until: usize, run: &str) {
    let mut patience = 10;
    while let Err(error) = writer.push_until(store, until) {
        if machine.is_off() {
            return;
        }
        assert!(is_of_the_disk(&error), "{run}: {error}");
        patience -= 1;
        assert!(patience > 0, "{run}: it does not go on after one failure: {error}");
    }
}

/// What a store may say when its disk fails: never that its data is damaged.
fn is_of_the_disk(error: &StoreError) -> bool {
    matches!(error.kind(), StoreErrorKind::Full | StoreErrorKind::Unavailable | StoreErrorKind::OutcomeUnknown)
}

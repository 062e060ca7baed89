//! Files, what of them is on disk, and which operation fails.
//!
//! What must hold: the same seed and the same operations give the same files; a sync that succeeded truthfully
//! makes everything written before durable; one that failed makes its writes volatile for ever ("fsyncgate"): the
//! system shows them and will never write them out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SECTOR: usize = 512;

/// A computer with one disk.
#[derive(Debug, Clone)]
pub struct Machine {
    pub(crate) state: Arc<Mutex<State>>,
    name: Arc<str>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    files: HashMap<String, File>,
    random: u64,
    operations: u64,
    syncs: u64,
    off: bool,
    lies: bool,
    cut_at: Option<u64>,
    full_at: Option<u64>,
    full_lasts: bool,
    sync_fails_at: Option<u64>,
    io_fails_at: Option<u64>,
    failures: u64,
}

#[derive(Debug, Default)]
struct File {
    /// What readers see.
    live: Vec<u8>,
    /// What a power cut leaves for certain.
    disk: Vec<u8>,
    /// What lies between the two, in order.
    volatile: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

/// Why an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Off,
    Full,
    Sync,
    Io,
}

impl Machine {
    /// A machine that works, registered as a VFS under its own name for the rest of the process.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("syncline-test-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let machine = Self { state: Arc::default(), name: name.into() };
        machine.renew(seed);
        crate::shim::register(&machine);
        machine
    }

    /// Another machine in its place: with an empty disk, nothing planned, another seed and the same name. Every connection
    /// must have been closed. Who needs thousands one after the other has thousands of names to look through otherwise.
    pub fn renew(&self, seed: u64) {
        *self.lock() = State { random: seed ^ 0x9E37_79B9_7F4A_7C15, ..State::default() };
    }

    /// The VFS's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes, truncations, syncs and deletions so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Syncs so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// Operations that failed as was planned, so far. What the power cut off is none of them.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.lock().failures
    }

    /// Cuts the power during the `n`th operation from now, the first being 1.
    pub fn cut_power_at(&self, n: u64) {
        let mut state = self.lock();
        state.cut_at = Some(state.operations + n);
    }

    /// Cuts the power now.
    pub fn cut_power(&self) {
        self.lock().off = true;
    }

    /// Kills the process: from now on every operation of its connections fails, and nothing is lost by that.
    pub fn kill_process(&self) {
        self.lock().off = true;
    }

    /// A new process may begin: what was written is there, synced or not. Every connection of the old one must have
    /// been closed. Planned failures are forgotten.
    pub fn start_process(&self) {
        let mut state = self.lock();
        state.off = false;
        state.forget_plans();
    }

    /// Whether the power is off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.lock().off
    }

    /// The disk has no room for the `n`th operation from now, and has room again for the next.
    pub fn fill_disk_once_at(&self, n: u64) {
        let mut state = self.lock();
        (state.full_at, state.full_lasts) = (Some(state.operations + n), false);
    }

    /// The disk has no room from the `n`th operation on, until [`Machine::make_room`].
    pub fn fill_disk_from(&self, n: u64) {
        let mut state = self.lock();
        (state.full_at, state.full_lasts) = (Some(state.operations + n), true);
    }

    /// The disk has room again.
    pub fn make_room(&self) {
        self.lock().full_at = None;
    }

    /// The `n`th sync from now fails, once.
    pub fn fail_sync_at(&self, n: u64) {
        let mut state = self.lock();
        state.sync_fails_at = Some(state.syncs + n);
    }

    /// The disk fails the `n`th operation from now, once. A sync that fails so is one as of [`Machine::fail_sync_at`].
    pub fn fail_once_at(&self, n: u64) {
        let mut state = self.lock();
        state.io_fails_at = Some(state.operations + n);
    }

    /// From now on the disk says it has written what it has not.
    pub fn lie_on_sync(&self) {
        self.lock().lies = true;
    }

    /// Turns the power off if it is not, decides what of the volatile writes reached the disk, and turns the power
    /// on again without any planned failure. Every connection must have been closed.
    pub fn restart(&self) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let random = &mut state.random;
        let mut names: Vec<&String> = state.files.keys().collect();
        names.sort();
        let names: Vec<String> = names.into_iter().cloned().collect();
        for name in names {
            if let Some(file) = state.files.get_mut(&name) {
                file.lose_power(random);
            }
        }
        (state.off, state.lies) = (false, false);
        state.forget_plans();
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn open(&mut self, name: &str) {
        self.files.entry(name.to_owned()).or_default();
    }

    pub(crate) fn exists(&self, name: &str) -> Option<bool> {
        self.files.get(name).map(|file| !file.live.is_empty())
    }

    pub(crate) fn size(&self, name: &str) -> Result<usize, Failure> {
        self.running()?;
        Ok(self.files.get(name).map_or(0, |file| file.live.len()))
    }

    /// Copies what is there and says how many bytes that was.
    pub(crate) fn read(&self, name: &str, offset: usize, into: &mut [u8]) -> Result<usize, Failure> {
        self.running()?;
        let Some(file) = self.files.get(name) else { return Ok(0) };
        let there = file.live.get(offset..).unwrap_or(&[]);
        let count = there.len().min(into.len());
        into[..count].copy_from_slice(&there[..count]);
        Ok(count)
    }

    pub(crate) fn write(&mut self, name: &str, offset: usize, bytes: &[u8]) -> Result<(), Failure> {
        let cut = self.step()?;
        self.change(name, Change::Write(offset, bytes.to_vec()));
        if cut { Err(Failure::Off) } else { Ok(()) }
    }

    pub(crate) fn resize(&mut self, name: &str, size: usize) -> Result<(), Failure> {
        let cut = self.step()?;
        self.change(name, Change::Resize(size));
        if cut { Err(Failure::Off) } else { Ok(()) }
    }

    pub(crate) fn sync(&mut self, name: &str) -> Result<(), Failure> {
        let stepped = self.step();
        let broken = stepped == Err(Failure::Io);
        let cut = !broken && stepped?;
        self.syncs += 1;
        if cut {
            return Err(Failure::Off);
        }
        let fails = broken || self.sync_fails_at == Some(self.syncs);
        let Some(file) = self.files.get_mut(name) else { return Ok(()) };
        if fails {
            self.failures += u64::from(!broken);
            file.volatile.clear();
            return Err(Failure::Sync);
        }
        if !self.lies {
            file.volatile.drain(..).for_each(|change| change.apply(&mut file.disk));
        }
        Ok(())
    }

    pub(crate) fn delete(&mut self, name: &str) -> Result<(), Failure> {
        if self.step()? {
            return Err(Failure::Off);
        }
        self.files.remove(name);
        Ok(())
    }

    fn change(&mut self, name: &str, change: Change) {
        let file = self.files.entry(name.to_owned()).or_default();
        change.apply(&mut file.live);
        file.volatile.push(change);
    }

    fn forget_plans(&mut self) {
        (self.cut_at, self.full_at, self.sync_fails_at, self.io_fails_at) = (None, None, None, None);
    }

    const fn running(&self) -> Result<(), Failure> {
        if self.off { Err(Failure::Off) } else { Ok(()) }
    }

    /// Counts an operation; whether the power goes during it.
    fn step(&mut self) -> Result<bool, Failure> {
        self.running()?;
        self.operations += 1;
        if self.cut_at == Some(self.operations) {
            self.off = true;
            return Ok(true);
        }
        if self.io_fails_at == Some(self.operations) {
            self.failures += 1;
            return Err(Failure::Io);
        }
        match self.full_at {
            Some(at) if self.operations == at || (self.full_lasts && self.operations > at) => {
                self.failures += 1;
                Err(Failure::Full)
            }
            _ => Ok(false),
        }
    }
}

impl File {
    fn lose_power(&mut self, random: &mut u64) {
        // A run keeps nothing, everything, or some: the extremes are likelier than chance would have them.
        let luck = next(random) % 4;
        for change in std::mem::take(&mut self.volatile) {
            match (luck, change) {
                (0, _) => {}
                (1, change) => change.apply(&mut self.disk),
                (_, Change::Resize(size)) => {
                    if next(random).is_multiple_of(2) {
                        Change::Resize(size).apply(&mut self.disk);
                    }
                }
                (_, Change::Write(offset, bytes)) => self.tear(offset, &bytes, random),
            }
        }
        self.live.clone_from(&self.disk);
    }

    /// Each sector's part of a write arrives, does not, or arrives half.
    fn tear(&mut self, mut offset: usize, bytes: &[u8], random: &mut u64) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (part, later) = rest.split_at(rest.len().min(SECTOR - offset % SECTOR));
            let arrived = match next(random) % 8 {
                0..=3 => part.len(),
                4..=6 => 0,
                _ => part.len() / 2,
            };
            if arrived > 0 {
                Change::Write(offset, part[..arrived].to_vec()).apply(&mut self.disk);
            }
            offset += part.len();
            rest = later;
        }
    }
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Resize(size) => to.resize(*size, 0),
            Self::Write(offset, bytes) => {
                let end = offset + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*offset..end].copy_from_slice(bytes);
            }
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood, 2014).
fn next(random: &mut u64) -> u64 {
    *random = random.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *random;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

//! How large a world is: what may happen in it, and how often.

use super::plant::Plant;

/// What a write does. All of them are on the same few entities, so that they meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wrote {
    /// Counts a counter up, by an amount that shows which writes counted, and how often.
    Counter,
    /// Sets a field of its own and a field that all set, of a map of which the newest edit of a field wins.
    Fields,
    /// Sets a field where an edit that did not see the other's is refused.
    Causal,
}

/// How often something may still happen, over the whole world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::exhaustive_structs, reason = "scopes are written out")]
pub struct Left {
    /// An answer is lost, or the call before.
    pub losses: u8,
    /// A call that nobody waits for any more arrives after all.
    pub late: u8,
    /// A process ends in the middle of something.
    pub crashes: u8,
    /// The server is copied, and put back to that copy.
    pub rollbacks: u8,
    /// The server begins with nothing.
    pub emptied: u8,
    /// A device is copied, and it or another is put back to that copy.
    pub images: u8,
    /// The log is restored to its first op by the server, and what went before the restore is dropped.
    pub floors: u8,
}

/// How a world begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Start {
    /// Nobody wrote anything.
    Nothing,
    /// Each device wrote something, and all have all of it.
    InStep,
}

/// A world.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "scopes are written out")]
pub struct Scope {
    /// Its name.
    pub name: &'static str,
    /// Devices, up to three.
    pub devices: u8,
    /// How it begins.
    pub start: Start,
    /// What is written, in this order; by whom is open.
    pub writes: &'static [Wrote],
    /// Whether something may be written while an answer is awaited.
    pub writes_inside: bool,
    /// What else may happen.
    pub left: Left,
    /// By how much the first device's clock is ahead, in milliseconds.
    pub ahead_ms: u64,
    /// The mistake in it.
    pub plant: Plant,
}

const NONE: Left = Left { losses: 0, late: 0, crashes: 0, rollbacks: 0, emptied: 0, images: 0, floors: 0 };

const PLAIN: Scope = Scope {
    name: "plain",
    devices: 2,
    start: Start::Nothing,
    writes: &[],
    writes_inside: true,
    left: NONE,
    ahead_ms: 0,
    plant: Plant::Nothing,
};

impl Scope {
    /// Two devices edit one entity under each policy; calls and answers are lost.
    pub const ARBITRATION: Self = Self {
        name: "arbitration",
        writes: &[Wrote::Causal, Wrote::Counter, Wrote::Causal],
        left: Left { losses: 2, late: 1, ..NONE },
        ..PLAIN
    };
    /// Three devices.
    pub const THREE: Self = Self {
        name: "three devices",
        devices: 3,
        writes: &[Wrote::Counter, Wrote::Causal, Wrote::Causal],
        writes_inside: false,
        left: Left { losses: 1, ..NONE },
        ..PLAIN
    };
    /// Power cuts between any two commits of a device.
    pub const CRASHES: Self = Self {
        name: "crashes",
        writes: &[Wrote::Counter, Wrote::Causal, Wrote::Fields],
        left: Left { losses: 1, crashes: 2, ..NONE },
        ..PLAIN
    };
    /// The server is put back to an earlier state, and goes on from there.
    pub const ROLLBACK: Self = Self {
        name: "rollback",
        start: Start::InStep,
        writes: &[Wrote::Counter, Wrote::Causal, Wrote::Fields],
        left: Left { losses: 1, rollbacks: 2, ..NONE },
        ..PLAIN
    };
    /// The same between three devices.
    pub const ROLLBACK_THREE: Self = Self {
        name: "rollback, three devices",
        devices: 3,
        writes: &[Wrote::Counter, Wrote::Counter],
        start: Start::InStep,
        writes_inside: false,
        left: Left { rollbacks: 1, ..NONE },
        ..PLAIN
    };
    /// The server loses everything, and is filled by whoever comes.
    pub const EMPTIED: Self = Self {
        name: "emptied",
        start: Start::InStep,
        writes: &[Wrote::Counter, Wrote::Fields],
        left: Left { losses: 1, crashes: 1, emptied: 1, ..NONE },
        ahead_ms: 3_600_000,
        ..PLAIN
    };
    /// Devices are put back to older images, or go on twice.
    pub const IMAGES: Self = Self {
        name: "images and clones",
        start: Start::InStep,
        writes: &[Wrote::Counter, Wrote::Causal, Wrote::Counter],
        left: Left { losses: 1, images: 1, ..NONE },
        ..PLAIN
    };
    /// Both at once: the server is put back, and so is a device.
    pub const BOTH: Self = Self {
        name: "rollback and images",
        start: Start::InStep,
        writes: &[Wrote::Counter, Wrote::Counter],
        left: Left { crashes: 1, rollbacks: 1, images: 1, ..NONE },
        ..PLAIN
    };
    /// The log is restored to its first op, and history before that goes.
    pub const FLOOR: Self = Self {
        name: "restore and retention floor",
        start: Start::InStep,
        writes: &[Wrote::Counter, Wrote::Causal, Wrote::Fields],
        left: Left { losses: 1, crashes: 1, floors: 2, ..NONE },
        ahead_ms: 3_600_000,
        ..PLAIN
    };

    /// What walks are held against the specification of: counters, losses, crashes, rollbacks.
    pub const WALKS: Self = Self {
        name: "walks",
        writes: &[Wrote::Counter; 4],
        left: Left { losses: 2, crashes: 2, rollbacks: 2, ..NONE },
        ..PLAIN
    };

    /// All of them, but for walks.
    pub const ALL: &[Self] = &[
        Self::SMALL,
        Self::SMALL_CRASH,
        Self::SMALL_ROLLBACK,
        Self::ARBITRATION,
        Self::THREE,
        Self::CRASHES,
        Self::ROLLBACK,
        Self::ROLLBACK_THREE,
        Self::EMPTIED,
        Self::IMAGES,
        Self::BOTH,
        Self::FLOOR,
    ];

    /// Two devices, one write each way, one call or answer lost: small enough for every run of the tests.
    pub const SMALL: Self = Self { name: "small", writes: &[Wrote::Causal], left: Left { losses: 1, ..NONE }, ..PLAIN };
    /// The same with a power cut.
    pub const SMALL_CRASH: Self =
        Self { name: "small, with a crash", writes: &[Wrote::Counter], left: Left { crashes: 1, ..NONE }, ..PLAIN };
    /// Two devices in step, and a server that is put back once.
    pub const SMALL_ROLLBACK: Self = Self {
        name: "small, with a rollback",
        start: Start::InStep,
        writes: &[Wrote::Counter],
        writes_inside: false,
        left: Left { rollbacks: 1, ..NONE },
        ..PLAIN
    };

    /// The same world with a mistake in it.
    #[must_use]
    pub const fn with(self, plant: Plant) -> Self {
        Self { plant, ..self }
    }
}

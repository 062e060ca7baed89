//! The parts, and the share of the time that each has.

/// A program that tries to break something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// Its name in the table and after `--only`.
    pub(crate) name: &'static str,
    /// The package and the program of this workspace that it is.
    pub(crate) package: &'static str,
    pub(crate) program: &'static str,
    /// Its share of the time, in parts of all shares.
    pub(crate) share: u32,
}

/// All of them.
pub(crate) const PARTS: &[Part] = &[
    Part { name: "seeds", package: "syncline-seeds", program: "seeds", share: 30 },
    Part { name: "power_cuts", package: "syncline-faults", program: "power_cuts", share: 12 },
    Part { name: "kills", package: "syncline-faults", program: "kills", share: 6 },
    Part { name: "syscalls", package: "syncline-faults", program: "syscalls", share: 8 },
    Part { name: "databases", package: "syncline-faults", program: "databases", share: 8 },
    Part { name: "blob_faults", package: "syncline-faults", program: "blob_faults", share: 6 },
];

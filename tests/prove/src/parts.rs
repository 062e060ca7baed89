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
    Part { name: "seeds", package: "syncline-seeds", program: "seeds", share: 12 },
    Part { name: "who may do what", package: "syncline-hostile", program: "auth_matrix", share: 1 },
    Part { name: "requests by the document", package: "syncline-hostile", program: "schema_cases", share: 4 },
    Part { name: "bad peers", package: "syncline-hostile", program: "hostile_peers", share: 2 },
    Part { name: "fuzzing", package: "syncline-fuzzing", program: "fuzz", share: 6 },
    Part { name: "states", package: "syncline-models", program: "states", share: 4 },
    Part { name: "schedules", package: "syncline-models", program: "schedules", share: 1 },
    Part { name: "spec", package: "syncline-models", program: "spec", share: 1 },
];

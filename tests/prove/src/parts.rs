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
    /// Whether it talks to servers: ours, Postgres, S3.
    pub(crate) servers: bool,
}

/// All of them.
pub(crate) const PARTS: &[Part] = &[
    Part { name: "bank", package: "syncline-bank", program: "bank", share: 15, servers: false },
    Part { name: "seeds", package: "syncline-seeds", program: "seeds", share: 24, servers: false },
    Part { name: "states", package: "syncline-models", program: "states", share: 8, servers: false },
    Part { name: "schedules", package: "syncline-models", program: "schedules", share: 2, servers: false },
    Part { name: "spec", package: "syncline-models", program: "spec", share: 2, servers: false },
    Part { name: "power cuts", package: "syncline-faults", program: "power_cuts", share: 12, servers: false },
    Part { name: "kills", package: "syncline-faults", program: "kills", share: 6, servers: true },
    Part { name: "failing calls", package: "syncline-faults", program: "syscalls", share: 8, servers: true },
    Part { name: "databases", package: "syncline-faults", program: "databases", share: 8, servers: true },
    Part { name: "failing blobs", package: "syncline-faults", program: "blob_faults", share: 6, servers: true },
    Part { name: "who may do what", package: "syncline-hostile", program: "auth_matrix", share: 2, servers: true },
    Part {
        name: "requests by the document",
        package: "syncline-hostile",
        program: "schema_cases",
        share: 8,
        servers: true,
    },
    Part { name: "bad peers", package: "syncline-hostile", program: "hostile_peers", share: 4, servers: true },
    Part { name: "fuzzing", package: "syncline-fuzzing", program: "fuzz", share: 12, servers: false },
];

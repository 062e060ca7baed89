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
pub(crate) const PARTS: &[Part] = &[Part { name: "seeds", package: "syncline-seeds", program: "seeds", share: 30 }];

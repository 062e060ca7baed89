//! The steps between which a crash may come. The tests of this crate kill a process at each.

/// A step that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The unfinished file is there.
    Made,
    /// Some bytes are in it.
    Written,
    /// All bytes are durable.
    Synced,
    /// It has its final name.
    Named,
    /// The name is durable.
    Settled,
    /// An upload's piece is durable, and not yet said to be there.
    PieceSynced,
    /// An upload's mark is written.
    Marked,
    /// A finished upload has become a blob and its folder is still there.
    Finished,
}

/// Says that a step is done.
#[inline]
pub(crate) fn reached(stage: Stage) {
    #[cfg(test)]
    crate::tests::crash::reached(stage);
    #[cfg(not(test))]
    let _ = stage;
}

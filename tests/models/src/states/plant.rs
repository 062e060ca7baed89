//! Mistakes made on purpose, from outside of the product: what explores must find each of them.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Plant {
    /// None.
    #[default]
    Nothing,
    /// A device writes where the log ends in one transaction, and what the ops say in the next.
    CursorFirst,
    /// A device's disk says that something is durable and loses it with the power.
    DiskLies,
    /// A device lets go of its history at once, so that it has nothing to offer to a server that lost it.
    NothingToOffer,
    /// The server takes what was sent twice for something new: op ids, receipts and counters say nothing to it.
    ServerForgets,
}

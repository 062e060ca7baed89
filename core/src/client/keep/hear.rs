//! What comes says something about this replica, too: how late it is, and whether somebody else writes in its name.

use super::{LeftOut, PageOp, ReplicaId, Work};

impl Work<'_> {
    /// What an op of the log tells about this replica: how late it is, and whether somebody else writes in its name.
    pub(super) fn hear(&mut self, op: &PageOp) {
        let Ok(read) = op.op.read() else { return };
        let identity = &mut self.kept.identity;
        // A clock that runs ahead is believed as far as the server's, so that it cannot drag everybody along.
        identity.hlc = identity.hlc.max(read.hlc().capped(op.accepted_at));
        let ours = read.replica() == identity.replica && read.counter() > identity.counter;
        if ours && !self.keep.sent_items().any(|(_, item)| item.op.id() == read.id()) {
            self.rename();
        }
    }

    /// The same for an op that is not known here.
    pub(super) fn hear_of(&mut self, op: &LeftOut) {
        let identity = &self.kept.identity;
        let ours = op.replica == identity.replica && op.counter > identity.counter;
        if ours && !self.keep.sent_items().any(|(_, item)| item.op.digest() == op.digest) {
            self.rename();
        }
    }

    /// This replica's name is used by another copy of it: from now on it has a name of its own.
    pub(super) fn rename(&mut self) {
        self.kept.identity.replica = ReplicaId::from_bytes(self.keep.env.bytes16("replica"));
        self.kept.identity.counter = 0;
    }
}

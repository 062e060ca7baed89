//! Giving a placeholder another place: there is nothing in the folder to move, so the server is asked, and only what it says
//! has happened.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use syncline::call::{Call, Commit, Committed, Reply};
use syncline::client::CallError;
use syncline::files::{Held, name_of};
use syncline::tree::{self, To, TreeOp, TreeVerdict};
use syncline::{EntityId, OpId};

use super::core::{Core, errno};
use crate::looks;

impl Core {
    /// Moves a placeholder to where nothing is, in a folder that the server has, which is open.
    pub(super) async fn move_placeholder(
        &self,
        id: EntityId,
        held: Held,
        (to, folder): (EntityId, OwnedFd),
        name: String,
    ) -> Result<(), Errno> {
        let seen = self.window().both().shown.seq();
        let parent = (held.parent != to).then_some(To { value: to, base: held.parent_seq });
        let as_typed = (held.at != name).then(|| To { value: name.clone(), base: held.name_seq });
        let op = TreeOp::Move { node: id, parent, name: as_typed, seen };
        let parts = &self.parts;
        let call = Call::Commit(Commit {
            log: parts.log.log,
            id: OpId::from_bytes(parts.env.env().uuid7("commit")),
            replica: parts.replica,
            label: parts.label.clone(),
            ops: Arc::new(tree::Commit::new(vec![op]).map_err(|_| Errno::INVAL)?),
        });
        let answered = parts.way.call(call).await.map_err(|error| match error {
            CallError::Unreachable(_) => Errno::NETUNREACH,
            CallError::Refused(_) => Errno::ACCESS,
            _ => Errno::IO,
        })?;
        // Whatever it did is read from its log.
        self.window().look_soon();
        let Reply::Committed(Committed::Done { seq, answers, .. }) = answered else { return Err(Errno::IO) };
        match answers.first().map(|answer| &answer.verdict) {
            Some(TreeVerdict::Rejected(_)) | None => Err(Errno::INVAL),
            Some(TreeVerdict::Superseded) => Err(Errno::BUSY),
            Some(_) => {
                let shown = name_of(&name).unwrap_or_else(|| held.name.clone());
                let Some(seq) = seq else { return Ok(()) };
                let mut both = self.window().both();
                // Its bytes may have come since, or something else to where it goes: then the engine sees to it.
                let still = both.placeholder(id).filter(|now| (now.parent, &now.at) == (held.parent, &held.at));
                let there = looks::entry(&folder, &*name).map_err(|error| errno(&error))?;
                if let Some(now) = still
                    && there.is_none()
                    && both.at(to, &name).is_none()
                {
                    // The engine knows it before anything else comes to where it was.
                    let held = Held { parent: to, at: name, name: shown, parent_seq: seq, name_seq: seq, ..now };
                    self.hold(&mut both, id, held)?;
                }
                Ok(())
            }
        }
    }
}

//! What a replica seals, under which key, and what it takes: the log's policy and its key epoch, held on this end.
//!
//! What must hold: nothing leaves a device readable that the log, or the application, wants sealed; what was sealed under a
//! newer key is never followed by something sealed under an older one, whatever a server says; a log that requires sealing
//! is not told otherwise later.
//!
//! How: the policy is asked for once, before anything is sent, and pinned on the desk. The highest epoch of which something
//! opened here, or to which this device rotated, is kept beside it. What a server says about its epoch is a hint.

use super::commit::DeskChange;
use super::desk::{Identity, Item};
use super::error::ReplicaError;
use super::gate::lock;
use super::replica::{Inner, Replica};
use super::sealer::{Unopened, Unsealed};
use super::session::Halt;
use super::transport::{CallError, Transport};
use crate::call::{Call, ErrorCode, Reply};
use crate::oplog::{Draft, LogBounds, Op, Payload, RejectReason, Sealing, Snapshot, Verdict};
use crate::seal::EnvelopeHead;
use crate::time::Env;

/// Epochs that a server is brought forward by between two pushes.
const RAISES: u32 = 64;

/// What the server said about the log, as far as nothing on the desk says it.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// It was asked since this replica was opened, or since the server lost the log.
    asked: bool,
    /// The server lost the log: what is there now has a policy of its own.
    lost: bool,
    /// The log's key epoch; 0 while unknown, or before the first.
    pub(super) epoch: u32,
    /// A key may be here that was not.
    unlocked: bool,
}

/// The key epoch that a payload is sealed under; 0 for another program's ciphertext, `None` for what is not sealed.
pub(super) fn epoch_of(payload: &Payload) -> Option<u32> {
    match payload {
        Payload::Sealed(bytes) => Some(EnvelopeHead::read(bytes).map_or(0, |head| head.epoch)),
        _ => None,
    }
}

/// Whether a verdict is about how an op was sealed, not about what it says.
pub(super) fn refused_for_its_seal(verdict: &Verdict) -> Option<RejectReason> {
    use RejectReason::{KeyEpochAhead, KeyEpochStale, SealedForbidden, SealedRequired};
    match verdict {
        Verdict::Rejected {
            reason: reason @ (KeyEpochStale { .. } | KeyEpochAhead { .. } | SealedRequired | SealedForbidden),
        } => Some(*reason),
        _ => None,
    }
}

/// Takes note of such a refusal; the epoch that the log is said to be at. An op of our own that was refused so has spent
/// no counter: sealed again it keeps id, clock and counter.
pub(super) fn take_back(identity: &mut Identity, own: Option<&Item>, reason: RejectReason) -> Option<u32> {
    let op = own.and_then(|item| item.op.read().ok()).filter(|op| op.replica() == identity.replica);
    if let Some(op) = op {
        identity.counter = identity.counter.min(op.counter().saturating_sub(1));
    }
    match reason {
        RejectReason::KeyEpochStale { current } | RejectReason::KeyEpochAhead { current } => return Some(current),
        RejectReason::SealedRequired => identity.sealing = Some(Sealing::Required),
        _ if identity.sealing != Some(Sealing::Required) => identity.sealing = Some(Sealing::Forbidden),
        _ => {}
    }
    None
}

impl Replica {
    /// Says that keys were added to the sealer: what stopped for want of one goes on.
    pub fn keys_changed(&self) {
        lock(&self.inner.sealing).unlocked = true;
        self.inner.edited.ring();
    }

    /// Rotates the log's keys: from now on the server takes nothing sealed under an epoch before `to`, and everything that
    /// waits here, or on a device that has the new key, is sealed under it. The key of `to` must be here, and is best
    /// brought to the devices that are to keep reading before. A log already at `to` is fine, so a lost answer can be asked
    /// for again.
    ///
    /// # Errors
    /// [`ReplicaError::Unopened`] without the key of `to`; [`ReplicaError::Rotation`] when the log is at another epoch than
    /// the one before it, for example because somebody else rotated; [`ReplicaError::Call`]; the local store's.
    pub async fn rotate_keys(&self, transport: &dyn Transport, to: u32) -> Result<(), ReplicaError> {
        let inner = &self.inner;
        let has = inner.options.sealer.as_deref().is_some_and(|sealer| sealer.has(to));
        if to == 0 || !has {
            return Err(Unopened::KeyNeeded { epoch: to }.into());
        }
        let log = self.log().log;
        let mut current = log_of(transport.call(Call::Status(log)).await?)?.key_epoch;
        if current.checked_add(1) == Some(to) {
            current = log_of(transport.call(Call::RotateKeys { log, from: current }).await?)?.key_epoch;
        }
        if current != to {
            return Err(ReplicaError::Rotation { current, to });
        }
        let _pass = inner.enter().await?;
        lock(&inner.sealing).epoch = to;
        inner.put_epoch(to).await
    }

    /// Brings what is known of the log's sealing to where something may be sent or kept; why not, if so.
    pub(super) async fn get_ready(
        &self,
        transport: &dyn Transport,
    ) -> Result<Result<Option<Halt>, CallError>, ReplicaError> {
        match self.ask_policy(transport).await? {
            Ok(()) => {}
            Err(error) => return Ok(Err(error)),
        }
        if let Some(halt) = self.inner.clash() {
            return Ok(Ok(Some(halt)));
        }
        Ok(self.raise(transport).await.map(|()| None))
    }

    async fn ask_policy(&self, transport: &dyn Transport) -> Result<Result<(), CallError>, ReplicaError> {
        let inner = &self.inner;
        let pinned = lock(&inner.memory).identity.sealing;
        let (asked, lost) = {
            let said = lock(&inner.sealing);
            (said.asked, said.lost)
        };
        if asked || (pinned.is_some() && !lost) {
            return Ok(Ok(()));
        }
        let log = self.log().log;
        let mut found = transport.call(Call::Status(log)).await;
        let gone = matches!(&found, Err(CallError::Refused(refusal)) if refusal.code == ErrorCode::LogNotFound);
        let wanted = inner.options.sealing.or(pinned).filter(|sealing| *sealing != Sealing::Optional);
        if let Some(sealing) = wanted.filter(|_| gone) {
            // Who may not make logs holds to the policy all the same.
            found = transport.call(Call::CreateLog { log, sealing }).await;
        }
        match found {
            Ok(reply) => {
                let bounds = match log_of(reply) {
                    Ok(bounds) => bounds,
                    Err(error) => return Ok(Err(error)),
                };
                lock(&inner.sealing).epoch = bounds.key_epoch;
                let _pass = inner.enter().await?;
                inner.pin(bounds.sealing).await?;
            }
            Err(CallError::Refused(_)) if gone => {}
            Err(error) => return Ok(Err(error)),
        }
        let mut said = lock(&inner.sealing);
        (said.asked, said.lost) = (true, false);
        Ok(Ok(()))
    }

    /// Asks which key epoch the log is at.
    pub(super) async fn hear_epoch(&self, transport: &dyn Transport) -> Result<(), CallError> {
        let bounds = log_of(transport.call(Call::Status(self.log().log)).await?)?;
        lock(&self.inner.sealing).epoch = bounds.key_epoch;
        self.raise(transport).await
    }

    /// A server that was rolled back to before a rotation is brought to the epoch again: what comes is not sealed under a
    /// key that was given up.
    async fn raise(&self, transport: &dyn Transport) -> Result<(), CallError> {
        for _ in 0..RAISES {
            let (said, known) = (self.inner.epoch_said(), self.inner.epoch_known());
            if said == 0 || said >= known {
                return Ok(());
            }
            let rotate = Call::RotateKeys { log: self.log().log, from: said };
            let epoch = match transport.call(rotate).await {
                Ok(reply) => log_of(reply)?.key_epoch,
                // Somebody else was faster, or has to do it: the next push tells.
                Err(CallError::Refused(_)) => 0,
                Err(error) => return Err(error),
            };
            lock(&self.inner.sealing).epoch = epoch;
        }
        Ok(())
    }
}

fn log_of(reply: Reply) -> Result<Box<LogBounds>, CallError> {
    match reply {
        Reply::Log { bounds, .. } => Ok(bounds),
        _ => Err(CallError::Protocol("not a log's bounds".into())),
    }
}

impl Inner {
    /// Whether a key was added since this was asked last.
    pub(super) fn unlocked(&self) -> bool {
        std::mem::take(&mut lock(&self.sealing).unlocked)
    }

    /// The server has another log, or none: what it said says nothing any more.
    pub(super) fn forget_said(&self) {
        let mut said = lock(&self.sealing);
        *said = Heard { lost: true, unlocked: said.unlocked, ..Heard::default() };
    }

    pub(super) fn epoch_said(&self) -> u32 {
        lock(&self.sealing).epoch
    }

    /// The highest epoch that is certain.
    pub(super) fn epoch_known(&self) -> u32 {
        lock(&self.memory).identity.key_epoch
    }

    /// The policy held to here: the stricter of the application's and the log's.
    pub(super) fn policy(&self) -> Sealing {
        let pinned = lock(&self.memory).identity.sealing;
        match (self.options.sealing, pinned) {
            (Some(wanted), _) if wanted != Sealing::Optional => wanted,
            (_, pinned) => pinned.unwrap_or_default(),
        }
    }

    /// Why nothing can be sent or read as things are.
    fn clash(&self) -> Option<Halt> {
        let pinned = lock(&self.memory).identity.sealing;
        let keyless = self.options.sealer.is_none();
        match (self.options.sealing, pinned) {
            (Some(Sealing::Required), Some(Sealing::Forbidden)) => Some(Halt::Sealing(Sealing::Forbidden)),
            (Some(Sealing::Forbidden), Some(Sealing::Required)) => Some(Halt::Sealing(Sealing::Required)),
            // Whoever brings a key does not mean to write in the open.
            (None | Some(Sealing::Optional), Some(Sealing::Forbidden)) if !keyless => {
                Some(Halt::Sealing(Sealing::Forbidden))
            }
            (Some(Sealing::Required), _) | (_, Some(Sealing::Required)) if keyless => {
                Some(Halt::KeyNeeded { epoch: self.epoch_known().max(self.epoch_said()) })
            }
            _ => None,
        }
    }

    /// A snapshot's state, readable.
    pub(super) fn opened(&self, snapshot: &Snapshot) -> Result<Payload, Unopened> {
        match (&snapshot.payload, self.options.sealer.as_deref()) {
            (Payload::Sealed(_), Some(sealer)) => sealer.open_snapshot(self.places.mirror, snapshot),
            (sealed @ Payload::Sealed(_), None) => Err(Unopened::KeyNeeded { epoch: epoch_of(sealed).unwrap_or(0) }),
            (readable, _) => Ok(readable.clone()),
        }
    }

    /// Notes the log's policy. One that requires sealing stays.
    pub(super) async fn pin(&self, sealing: Sealing) -> Result<(), ReplicaError> {
        let mut identity = lock(&self.memory).identity.clone();
        if identity.sealing == Some(sealing) || identity.sealing == Some(Sealing::Required) {
            return Ok(());
        }
        identity.sealing = Some(sealing);
        self.change_desk(DeskChange { identity: Some(identity), ..DeskChange::default() }).await
    }

    async fn put_epoch(&self, epoch: u32) -> Result<(), ReplicaError> {
        let mut identity = lock(&self.memory).identity.clone();
        identity.key_epoch = identity.key_epoch.max(epoch);
        self.change_desk(DeskChange { identity: Some(identity), ..DeskChange::default() }).await
    }

    /// Whether what is written here is sealed before it is sent.
    pub(super) fn seals(&self) -> bool {
        self.policy() == Sealing::Required || (self.options.sealer.is_some() && self.policy() == Sealing::Optional)
    }

    /// The epoch to seal under: the log's, or the newest there is a key of where it has none yet.
    pub(super) fn epoch_to_seal(&self) -> Result<u32, Unopened> {
        let known = self.epoch_known().max(self.epoch_said());
        let sealer = self.options.sealer.as_deref().ok_or(Unopened::KeyNeeded { epoch: known })?;
        let epoch = if known > 0 { known } else { sealer.newest().ok_or(Unopened::KeyNeeded { epoch: 1 })? };
        if sealer.has(epoch) { Ok(epoch) } else { Err(Unopened::KeyNeeded { epoch }) }
    }

    /// The draft with its payload as it leaves this device. All of it is sealed, deletions too: what is bound to nothing,
    /// anybody could have written.
    pub(super) fn sealed(&self, draft: Draft, env: &Env) -> Result<Draft, Unsealed> {
        if !self.seals() || draft.payload.is_sealed() {
            return Ok(draft);
        }
        let epoch = self.epoch_to_seal().map_err(|why| match why {
            Unopened::KeyNeeded { epoch } | Unopened::WrongKey { epoch } => Unsealed::KeyNeeded { epoch },
            other => Unsealed::Refused(other.to_string()),
        })?;
        let Some(sealer) = self.options.sealer.as_deref() else { return Err(Unsealed::KeyNeeded { epoch }) };
        let payload = sealer.seal(self.places.mirror, &draft, epoch, env)?;
        Ok(Draft { payload, ..draft })
    }

    /// An op that was accepted once, as the server takes it now: sealed again where the log has come to a newer epoch, or
    /// wants sealed what it did not.
    pub(super) fn sealed_again(&self, op: &Op, env: &Env) -> Result<Option<Draft>, Unresealed> {
        let said = self.epoch_said();
        let open = match epoch_of(op.payload()) {
            Some(epoch) if epoch >= said => return Ok(None),
            Some(_) => self.means().open(op)?,
            None if self.policy() != Sealing::Required => return Ok(None),
            None => op.payload().clone(),
        };
        Ok(Some(self.sealed(Draft { payload: open, ..op.draft().clone() }, env)?))
    }
}

/// Why an op that is offered again cannot be sealed again.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unresealed {
    #[error(transparent)]
    Unopened(#[from] Unopened),
    #[error(transparent)]
    Unsealed(#[from] Unsealed),
}

impl Unresealed {
    /// The key it needs, or why no key helps.
    pub(super) fn want(&self) -> Result<Unopened, String> {
        match self {
            Self::Unopened(why @ (Unopened::KeyNeeded { .. } | Unopened::WrongKey { .. })) => Ok(*why),
            Self::Unsealed(Unsealed::KeyNeeded { epoch }) => Ok(Unopened::KeyNeeded { epoch: *epoch }),
            other => Err(other.to_string()),
        }
    }
}

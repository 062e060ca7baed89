//! Driving a conversation: the session says what to do, the replica and the transport do it. No timer and no task is
//! started here.

use super::commit::DeskChange;
use super::desk::Identity;
use super::error::ReplicaError;
use super::events::Event;
use super::gate::lock;
use super::replica::Replica;
use super::sealer::Unsealed;
use super::session::{Halt, Input, Output, Phase, Session, SessionOptions};
use super::status::Status;
use super::transport::{CallError, Transport};
use crate::call::{Call, ErrorCode, Refusal, Reply};
use crate::id::ReplicaId;
use crate::limits;
use crate::store::StoreExt as _;
use crate::time::Timestamp;

impl Replica {
    /// A conversation that goes on where this replica stands.
    ///
    /// # Errors
    /// The store's.
    pub async fn session(&self) -> Result<Session, ReplicaError> {
        let fresh = !lock(&self.inner.memory).identity.synced;
        let options = SessionOptions {
            log: self.log().log,
            fresh,
            confirm_first: self.inner.options.confirm.is_some(),
            poll_ms: limits::CLIENT_POLL_MS,
        };
        Ok(Session::new(options, self.inner.cursor().await?))
    }

    /// Does what the session says until it waits; until when, if for a time.
    ///
    /// # Errors
    /// The local store's. What goes wrong on the way to the server, or for want of a key, is the session's business: look at
    /// [`Session::phase`].
    pub async fn advance(
        &self,
        session: &mut Session,
        transport: &dyn Transport,
    ) -> Result<Option<Timestamp>, ReplicaError> {
        loop {
            if self.inner.unlocked() {
                self.inner.read_what_keys_open().await?;
                session.handle(Input::Unlocked, self.inner.env.env());
            }
            let input = match session.poll() {
                Output::Wait(until) => {
                    let phase = session.phase();
                    {
                        let mut conversation = lock(&self.inner.conversation);
                        conversation.phase = Some(phase);
                        if phase == Phase::Live {
                            conversation.error = None;
                        }
                    }
                    if phase == Phase::Live || session.has_read_on() {
                        self.was_synced().await?;
                        self.inner.prune().await?;
                        self.acknowledge(transport).await?;
                    }
                    return Ok(until);
                }
                Output::Prepare => match self.get_ready(transport).await? {
                    Ok(None) => match self.prepare().await {
                        Ok(push) => Input::Prepared(push.map(Box::new)),
                        Err(error) => self.stopped(error).await?,
                    },
                    Ok(Some(why)) => self.halted(why).await?,
                    Err(error) => self.failed(error),
                },
                Output::Call(call) => match self.get_ready(transport).await? {
                    Ok(None) => self.ask(call, transport).await?,
                    Ok(Some(why)) => self.halted(why).await?,
                    Err(error) => self.failed(error),
                },
                Output::Keep(came) => match self.keep(came).await {
                    Ok(kept) => Input::Kept(kept),
                    Err(error) => self.stopped(error).await?,
                },
                Output::Probe(seq) => Input::Probed(self.cursor_at(seq).await?),
                Output::Confirm { end } => {
                    Input::Confirmed(self.inner.options.confirm.as_ref().is_none_or(|confirm| confirm.confirm(end)))
                }
            };
            session.handle(input, self.inner.env.env());
        }
    }

    /// Remembers that the log was once read to its end: a snapshot that reaches it is not followed by a page.
    async fn was_synced(&self) -> Result<(), ReplicaError> {
        if lock(&self.inner.memory).identity.synced {
            return Ok(());
        }
        let _pass = self.inner.enter().await?;
        let identity = Identity { synced: true, ..lock(&self.inner.memory).identity.clone() };
        self.inner.change_desk(DeskChange { identity: Some(identity), ..DeskChange::default() }).await
    }

    async fn ask(&self, call: Call, transport: &dyn Transport) -> Result<Input, ReplicaError> {
        let reply = match transport.call(self.inner.of_part(call)).await {
            Ok(reply) => reply,
            Err(CallError::Refused(refusal))
                if refusal.code == ErrorCode::GapServerEmpty && self.inner.is_partial() =>
            {
                return Err(ReplicaError::CannotFill);
            }
            Err(error) => return Ok(self.failed(self.look_for_kin(error, transport).await?)),
        };
        match self.usable(reply, transport).await {
            Ok(Ok(reply)) => Ok(Input::Replied(reply)),
            Ok(Err(error)) => Ok(self.failed(error)),
            Err(error) => self.stopped(error).await,
        }
    }

    fn failed(&self, error: CallError) -> Input {
        lock(&self.inner.conversation).error = Some(error.to_string());
        Input::Failed(error)
    }

    /// What no server can help with stops the conversation; the local store's errors end it.
    async fn stopped(&self, error: ReplicaError) -> Result<Input, ReplicaError> {
        match error {
            ReplicaError::Unopened(unopened) => match Halt::for_want_of_a_key(unopened) {
                Some(why) => self.halted(why).await,
                None => Err(error),
            },
            ReplicaError::Unsealed(Unsealed::KeyNeeded { epoch }) => self.halted(Halt::KeyNeeded { epoch }).await,
            other => Err(other),
        }
    }

    async fn halted(&self, why: Halt) -> Result<Input, ReplicaError> {
        lock(&self.inner.conversation).error = why.error().map(|error| error.to_string());
        self.inner.watchers.tell(&Event::Halted(why));
        Ok(Input::Stopped { why, cursor: self.inner.cursor().await? })
    }

    /// Syncs once: uploads what waits, downloads what is new, and comes back. For tests, command lines and wake-ups of
    /// mobile systems; an application that stays syncs in the background.
    ///
    /// # Errors
    /// Why it did not come to the end: nothing is lost by it, and the next time goes on from there.
    pub async fn sync_once(&self, transport: &dyn Transport) -> Result<Status, ReplicaError> {
        lock(&self.inner.conversation).error = None;
        let mut session = self.session().await?;
        session.handle(Input::Online, self.inner.env.env());
        self.advance(&mut session, transport).await?;
        match session.phase() {
            Phase::Live => Ok(self.status()),
            phase => {
                let error = lock(&self.inner.conversation).error.clone();
                let why = error.unwrap_or_else(|| format!("{phase:?}"));
                if let Phase::Halted(halt) = phase
                    && let Some(error) = halt.error()
                {
                    return Err(error);
                }
                match phase {
                    Phase::Backoff { .. } => Err(ReplicaError::Call(CallError::Unreachable(why.into()))),
                    _ => Err(ReplicaError::Stopped(format!("{phase:?}: {why}"))),
                }
            }
        }
    }

    /// Another log under the same name may be this one, begun anew: an emptied server that another device of ours has
    /// filled again. Names of replicas are random, so a log in which one of those we know has written is of the family,
    /// and for us like an empty one: what we have is offered, what is there is read. Any other is a stranger's.
    async fn look_for_kin(&self, error: CallError, transport: &dyn Transport) -> Result<CallError, ReplicaError> {
        let CallError::Refused(refusal) = &error else { return Ok(error) };
        if refusal.code != ErrorCode::GapForeignLog {
            return Ok(error);
        }
        // Not its first ops: those may have been pruned.
        let theirs = match transport.call(Call::Status(self.log().log)).await {
            Ok(Reply::Log { bounds, .. }) => bounds,
            Ok(_) | Err(CallError::Refused(_)) => return Ok(error),
            // Whose log it is was not heard: nobody is called a stranger for that.
            Err(lost) => return Ok(lost),
        };
        let bounds = self.inner.store.bounds(self.inner.places.mirror).await?;
        let known = bounds.map(|bounds| bounds.clock).unwrap_or_default();
        let ours = |replica| replica != ReplicaId::SERVER && known.get(replica) > 0;
        let state = theirs.full_state.iter().flat_map(|mark| mark.clock.iter().chain(mark.seen.iter()));
        let kin = theirs.clock.iter().chain(state).any(|(replica, _)| ours(replica));
        if !kin {
            return Ok(error);
        }
        let detail = "the log was begun anew by another device of this log";
        Ok(CallError::Refused(Refusal::new(ErrorCode::GapServerEmpty, detail)))
    }

    /// Says that whoever drove a conversation has ended it: [`Status::phase`] is `None` again, and what went wrong last is
    /// of no interest any more.
    pub fn left_alone(&self) {
        let mut conversation = lock(&self.inner.conversation);
        (conversation.phase, conversation.error) = (None, None);
    }

    /// Waits until something was written here since `times`; [`Replica::edits`] says how often so far.
    pub async fn edited_since(&self, times: u64) {
        self.inner.edited.rung_since(times).await;
    }

    /// How often something was written here since it was opened.
    #[must_use]
    pub fn edits(&self) -> u64 {
        self.inner.edited.times()
    }
}

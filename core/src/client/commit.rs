//! Commits: the desk changed, alone or together with the copy, if it is as this process remembers it.
//!
//! What must hold: whoever lost the replica to another process changes nothing any more; what is remembered of the identity is
//! what was written.
//!
//! Next: `doubt` (when nobody hears how a commit ended), `keep` (what comes from the server has a rule of its own).

use bytes::Bytes;

use super::desk::{Identity, note};
use super::error::ReplicaError;
use super::gate::lock;
use super::replica::{Inner, lost_answer};
use crate::decide::{Choice, Forget, LogView, LogWrites, Reads, Scope, View, WriteSet};
use crate::oplog::{EntityKey, Head, LogBounds};

/// What changes on the desk.
#[derive(Debug, Default)]
pub(super) struct DeskChange {
    pub(super) puts: Vec<(EntityKey, Bytes)>,
    pub(super) gone: Vec<EntityKey>,
    /// In the place of the present one.
    pub(super) identity: Option<Identity>,
}

impl DeskChange {
    fn writes(&self, identity: &Identity, log: crate::LogKey, bounds: LogBounds) -> LogWrites {
        let mut heads: Vec<_> = self.puts.iter().map(|(key, bytes)| (key.clone(), note(bytes.clone()))).collect();
        heads.push((Identity::key(), note(identity.to_bytes())));
        let forget = if self.gone.is_empty() { Forget::Nothing } else { Forget::Heads(self.gone.clone()) };
        LogWrites { heads, forget, ..LogWrites::new(log, bounds) }
    }
}

impl Inner {
    /// Changes the desk.
    pub(super) async fn change_desk(&self, change: DeskChange) -> Result<(), ReplicaError> {
        if change.puts.is_empty() && change.gone.is_empty() && change.identity.is_none() {
            return Ok(());
        }
        let (before, after) = self.identities(&change);
        let (desk, kept) = (self.places.desk, after.clone());
        let rule = move |view: &View| {
            let Some(bounds) = held_bounds(&before, view.log(desk)) else { return Choice::Done(false, None) };
            Choice::Done(true, Some(change.writes(&after, desk, bounds).alone()))
        };
        let reads = Reads { heads: vec![Identity::key()], ..Reads::default() };
        self.decide_on_desk(Scope::log(desk, reads), rule).await?;
        lock(&self.memory).identity = kept;
        Ok(())
    }

    /// Changes the copy, which ends where `before` says, and the desk with it.
    pub(super) async fn change_both(
        &self,
        before: LogBounds,
        mirror: LogWrites,
        change: DeskChange,
    ) -> Result<(), ReplicaError> {
        let places = self.places;
        let (held, after) = self.identities(&change);
        let kept = after.clone();
        let rule = move |view: &View| {
            let same = view.log(places.mirror).bounds.as_ref() == Some(&before);
            let Some(bounds) = held_bounds(&held, view.log(places.desk)).filter(|_| same) else {
                return Choice::Done(false, None);
            };
            let mut logs = vec![mirror.clone(), change.writes(&after, places.desk, bounds)];
            logs.sort_by_key(|writes| writes.log);
            Choice::Done(true, Some(Box::new(WriteSet { logs })))
        };
        let desk = Reads { heads: vec![Identity::key()], ..Reads::default() };
        let scope = Scope::logs(vec![(places.mirror, Reads::default()), (places.desk, desk)]);
        self.decide_on_desk(scope.map_err(|_| lost_answer(&*self.store))?, rule).await?;
        lock(&self.memory).identity = kept;
        Ok(())
    }

    fn identities(&self, change: &DeskChange) -> (Identity, Identity) {
        let before = lock(&self.memory).identity.clone();
        let after = change.identity.clone().unwrap_or_else(|| before.clone());
        (before, after)
    }

    /// Commits by a rule that says whether the desk was as remembered.
    pub(super) async fn decide_on_desk<F>(&self, scope: Scope, rule: F) -> Result<(), ReplicaError>
    where
        F: Fn(&View) -> Choice<bool> + Send + Sync + 'static,
    {
        if self.change(scope, rule).await? {
            return Ok(());
        }
        self.reload().await?;
        Err(ReplicaError::Stopped("the desk was changed meanwhile; try again".into()))
    }
}

/// Whether the desk is as this process remembers it.
pub(super) fn holds_desk(identity: &Identity, desk: &LogView) -> bool {
    desk.heads.get(&Identity::key()).and_then(Head::live_state) == Some(&identity.to_bytes())
}

fn held_bounds(identity: &Identity, desk: &LogView) -> Option<LogBounds> {
    desk.bounds.clone().filter(|_| holds_desk(identity, desk))
}

//! Holding a part of the log: what a partial replica has, takes in and lets go of.
//!
//! A partial replica asks its server for what concerns its [`Part`] and is told of everything else by digest, so it knows
//! where the log ends and that nothing was hidden from the order, and keeps rows for its entities alone. What must hold:
//! what is shown of an entity is what a whole copy would show, or [`ReplicaError::NotHere`]; taking entities in, and the
//! part that says so, are one transaction, at the very place where the copy ends.
//!
//! Next: `mirror` (what is kept of a page), `own` (the own ops that stay), [`Page::only`](crate::call::Page::only).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::commit::holds_desk;
use super::desk::{Identity, note};
use super::error::ReplicaError;
use super::events::Event;
use super::gate::lock;
use super::mirror::{Means, MirrorWrite};
use super::replica::{Inner, Replica, lost_answer};
use super::transport::{CallError, Transport};
use crate::call::{Call, ErrorCode, Page, Reply};
use crate::decide::{Choice, Forget, LogView, LogWrites, Reads, Scope, View, WriteSet};
use crate::id::EntityId;
use crate::limits;
use crate::oplog::{EntityKey, Gap, Head, KeyPrefix, Part, Snapshot, StateEntities};
use crate::seq::{Cursor, Seq};
use crate::store::{PageLimit, StoreExt};

/// Times entities are read anew, when the log moves on meanwhile, before it is given up.
const FETCHES_MAX: usize = 4;

impl Replica {
    /// The part of the log that is held here; `None` when all of it is.
    #[must_use]
    pub fn part(&self) -> Option<Part> {
        lock(&self.inner.memory).identity.part.as_deref().cloned()
    }

    /// Lets go of the states of these entities. They stay in the part: that they changed is still heard of, not what they
    /// say. All of them or none; one that is not here already is no error.
    ///
    /// # Errors
    /// [`ReplicaError::NotPartial`] for a whole copy, [`ReplicaError::Waits`] for an entity with writes that are not in the
    /// log yet, the store's.
    pub async fn evict(&self, keys: &[EntityKey]) -> Result<(), ReplicaError> {
        let inner = &self.inner;
        let pass = inner.enter().await?;
        inner.no_writes_wait(|key| keys.contains(key))?;
        let (log, desk) = (inner.places.mirror, inner.places.desk);
        let wanted: Vec<EntityKey> = keys.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        let scope = inner.both(Reads { heads: wanted, ..Reads::default() })?;
        let identity = inner.partial_identity()?;
        let rule = move |view: &View| {
            let mirror = view.log(log);
            if !holds_desk(&identity, view.log(desk)) {
                return Choice::Done(false, None);
            }
            let Some(bounds) = mirror.bounds.clone() else { return Choice::Done(true, None) };
            let live = mirror.heads.iter().filter(|(_, head)| !head.is_deleted());
            let heads = live.map(|(key, head)| (key.clone(), head.summary())).collect();
            Choice::Done(true, Some(LogWrites { heads, ..LogWrites::new(log, bounds) }.alone()))
        };
        inner.decide_on_desk(scope, rule).await?;
        drop(pass);
        inner.told(keys.iter().cloned());
        Ok(())
    }

    /// Brings evicted entities back, as the log has them where this copy ends; syncs first.
    ///
    /// # Errors
    /// [`ReplicaError::NotPartial`], [`ReplicaError::NotHere`] for an entity outside the part, a missing key,
    /// [`ReplicaError::Moving`], the store's, and whatever the way to the server meets.
    pub async fn fetch(&self, keys: &[EntityKey], transport: &dyn Transport) -> Result<(), ReplicaError> {
        let held = self.part().ok_or(ReplicaError::NotPartial)?;
        if let Some(key) = keys.iter().find(|key| !held.holds(key)) {
            return Err(ReplicaError::NotHere(key.clone()));
        }
        for some in keys.chunks(limits::PART_PREFIXES_MAX) {
            self.take_in(Part::of(some.iter().map(KeyPrefix::entity))?, held.clone(), transport).await?;
        }
        Ok(())
    }

    /// Holds these entities too from now on; syncs first.
    ///
    /// # Errors
    /// As [`Replica::fetch`], and when the two parts together have too many prefixes.
    pub async fn widen(&self, more: &Part, transport: &dyn Transport) -> Result<(), ReplicaError> {
        let held = self.part().ok_or(ReplicaError::NotPartial)?;
        let new: Vec<KeyPrefix> = more.prefixes().iter().filter(|prefix| !held.covers(prefix)).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        self.take_in(Part::of(new)?, held.and(more)?, transport).await
    }

    /// Holds no more than this from now on, and lets go of everything else.
    ///
    /// # Errors
    /// [`ReplicaError::NotPartial`], [`ReplicaError::NotHere`] where `to` is not within what is held,
    /// [`ReplicaError::Waits`] for an entity with writes that are not in the log yet, the store's.
    pub async fn narrow(&self, to: &Part) -> Result<(), ReplicaError> {
        let inner = &self.inner;
        let _pass = inner.enter().await?;
        let before = inner.partial_identity()?;
        let held = self.part().ok_or(ReplicaError::NotPartial)?;
        if let Some(outside) = to.prefixes().iter().find(|prefix| !held.covers(prefix)) {
            return Err(ReplicaError::NotHere(first_of(outside)));
        }
        inner.no_writes_wait(|key| held.holds(key) && !to.holds(key))?;
        let gone = inner.held_outside(&held, to).await?;
        let changed = gone.clone();
        let after = Identity { part: Some(Arc::new(to.clone())), ..before.clone() };
        inner.change_part(&before, after, Forget::Heads(gone), Vec::new(), None).await?;
        inner.told(changed);
        Ok(())
    }

    /// Reads the entities of `new` up to where the copy ends and puts them down together with the part `held`.
    async fn take_in(&self, new: Part, held: Part, transport: &dyn Transport) -> Result<(), ReplicaError> {
        let inner = &self.inner;
        for _ in 0..FETCHES_MAX {
            self.sync_once(transport).await?;
            let Some((heads, at)) = inner.read_aside(&new, transport).await? else { continue };
            let _pass = inner.enter().await?;
            if inner.cursor().await? != at {
                continue;
            }
            let before = inner.partial_identity()?;
            let after = Identity { part: Some(Arc::new(held.clone())), ..before.clone() };
            let found: BTreeSet<EntityKey> = heads.iter().map(|(key, _)| key.clone()).collect();
            // What was evicted and is not found does not exist any more.
            let single = new.prefixes().iter().filter(|prefix| prefix.start().len() == 16).map(first_of);
            let gone = single.filter(|key| !found.contains(key)).collect();
            inner.change_part(&before, after, Forget::Heads(gone), heads, Some(at)).await?;
            inner.told(found);
            return Ok(());
        }
        Err(ReplicaError::Moving)
    }
}

impl Inner {
    /// Whether entities outside its part are unknown here.
    pub(super) fn is_partial(&self) -> bool {
        lock(&self.memory).identity.part.is_some()
    }

    /// Whether an entity is in what is held.
    pub(super) fn holds(&self, key: &EntityKey) -> bool {
        lock(&self.memory).identity.part.as_ref().is_none_or(|part| part.holds(key))
    }

    /// A call as it is made here.
    pub(super) fn of_part(&self, call: Call) -> Call {
        match lock(&self.memory).identity.part.as_deref().cloned() {
            None => call,
            Some(part) => Call::Partly { part, call: Box::new(call) },
        }
    }

    /// Tells everyone that these entities may read differently.
    fn told(&self, keys: impl IntoIterator<Item = EntityKey>) {
        self.version.fetch_add(2, Ordering::AcqRel);
        self.watchers.tell(&Event::Changed(keys.into_iter().collect()));
        self.changed.ring();
    }

    /// Whether a page may be applied here.
    pub(super) fn follows(&self, page: &Page, from: Cursor) -> Result<(), Gap> {
        if lock(&self.memory).identity.part.is_none() {
            return page.follows(self.places.mirror, from);
        }
        page.follows_partly(self.places.mirror, from)?;
        // A state of the whole log is not sent for a part of it: it is asked for as one of the part.
        if page.left_out.iter().any(|op| op.full_state) { Err(Gap::Pruned) } else { Ok(()) }
    }

    fn partial_identity(&self) -> Result<Identity, ReplicaError> {
        let identity = lock(&self.memory).identity.clone();
        if identity.part.is_some() { Ok(identity) } else { Err(ReplicaError::NotPartial) }
    }

    fn no_writes_wait(&self, concerned: impl Fn(&EntityKey) -> bool) -> Result<(), ReplicaError> {
        let memory = lock(&self.memory);
        match memory.pending.entities().find(|key| concerned(key)) {
            Some(key) => Err(ReplicaError::Waits(key.clone())),
            None => Ok(()),
        }
    }

    fn both(&self, mirror: Reads) -> Result<Scope, ReplicaError> {
        let desk = Reads { heads: vec![Identity::key()], ..Reads::default() };
        let scope = Scope::logs(vec![(self.places.mirror, mirror), (self.places.desk, desk)]);
        Ok(scope.map_err(|_| lost_answer(&*self.store))?)
    }

    /// Entities held that are not in `to`.
    async fn held_outside(&self, held: &Part, to: &Part) -> Result<Vec<EntityKey>, ReplicaError> {
        let collections: BTreeSet<_> = held.prefixes().iter().map(KeyPrefix::of).collect();
        let mut gone = Vec::new();
        for collection in collections {
            let mut after = None;
            loop {
                let log = self.places.mirror;
                let page = self.store.heads(log, collection, after.as_ref(), limits::LIST_ITEMS_MAX).await?;
                after = page.heads.last().map(|(key, _)| key.clone());
                gone.extend(page.heads.into_iter().map(|(key, _)| key).filter(|key| !to.holds(key)));
                if !page.more {
                    break;
                }
            }
        }
        Ok(gone)
    }

    /// The heads of a part's entities where the copy ends, read from the server beside the copy; `None` when the two ends
    /// did not meet.
    async fn read_aside(
        &self,
        part: &Part,
        transport: &dyn Transport,
    ) -> Result<Option<(Vec<(EntityKey, Head)>, Cursor)>, ReplicaError> {
        let (log, nothing, now) = (self.places.mirror, LogView::default(), self.env.env().now);
        let Some(bounds) = self.store.bounds(log).await? else { return Ok(Some((Vec::new(), Cursor::START))) };
        let end = self.cursor().await?;
        if end == Cursor::START {
            return Ok(Some((Vec::new(), end)));
        }
        let ask = |call| transport.call(Call::Partly { part: part.clone(), call: Box::new(call) });
        let snapshot = match ask(Call::GetSnapshot(log.log)).await {
            Ok(Reply::Snapshot(snapshot)) => snapshot.map(|snapshot| *snapshot),
            Ok(_) => return Err(another_answer()),
            Err(CallError::Refused(refusal)) if has_no_snapshot(refusal.code) => None,
            Err(error) => return Err(error.into()),
        };
        if snapshot.as_ref().is_some_and(|snapshot| snapshot.seq > end.seq) {
            return Ok(None);
        }
        let schema = &*self.schema;
        let (sealer, policy) = (self.options.sealer.as_deref(), self.policy());
        let means = Means { places: self.places, schema, sealer, policy, part: Some(part) };
        let mut aside = match snapshot {
            None => MirrorWrite::from_start(means, &nothing, bounds.tip.origin, now),
            Some(snapshot) => self.aside_from(means, &nothing, snapshot)?,
        };
        while aside.end().seq < end.seq {
            let cursor = if aside.end().seq == Seq::ZERO { Cursor::START } else { aside.end() };
            let page = match ask(Call::Pull { log: log.log, cursor, limit: PageLimit::default() }).await? {
                Reply::Pulled(page) => page,
                _ => return Err(another_answer()),
            };
            page.follows_partly(log, cursor).map_err(ReplicaError::Gap)?;
            if page.next.seq <= cursor.seq || !go_on(&mut aside, &page, end.seq)? {
                return Ok(None);
            }
        }
        if aside.end() != end {
            return Err(ReplicaError::Gap(Gap::Diverged));
        }
        let (_, heads) = aside.into_state();
        Ok(Some((heads.into_iter().filter_map(|(key, head)| Some((key, head?))).collect(), end)))
    }

    fn aside_from<'a>(
        &self,
        means: Means<'a>,
        nothing: &'a LogView,
        snapshot: Snapshot,
    ) -> Result<MirrorWrite<'a>, ReplicaError> {
        let state = self.opened(&snapshot)?.bytes().clone();
        StateEntities::read(state.clone())?.try_for_each(|entity| entity.map(drop))?;
        let begun = MirrorWrite::from_snapshot(means, nothing, snapshot, state, self.env.env().now);
        begun.ok_or(ReplicaError::Gap(Gap::Hole))
    }

    /// Changes what is held, and the rows with it, if the desk and the place are as this process remembers them.
    async fn change_part(
        &self,
        before: &Identity,
        after: Identity,
        forget: Forget,
        heads: Vec<(EntityKey, Head)>,
        at: Option<Cursor>,
    ) -> Result<(), ReplicaError> {
        let places = self.places;
        let scope =
            self.both(Reads { heads: heads.iter().map(|(key, _)| key.clone()).collect(), ..Reads::default() })?;
        let (remembered, desired) = (before.clone(), after.clone());
        let rule = move |view: &View| {
            let (mirror, desk) = (view.log(places.mirror), view.log(places.desk));
            let Some(desk_bounds) = desk.bounds.clone().filter(|_| holds_desk(&remembered, desk)) else {
                return Choice::Done(false, None);
            };
            let moved = |end: Cursor| at.is_some_and(|at| at != end && at != Cursor::START);
            if mirror.bounds.as_ref().is_some_and(|bounds| moved(bounds.end())) {
                return Choice::Done(false, None);
            }
            let note = vec![(Identity::key(), note(desired.to_bytes()))];
            let mut logs = vec![LogWrites { heads: note, ..LogWrites::new(places.desk, desk_bounds) }];
            if let Some(bounds) = mirror.bounds.clone() {
                let heads = heads.iter().map(|(key, head)| (key.clone(), back(mirror.heads.get(key), head))).collect();
                logs.push(LogWrites { heads, forget: forget.clone(), ..LogWrites::new(places.mirror, bounds) });
            }
            logs.sort_by_key(|writes| writes.log);
            Choice::Done(true, Some(Box::new(WriteSet { logs })))
        };
        self.decide_on_desk(scope, rule).await?;
        lock(&self.memory).identity = after;
        Ok(())
    }
}

/// A fetched head in the place of the one that is there: of an evicted entity the version is known, only the state is not.
fn back(there: Option<&Head>, fetched: &Head) -> Head {
    match there {
        None => fetched.clone(),
        Some(there) if !there.is_evicted() => there.clone(),
        Some(there) => Head { state: fetched.state.clone(), ..there.clone() },
    }
}

/// Applies what a page has up to a place; whether nothing of it has to be asked for as a state.
fn go_on(aside: &mut MirrorWrite<'_>, page: &Page, upto: Seq) -> Result<bool, ReplicaError> {
    let mut passed = page.left_out.iter().filter(|op| op.seq <= upto).peekable();
    for op in page.ops.iter().filter(|op| op.seq <= upto) {
        while let Some(other) = passed.next_if(|other| other.seq < op.seq) {
            if other.full_state {
                return Ok(false);
            }
            aside.pass(other);
        }
        aside.apply(op)?;
    }
    for other in passed {
        if other.full_state {
            return Ok(false);
        }
        aside.pass(other);
    }
    Ok(true)
}

/// Answers that mean: read from the start.
const fn has_no_snapshot(code: ErrorCode) -> bool {
    use ErrorCode::{GapPruned, ReplayTooLarge, SealedHistory, UnknownHistory};
    matches!(code, GapPruned | ReplayTooLarge | SealedHistory | UnknownHistory)
}

fn another_answer() -> ReplicaError {
    CallError::Protocol("an answer to something else".into()).into()
}

/// The first key that begins so.
fn first_of(prefix: &KeyPrefix) -> EntityKey {
    let mut entity = [0; 16];
    entity[..prefix.start().len()].copy_from_slice(prefix.start());
    EntityKey { collection: prefix.of().clone(), entity: EntityId::from_bytes(entity) }
}

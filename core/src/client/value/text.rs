//! A text that many type into.
//!
//! What must hold: what this device typed is in the text it shows, and numbered after what it typed before; an edit that
//! could not be written is not in the text. Edits of this replica are made one after the other.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::stable_state;
use crate::client::gate::{Pass, lock};
use crate::client::handle::Entities;
use crate::client::{Receipt, Replica, ReplicaError, Write};
use crate::crdt::taken::{LeftOut, LeftOuts, take_in};
use crate::crdt::text::{Anchor, Expand, Marked, Side, Text, TextError, Undo, Version, Written};
use crate::crdt::writing::{Said, TextEdit, TextState, WriterId};
use crate::id::{EntityId, ReplicaId};
use crate::oplog::{EntityKey, OpKind, Payload, Precondition, ReduceError, Texts};

/// One entity as a text. Clones share what was read of it, and one history of what can be undone.
///
/// Positions and lengths are Unicode scalar values ([`crate::crdt::text`]).
#[derive(Debug, Clone)]
pub struct SharedText {
    replica: Replica,
    key: EntityKey,
    live: Arc<Mutex<Live>>,
}

/// The text as it was shown last.
#[derive(Debug, Default)]
struct Live {
    state: Option<TextState>,
    text: Text,
    undo: Option<Undo>,
    /// Records that wait for what they build on.
    waiting: Vec<(ReplicaId, Said)>,
    /// Records of the state that can never apply.
    left_out: Vec<LeftOut>,
}

/// Edits in the making: one op for all of them.
#[derive(Debug)]
pub struct Typing<'t> {
    text: &'t mut Text,
    author: ReplicaId,
}

impl Typing<'_> {
    /// The text with the edits so far.
    #[must_use]
    pub const fn text(&self) -> &Text {
        self.text
    }

    /// Where an anchor stands with the edits so far: what was asked before the edit began may be stale by now.
    ///
    /// # Errors
    /// [`TextError::Unseen`], [`TextError::Collected`].
    pub fn resolve(&mut self, anchor: Anchor) -> Result<usize, TextError> {
        self.text.resolve(anchor)
    }

    /// A place in the text with the edits so far that stays where it is while others edit.
    ///
    /// # Errors
    /// [`TextError::OutOfBounds`], [`TextError::Collected`].
    pub fn anchor(&mut self, at: usize, side: Side) -> Result<Anchor, TextError> {
        self.text.anchor(at, side)
    }

    /// Inserts before a character.
    ///
    /// # Errors
    /// [`TextError::OutOfBounds`], [`TextError::TooLarge`].
    pub fn insert(&mut self, at: usize, text: &str) -> Result<(), TextError> {
        self.text.insert(self.author, at, text)
    }

    /// Deletes characters.
    ///
    /// # Errors
    /// [`TextError::OutOfBounds`], [`TextError::TooLarge`].
    pub fn delete(&mut self, range: Range<usize>) -> Result<(), TextError> {
        self.text.delete(self.author, range)
    }

    /// Replaces characters.
    ///
    /// # Errors
    /// [`TextError::OutOfBounds`], [`TextError::TooLarge`].
    pub fn splice(&mut self, range: Range<usize>, text: &str) -> Result<(), TextError> {
        let at = range.start;
        self.delete(range)?;
        self.insert(at, text)
    }
}

impl Entities {
    /// The text with a name of the application's choosing, in a collection of texts: the same on every device.
    ///
    /// # Errors
    /// [`ReplicaError::WrongType`], when the schema says that the collection holds something else.
    pub fn text(&self, name: &str) -> Result<SharedText, ReplicaError> {
        self.text_of(EntityId::named(name))
    }

    /// The text with an id.
    ///
    /// # Errors
    /// As [`Entities::text`].
    pub fn text_of(&self, entity: EntityId) -> Result<SharedText, ReplicaError> {
        let (replica, collection) = self.parts();
        if replica.inner.schema.rules(collection).reducer.holds() != Some(Texts::NAME) {
            return Err(ReplicaError::WrongType { collection: collection.clone(), asked: Texts::NAME });
        }
        let key = EntityKey { collection: collection.clone(), entity };
        Ok(SharedText { replica: replica.clone(), key, live: Arc::default() })
    }
}

impl SharedText {
    /// Which entity it is.
    #[must_use]
    pub const fn key(&self) -> &EntityKey {
        &self.key
    }

    /// The text as this device shows it; empty where there is none.
    ///
    /// # Errors
    /// The store's, [`ReplicaError::NotHere`], or that the state does not read.
    pub async fn get(&self) -> Result<String, ReplicaError> {
        self.look(|text| text.to_string()).await
    }

    /// Whether there is a text: somebody wrote in it, and nobody deleted it since.
    ///
    /// # Errors
    /// As [`SharedText::get`].
    pub async fn exists(&self) -> Result<bool, ReplicaError> {
        self.refresh().await?;
        let live = lock(&self.live);
        Ok(live.state.as_ref().is_some_and(|state| state.shows(&live.text)))
    }

    /// Looks at the text as this device shows it now: its length, a piece of it, positions in other units.
    ///
    /// # Errors
    /// As [`SharedText::get`].
    pub async fn look<T>(&self, look: impl FnOnce(&Text) -> T) -> Result<T, ReplicaError> {
        self.refresh().await?;
        Ok(look(&lock(&self.live).text))
    }

    /// The text with all its history, to look back with: at any version, what changed, what was whose.
    ///
    /// # Errors
    /// As [`SharedText::get`].
    pub async fn history(&self) -> Result<Text, ReplicaError> {
        self.look(Clone::clone).await
    }

    /// Inserts text before a character.
    ///
    /// # Errors
    /// [`ReplicaError::Text`] when there is no such place; as [`SharedText::get`] and [`Replica::write`].
    pub async fn insert(&self, at: usize, text: &str) -> Result<Option<Receipt>, ReplicaError> {
        self.edit(|typing| typing.insert(at, text)).await
    }

    /// Deletes characters.
    ///
    /// # Errors
    /// As [`SharedText::insert`].
    pub async fn delete(&self, range: Range<usize>) -> Result<Option<Receipt>, ReplicaError> {
        self.edit(|typing| typing.delete(range)).await
    }

    /// Makes several edits as one op; its receipt, `None` when they changed nothing. When one fails none is made.
    ///
    /// Ops that wait for the server are put together before they are sent: a slow link carries runs, not keystrokes.
    ///
    /// # Errors
    /// As [`SharedText::insert`].
    pub async fn edit(
        &self,
        edit: impl FnOnce(&mut Typing<'_>) -> Result<(), TextError>,
    ) -> Result<Option<Receipt>, ReplicaError> {
        self.change(|text, _, author| edit(&mut Typing { text, author })).await
    }

    /// Undoes what this device did here since the last [`SharedText::step`], or the step before; others' text is not
    /// touched. `None` when there is nothing to undo.
    ///
    /// # Errors
    /// As [`SharedText::insert`].
    pub async fn undo(&self) -> Result<Option<Receipt>, ReplicaError> {
        self.change(|text, undo, _| undo.undo(text).map(drop)).await
    }

    /// Does again what was undone last. `None` when there is nothing, or this device typed since.
    ///
    /// # Errors
    /// As [`SharedText::insert`].
    pub async fn redo(&self) -> Result<Option<Receipt>, ReplicaError> {
        self.change(|text, undo, _| undo.redo(text).map(drop)).await
    }

    /// Ends what is undone together. Steps are kept as long as this handle, and no longer than the history they are of.
    pub fn step(&self) {
        let mut live = lock(&self.live);
        let live = &mut *live;
        if let Some(undo) = &mut live.undo {
            undo.step(&live.text);
        }
    }

    /// Deletes the text as it is seen here. What others type meanwhile stays, and so brings it back.
    ///
    /// # Errors
    /// As [`SharedText::insert`].
    pub async fn remove(&self) -> Result<Receipt, ReplicaError> {
        let whole = |text: &mut Text, _: &mut Undo, author: ReplicaId| text.delete(author, 0..text.len());
        match self.changed(OpKind::Delete, whole).await? {
            Some(receipt) => Ok(receipt),
            // Nothing is there to delete; it is said all the same.
            None => self.write(OpKind::Delete, Bytes::new()).await,
        }
    }

    /// Says that a key has a value in a range: bold, a link, a comment. `None` takes it away. Where several say so at once,
    /// one wins for each character; `expand` says which typing at the edges takes part.
    ///
    /// # Errors
    /// As [`SharedText::insert`], and when key or value are too large.
    pub async fn mark(
        &self,
        range: Range<usize>,
        key: &str,
        value: Option<&str>,
        expand: Expand,
    ) -> Result<Receipt, ReplicaError> {
        let _turn = self.turn().await?;
        let writer = self.writer();
        let mark = lock(&self.live).text.mark(writer.author(), range, key, value, expand)?;
        self.say(OpKind::Update, TextEdit { writer, said: Said::Marked(mark) }).await
    }

    /// The text in stretches that have the same marks.
    ///
    /// # Errors
    /// As [`SharedText::get`].
    pub async fn marked(&self) -> Result<Vec<Marked>, ReplicaError> {
        self.refresh().await?;
        Ok(lock(&self.live).text.marked()?)
    }

    /// A place that stays where it is while others edit.
    ///
    /// # Errors
    /// As [`SharedText::insert`].
    pub async fn anchor(&self, at: usize, side: Side) -> Result<Anchor, ReplicaError> {
        self.refresh().await?;
        Ok(lock(&self.live).text.anchor(at, side)?)
    }

    /// Where an anchor stands now.
    ///
    /// # Errors
    /// As [`SharedText::insert`]; [`TextError::Unseen`] where its character has not arrived.
    pub async fn resolve(&self, anchor: Anchor) -> Result<usize, ReplicaError> {
        self.refresh().await?;
        Ok(lock(&self.live).text.resolve(anchor)?)
    }

    /// The text as it was at a version of it ([`Text::version`]).
    ///
    /// # Errors
    /// As [`SharedText::insert`].
    pub async fn at(&self, version: &Version) -> Result<String, ReplicaError> {
        self.refresh().await?;
        Ok(lock(&self.live).text.text_at(version)?)
    }

    /// Who wrote what of it, from the start on: writers, each a device from one opening of its replica to the next.
    ///
    /// # Errors
    /// As [`SharedText::insert`].
    pub async fn blame(&self) -> Result<Vec<Written>, ReplicaError> {
        self.refresh().await?;
        Ok(lock(&self.live).text.blame()?)
    }

    /// What was said of the text and has no effect, for anybody: edits that can never apply, with the reasons. What this
    /// device lost that way, of what it typed since its replica was opened, bears its [`SharedText::writer`].
    ///
    /// # Errors
    /// As [`SharedText::get`].
    pub async fn left_out(&self) -> Result<LeftOuts, ReplicaError> {
        self.refresh().await?;
        let live = lock(&self.live);
        let mut all = live.state.as_ref().map(|state| state.left_out().clone()).unwrap_or_default();
        all.extend(live.left_out.iter().copied());
        Ok(all)
    }

    /// Forgets everywhere what deleted characters were, when every device that counts is known to have heard of their
    /// deletion; `None` when there is nothing to forget, or that is not known yet. They take room until then, and versions from
    /// before show U+001A in their place afterwards. Worth a call now and then.
    ///
    /// Who has not heard of it, whatever the frontier says, loses nothing: edits made on any older version still apply, and
    /// come out as they would have.
    ///
    /// # Errors
    /// As [`SharedText::get`] and [`Replica::write`].
    pub async fn forget_deleted(&self) -> Result<Option<Receipt>, ReplicaError> {
        let _turn = self.turn().await?;
        let Some(state) = stable_state(&self.replica, &self.key).await? else { return Ok(None) };
        let unfit = || ReduceError::Unfit(Texts::NAME);
        let mut text = TextState::read(state.into()).map_err(|_| unfit())?.load()?;
        if text.forgettable()? == 0 {
            return Ok(None);
        }
        let edit = TextEdit { writer: self.writer(), said: Said::Forgotten };
        self.say(OpKind::Update, edit).await.map(Some)
    }

    /// What this device is called in the text while its replica is open.
    #[must_use]
    pub fn writer(&self) -> WriterId {
        let lease = lock(&self.replica.inner.memory).identity.lease;
        let mut name = [0; 8];
        name.copy_from_slice(&lease[..8]);
        WriterId(name)
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut Text, &mut Undo, ReplicaId) -> Result<(), TextError>,
    ) -> Result<Option<Receipt>, ReplicaError> {
        self.changed(OpKind::Update, change).await
    }

    async fn changed(
        &self,
        kind: OpKind,
        change: impl FnOnce(&mut Text, &mut Undo, ReplicaId) -> Result<(), TextError>,
    ) -> Result<Option<Receipt>, ReplicaError> {
        let _turn = self.turn().await?;
        let edit = lock(&self.live).make(self.writer(), change)?;
        match edit {
            Some(edit) => self.say(kind, edit).await.map(Some),
            None => Ok(None),
        }
    }

    /// Waits until no other edit of this replica is being made, and shows everything there is.
    async fn turn(&self) -> Result<Pass<'_>, ReplicaError> {
        let inner = &self.replica.inner;
        let turn = inner.editing.enter().await;
        // After a write of which nobody knew how it ended: it is known then.
        drop(inner.enter().await?);
        match self.refresh().await {
            // What is typed into a text that is not held here goes to its beginning.
            Err(ReplicaError::NotHere(_)) => {}
            refreshed => refreshed?,
        }
        Ok(turn)
    }

    /// Writes what the live text shows already; if that fails, it shows it no more.
    async fn say(&self, kind: OpKind, edit: TextEdit) -> Result<Receipt, ReplicaError> {
        let written = self.write(kind, edit.to_bytes()).await;
        if written.is_err() {
            *lock(&self.live) = Live::default();
        }
        written
    }

    async fn write(&self, kind: OpKind, payload: Bytes) -> Result<Receipt, ReplicaError> {
        let payload = Payload::Plain(payload);
        self.replica.write(Write { key: self.key.clone(), kind, precondition: Precondition::None, payload }).await
    }

    /// Brings the live text to what this device shows.
    async fn refresh(&self) -> Result<(), ReplicaError> {
        let state = self.replica.inner.visible(&self.key).await?;
        let state = state.map(|state| TextState::read(state.into())).transpose();
        let state = state.map_err(|_| ReduceError::Unfit(Texts::NAME))?;
        Ok(lock(&self.live).follow(state)?)
    }
}

impl Live {
    fn make(
        &mut self,
        writer: WriterId,
        change: impl FnOnce(&mut Text, &mut Undo, ReplicaId) -> Result<(), TextError>,
    ) -> Result<Option<TextEdit>, TextError> {
        let author = writer.author();
        let undo = self.undo.get_or_insert_with(|| Undo::new(&self.text, author));
        let since = self.text.seen(author);
        let made = change(&mut self.text, undo, author);
        if made.is_err() && self.text.seen(author) > since {
            // Half of it is done.
            *self = Self::default();
        }
        made?;
        if self.text.seen(author) == since {
            return Ok(None);
        }
        Ok(Some(TextEdit { writer, said: Said::Typed(self.text.delta(author, since)?) }))
    }

    /// Goes on to a newer state, keeping what can be undone where that is possible.
    fn follow(&mut self, state: Option<TextState>) -> Result<(), TextError> {
        if self.state == state {
            return Ok(());
        }
        let Some(state) = state else {
            *self = Self::default();
            return Ok(());
        };
        let news = self.state.as_ref().and_then(|known| news(known, &state));
        if !news.is_some_and(|news| self.go_on(news)) {
            let (mut text, taken) = state.merge()?;
            (self.waiting, self.left_out) = (taken.waiting, taken.left_out);
            if !catch_up(&mut self.text, &mut text) {
                (self.text, self.undo) = (text, None);
            }
        }
        self.state = Some(state);
        Ok(())
    }

    /// Takes in what is new; whether all of it applies or waits. Of two that say something else under the same numbers the
    /// first in the log counts, which may not be the first here.
    fn go_on(&mut self, news: Vec<(ReplicaId, Said)>) -> bool {
        let waiting = std::mem::take(&mut self.waiting);
        let taken = take_in(&mut self.text, waiting.into_iter().chain(news));
        self.waiting = taken.waiting;
        taken.left_out.is_empty()
    }
}

/// The records of a newer state that an older one does not have; `None` where it does not go on from there.
fn news(known: &TextState, state: &TextState) -> Option<Vec<(ReplicaId, Said)>> {
    if known.saved() != state.saved() {
        return None;
    }
    let (mut old, mut new) = (known.records().flatten().peekable(), state.records().flatten().peekable());
    while old.peek().is_some() && old.peek() == new.peek() {
        old.next();
        new.next();
    }
    let news: Vec<_> = new.collect();
    // Deleting everything means another thing in another place; and what is gone must not stay.
    let clears = |record: &(ReplicaId, Said)| record.1 == Said::Cleared;
    let whole = old.all(|record| news.contains(&record) && !clears(&record)) && !news.iter().any(clears);
    whole.then_some(news)
}

/// Takes in what another text has; whether both have the same then.
fn catch_up(text: &mut Text, other: &mut Text) -> bool {
    let authors: Vec<ReplicaId> = other.authors().filter(|author| text.seen(*author) < other.seen(*author)).collect();
    let mut deltas: Vec<(ReplicaId, Bytes)> = Vec::new();
    for author in authors {
        match other.delta(author, text.seen(author)) {
            Ok(delta) => deltas.push((author, delta)),
            Err(_) => return false,
        }
    }
    // One may build on what another brings.
    while !deltas.is_empty() {
        let before = deltas.len();
        deltas.retain(|(author, delta)| text.apply(*author, delta).is_err());
        if deltas.len() == before {
            return false;
        }
    }
    text.state_hash() == other.state_hash()
}

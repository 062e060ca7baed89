//! Public links, beside the log in its own transactions: a [record](LinkRecord) each, and apart from it what
//! [has come of it](LinkUse), so that a download does not rewrite who made it.

use super::{Choice, LogWrites, View, note_head};
use crate::access::{LinkEnd, LinkRecord, LinkUse};
use crate::id::{EntityId, LinkId, LogKey};
use crate::oplog::{Collection, EntityKey, Head};
use crate::time::Timestamp;
use crate::tree::{Found, TreeView as _};

/// The notes of a log's links.
#[must_use]
pub fn link_notes() -> Collection {
    Collection::system("sys.link")
}

/// The note of a link.
#[must_use]
pub fn link_key(link: LinkId) -> EntityKey {
    EntityKey { collection: link_notes(), entity: EntityId::from_bytes(*link.as_bytes()) }
}

/// The note of what has come of a link.
#[must_use]
pub fn link_use_key(link: LinkId) -> EntityKey {
    EntityKey { collection: Collection::system("sys.link.use"), ..link_key(link) }
}

/// A link, by its note.
///
/// # Errors
/// When it does not read.
pub fn link_of(note: Option<&Head>) -> Result<Option<LinkRecord>, serde_json::Error> {
    note.and_then(Head::live_state).map(|state| serde_json::from_slice(state)).transpose()
}

/// What has come of a link, by its note.
///
/// # Errors
/// When it does not read.
pub fn link_use_of(note: Option<&Head>) -> Result<LinkUse, serde_json::Error> {
    note.and_then(Head::live_state).map_or_else(|| Ok(LinkUse::default()), |state| serde_json::from_slice(state))
}

/// Keeps a new link, if its node lives and can be linked to: a file, or a folder without a pin. Whether it is kept. Needs the
/// node in its reads.
#[must_use]
pub fn make_link(log: LogKey, link: LinkId, record: &LinkRecord, view: &View) -> Choice<bool> {
    let seen = view.log(log);
    let fits = match seen.tree.node(record.node) {
        Ok(Found::Node(node)) => {
            let pinned = record.pin.is_some();
            node.dead.is_none() && if node.is_folder() { !pinned } else { node.kind == crate::tree::Kind::File }
        }
        _ => false,
    };
    match (seen.bounds.clone().filter(|_| fits), serde_json::to_vec(record)) {
        (Some(bounds), Ok(state)) => {
            let head = note_head(&bounds, state.into());
            let writes = LogWrites { heads: vec![(link_key(link), head)], ..LogWrites::new(log, bounds) };
            Choice::Done(true, Some(writes.alone()))
        }
        _ => Choice::Done(false, None),
    }
}

/// Ends a link; one that has ended stays as it is. `false` when there is none. Needs [its note](link_key).
///
/// # Errors
/// When it does not read.
pub fn revoke_link(log: LogKey, link: LinkId, now: Timestamp, view: &View) -> Result<Choice<bool>, serde_json::Error> {
    let seen = view.log(log);
    let Some(record) = link_of(seen.heads.get(&link_key(link)))? else { return Ok(Choice::Done(false, None)) };
    let Some(bounds) = seen.bounds.clone().filter(|_| record.revoked_at.is_none()) else {
        return Ok(Choice::Done(true, None));
    };
    let state = serde_json::to_vec(&LinkRecord { revoked_at: Some(now), ..record })?;
    let head = note_head(&bounds, state.into());
    let writes = LogWrites { heads: vec![(link_key(link), head)], ..LogWrites::new(log, bounds) };
    Ok(Choice::Done(true, Some(writes.alone())))
}

/// Counts a download, if the link still allows one. Needs both notes.
///
/// # Errors
/// When one does not read.
pub fn count_download(
    log: LogKey,
    link: LinkId,
    now: Timestamp,
    view: &View,
) -> Result<Choice<Result<(), LinkEnd>>, serde_json::Error> {
    change_use(log, link, view, |record, come| {
        record.admit(come, now)?;
        come.downloads = come.downloads.saturating_add(1);
        Ok(())
    })
}

/// Whether somebody may guess, or until when to wait; or why the link leads nowhere.
pub type Guess = Result<Result<(), Timestamp>, LinkEnd>;

/// Begins a guess at a link's password; says until when to wait where nobody may guess now. Needs both notes.
///
/// # Errors
/// When one does not read.
pub fn try_guess(log: LogKey, link: LinkId, now: Timestamp, view: &View) -> Result<Choice<Guess>, serde_json::Error> {
    change_use(log, link, view, |_, come| Ok(come.try_guess(now)))
}

/// A guess that began then has ended; says until when to wait where that was too late. Needs both notes.
///
/// # Errors
/// When one does not read.
pub fn end_guess(
    log: LogKey,
    link: LinkId,
    guess: (Timestamp, bool),
    now: Timestamp,
    view: &View,
) -> Result<Choice<Guess>, serde_json::Error> {
    change_use(log, link, view, |_, come| Ok(come.guessed(guess.0, guess.1, now)))
}

fn change_use<R>(
    log: LogKey,
    link: LinkId,
    view: &View,
    change: impl FnOnce(&LinkRecord, &mut LinkUse) -> Result<R, LinkEnd>,
) -> Result<Choice<Result<R, LinkEnd>>, serde_json::Error> {
    let seen = view.log(log);
    let record = link_of(seen.heads.get(&link_key(link)))?;
    let before = link_use_of(seen.heads.get(&link_use_key(link)))?;
    let (Some(record), Some(bounds)) = (record, seen.bounds.clone()) else {
        return Ok(Choice::Done(Err(LinkEnd::Unknown), None));
    };
    let mut come = before.clone();
    let changed = change(&record, &mut come);
    if changed.is_err() || come == before {
        return Ok(Choice::Done(changed, None));
    }
    let head = note_head(&bounds, serde_json::to_vec(&come)?.into());
    let writes = LogWrites { heads: vec![(link_use_key(link), head)], ..LogWrites::new(log, bounds) };
    Ok(Choice::Done(changed, Some(writes.alone())))
}

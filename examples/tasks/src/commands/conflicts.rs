//! Edits that did not simply go through: those that met somebody else's, and those that were refused. None is dropped
//! before somebody says so.

use serde_json::{Value, json};
use syncline::client::{Choose, Conflict, Outcome, ParkReason, WriteNo};
use syncline::oplog::{Op, OpKind, Payload};
use syncline_desk::{Fault, Said};

use super::Did;
use crate::app::App;
use crate::note::{self, NOTES};
use crate::number::Number;
use crate::task::{self, short};

/// Conflicts, open ones and those that ended.
///
/// # Errors
/// The store's.
pub(super) async fn list(app: &App) -> Result<Said, Fault> {
    let (mut found, mut lines) = (Vec::new(), Vec::new());
    for conflict in app.replica.conflicts().await? {
        let theirs = conflict.theirs.as_ref().and_then(|op| op.read().ok());
        found.push(json!({
            "number": conflict.no().get(), "outcome": outcome(conflict.outcome), "reason": conflict.reason.name(),
            "mine": meant(conflict.mine()), "theirs": theirs.as_ref().map(meant),
        }));
        let theirs = theirs.as_ref().map_or_else(|| "(not kept here)".to_owned(), in_words);
        let title = title(app, conflict.mine()).await?;
        let number = Number::from(conflict.no());
        let head = format!("{number}  {title}: {}", outcome_in_words(conflict.outcome));
        lines.push(format!("{head}\n  mine:   {}\n  theirs: {theirs}", in_words(conflict.mine())));
    }
    let text = if lines.is_empty() { "No conflicts.".to_owned() } else { lines.join("\n") };
    Ok(Said::new(json!({ "reply": "conflicts", "conflicts": found }), text))
}

/// Decides a conflict.
///
/// # Errors
/// When there is none with this number, or the note does not belong to it.
pub(super) async fn resolve(
    app: &App,
    number: Number,
    mine: bool,
    theirs: bool,
    text: Option<String>,
) -> Result<Did, Fault> {
    let conflicts = app.replica.conflicts().await?;
    let known = conflicts.iter().find(|conflict| Number::from(conflict.no()) == number);
    let conflict = known.ok_or_else(|| Fault::new(format!("there is no conflict {number}")))?;
    let choose = match (mine, theirs, text) {
        (true, ..) => Choose::Mine,
        (_, true, _) => Choose::Theirs,
        (_, _, Some(text)) if is_note(conflict) => {
            Choose::Instead(Payload::Json(note::content(&text).to_string().into()))
        }
        _ => return Err(Fault::new(format!("{number} is not about a note; choose --mine or --theirs"))),
    };
    let receipt = app.replica.resolve(conflict.no(), choose).await?;
    let writes: Vec<u64> = receipt.iter().map(|receipt| receipt.no().get()).collect();
    let said = Said::new(json!({ "reply": "resolve", "number": number.get(), "writes": writes }), "Decided.");
    Ok(Did { said, receipts: receipt.into_iter().collect() })
}

/// Refused edits.
///
/// # Errors
/// The store's.
pub(super) async fn parked(app: &App) -> Result<Said, Fault> {
    let (mut found, mut lines) = (Vec::new(), Vec::new());
    for parked in app.replica.parked().await? {
        let why = reason(&parked.reason);
        let title = title(app, parked.op()).await?;
        lines.push(format!("{}  {title}: {}\n  refused: {why}", Number::from(parked.no()), in_words(parked.op())));
        found.push(json!({ "number": parked.no().get(), "why": why, "mine": meant(parked.op()) }));
    }
    let text = if lines.is_empty() { "Nothing was refused.".to_owned() } else { lines.join("\n") };
    Ok(Said::new(json!({ "reply": "parked", "parked": found }), text))
}

/// Sends a refused edit again.
///
/// # Errors
/// When there is none with this number.
pub(super) async fn retry(app: &App, number: Number) -> Result<Said, Fault> {
    app.replica.retry(find(app, number).await?, None).await?;
    Ok(Said::new(json!({ "reply": "retry", "number": number.get() }), "It is sent again."))
}

/// Gives a refused edit up.
///
/// # Errors
/// When there is none with this number.
pub(super) async fn discard(app: &App, number: Number) -> Result<Said, Fault> {
    app.replica.discard(find(app, number).await?).await?;
    Ok(Said::new(json!({ "reply": "discard", "number": number.get() }), "It is given up."))
}

async fn find(app: &App, number: Number) -> Result<WriteNo, Fault> {
    let parked = app.replica.parked().await?;
    let found = parked.iter().map(syncline::client::Parked::no).find(|no| Number::from(*no) == number);
    found.ok_or_else(|| Fault::new(format!("there is no refused edit {number}")))
}

/// Why an edit was refused, for people.
pub(crate) fn reason(reason: &ParkReason) -> String {
    match reason {
        ParkReason::Rejected(reason) => format!("the server rejects it: {}", reason.name()),
        ParkReason::Refused { code, detail } => format!("{detail} ({code})"),
        ParkReason::Unsendable(why) => format!("it cannot be sent: {why}"),
        ParkReason::Batch => "it belongs together with another edit that did not go through".to_owned(),
        other => format!("{other:?}"),
    }
}

/// An op for programs.
pub(crate) fn meant(op: &Op) -> Value {
    let key = op.subject().keys().next();
    let fields = serde_json::from_slice::<Value>(op.payload().bytes()).unwrap_or_default();
    json!({
        "op": op.id().to_string(), "kind": kind(op.kind()),
        "collection": key.as_ref().map(|key| key.collection.as_str()),
        "task": key.as_ref().map(|key| key.entity.to_string()), "fields": fields,
    })
}

/// An op for people.
pub(crate) fn in_words(op: &Op) -> String {
    let about_note = op.subject().keys().next().is_some_and(|key| key.collection.as_str() == NOTES);
    match (op.kind(), serde_json::from_slice::<serde_json::Map<String, Value>>(op.payload().bytes())) {
        (OpKind::Delete, _) if about_note => "deletes the note".to_owned(),
        (OpKind::Delete, _) => "deletes it".to_owned(),
        (OpKind::FullState(_), _) => "sets the whole list".to_owned(),
        (_, Ok(fields)) => {
            let fields = fields.iter().filter(|(name, _)| *name != "made_ms");
            let name = |name: &String| if about_note { "note".to_owned() } else { name.clone() };
            fields.map(|(field, value)| format!("{} = {value}", name(field))).collect::<Vec<_>>().join(", ")
        }
        (kind, Err(_)) => format!("{kind:?}, which this version does not read"),
    }
}

async fn title(app: &App, op: &Op) -> Result<String, Fault> {
    let Some(key) = op.subject().keys().next() else { return Ok("the whole list".to_owned()) };
    let task = task::read(&app.replica, key.entity).await?;
    Ok(task.and_then(|task| task.title).unwrap_or_else(|| short(&key.entity)))
}

fn is_note(conflict: &Conflict) -> bool {
    conflict.mine().subject().keys().any(|key| key.collection.as_str() == NOTES)
}

const fn kind(kind: OpKind) -> &'static str {
    match kind {
        OpKind::Create => "create",
        OpKind::Update => "update",
        OpKind::Delete => "delete",
        OpKind::FullState(_) => "full state",
        _ => "other",
    }
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Open => "open",
        Outcome::Theirs => "theirs",
        Outcome::Mine => "mine",
        Outcome::NotTakenAgain => "not taken again",
        _ => "unknown",
    }
}

const fn outcome_in_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Open => "somebody changed it, too; choose with `resolve`",
        Outcome::Theirs => "theirs was newer and stays",
        Outcome::Mine => "mine was made again on top of theirs",
        Outcome::NotTakenAgain => "the server lost mine and would not take it again",
        _ => "it ended in a way this version does not know",
    }
}

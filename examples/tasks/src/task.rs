//! A task: title, date, tick and bin are fields, and of each the newest edit wins; two devices that change different
//! fields of one task both have their way.

use serde::Serialize;
use serde_json::{Map as Object, Value, json};
use syncline::client::{Map, Receipt, Replica, Write};
use syncline::limits;
use syncline::oplog::{Collection, EntityKey, OpKind, Payload, Precondition};
use syncline::{EntityId, Env};
use syncline_desk::Fault;

use crate::note::{self, NOTES};

/// The collection of tasks.
pub(crate) const TASKS: &str = "tasks";
/// Characters of an id that people see.
const SHORT: usize = 8;

/// One task as this device sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) id: EntityId,
    /// None where somebody changed a task that somebody else deleted for good.
    pub(crate) title: Option<String>,
    pub(crate) done: bool,
    pub(crate) due: Option<String>,
    pub(crate) in_bin: bool,
    made_ms: u64,
    pub(crate) note: Option<String>,
}

/// What changes in a task; the rest is left alone.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Edit {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) done: Option<bool>,
    /// A date, or null for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) due: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_bin: Option<bool>,
    /// Set by [`add`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) made_ms: Option<u64>,
}

impl Edit {
    /// The date as it is typed.
    pub(crate) fn due(typed: Option<String>) -> Option<Value> {
        typed.map(|due| if due == "none" { Value::Null } else { due.into() })
    }
}

/// Makes a task, and its note if it has one: both come to the other devices together.
///
/// # Errors
/// The replica's.
pub(crate) async fn add(
    replica: &Replica,
    env: Env,
    edit: Edit,
    note: Option<&str>,
) -> Result<(EntityId, Vec<Receipt>), Fault> {
    // Not an id with its time in front: people type the first characters, and those should differ.
    let id = EntityId::from_bytes(env.bytes16("task"));
    let edit = Edit { made_ms: Some(env.now.ms()), ..edit };
    let write = |collection: &str, content: &Value| -> Result<Write, Fault> {
        let collection = Collection::new(collection).map_err(|error| Fault::new(error.to_string()))?;
        let payload = Payload::Json(content.to_string().into());
        let key = EntityKey { collection, entity: id };
        Ok(Write { key, kind: OpKind::Update, precondition: Precondition::None, payload })
    };
    let mut writes = vec![write(TASKS, &json!(edit))?];
    if let Some(text) = note {
        writes.push(write(NOTES, &note::content(text))?);
    }
    Ok((id, replica.write_batch(writes).await?))
}

/// Changes a task; nothing when it is like that already.
///
/// # Errors
/// The replica's.
pub(crate) async fn change(replica: &Replica, id: EntityId, edit: &Edit) -> Result<Option<Receipt>, Fault> {
    Ok(map(replica, id)?.put(edit).await?)
}

/// Deletes a task for good.
///
/// # Errors
/// The replica's.
pub(crate) async fn delete(replica: &Replica, id: EntityId) -> Result<Receipt, Fault> {
    Ok(map(replica, id)?.delete().await?)
}

/// A task, if there is one with this id.
///
/// # Errors
/// The store's.
pub(crate) async fn read(replica: &Replica, id: EntityId) -> Result<Option<Task>, Fault> {
    let Some(fields) = map(replica, id)?.get::<Object<String, Value>>().await? else { return Ok(None) };
    // A device with another version of this program may have put anything there; a list that does not open helps nobody.
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let flag = |name: &str| fields.get(name).and_then(Value::as_bool).unwrap_or_default();
    Ok(Some(Task {
        id,
        title: text("title"),
        done: flag("done"),
        due: text("due"),
        in_bin: flag("in_bin"),
        made_ms: fields.get("made_ms").and_then(Value::as_u64).unwrap_or_default(),
        note: note::read(replica, id).await?,
    }))
}

/// All tasks: what is to be done first, what is due soonest, what was made earliest.
///
/// # Errors
/// The store's.
pub(crate) async fn all(replica: &Replica) -> Result<Vec<Task>, Fault> {
    let mut tasks = Vec::new();
    for id in ids(replica).await? {
        tasks.extend(read(replica, id).await?);
    }
    tasks.sort_by_cached_key(|task| {
        (task.in_bin, task.done, task.due.is_none(), task.due.clone(), task.made_ms, task.id)
    });
    Ok(tasks)
}

/// The task whose id begins like that.
///
/// # Errors
/// When there is none, or more than one, or the store's.
pub(crate) async fn find(replica: &Replica, typed: &str) -> Result<EntityId, Fault> {
    if let Ok(id) = typed.parse()
        && read(replica, id).await?.is_some()
    {
        return Ok(id);
    }
    let begins = |id: &EntityId| id.to_string().starts_with(&typed.to_ascii_lowercase());
    let mut found = ids(replica).await?.into_iter().filter(begins);
    match (found.next(), found.next()) {
        _ if typed.is_empty() => Err(Fault::new("which task? give the first characters of its id")),
        (Some(id), None) => Ok(id),
        (Some(_), Some(_)) => Err(Fault::new(format!("more than one task begins with {typed}; give more of it"))),
        (None, _) => Err(Fault::new(format!("there is no task {typed}"))),
    }
}

async fn ids(replica: &Replica) -> Result<Vec<EntityId>, Fault> {
    let tasks = replica.collection(TASKS)?;
    let mut ids: Vec<EntityId> = Vec::new();
    loop {
        let page = tasks.ids(ids.last().copied(), limits::LIST_ITEMS_MAX).await?;
        let last = page.len() < limits::LIST_ITEMS_MAX;
        ids.extend(page);
        if last {
            return Ok(ids);
        }
    }
}

fn map(replica: &Replica, id: EntityId) -> Result<Map, Fault> {
    Ok(replica.collection(TASKS)?.map(id))
}

/// As much of an id as people type.
pub(crate) fn short(id: &impl ToString) -> String {
    id.to_string().chars().take(SHORT).collect()
}

impl Task {
    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let Self { id, title, done, due, in_bin, made_ms, note } = self;
        json!({
            "id": id.to_string(), "title": title, "done": done, "due": due, "in_bin": in_bin, "made_ms": made_ms,
            "note": note,
        })
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let tick = if self.done { 'x' } else { ' ' };
        let title = self.title.as_deref().unwrap_or("(no title)");
        let due = self.due.as_ref().map(|due| format!("  due {due}")).unwrap_or_default();
        let note = if self.note.is_some() { "  *" } else { "" };
        let bin = if self.in_bin { "  (in the bin)" } else { "" };
        format!("{} [{tick}] {title}{due}{note}{bin}", short(&self.id))
    }
}

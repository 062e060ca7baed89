//! Looking at tasks.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use syncline::EntityId;
use syncline::client::{Outcome, Replica};
use syncline::oplog::EntityKey;
use syncline_desk::{Fault, Said};

use crate::app::App;
use crate::note::NOTES;
use crate::task::{self, TASKS, Task};

/// The list.
///
/// # Errors
/// The store's.
pub(crate) async fn list(replica: &Replica, all: bool) -> Result<Said, Fault> {
    let tasks: Vec<Task> = task::all(replica).await?.into_iter().filter(|task| all || !task.in_bin).collect();
    let mut asked = BTreeSet::new();
    for conflict in replica.conflicts().await?.iter().filter(|conflict| conflict.outcome == Outcome::Open) {
        asked.extend(conflict.mine().subject().keys().map(|key| key.entity));
    }
    let lines = tasks.iter().map(|task| {
        let conflict = if asked.contains(&task.id) { "  ! see `conflicts`" } else { "" };
        format!("{}{conflict}", task.line())
    });
    let text = if tasks.is_empty() { "Nothing to do.".to_owned() } else { lines.collect::<Vec<_>>().join("\n") };
    let tasks: Vec<Value> = tasks.iter().map(Task::json).collect();
    Ok(Said::new(json!({ "reply": "list", "tasks": tasks }), text))
}

/// One task with its note.
///
/// # Errors
/// When there is no such task, or the store's.
pub(super) async fn show(app: &App, typed: &str) -> Result<Said, Fault> {
    let id = task::find(&app.replica, typed).await?;
    let task = task::read(&app.replica, id).await?.ok_or_else(|| Fault::new(format!("there is no task {typed}")))?;
    let note = task.note.as_ref().map(|note| format!("\n\n{note}")).unwrap_or_default();
    Ok(Said::new(json!({ "reply": "show", "task": task.json() }), format!("{}{note}", task.line())))
}

/// The tasks among these entities, each with how it looks now; `None` for one that is gone.
///
/// # Errors
/// The store's.
pub(crate) async fn changed(
    replica: &Replica,
    keys: &BTreeSet<EntityKey>,
) -> Result<Vec<(EntityId, Option<Task>)>, Fault> {
    let ours = |key: &&EntityKey| [TASKS, NOTES].contains(&key.collection.as_str());
    let ids: BTreeSet<EntityId> = keys.iter().filter(ours).map(|key| key.entity).collect();
    let mut tasks = Vec::with_capacity(ids.len());
    for id in ids {
        tasks.push((id, task::read(replica, id).await?));
    }
    Ok(tasks)
}

//! Writing: on this disk before it is said, and nothing of the network in it.

use serde_json::json;
use syncline::EntityId;
use syncline::client::Receipt;
use syncline_desk::{Fault, Said};

use super::Did;
use crate::app::App;
use crate::note;
use crate::task::{self, Edit, short};

/// A new task.
///
/// # Errors
/// The replica's.
pub(super) async fn add(app: &App, title: &[String], due: Option<String>, note: Option<&str>) -> Result<Did, Fault> {
    let edit = Edit { title: Some(title.join(" ")), due: Edit::due(due), ..Edit::default() };
    let (id, receipts) = task::add(&app.replica, app.env.env(), edit, note).await?;
    saved(app, "add", &[id], receipts).await
}

/// Changes of one task.
///
/// # Errors
/// When there is no such task, or the replica's.
pub(super) async fn edit(
    app: &App,
    typed: &str,
    title: Option<String>,
    due: Option<String>,
    note: Option<&str>,
) -> Result<Did, Fault> {
    let id = task::find(&app.replica, typed).await?;
    let mut receipts = Vec::new();
    if title.is_some() || due.is_some() {
        let edit = Edit { title, due: Edit::due(due), ..Edit::default() };
        receipts.extend(task::change(&app.replica, id, &edit).await?);
    }
    if let Some(text) = note
        && note::read(&app.replica, id).await?.unwrap_or_default() != text
    {
        receipts.push(note::write(&app.replica, id, text).await?);
    }
    saved(app, "edit", &[id], receipts).await
}

/// Ticks tasks off, or back on.
///
/// # Errors
/// When there is no such task, or the replica's.
pub(super) async fn tick(app: &App, typed: &[String], done: bool) -> Result<Did, Fault> {
    each(app, "done", typed, &Edit { done: Some(done), ..Edit::default() }).await
}

/// Puts tasks into the bin, or takes them out.
///
/// # Errors
/// When there is no such task, or the replica's.
pub(super) async fn bin(app: &App, typed: &[String], in_bin: bool) -> Result<Did, Fault> {
    each(app, "bin", typed, &Edit { in_bin: Some(in_bin), ..Edit::default() }).await
}

/// Deletes tasks and their notes for good.
///
/// # Errors
/// When there is no such task, or the replica's.
pub(super) async fn delete(app: &App, typed: &[String]) -> Result<Did, Fault> {
    let ids = find_all(app, typed).await?;
    let mut receipts = Vec::new();
    for id in &ids {
        // Not one batch: a note that somebody changed meanwhile asks, and that should not keep the task.
        receipts.extend(note::delete(&app.replica, *id).await?);
        receipts.push(task::delete(&app.replica, *id).await?);
    }
    saved(app, "delete", &ids, receipts).await
}

async fn each(app: &App, what: &str, typed: &[String], edit: &Edit) -> Result<Did, Fault> {
    let ids = find_all(app, typed).await?;
    let mut receipts = Vec::new();
    for id in &ids {
        receipts.extend(task::change(&app.replica, *id, edit).await?);
    }
    saved(app, what, &ids, receipts).await
}

/// Everything typed is looked for before anything is changed.
async fn find_all(app: &App, typed: &[String]) -> Result<Vec<EntityId>, Fault> {
    let mut ids = Vec::with_capacity(typed.len());
    for typed in typed {
        ids.push(task::find(&app.replica, typed).await?);
    }
    Ok(ids)
}

async fn saved(app: &App, what: &str, ids: &[EntityId], receipts: Vec<Receipt>) -> Result<Did, Fault> {
    let writes: Vec<u64> = receipts.iter().map(|receipt| receipt.no().get()).collect();
    let names: Vec<String> = ids.iter().map(EntityId::to_string).collect();
    let mut lines = Vec::new();
    for id in ids {
        let line = task::read(&app.replica, *id).await?.map(|task| task.line());
        lines.push(line.unwrap_or_else(|| format!("{} deleted", short(id))));
    }
    if writes.is_empty() {
        lines.push("It is like that already.".to_owned());
    }
    let said = Said::new(json!({ "reply": what, "tasks": names, "writes": writes }), lines.join("\n"));
    Ok(Did { said, receipts })
}

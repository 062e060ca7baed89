//! What happens, as it happens: every change in the log's order, or the list drawn anew.

use std::io::IsTerminal as _;

use serde_json::json;
use syncline::client::{Change, Replica, ReplicaError};
use syncline::oplog::{Draft, Gap};
use syncline::{Cursor, Seq};
use syncline_desk::{Fault, Out, Said};

use super::conflicts::{in_words, meant};
use super::look;
use crate::app::App;
use crate::task::short;

/// Every change, in order; and then what comes.
///
/// # Errors
/// The store's.
pub(super) async fn log(app: &App, follow: bool) -> Result<(), Fault> {
    let _background = if follow { app.background() } else { None };
    let mut changes = app.replica.changes(first_kept(&app.replica).await?);
    loop {
        let step = match follow {
            true => Some(changes.next().await?),
            false => changes.try_next().await?,
        };
        let Some(step) = step else { return Ok(()) };
        for change in &step.changes {
            app.out.say(&line(change))?;
        }
    }
}

fn line(change: &Change) -> Said {
    let seq = change.seq.get();
    let Some(op) = &change.op else {
        let json = json!({ "reply": "change", "seq": seq, "op": null });
        return Said::new(json, format!("{seq} (written by a newer version)"));
    };
    let opened = change.payload.clone().and_then(|payload| Draft { payload, ..op.draft().clone() }.seal().ok());
    let op = opened.as_ref().unwrap_or(op);
    let mut json = meant(op);
    if let Some(object) = json.as_object_mut() {
        object.insert("reply".into(), "change".into());
        object.insert("seq".into(), seq.into());
        object.insert("device".into(), op.replica().to_string().into());
    }
    let task = op.subject().keys().next().map(|key| short(&key.entity)).unwrap_or_default();
    Said::new(json, format!("{seq} {} {task}: {}", short(&op.replica()), in_words(op)))
}

/// The list, drawn again whenever it changes.
///
/// # Errors
/// The store's.
pub(super) async fn watch(app: &App) -> Result<(), Fault> {
    let mut events = app.replica.events();
    let background = app.background();
    if background.is_none() {
        app.out.say(&Said::not_synced(&Fault::new("this device has no server, or was told to stay offline")))?;
    }
    let (mut shown, screen) = (None, app.out == Out::Text && std::io::stdout().is_terminal());
    loop {
        let list = look::list(&app.replica, false).await?;
        if shown.as_ref() != Some(&list) {
            if screen {
                // Home, and clear to the end of the screen.
                print!("\x1b[H\x1b[2J");
            }
            app.out.say(&list)?;
            shown = Some(list);
        }
        events.next().await;
        // Several that came together are drawn once.
        while events.try_next().is_some() {}
    }
}

/// The first place this device's history goes on from: the start, or the snapshot it began with.
async fn first_kept(replica: &Replica) -> Result<Cursor, Fault> {
    let place = |seq: u64| Cursor { seq: Seq::new(seq).unwrap_or(Seq::MAX), anchor: None };
    let pruned = async |seq: u64| match replica.changes(place(seq)).try_next().await {
        Err(ReplicaError::Gap(Gap::Pruned)) => Ok(true),
        Ok(_) | Err(ReplicaError::Gap(_)) => Ok(false),
        Err(other) => Err(Fault::from(other)),
    };
    if !pruned(0).await? {
        return Ok(Cursor::START);
    }
    let (mut below, mut kept) = (0, 1);
    while pruned(kept).await? {
        (below, kept) = (kept, kept.saturating_mul(2));
    }
    while kept - below > 1 {
        let middle = below + (kept - below) / 2;
        if pruned(middle).await? { below = middle } else { kept = middle }
    }
    Ok(place(kept))
}

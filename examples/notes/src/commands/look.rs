//! Looking at everything but the open text.

use serde_json::{Value, json};
use syncline_desk::{Fault, Said};

use crate::book::Book;
use crate::page::read_anchor;
use crate::presence;
use crate::shell::Shell;

/// All notes with what stands beside them.
pub(super) async fn list(book: &Book) -> Result<Said, Fault> {
    let (mut notes, mut lines) = (Vec::new(), Vec::new());
    for (name, facts) in book.all().await? {
        let len = book.note(&name)?.look(|text| text.len()).await?;
        let title = book.title(&name)?.get::<String>().await?;
        let likes = book.likes(&name)?.get().await?;
        let tags = book.tags(&name)?.get::<String>().await?;
        let called = title.as_deref().map(|title| format!("  {title:?}")).unwrap_or_default();
        lines.push(format!("{name}{called}  {len} characters, {likes} likes  {}", tags.join(" ")));
        notes.push(json!({
            "note": name, "title": title, "len": len, "likes": likes, "tags": tags, "about": facts,
        }));
    }
    let text = if lines.is_empty() { "There are no notes.".to_owned() } else { lines.join("\n") };
    Ok(Said::new(json!({ "reply": "list", "notes": notes }), text))
}

/// The favourites in order.
pub(super) async fn stars(book: &Book) -> Result<Said, Fault> {
    let stars = book.stars()?.get::<String>().await?;
    let lines: Vec<String> = stars.iter().enumerate().map(|(index, star)| format!("{index}  {star}")).collect();
    Ok(Said::new(json!({ "reply": "stars", "stars": stars }), lines.join("\n")))
}

/// Notes under notes.
pub(super) async fn outline(book: &Book) -> Result<Said, Fault> {
    let (mut nodes, mut lines) = (Vec::new(), Vec::new());
    for node in book.outline()?.nodes().await? {
        let name: Value = serde_json::from_slice(&node.value).map_err(|error| Fault::new(error.to_string()))?;
        lines.push(format!("{}{}", "  ".repeat(node.depth), name.as_str().unwrap_or("?")));
        nodes.push(json!({ "note": name, "depth": node.depth }));
    }
    Ok(Said::new(json!({ "reply": "outline", "nodes": nodes }), lines.join("\n")))
}

/// Devices seen lately, and where their cursors are; `null` where that has not arrived here.
pub(super) async fn who(shell: &mut Shell) -> Result<Said, Fault> {
    let replica = &shell.app.book.0;
    let (mut devices, mut lines) = (Vec::new(), Vec::new());
    for (id, ago_ms, said) in presence::lately(replica, shell.app.now()).await? {
        let (device, note) = (said["device"].as_str().unwrap_or("?"), said["note"].as_str().unwrap_or("?"));
        let text = match shell.pages.get(note) {
            Some(page) => page.text.clone(),
            None => shell.app.book.note(note)?,
        };
        let place = match said["place"].as_str().and_then(read_anchor) {
            Some(anchor) => text.resolve(anchor).await.ok(),
            None => None,
        };
        let at = place.map_or_else(|| "somewhere".to_owned(), |place| place.to_string());
        lines.push(format!("{device}  {note} at {at}, {} s ago", ago_ms / 1_000));
        let here = id == presence::own(replica);
        devices.push(json!({ "device": device, "note": note, "place": place, "ago_ms": ago_ms, "here": here }));
    }
    Ok(Said::new(json!({ "reply": "who", "devices": devices }), lines.join("\n")))
}

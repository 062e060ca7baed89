//! Typing, and looking back at what was typed.
//!
//! What must hold: a line that edits is one step of undoing; a note has a name for the others before it has a text.

use serde_json::json;
use syncline::crdt::text::Written;
use syncline_desk::{Fault, Said};

use crate::page::{Page, read_version, version_text};
use crate::shell::Shell;

/// How many characters stand on a line of `type-many`.
const LINE: u32 = 60;

/// Goes to a note.
pub(super) async fn open(shell: &mut Shell, name: String) -> Result<Said, Fault> {
    if !shell.pages.contains_key(&name) {
        let text = shell.app.book.note(&name)?;
        shell.pages.insert(name.clone(), Page::new(name.clone(), text));
    }
    shell.open = Some(name);
    let mut said = show(shell).await?;
    said.json["reply"] = "open".into();
    Ok(said)
}

fn page(shell: &mut Shell) -> Result<&mut Page, Fault> {
    let page = shell.open.as_ref().and_then(|open| shell.pages.get_mut(open));
    page.ok_or_else(|| Fault::new("no note is open; `open NAME` goes to one"))
}

/// The open note, with the cursor in it.
pub(super) async fn show(shell: &mut Shell) -> Result<Said, Fault> {
    let page = page(shell)?;
    let cursor = page.place().await?;
    let (text, version) = page.text.look(|text| (text.to_string(), version_text(&text.version()))).await?;
    let left_out = page.text.left_out().await?;
    let (before, behind): (String, String) = (text.chars().take(cursor).collect(), text.chars().skip(cursor).collect());
    let json = json!({
        "reply": "show", "note": page.name, "text": text, "cursor": cursor, "version": version,
        "left_out": left_out.count(),
    });
    let mut lines = vec![format!("{before}|{behind}")];
    lines.extend(
        left_out
            .newest()
            .last()
            .map(|last| format!("! {} edits have no effect; the last: {}", left_out.count(), last.why)),
    );
    Ok(Said::new(json, lines.join("\n")))
}

/// What an edit made of the note.
async fn edited(shell: &mut Shell, reply: &str, done: bool) -> Result<Said, Fault> {
    let page = page(shell)?;
    page.text.step();
    let cursor = page.place().await?;
    let len = page.text.look(|text| text.len()).await?;
    let text = if done { String::new() } else { "There is nothing to do.".to_owned() };
    let json = json!({ "reply": reply, "note": page.name, "len": len, "cursor": cursor, "done": done });
    Ok(Said::new(json, text))
}

/// Sees to it that others find the note, and know who writes.
async fn sign(shell: &mut Shell) -> Result<(), Fault> {
    let (name, author) = {
        let page = page(shell)?;
        (page.name.clone(), page.text.writer().author())
    };
    let book = &shell.app.book;
    if !shell.signed {
        book.writer(author)?.set(&shell.app.name).await?;
        shell.signed = true;
    }
    let about = book.about(&name)?;
    let known = about.get::<serde_json::Value>().await?.is_some_and(|facts| facts["name"] == name.as_str());
    if !known {
        about.set(&["name"], &name).await?;
    }
    Ok(())
}

/// Types at the cursor.
pub(super) async fn type_in(shell: &mut Shell, typed: &str) -> Result<Said, Fault> {
    sign(shell).await?;
    page(shell)?.type_in(typed).await?;
    edited(shell, "type", true).await
}

/// Types so many characters, each an edit of its own, as fast as they go.
pub(super) async fn type_many(shell: &mut Shell, count: u32) -> Result<Said, Fault> {
    sign(shell).await?;
    let page = page(shell)?;
    for typed in 1..=count {
        page.type_in(if typed % LINE == 0 { "\n" } else { "x" }).await?;
    }
    edited(shell, "type-many", count > 0).await
}

/// Inserts somewhere; the cursor stays.
pub(super) async fn insert(shell: &mut Shell, at: usize, typed: &str) -> Result<Said, Fault> {
    sign(shell).await?;
    page(shell)?.text.insert(at, typed).await?;
    edited(shell, "insert", true).await
}

/// Deletes characters.
pub(super) async fn delete(shell: &mut Shell, from: usize, to: usize) -> Result<Said, Fault> {
    if to < from {
        return Err(Fault::new(format!("{to} is before {from}")));
    }
    let done = page(shell)?.text.delete(from..to).await?.is_some();
    edited(shell, "delete", done).await
}

/// Moves the cursor.
pub(super) async fn go(shell: &mut Shell, at: usize) -> Result<Said, Fault> {
    page(shell)?.go(at).await?;
    show(shell).await
}

/// Takes back the last line that edited here.
pub(super) async fn undo(shell: &mut Shell) -> Result<Said, Fault> {
    let done = page(shell)?.text.undo().await?.is_some();
    edited(shell, "undo", done).await
}

/// Does it again.
pub(super) async fn redo(shell: &mut Shell) -> Result<Said, Fault> {
    let done = page(shell)?.text.redo().await?.is_some();
    edited(shell, "redo", done).await
}

/// Who wrote what.
pub(super) async fn blame(shell: &mut Shell) -> Result<Said, Fault> {
    let book = shell.app.book.clone();
    let page = page(shell)?;
    let written: Vec<Written> = page.text.blame().await?;
    let text = page.text.get().await?;
    let mut letters = text.chars();
    let (mut pieces, mut lines) = (Vec::new(), Vec::new());
    for piece in written {
        let words: String = letters.by_ref().take(piece.len).collect();
        let by = match piece.author {
            Some(author) => book.writer(author)?.get::<String>().await?,
            None => None,
        };
        lines.push(format!("{:>12}  {words:?}", by.as_deref().unwrap_or("?")));
        pieces.push(json!({ "by": by, "text": words }));
    }
    Ok(Said::new(json!({ "reply": "blame", "pieces": pieces }), lines.join("\n")))
}

/// Forgets what deleted characters were.
pub(super) async fn tidy(shell: &mut Shell) -> Result<Said, Fault> {
    let done = page(shell)?.text.forget_deleted().await?.is_some();
    let text =
        if done { "What was deleted is forgotten." } else { "There is nothing to forget, or not everybody has heard." };
    Ok(Said::new(json!({ "reply": "tidy", "done": done }), text))
}

/// The note as it was.
pub(super) async fn at(shell: &mut Shell, version: &str) -> Result<Said, Fault> {
    let wanted =
        read_version(version).ok_or_else(|| Fault::new(format!("{version:?} is no version; `show` names them")))?;
    let text = page(shell)?.text.at(&wanted).await?;
    Ok(Said::new(json!({ "reply": "at", "version": version, "text": text }), text))
}

/// Deletes a note as it is seen here; what others type meanwhile brings it back.
pub(super) async fn remove(shell: &mut Shell, name: &str) -> Result<Said, Fault> {
    let text = match shell.pages.get(name) {
        Some(page) => page.text.clone(),
        None => shell.app.book.note(name)?,
    };
    if !text.exists().await? {
        return Err(Fault::new(format!("there is no note {name:?}")));
    }
    text.remove().await?;
    text.step();
    Ok(Said::new(json!({ "reply": "remove", "note": name }), format!("{name} is deleted.")))
}

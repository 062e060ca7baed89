//! Doing what a line says.
//!
//! What must hold: an answer to an edit is given when the edit is on this disk; nothing of the network is in here.
//!
//! Next: `text` edits the open note, `around` what stands beside notes, `look` shows.

mod around;
mod look;
mod text;
use syncline_desk::{Fault, Said};

use crate::line::Line;
use crate::shell::Shell;

/// Does it.
///
/// # Errors
/// Why not; nothing was written then.
pub(crate) async fn run(shell: &mut Shell, line: Line) -> Result<Said, Fault> {
    let book = shell.app.book.clone();
    match line {
        Line::Open(name) => text::open(shell, name).await,
        Line::Show => text::show(shell).await,
        Line::Type(typed) => text::type_in(shell, &typed).await,
        Line::TypeMany(count) => text::type_many(shell, count).await,
        Line::Insert(at, typed) => text::insert(shell, at, &typed).await,
        Line::Delete(from, to) => text::delete(shell, from, to).await,
        Line::Go(at) => text::go(shell, at).await,
        Line::Undo => text::undo(shell).await,
        Line::Redo => text::redo(shell).await,
        Line::Tidy => text::tidy(shell).await,
        Line::Blame => text::blame(shell).await,
        Line::At(version) => text::at(shell, &version).await,
        Line::Remove(name) => text::remove(shell, &name).await,
        Line::Like(name, by) => around::like(&book, &name, by).await,
        Line::Tag(name, tag) => around::tag(&book, &name, &tag).await,
        Line::Untag(name, tag) => around::untag(&book, &name, &tag).await,
        Line::Star(name) => around::star(&book, &name).await,
        Line::Unstar(name) => around::unstar(&book, &name).await,
        Line::Move(from, to) => around::move_star(&book, from, to).await,
        Line::Put(name, under) => around::put(&book, &name, under.as_deref()).await,
        Line::Title(name, title) => around::title(&book, &name, &title).await,
        Line::Set(name, field, value) => around::set(&book, &name, &field, &value).await,
        Line::Stars => look::stars(&book).await,
        Line::Outline => look::outline(&book).await,
        Line::List => look::list(&book).await,
        Line::Who => look::who(shell).await,
        // The shell does these itself.
        Line::Sync | Line::Status | Line::Offline | Line::Online | Line::Help | Line::Quit => {
            Err(Fault::new("not a line for here"))
        }
    }
}

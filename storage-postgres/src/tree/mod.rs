//! The tree of files beside a log: questions, changes, listings.
//!
//! What must hold: whatever is asked or changed, a folder's content never comes here for it; how many statements that takes
//! depends on which kinds of questions and changes there are. Questions and changes are those of a transaction that has
//! locked the log's row, so two moves never close a circle that neither would alone.
//!
//! Rows of one key each are looked up by `LATERAL … LIMIT 1`, the children of a folder behind `OFFSET 0`: one by one through
//! their index, also with a plan from when the table was small. What else is asked of such a row stands outside, where it
//! cannot lead to another index.
//!
//! Next: `load` answers, `write` changes, `page` lists; `rows` knows the columns.

mod changed;
mod folders;
mod load;
mod page;
mod rows;
mod write;

pub(crate) use load::load;
pub(crate) use page::{nodes, oldest_revisions, revisions};
pub(crate) use write::write;

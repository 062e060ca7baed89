//! Files and folders: a tree of named nodes that many devices change while they are apart.
//!
//! A device sends what it did since it was last in touch as one [`Commit`]; [`commit()`] decides it against the tree as it is
//! and says what becomes of each op and of the tree. One commit is one entry of the log. There is one rule behind all of them:
//! *a delete removes only what its author had seen; a change by somebody who had not seen the delete brings back exactly what
//! the change needs.*
//!
//! What must hold, after any commits in any order ([`MemoryTree::check`] looks at it):
//!
//! - a live node's parent lives, and no node is below itself;
//! - no two live siblings have names with one [`NameKey`];
//! - the root stays where it is, and a node's kind is for ever;
//! - a content that was accepted is there until somebody who had it deleted or replaced it.
//!
//! Nothing here does I/O, asks a clock or makes up an id. [`TreeView`] is what a store answers, [`MemoryTree`] says what the
//! answers are, [`Loaded`] is for stores that answer many questions at once.
//!
//! Next: `name` and `copy` for names, `op` for what is asked, `commit` for how it is decided, `change` for what comes of it,
//! `past` for what is kept of it, `bytes` for how it travels.

mod alter;
mod bytes;

mod change;
mod commit;
mod copy;
mod create;
mod delete;
mod entry;
mod loaded;
mod memory;
mod name;
mod node;
mod op;
mod past;
mod place;
mod settle;
mod view;
mod working;

pub use change::{Change, Committed};
pub use commit::{Room, Terms, commit};
pub use copy::{ConflictName, Label, LabelError, is_conflict_name, kept_name};
pub use entry::{Answer, Entry};
pub use loaded::{Loaded, TreeRead};
pub use memory::{Damage, MemoryTree};
pub use name::{Name, NameError, NameFault, NameKey, NamePolicy};
pub use node::{Content, Kind, Node, Reason, Revision, Stamp};
pub use op::{Commit, CommitError, Dropped, Outcome, Refusal, To, TreeOp, TreeVerdict};
pub use past::{Kept, NotPurged, Retention, is_trash_root, purge, thin};
pub use view::{Found, TreeView};
pub use working::Stuck;

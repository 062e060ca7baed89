//! Values that merge: everybody edits, offline too, and whoever has the same edits has the same value.
//!
//! # Three tiers
//!
//! 1. **Fields and documents** (most of an app): an entity is a map of fields, and of each the newest edit wins. A
//!    [`Rules::fields`](crate::oplog::Rules::fields) collection does so for top-level fields, a [`Document`] for fields in fields.
//! 2. **Text**: many type into one [`text`].
//! 3. **The others**, where "the newest wins" would lose something: a [`Counter`] adds up, a [`Set`] keeps what anybody added, a
//!    [`List`] keeps an order while elements move, a [`Tree`] stays one, a
//!    [`Register`] is a single value.
//!
//! Take the lowest tier that says what the app means: two edits of one title are a choice between two titles, two steps
//! of one counter are two steps.
//!
//! # Laws
//!
//! Every type here is [`Content`]: its edits commute as long as each author's own come in their order, so any order of the same
//! edits makes the same bytes; what merges as a whole (`merge`) is commutative, associative and idempotent besides. Nothing
//! refers to an author's own counters: an op waits on a device that may be cloned, and is sent under whatever name that
//! then has; so elements are named by their op, and what an op waits for is by the same author ([`context`]).
//!
//! What a value costs is bounded by what is in it, and by a few bytes an author; never by what was in it.
//!
//! Where next: [`Content`], what a type does; [`Merging`](crate::oplog::Merging), which makes a collection's reducer of one.

mod content;
pub mod context;
mod counter;
pub mod document;
mod item;
mod list;
mod moment;
mod newest;
pub mod position;
mod register;
mod set;
pub mod taken;
pub mod text;
mod tree;
pub mod writing;

pub use content::Content;
pub use counter::{Counter, CounterEdit, Totals};
pub use document::{Document, DocumentEdit};
pub use item::ItemId;
pub use list::{List, ListEdit, ListError};
pub use moment::{Moment, Stamp};
pub use register::{Register, RegisterEdit};
pub use set::{Set, SetEdit, SetNamed};
pub use tree::{Parent, Placed, Spot, Tree, TreeEdit, TreeError};

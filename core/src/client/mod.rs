//! The client's side: a replica that writes locally at once, and the conversation that brings it and a server together.
//!
//! Six things to know: a [`Replica`] is one log on one device; a [`Map`] is an entity in it; a [`Receipt`] says how far a
//! write has come; [`Replica::sync_once`] brings replica and server together over a [`Transport`]; [`Event`]s and
//! [`Status`] tell what happens and whether everything is safe; what was refused or lost is kept as [`Parked`] writes and
//! [`Conflict`]s.
//!
//! What must hold: a write that returned survives whatever the local store survives; it ends in the log, or parked, or in
//! a conflict record, never nowhere; cursor and content move in one transaction; a counter is durable before it is used.
//!
//! Next: `write` (local writes), `past` and `restore` (what was), `prepare` (what is sent), `keep` (what comes), `resolve`
//! (what lost), `tree` (files), [`Session`] (who says what when), `sealing` (what only devices read), `desk` (what is kept beside the log).

mod arrive;
mod backoff;
mod changes;
mod commit;
mod conflict;
mod deferred;
mod desk;
mod doubt;
mod entry;
mod error;
mod events;
mod gate;
mod handle;
mod holding;
mod keep;
#[cfg(feature = "encryption")]
mod keyring;
mod memory;
mod mirror;
mod offer;
mod own;
mod parked;
mod parsed;
mod part;
mod past;
mod prepare;
mod receipt;
mod replica;
mod reread;
mod resolve;
mod restore;
mod retain;
mod rewind;
mod sealer;
mod sealing;
mod session;
mod shown;
mod snapshot;
mod spent;
mod status;
mod sync;
mod transport;
mod tree;
mod value;
mod write;

pub use backoff::{backoff_ms, operator_retry_ms};
pub use changes::{Change, Changes, Step};
pub use conflict::{Choose, Conflict, Outcome};
pub use entry::WriteNo;
pub use error::ReplicaError;
pub use events::{Event, Events};
pub use handle::{Entities, Map};
#[cfg(feature = "encryption")]
pub use keyring::SharedKeyring;
pub use mirror::Unreadable;
pub use parked::{ParkReason, Parked};
pub use past::{Past, PastEntities, PastMap};
pub use receipt::{Fate, NotReached, Receipt, Tier};
pub use replica::{Confirm, Replica, ReplicaOptions};
pub use retain::Retain;
pub use sealer::{Sealer, Unopened, Unsealed};
pub use session::{Came, Halt, Input, Kept, Output, Phase, Session, SessionOptions, Setback};
pub use spent::{spend, unspent};
pub use status::Status;
pub use transport::{BlobTransport, CallError, Transport};
pub use tree::{News, ServerTree, TreeFault};
pub use value::{SharedText, Typing, Value};
pub use write::Write;

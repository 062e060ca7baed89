//! Syncline's core: everything that is a rule of a sync engine, and nothing that does I/O.

pub mod access;
#[cfg(feature = "arbitrary")]
pub mod arbitrary;
pub mod call;
pub mod client;
pub mod clock;
pub mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod decide;
pub mod digest;
pub mod id;
pub mod limits;
pub mod oplog;
pub mod seq;
pub mod server;
pub mod store;
pub mod time;
pub mod wire;

pub use clock::{Causality, VectorClock};
pub use digest::Digest;
pub use id::{BucketId, EntityId, LogId, LogKey, OpId, ReplicaId, RequestId, TokenId};
pub use seq::{Anchor, Cursor, Origin, Seq};
pub use time::{Env, Hlc, Timestamp};

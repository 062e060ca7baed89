//! The client's side: a replica that writes locally at once, and the conversation that brings it and a server together.

mod backoff;
mod conflict;
mod desk;
mod entry;
mod error;
mod events;
mod gate;
mod keep;
mod memory;
mod mirror;
mod parked;
mod receipt;
mod replica;
mod sealer;
mod seen;
mod session;
mod write;
mod transport;

pub use backoff::{backoff_ms, operator_retry_ms};
pub use session::{Came, Halt, Input, Kept, Output, Phase, Session, SessionOptions, Setback};
pub use transport::{CallError, Transport};

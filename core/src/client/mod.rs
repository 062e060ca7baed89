//! The client's side: a replica that writes locally at once, and the conversation that brings it and a server together.

mod backoff;
mod session;
mod transport;

pub use backoff::{backoff_ms, operator_retry_ms};
pub use session::{Came, Halt, Input, Kept, Output, Phase, Session, SessionOptions, Setback};
pub use transport::{CallError, Transport};

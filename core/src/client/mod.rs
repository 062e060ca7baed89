//! The client's side: a replica that writes locally at once, and the conversation that brings it and a server together.

mod session;
mod transport;

pub use session::{Came, Input, Kept, Output};
pub use transport::{CallError, Transport};

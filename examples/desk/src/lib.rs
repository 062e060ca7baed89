//! What programs in a terminal share: the folder that is a device, the way to a server, answers and faults.
//!
//! What must hold: no rule of an application is here, and nothing of the engine is wrapped.
//!
//! Next: [`Home`] is the folder, [`Way`] the server, [`Out`] what is answered, [`Fault`] why there is no answer.

#![forbid(unsafe_code)]

mod fault;
mod home;
mod lines;
mod out;
mod way;

pub use fault::{Fault, cursor_text, in_words};
pub use home::{Home, Settings};
pub use lines::typed;
pub use out::{Out, Said};
pub use way::{Server, Way, token};

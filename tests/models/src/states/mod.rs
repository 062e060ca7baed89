//! Every state of small worlds: the real server and real replicas over memory, with everything that may happen between
//! two steps of a conversation.
//!
//! A world's state is what is stored (the server's, each device's, backups and images of both), what each open process was
//! told since it was opened, and how much may still happen. A process cannot be copied, so it is run again from the image
//! that it was opened on, with the answers that it had: everything it does follows from those, because time stands still
//! and randomness is drawn from what is stored.
//!
//! Bounds: time stands still, pages are never full, a process is told apart by what it stores, how its conversation stands,
//! what it asks and whether it ever heard of the log; what else it remembers is taken to follow from these.
//!
//! What must hold: the same state reached twice is the same number, or the exploration does not end; what a state's
//! [`Scope`] allows is used up by each happening, so that it is finite.
//!
//! Next: [`Action`] (what may happen), `process` (one device at work), `facts` (what is looked at in every state), `settle`
//! (that all ends well from it), `plant` (mistakes that must be found).

mod act;
mod action;
mod disk;
mod explore;
mod facts;
mod fixed;
mod plant;
mod process;
mod scope;
mod server;
mod settle;
mod walk;
mod world;

pub use action::Action;
pub use explore::{Explored, Extent, explore};
pub use plant::Plant;
pub use scope::{Left, Scope, Start, Wrote};
pub use walk::{Seen, Who, walk};
pub use world::{State, World};

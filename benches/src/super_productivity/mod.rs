//! The load that Super Productivity's devices make: a server process, sockets, and bodies as the app sends them.
//!
//! What must hold: every answer is looked at, so that a figure is never one of refusals; and what the client spends on
//! making bodies is never counted as the server's.
//!
//! Next: [`Served`] is the process, [`Device`] uploads and reads over a [`Wire`], [`load`] lets many do it at once.

mod device;
mod load;
mod served;
mod wire;

pub use device::{Ask, Device};
pub use load::{Load, load};
pub use served::Served;
pub use wire::Wire;

//! A folder on two devices, by our drive and by somebody else's program, with a server between them.
//!
//! Next: [`Drive`] is ours, [`Rclone`] the peer, [`Tree`] what they bring.

mod peer;
mod tree;
mod work;

pub use peer::Rclone;
pub use tree::Tree;
pub use work::{Drive, Follows, Spent, run};

//! Devices with a replica on a file, and a server on loopback that they sync with.
//!
//! What must hold: what is measured goes through the public interface of the client and the HTTP transport, over real
//! files and sockets; server and devices share the process, except where memory is counted.
//!
//! Next: [`site`] is the server and what is in its logs, [`device`] a device, [`fresh`] one in a process of its own.

pub mod device;
pub mod fresh;
pub mod site;

//! HTTP and WebSocket for syncline: a server over [`syncline::server::Server`], and a client that is a
//! [`Transport`](syncline::client::Transport).
//!
//! Nothing is decided here. A request becomes a [`Call`](syncline::call::Call), a [`Reply`](syncline::call::Reply)
//! becomes a response. What must always hold: a peer cannot make this side hold more memory, time or connections
//! than the limits say, and every refusal is a problem document with a stable code.
//!
//! Next: [`route`] is the one table both sides share; `server::serve` listens; `client::HttpClient` dials.

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "super-productivity")]
pub mod dialect;
#[cfg(feature = "server")]
mod password;
pub mod route;
#[cfg(feature = "server")]
pub mod server;

/// Header of a request that names the protocol version it is in, and of every reply. Absent means the newest.
pub const PROTOCOL_HEADER: &str = "syncline-protocol";
/// Header of a request and of its reply that names the request in the server's log.
pub const REQUEST_ID_HEADER: &str = "x-request-id";
/// Media type of a refusal (RFC 9457).
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";
/// A blob's bytes.
pub const BLOB_MEDIA_TYPE: &str = "application/octet-stream";
/// How far an upload is: where it goes on, or where the bytes of a request belong (tus 1.0).
pub const UPLOAD_OFFSET_HEADER: &str = "upload-offset";
/// Bytes of the whole upload (tus 1.0).
pub const UPLOAD_LENGTH_HEADER: &str = "upload-length";
/// Bodies smaller than this are not worth compressing, either way.
pub const COMPRESS_BYTES_MIN: u64 = 1_024;
/// Header of a request that brings the password of a public link.
pub const LINK_PASSWORD_HEADER: &str = "syncline-link-password";

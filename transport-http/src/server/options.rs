//! Every number a server can be run with. The defaults are core's limits.

use std::time::Duration;

use syncline::limits;

/// How much a server takes from its peers, and how long it waits for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// Time for a peer to send a request's head; the connection is closed after it.
    pub header_time: Duration,
    /// Bytes of a request's head: request line, headers and the empty line.
    pub header_bytes_max: usize,
    /// Bytes of a request body as received.
    pub body_bytes_max: usize,
    /// Bytes of a request body after decompression.
    pub body_decoded_bytes_max: usize,
    /// The window over which a body's rate is measured.
    pub body_rate_window: Duration,
    /// A body that brings less than this in a window is cut off.
    pub body_rate_bytes_per_s_min: u64,
    /// Handling of one request, its body included.
    pub request_timeout: Duration,
    /// A request slower than this is logged as slow.
    pub slow_request: Duration,
    /// Requests served at once; more are refused with "busy". Health is always answered.
    pub requests_at_once_max: usize,
    /// WebSockets open at once; more are refused with "busy".
    pub sockets_at_once_max: usize,
    /// How often a WebSocket peer is asked whether it is there, and whether its token still holds.
    pub ping_interval: Duration,
    /// How long a peer may leave what we send it unread before the connection is cut.
    pub write_stall: Duration,
    /// When stopping: how long readiness is off while requests are still taken, so that a load balancer notices.
    pub stop_notice: Duration,
    /// When stopping: how long requests in flight may take before they are cut.
    pub stop_deadline: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            header_time: Duration::from_secs(limits::HEADER_TIME_S),
            header_bytes_max: limits::HEADER_BYTES_MAX,
            body_bytes_max: limits::BODY_BYTES_MAX,
            body_decoded_bytes_max: limits::BODY_DECODED_BYTES_MAX,
            body_rate_window: Duration::from_secs(limits::BODY_RATE_WINDOW_S),
            body_rate_bytes_per_s_min: limits::BODY_RATE_BYTES_PER_S_MIN,
            request_timeout: Duration::from_secs(limits::REQUEST_TIMEOUT_S),
            slow_request: Duration::from_secs(limits::SLOW_REQUEST_S),
            requests_at_once_max: limits::REQUESTS_AT_ONCE_MAX,
            sockets_at_once_max: 10_000,
            ping_interval: Duration::from_secs(20),
            write_stall: Duration::from_secs(30),
            stop_notice: Duration::ZERO,
            stop_deadline: Duration::from_secs(limits::REQUEST_TIMEOUT_S),
        }
    }
}

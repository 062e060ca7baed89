//! Ports for servers that are started, ended and started again.
//!
//! What must hold: no connection that goes out takes a port that was given out while its server is down. The system takes the
//! ports of those from a range that it says; ours are outside of it.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

/// Lower ones are what other programs are known by.
const FIRST: u16 = 10_000;
/// Ports that are tried before it is said that there are none.
const TRIES: u32 = 1_000;

/// What this process gave out: a server of it that is down keeps its port.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port of 127.0.0.1 that nobody listens on, of which no other was given out in this process.
///
/// # Errors
/// There is none, or the system has no randomness.
pub fn free() -> anyhow::Result<u16> {
    let outgoing = outgoing(&fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default());
    for _ in 0..TRIES {
        let mut random = [0; 2];
        getrandom::fill(&mut random)?;
        let port = u16::from_be_bytes(random);
        let ours = port >= FIRST && !outgoing.contains(&port);
        if ours
            && TcpListener::bind(("127.0.0.1", port)).is_ok()
            && GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port)
        {
            return Ok(port);
        }
    }
    anyhow::bail!("no port from {FIRST} on and outside of {outgoing:?} is free")
}

/// What the system says of the ports of connections that go out; what it has by itself where it says nothing.
fn outgoing(said: &str) -> RangeInclusive<u16> {
    let mut ends = said.split_whitespace().filter_map(|end| end.parse().ok());
    ends.next().unwrap_or(32_768)..=ends.next().unwrap_or(60_999)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_given_out_is_none_that_a_connection_may_take() {
        let said = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let ends: Vec<u16> = said.split_whitespace().map(|end| end.parse().unwrap()).collect();
        let ports: BTreeSet<u16> = (0..200).map(|_| free().unwrap()).collect();
        assert_eq!(ports.len(), 200, "one was given out twice");
        assert!(ports.iter().all(|port| *port < ends[0] || *port > ends[1]), "{ports:?} and {said}");
    }
}

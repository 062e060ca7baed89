//! Ids: minted fresh, or derived from text so that two short commands mean the same thing.
//!
//! A derived id is a version 8 UUID (RFC 9562, 5.8): the first 16 bytes of
//! `SHA-256("syncline-ctl/" ‖ what ‖ "/v1" ‖ 0 ‖ text)` with version and variant set. It never changes.

use std::time::{SystemTime, UNIX_EPOCH};

use syncline::{Digest, Env, LogId, ReplicaId, RequestId, Timestamp};
use syncline_desk::Fault;

/// The time and fresh randomness, for one command.
///
/// # Errors
/// When the system gives no randomness.
pub(crate) fn env() -> Result<Env, Fault> {
    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy).map_err(|error| Fault::new(format!("the system gives no random bits: {error}")))?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    Ok(Env { now: Timestamp::from_ms(ms).unwrap_or(Timestamp::MAX), entropy })
}

/// The replica that a device's name stands for.
pub(crate) fn replica_named(name: &str) -> ReplicaId {
    ReplicaId::from_bytes(uuid8("replica", &[name.as_bytes()]))
}

/// The request that `what` with these contents is in this log: the same when the command is run again.
pub(crate) fn request_for(what: &str, log: LogId, contents: &[&[u8]]) -> RequestId {
    let mut parts: Vec<&[u8]> = vec![log.as_bytes()];
    parts.extend_from_slice(contents);
    RequestId::from_bytes(uuid8(what, &parts))
}

/// The derivation in this module's documentation.
pub(crate) fn uuid8(what: &str, contents: &[&[u8]]) -> [u8; 16] {
    let mut parts: Vec<&[u8]> = vec![b"syncline-ctl/", what.as_bytes(), b"/v1\0"];
    parts.extend_from_slice(contents);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Digest::of(&parts).as_bytes()[..16]);
    bytes[6] = 0x80 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_the_same_id_for_ever() {
        assert_eq!(replica_named("laptop").to_string(), "26db328e-649c-8bd0-a0c4-0862a330c58d");
        assert_ne!(replica_named("phone"), replica_named("laptop"));
    }
}

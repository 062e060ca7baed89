//! Their names as our ids, and back where a name must come back.
//!
//! Op and entity ids become hashes: the names themselves stand in the op's JSON. A client id is also a key of vector
//! clocks, which are given back, so it must be readable from its replica: one of at most 15 bytes stands in it as it
//! is, a longer one is hashed and its name kept as a note of the log. What must hold: no two names share an id unless
//! SHA-256 collides in 128 bits, and no name is [`ReplicaId::SERVER`].

use syncline::digest::Digest;
use syncline::id::{EntityId, OpId, ReplicaId, RequestId};

/// Longest client id that a replica id holds as it is.
const INLINE_BYTES_MAX: u8 = 15;
/// First byte of a replica id that is a hash.
const HASHED: u8 = 0xff;

/// An op's id.
pub(crate) fn op(id: &str) -> OpId {
    OpId::from_bytes(hash("syncline/sp/op\0", id.as_bytes()))
}

/// An entity's id, within its type.
pub(crate) fn entity(id: &str) -> EntityId {
    EntityId::from_bytes(hash("syncline/sp/entity\0", id.as_bytes()))
}

/// The entity of an op that names none: its own, so that it conflicts with nothing.
pub(crate) fn entity_of_op(id: &str) -> EntityId {
    EntityId::from_bytes(hash("syncline/sp/entity of op\0", id.as_bytes()))
}

/// The device's note.
pub(crate) fn device(client: &str) -> EntityId {
    EntityId::from_bytes(hash("syncline/sp/device\0", client.as_bytes()))
}

/// A request: its id bound to what it asks, so that the same id with other ops is another request.
pub(crate) fn request(id: &str, run: usize, asked: &[Digest]) -> RequestId {
    let mut bytes = Vec::with_capacity(id.len() + 16 + asked.len() * 32);
    bytes.extend_from_slice(id.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&(run as u64).to_be_bytes());
    asked.iter().for_each(|digest| bytes.extend_from_slice(digest.as_bytes()));
    RequestId::from_bytes(hash("syncline/sp/request\0", &bytes))
}

/// A client id as a replica.
pub(crate) fn replica(client: &str) -> ReplicaId {
    let mut bytes = [0; 16];
    match u8::try_from(client.len()) {
        Ok(length @ 1..=INLINE_BYTES_MAX) => {
            bytes[0] = length;
            bytes[1..=client.len()].copy_from_slice(client.as_bytes());
        }
        _ => {
            bytes = hash("syncline/sp/client\0", client.as_bytes());
            bytes[0] = HASHED;
        }
    }
    ReplicaId::from_bytes(bytes)
}

/// Whether a client id has to be kept beside the log to be found again.
pub(crate) const fn is_long(client: &str) -> bool {
    client.len() > INLINE_BYTES_MAX as usize
}

/// The client id that stands in a replica as it is; `None` for a hashed one.
pub(crate) fn client(replica: ReplicaId) -> Option<String> {
    let bytes = replica.as_bytes();
    let length = bytes[0];
    if length == 0 || length > INLINE_BYTES_MAX {
        return None;
    }
    String::from_utf8(bytes[1..=usize::from(length)].to_vec()).ok()
}

fn hash(kind: &str, name: &[u8]) -> [u8; 16] {
    let digest = Digest::of(&[kind.as_bytes(), name]);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_of_up_to_15_bytes_reads_back_from_its_replica() {
        for name in ["a", "B_pr3k4d", "123456789012345", "é", "with space"] {
            assert_eq!(client(replica(name)).as_deref(), Some(name));
            assert!(!is_long(name));
        }
        assert_eq!(client(replica("1234567890123456")), None);
        assert!(is_long("1234567890123456"));
    }

    #[test]
    fn no_client_is_the_server_and_no_two_clients_are_one() {
        let names = ["", "a", "a\0", "1234567890123456", "1234567890123457"];
        for (index, name) in names.iter().enumerate() {
            assert_ne!(replica(name), ReplicaId::SERVER);
            assert!(names[..index].iter().all(|other| replica(other) != replica(name)), "{name}");
        }
    }

    #[test]
    fn a_request_id_with_other_ops_is_another_request() {
        let (a, b) = (Digest::of(&[b"a"]), Digest::of(&[b"b"]));
        assert_eq!(request("r", 0, &[a]), request("r", 0, &[a]));
        assert_ne!(request("r", 0, &[a]), request("r", 0, &[b]));
        assert_ne!(request("r", 0, &[a]), request("r", 1, &[a]));
    }
}

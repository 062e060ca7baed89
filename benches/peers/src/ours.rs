//! Syncline's text.

use bytes::Bytes;
use syncline::ReplicaId;
use syncline::crdt::text::Text;

use crate::peer::Peer;

pub struct Ours;

pub struct Doc {
    text: Text,
    me: ReplicaId,
    sent: u64,
}

fn id(agent: u64) -> ReplicaId {
    let mut bytes = [3; 16];
    bytes[..8].copy_from_slice(&agent.to_be_bytes());
    ReplicaId::from_bytes(bytes)
}

impl Peer for Ours {
    const NAME: &'static str = "syncline";
    type Doc = Doc;
    /// The author is known from the op that carries the delta.
    type Update = (ReplicaId, Bytes);

    fn new(agent: u64) -> Doc {
        Doc { text: Text::new(), me: id(agent), sent: 0 }
    }

    fn edit(doc: &mut Doc, at: usize, deleted: usize, inserted: &str) {
        if deleted > 0 {
            doc.text.delete(doc.me, at..at + deleted).unwrap();
        }
        if !inserted.is_empty() {
            doc.text.insert(doc.me, at, inserted).unwrap();
        }
    }

    fn update(doc: &mut Doc) -> Self::Update {
        let delta = doc.text.delta(doc.me, doc.sent).unwrap();
        doc.sent = doc.text.seen(doc.me);
        (doc.me, delta)
    }

    fn size(update: &Self::Update) -> usize {
        update.1.len()
    }

    fn apply(doc: &mut Doc, update: &Self::Update) {
        doc.text.apply(update.0, &update.1).unwrap();
    }

    fn apply_all(doc: &mut Doc, updates: &[Self::Update]) {
        doc.text.apply_all(updates).unwrap();
    }

    fn text(doc: &mut Doc) -> String {
        doc.text.to_string()
    }

    fn save(doc: &mut Doc) -> Vec<u8> {
        doc.text.save().unwrap().to_vec()
    }

    fn load(bytes: &[u8]) -> Doc {
        Doc { text: Text::load(&Bytes::copy_from_slice(bytes)).unwrap(), me: id(0), sent: 0 }
    }
}

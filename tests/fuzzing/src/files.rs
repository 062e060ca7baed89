//! Rows about files: nodes of a tree, what is known of blobs and of who holds a log, manifests. Bytes of any origin, and good
//! ones with a few changes, numbers at their edges among them.
//!
//! What must hold: a row is refused or has one spelling, and nothing is made of it that is larger than it.

use std::sync::Arc;

use bytes::Bytes;
use syncline::EntityId;
use syncline::blob::{BlobRecord, Manifest, ScanRecord, ScanTerms, Usage};
use syncline::decide::{TreeTerms, Unscanned};
use syncline::digest::Digest;
use syncline::oplog::Holders;
use syncline::time::Timestamp;
use syncline::tree::{Change, Commit, Content, Entry, Kind, Node, Revision, To, TreeOp};

use crate::given::how;
use crate::hostile_text::mutate;
use crate::random::Random;
use crate::rows::one_spelling;

/// A number that somebody did not think of.
pub(crate) fn edge(random: &mut Random) -> u64 {
    let bits = [0, 7, 8, 16, 31, 32, 48, 53, 62, 63][random.below(10)];
    (1_u64 << bits).wrapping_sub(random.below(3) as u64)
}

fn id(random: &mut Random) -> EntityId {
    EntityId::from_bytes([u8::try_from(random.below(4)).unwrap_or(0); 16])
}

fn seq(random: &mut Random) -> syncline::Seq {
    syncline::Seq::new(edge(random)).unwrap_or_default()
}

fn content(random: &mut Random) -> Content {
    let digest = |random: &mut Random| Digest::of(&[&[u8::try_from(random.below(3)).unwrap_or(0)]]);
    Content {
        blob: digest(random),
        bytes: edge(random),
        manifest: (random.below(3) == 0).then(|| digest(random)),
        modified_at: Timestamp::from_ms(edge(random)).unwrap_or_default(),
        executable: random.below(2) == 0,
        attributes: (random.below(3) == 0).then(|| digest(random)),
    }
}

fn op(random: &mut Random) -> TreeOp {
    let (node, seen) = (id(random), seq(random));
    let name = |random: &mut Random| ["a", "", "..", "é", "CON", "n\0"][random.below(6)].to_owned();
    match random.below(5) {
        0 => {
            let kinds = [Kind::File, Kind::Folder, Kind::Symlink, Kind::Mount(syncline::LogId::from_bytes([3; 16]))];
            let kind = kinds[random.below(4)];
            let content = (random.below(2) == 0).then(|| content(random));
            TreeOp::Create { node, parent: id(random), name: name(random), kind, content }
        }
        1 => TreeOp::Put {
            node,
            content: content(random),
            base: seq(random),
            seen,
            copy: id(random),
            reason: syncline::tree::Reason::Put,
        },
        2 => TreeOp::Move {
            node,
            parent: (random.below(2) == 0).then(|| To { value: id(random), base: seq(random) }),
            name: (random.below(2) == 0).then(|| To { value: name(random), base: seq(random) }),
            seen,
        },
        3 => TreeOp::Delete { node, seen },
        _ => TreeOp::Restore { node, parent: None, name: None },
    }
}

/// Any ops that a commit may have.
pub(crate) fn commit(random: &mut Random) -> Option<Arc<Commit>> {
    let ops = (0..=random.below(4)).map(|_| op(random)).collect();
    Commit::new(ops).ok().map(Arc::new)
}

pub(crate) fn file_rows(data: &[u8]) {
    let (how, data) = how(data);
    let (tape, _) = data.split_at(data.len().min(64));
    let mut random = Random::over(tape);
    let good = match how {
        0..128 => None,
        _ => match how % 5 {
            0 => commit(&mut random).map(|commit| commit.to_bytes()),
            1 => Some(Usage::default().to_bytes()),
            2 => Some(ScanTerms::default().to_bytes()),
            3 => Some(TreeTerms::default().to_bytes()),
            _ => Some(Holders::default().to_bytes()),
        },
    };
    let bytes = match good {
        None => Bytes::copy_from_slice(data),
        Some(good) => {
            let mut bytes = good.to_vec();
            mutate(&mut bytes, &mut random);
            bytes.into()
        }
    };
    one_spelling(&bytes, Commit::from_bytes, Commit::to_bytes);
    one_spelling(&bytes, Change::from_bytes, |changes| Change::to_bytes(changes));
    one_spelling(&bytes, Node::from_bytes, Node::to_bytes);
    one_spelling(&bytes, Revision::from_bytes, Revision::to_bytes);
    one_spelling(&bytes, Entry::from_bytes, Entry::to_bytes);
    one_spelling(&bytes, Manifest::from_bytes, Manifest::to_bytes);
    one_spelling(&bytes, Usage::from_bytes, Usage::to_bytes);
    one_spelling(&bytes, BlobRecord::from_bytes, BlobRecord::to_bytes);
    one_spelling(&bytes, ScanRecord::from_bytes, ScanRecord::to_bytes);
    one_spelling(&bytes, ScanTerms::from_bytes, ScanTerms::to_bytes);
    if let Ok(terms) = TreeTerms::from_bytes(bytes.clone()) {
        // Rows of the first version are read, and written as the present one.
        assert_eq!(TreeTerms::from_bytes(terms.to_bytes()), Ok(terms));
    }
    one_spelling(&bytes, Holders::from_bytes, Holders::to_bytes);
    one_spelling(&bytes, |bytes| Unscanned::from_bytes(&bytes), Unscanned::to_bytes);
}

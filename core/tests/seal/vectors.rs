//! Known answers: envelopes as they are on devices' disks. A change there makes data unreadable.

use bytes::Bytes;
use syncline::conformance::author::{Author, entity_subject};
use syncline::conformance::support::{env, log};
use syncline::oplog::{Draft, Op, OpKind, Payload, Precondition, Subject};
use syncline::seal::{SealContext, open, seal_under};
use syncline::{Anchor, EntityId, Origin};

use crate::common::{golden, seq};
use crate::keyring;

/// An op with something in every field.
pub(crate) fn draft() -> Op {
    let mut author = Author::new(1);
    let mut other = Author::new(2);
    other.counter_is(1);
    author.sees(other.clock());
    let mut subject = entity_subject("things", 1);
    if let Subject::Entity { also, .. } = &mut subject {
        also.extend([[3; 16], [2; 16]].map(EntityId::from_bytes));
    }
    let draft = author.draft(OpKind::Batch, subject, Payload::Plain("".into()));
    Draft { precondition: Precondition::Version(seq(7)), ..draft }.seal().expect("a good draft")
}

pub(crate) fn snapshot_context() -> SealContext {
    let anchor = Anchor::genesis(log(1), Origin([4; 16]));
    SealContext::of_snapshot(log(1), seq(9), anchor, draft().clock(), 3)
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.chunks(32).map(|line| line.join("") + "\n").collect()
}

#[test]
fn envelopes_are_as_agreed_to_the_byte() {
    let cases = [
        ("op_json", 1, SealContext::of_op(log(1), &draft()), Payload::Json("{\"title\":\"Zoë ✓\"}".into())),
        ("op_empty", 3, SealContext::of_op(log(1), &draft()), Payload::Plain(Bytes::new())),
        ("snapshot", 2, snapshot_context(), Payload::Plain(Bytes::from_static(&[7; 100]))),
    ];
    for (name, epoch, context, plain) in cases {
        let sealed = seal_under(&keyring(), epoch, &context, &plain, &env(1)).expect("seals");
        golden(&format!("seal.golden/{name}.hex"), &hex(sealed.bytes()));
        assert_eq!(open(&keyring(), &context, &sealed), Ok(plain));
    }
}

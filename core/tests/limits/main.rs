//! Every limit that core keeps: accepted at limit − 1 and at the limit, refused at limit + 1 with what was given.
//!
//! How: `check` asks three times. The last test reads `src/limits.rs` and wants every constant named in these files, or
//! in the list of those that transports and stores keep.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "each proof uses its part")]
mod common;

mod call;
mod clock;
mod holders;
mod op;
#[cfg(feature = "encryption")]
mod seal;
mod transaction;
mod tree;
mod values;

use std::fmt::Debug;

use syncline::{Seq, Timestamp};

/// Accepted below and at the limit, refused above it with exactly this error.
pub(crate) fn check<E: PartialEq + Debug>(limit: usize, refused: &E, accepts: impl Fn(usize) -> Result<(), E>) {
    assert_eq!(accepts(limit - 1), Ok(()), "one below the limit {limit}");
    assert_eq!(accepts(limit), Ok(()), "at the limit {limit}");
    assert_eq!(accepts(limit + 1).as_ref(), Err(refused), "one above the limit {limit}");
}

#[test]
fn the_number_line_ends_where_the_types_say() {
    let (last, time) = (Seq::MAX.get(), Timestamp::MAX.ms());
    assert_eq!((last, time), ((1 << 63) - 1, (1 << 48) - 1));
    for (value, good) in [(last - 1, true), (last, true), (last + 1, false), (u64::MAX, false)] {
        assert_eq!(Seq::new(value).is_some(), good);
        assert_eq!(serde_json::from_str::<Seq>(&value.to_string()).is_ok(), good);
    }
    assert_eq!((Seq::MAX.next(), Seq::new(last - 1).and_then(Seq::next)), (None, Some(Seq::MAX)));
    assert_eq!((Seq::ZERO.before(), Seq::FIRST.before()), (Seq::ZERO, Seq::ZERO));
    for (value, good) in [(time - 1, true), (time, true), (time + 1, false), (u64::MAX, false)] {
        assert_eq!(Timestamp::from_ms(value).is_some(), good);
        assert_eq!(serde_json::from_str::<Timestamp>(&value.to_string()).is_ok(), good);
    }
    assert_eq!(Timestamp::MAX.plus_ms(u64::MAX), Timestamp::MAX);
}

/// Kept by the crates that meet them, and by those crates' tests.
const ELSEWHERE: &[&str] = &[
    // transport-http and the server program
    "BODY_BYTES_MAX",
    "BODY_DECODED_BYTES_MAX",
    "HEADER_BYTES_MAX",
    "HEADER_TIME_S",
    "BODY_RATE_BYTES_PER_S_MIN",
    "BODY_RATE_WINDOW_S",
    "SOCKET_FRAME_BYTES_MAX",
    "SOCKET_UNREAD_BYTES_MAX",
    "REQUESTS_AT_ONCE_MAX",
    "REQUEST_TIMEOUT_S",
    "PROXY_TIMEOUT_S",
    "CLIENT_REQUEST_TIMEOUT_S",
    "CLIENT_SYNC_TIMEOUT_S",
    "SLOW_REQUEST_S",
    // stores and whoever sweeps them
    "STORE_TIMEOUT_S",
    "POOL_WAIT_S",
    "RECEIPT_KEPT_MS",
    // core/tests/session
    "CLIENT_POLL_MS",
    "CLIENT_BACKOFF_MS_MIN",
    "CLIENT_BACKOFF_MS_MAX",
    "CLIENT_OPERATOR_RETRY_MS_MIN",
    "CLIENT_OPERATOR_RETRY_MS_MAX",
    "CLIENT_RETRY_AFTER_MS_MAX",
    "CLIENT_IDLE_PUSHES_MAX",
    "CLIENT_RECOVERIES_MAX",
    // core/src/client/deferred.rs and core/tests/replica/state_recovery.rs
    "CLIENT_OTHERS_FIRST_MS",
    // core/tests/replica/conflicts.rs and core/src/client/events.rs
    "CONFLICTS_KEPT_MAX",
    "EVENTS_HELD_MAX",
    // core/tests/replica/retain.rs
    "REPLICA_OPS_KEPT",
    "REPLICA_OPS_KEPT_MS",
    // core/tests/seal/: what an envelope is and how dear a guess is, no bounds on input
    "SEALED_FRAME_BYTES_MIN",
    // core/src/seal/super_productivity.rs
    "PASSWORD_KEYS_KEPT",
    // core/tests/crdt/document.rs
    "DOCUMENT_DEPTH_MAX",
    // core/tests/crdt/tree.rs: what is older is let go of
    "TREE_MOVES_KEPT",
    // core/tests/text/hostile.rs: numbers that are claimed, for nobody types that much
    "TEXT_EVENTS_MAX",
    "TEXT_CONTENT_BYTES_MAX",
    "TEXT_PARENTS_MAX",
    // core/src/blob
    "FILE_CUT_BYTES_MIN",
    "FILE_BYTES_MAX",
    "MANIFEST_PIECES_MAX",
    // core/tests/files/halts.rs
    "FILES_DELETED_MIN",
    "FILES_DELETED_PERCENT",
    // core/src/conformance/retention.rs
    "REVISIONS_READ_MAX",
    "SCAN_TEXT_BYTES_MAX",
    // core/tests/server/groups.rs
    "GROUPS_PER_TOKEN_MAX",
    "GRANTS_PER_GROUP_MAX",
    "TOKEN_FORMER_MS",
    "TOKENS_FORMER_MAX",
    // core/src/access/link.rs and core/tests/server/links.rs
    "LINK_GUESSES_MAX",
    "LINK_GUESS_WINDOW_MS",
    "LINK_PASSWORD_BYTES_MAX",
    // core/tests/server/share.rs: a call that copies stops there, which is no refusal
    "SHARE_NODES_MAX",
    "SHARE_STEP_BYTES",
    // core/tests/server/manifests.rs
    "FILE_JUDGED_AT_ONCE_BYTES_MAX",
    // core/tests/server/blobs.rs and tree.rs
    "BLOB_BYTES_MAX",
    "BLOB_BATCH_BYTES_MAX",
    "BLOB_LEASE_MS",
    "BLOB_GRACE_MS",
    "BLOB_DELETE_MS",
    "TREE_PAGE_NODES_MAX",
    // core/tests/tree/rules.rs: a tree's own number, whatever it is
    "TREE_NODES_MAX",
    // transport-http/tests/tree.rs
    "COMMIT_BODY_BYTES_MAX",
    // transport-http/tests/blobs.rs
    "BLOB_PUT_BYTES_MAX",
    "BLOB_PIECE_BYTES_MAX",
    // core/tests/server/snapshot.rs, with a thousand ops on each side
    "SNAPSHOT_STALE_OPS",
];

#[test]
fn every_limit_is_tried_here_or_named_as_kept_elsewhere() {
    let here = [
        include_str!("call.rs"),
        include_str!("clock.rs"),
        include_str!("holders.rs"),
        include_str!("op.rs"),
        include_str!("seal.rs"),
        include_str!("transaction.rs"),
        include_str!("tree.rs"),
        include_str!("values.rs"),
    ]
    .concat();
    let declared: Vec<&str> = include_str!("../../src/limits.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split(':').next())
        .collect();
    assert!(declared.len() > 30, "the declarations are found: {declared:?}");
    for name in &declared {
        let tried = here.contains(&format!("limits::{name}"));
        assert_ne!(tried, ELSEWHERE.contains(name), "{name} is either tried here or kept elsewhere");
    }
    for name in ELSEWHERE {
        assert!(declared.contains(name), "{name} is no limit any more");
    }
}

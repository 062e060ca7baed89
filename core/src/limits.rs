//! Every limit of the engine: its unit is in its name, its reason in its comment, its relations checked at compile time.
//!
//! A limit that input can cross has an error that says what was given and what was allowed, and a test at
//! limit − 1, limit and limit + 1.

// ── One op ──────────────────────────────────────────────────────────────────────────────────────────

/// Payload of an ordinary op (the real app's ops may hold 20 MiB of JSON). Larger content belongs in a blob, named by
/// its hash.
pub const OP_PAYLOAD_BYTES_MAX: usize = 21 << 20;
/// Payload of a full-state op: a whole dataset in one op (the real app's imports reach some 20 MiB).
pub const FULL_STATE_BYTES_MAX: usize = 22 << 20;
/// Entities one op may touch, its first included (the real app archives up to a thousand tasks in one op).
pub const OP_ENTITIES_MAX: usize = 1_000;
/// Entities all ops of one push may touch together, each op's counted: each costs a head in the transaction.
pub const BATCH_ENTITIES_MAX: usize = 100_000;
/// Length of a collection's name, in ASCII characters.
pub const COLLECTION_BYTES_MAX: usize = 64;
/// Highest schema version an op may carry; 0 is not a version.
pub const SCHEMA_VERSION_MAX: u32 = 65_535;
/// Nesting of a JSON document: arrays and objects around a leaf. Bounds the stack of every parser behind us.
pub const JSON_DEPTH_MAX: usize = 64;
/// Object keys and array elements in the JSON payload of an ordinary op.
pub const JSON_NODES_MAX: usize = 24_000;
/// The same for a full-state op.
pub const FULL_STATE_JSON_NODES_MAX: usize = 1_000_000;

// ── Values that merge ───────────────────────────────────────────────────────────────────────────────

/// Names in the path of a document's field. With the depth of the value there it stays below what JSON parsers take.
pub const DOCUMENT_DEPTH_MAX: usize = 32;
/// Bytes of a place among siblings in a list or tree. They grow only where everybody inserts between the two that were
/// inserted last, now on this side and then on that without a rule: 100,000 times in one place, whoever does.
pub const POSITION_BYTES_MAX: usize = 1 << 20;
/// Bytes of the key of a mark on a text.
pub const TEXT_MARK_KEY_BYTES_MAX: usize = 255;
/// Bytes of the value of a mark on a text: a link or a comment's name, not the comment.
pub const TEXT_MARK_VALUE_BYTES_MAX: usize = 1 << 16;
/// Characters ever inserted into and deleted from one text: they are counted in 32 bits, and half of that is room for sums.
pub const TEXT_EVENTS_MAX: u32 = 1 << 30;
/// Bytes ever inserted into one text.
pub const TEXT_CONTENT_BYTES_MAX: usize = 1 << 30;
/// Concurrent versions of a text that may be open at once, and that one edit may join: an edit that would leave more of them
/// open is refused, for nobody could write the next one.
pub const TEXT_PARENTS_MAX: usize = 1 << 16;

/// Newest moves of a node that a tree remembers: where it goes back to when two moves would close a circle. Whoever edits the
/// tree next settles that, so few will do.
pub const TREE_MOVES_KEPT: usize = 4;

// ── Blobs and files ─────────────────────────────────────────────────────────────────────────────────

/// Bytes of one blob; a file of many pieces may have more.
pub const BLOB_BYTES_MAX: u64 = 5 << 30;
/// Bytes of a blob sent in one request; a larger one is uploaded piece by piece.
pub const BLOB_PUT_BYTES_MAX: u64 = 8 << 20;
/// Bytes of one piece of an upload: what a slow line sends in the time of a request.
pub const BLOB_PIECE_BYTES_MAX: u64 = 64 << 20;
/// Bytes of blobs sent at once.
pub const BLOB_BATCH_BYTES_MAX: usize = 16 << 20;
/// How long a blob that nothing refers to yet is kept for a device that was told of it.
pub const BLOB_LEASE_MS: u64 = 24 * 60 * 60 * 1_000;
/// How long a blob that nobody needs stays readable for those who were told of it before.
pub const BLOB_GRACE_MS: u64 = 24 * 60 * 60 * 1_000;
/// How long deleting a blob's bytes may take before somebody else does it again.
pub const BLOB_DELETE_MS: u64 = 60 * 60 * 1_000;
/// Bytes from which on a file is cut into pieces; a smaller one is one blob.
pub const FILE_CUT_BYTES_MIN: u64 = 128 << 10;
/// Bytes of a file.
pub const FILE_BYTES_MAX: u64 = 128 << 30;
/// Pieces of a file.
pub const MANIFEST_PIECES_MAX: usize = 1 << 19;
/// Bytes of a file in pieces that is read when its manifest is kept; whether the pieces of a larger one make the file is found
/// out later.
pub const FILE_JUDGED_AT_ONCE_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a file's name in NFC: what file systems hold.
pub const NAME_BYTES_MAX: usize = 255;
/// Bytes of a device's label in the names of conflict copies.
pub const LABEL_BYTES_MAX: usize = 24;
/// Levels of a tree below its root, dead nodes' included. Bounds every walk to the root.
pub const TREE_DEPTH_MAX: usize = 256;
/// Bytes of a path, slashes included: `PATH_MAX` of Linux.
pub const PATH_BYTES_MAX: usize = 4_096;
/// Characters of a path beyond which its user is warned: other cloud drives stop here.
pub const PATH_CHARS_WARNED: usize = 400;
/// Nodes of a tree, dead ones included, unless its log says otherwise.
pub const TREE_NODES_MAX: u64 = 10_000_000;
/// Nodes of one page of a listing.
pub const TREE_PAGE_NODES_MAX: usize = 5_000;
/// Ops of one commit to a tree.
pub const TREE_OPS_MAX: usize = 1_000;
/// Bytes of a commit's body, as received and decoded: the longest names and everything else of [`TREE_OPS_MAX`] ops fit.
pub const COMMIT_BODY_BYTES_MAX: usize = 4 << 20;
/// Nodes in a deleted folder that its deleter had not seen change; beyond it the whole folder stays. Bounds what a commit
/// reads and says.
pub const TREE_UNSEEN_MAX: usize = 10_000;
/// Live nodes in a folder that is shared: all of them go to another log in one transaction, and stand in one op there.
pub const SHARE_NODES_MAX: usize = 10_000;
/// Bytes that one call copies on the way to a share; what is left is for the next one, so no call outlasts its time.
pub const SHARE_STEP_BYTES: u64 = 256 << 20;
/// Revisions of one file that a decision is told of, the oldest ones.
pub const REVISIONS_READ_MAX: usize = 1_000;

/// From how many nodes on a device asks before it deletes most of them; fewer are deleted without a word.
pub const FILES_DELETED_MIN: usize = 100;
/// How many of a hundred nodes may be deleted at once without asking (rclone bisync's `--max-delete`).
pub const FILES_DELETED_PERCENT: usize = 50;
/// Revisions of a file that thinning leaves at most, those aside that are held.
pub const REVISIONS_KEPT_MAX: usize = 100;

// ── Sealed payloads ─────────────────────────────────────────────────────────────────────────────────

/// Shortest content of an envelope: two flags, or a flag and a word, are told apart by nobody.
pub const SEALED_FRAME_BYTES_MIN: usize = 32;
/// What an envelope adds to its content before and behind it.
pub const ENVELOPE_BYTES: usize = 80;
/// Content of an ordinary op that still fits once it is sealed: the largest Padmé step below the limit, without the
/// frame's own five bytes. The real app's 20 MiB fit.
pub const SEALED_OP_CONTENT_BYTES_MAX: usize = (20 << 20) + (512 << 10) - 5;
/// The same for a full state and a snapshot.
pub const SEALED_STATE_CONTENT_BYTES_MAX: usize = (21 << 20) + (512 << 10) - 5;
/// Memory that makes one guess at a passphrase dear: Argon2id's m (RFC 9106, section 4; the real app's choice, too). A
/// recipe that asks for less is refused: somebody may have made guesses cheap.
pub const PASSPHRASE_MEMORY_KIB: u32 = 64 << 10;
/// How often that memory is gone over: Argon2id's t.
pub const PASSPHRASE_PASSES: u32 = 3;
/// Threads that could share the work: Argon2id's p.
pub const PASSPHRASE_LANES: u32 = 1;
/// Most memory that a recipe may ask for: a gigabyte. Recipes may come from somebody who means to exhaust a device.
pub const PASSPHRASE_MEMORY_KIB_MAX: u32 = 1 << 20;
/// Most passes that a recipe may ask for.
pub const PASSPHRASE_PASSES_MAX: u32 = 16;
/// Most lanes that a recipe may ask for.
pub const PASSPHRASE_LANES_MAX: u32 = 4;
/// Keys that a reader of Super Productivity's payloads keeps; each costs an Argon2id, and an op may name any salt.
pub const PASSWORD_KEYS_KEPT: usize = 64;

// ── Clocks ──────────────────────────────────────────────────────────────────────────────────────────

/// Entries of a vector clock (seed 001), and so replicas that may author in one log.
pub const CLOCK_ENTRIES_MAX: usize = 100;
/// Highest counter: 2^53 − 1, the largest integer every JSON reader keeps exactly (RFC 8259, section 6).
pub const CLOCK_COUNTER_MAX: u64 = (1 << 53) - 1;
/// How far an author's wall clock may run ahead and still count (seed 004, "timestamp drift").
pub const CLOCK_DRIFT_MS_MAX: u64 = 60_000;

// ── One call ────────────────────────────────────────────────────────────────────────────────────────

/// Ops in one push.
pub const BATCH_OPS_MAX: usize = 1_000;
/// Canonical bytes of all ops in one push.
pub const BATCH_BYTES_MAX: usize = 24 << 20;
/// Ops in a page when the reader names no number (seed 001).
pub const PAGE_OPS_DEFAULT: usize = 500;
/// Ops in a page at most.
pub const PAGE_OPS_MAX: usize = 1_000;
/// Canonical bytes after which a page ends; one op is always served, however large.
pub const PAGE_BYTES_MAX: usize = 4 << 20;
/// Entries of a listing: logs, heads, restore points.
pub const LIST_ITEMS_MAX: usize = 1_000;
/// Ops one call may replay to build a state. Beyond it, snapshots are built in steps.
pub const REPLAY_OPS_MAX: u64 = 1_000_000;
/// Bytes a call may write to its state while it replays: an op that changes a large entity rewrites it.
pub const REPLAY_WORK_BYTES_MAX: u64 = 1 << 30;
/// Bytes a replayed state may reach, keys included; more would not fit a full-state op.
pub const REPLAY_BYTES_MAX: usize = FULL_STATE_BYTES_MAX;
/// Prefixes of entity keys in the part of a log that a partial reader asks for: it goes with every request.
pub const PART_PREFIXES_MAX: usize = 100;
/// A stored snapshot this far behind is renewed when somebody asks for one.
pub const SNAPSHOT_STALE_OPS: u64 = 1_000;

/// How long a replica may be silent and still hold the stable frontier back; then it is retired until it comes back.
pub const REPLICA_SILENT_MS_MAX: u64 = 45 * 24 * 60 * 60 * 1_000;
/// Replicas counted for a log's stable frontier; with more of them it does not rise until some are retired. Bounds the one
/// note that an acknowledgement rewrites, to some 8 KiB.
pub const REPLICAS_COUNTED_MAX: usize = 256;
/// A replica's acknowledgements that come faster than this are not written down: a later one says more.
pub const ACKNOWLEDGE_MS_MIN: u64 = 5_000;
/// An acknowledgement that says nothing new is written down this often, as a sign of life, and sent as often.
pub const ACKNOWLEDGE_MS_MAX: u64 = 60 * 60 * 1_000;

/// Bytes kept of an engine's name and of what it found; what is longer is cut.
pub const SCAN_TEXT_BYTES_MAX: usize = 200;

/// Wrong guesses at the password of a link within [`LINK_GUESS_WINDOW_MS`], before nobody may guess.
pub const LINK_GUESSES_MAX: usize = 5;
/// How long a wrong guess counts.
pub const LINK_GUESS_WINDOW_MS: u64 = 15 * 60 * 1_000;
/// Bytes of the password of a link: a longer one would be work for nothing.
pub const LINK_PASSWORD_BYTES_MAX: usize = 1_024;

/// Groups that one token is in: each is a read for every request.
pub const GROUPS_PER_TOKEN_MAX: usize = 32;
/// Logs that one group has grants for.
pub const GRANTS_PER_GROUP_MAX: usize = 256;
/// How long a token still lets in after another took its place.
pub const TOKEN_FORMER_MS: u64 = 5 * 60 * 1_000;
/// Tokens that are remembered because others took their place; with more at once the oldest ends early.
pub const TOKENS_FORMER_MAX: usize = 4;

/// Characters of a token's name, and of a group's.
pub const TOKEN_NAME_CHARS_MAX: usize = 100;

// ── A replica ───────────────────────────────────────────────────────────────────────────────────────

/// Changed entities and other events held for a listener that does not listen; then it is told to read anew.
pub const EVENTS_HELD_MAX: usize = 10_000;
/// Newest ops of its log that a replica keeps unless told otherwise, so that a server set back to a backup gets them again.
pub const REPLICA_OPS_KEPT: u64 = 10_000;
/// It keeps younger ones than this too, however many: a month, for backups are rarely older.
pub const REPLICA_OPS_KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
/// Ended conflicts kept on record, the newest.
pub const CONFLICTS_KEPT_MAX: usize = 1_000;

// ── Transactions ────────────────────────────────────────────────────────────────────────────────────

/// Logs one transaction may lock.
pub const SCOPE_LOGS_MAX: usize = 4;
/// Times a decision may ask for more before it is called a runaway.
pub const DECISION_ROUNDS_MAX: usize = 16;
/// Keys one decision may read in one log: op ids, heads, slots and receipts together.
pub const DECISION_READS_MAX: usize = 250_000;
/// How long the answer to a request id is kept at least.
pub const RECEIPT_KEPT_MS: u64 = 24 * 60 * 60 * 1_000;

// ── HTTP bodies and peers ───────────────────────────────────────────────────────────────────────────

/// Bytes of a request body as received. Ciphertext does not compress, so a sealed full state arrives as large as it is.
pub const BODY_BYTES_MAX: usize = 32 << 20;
/// Bytes of a request body after decompression, counted while it streams.
pub const BODY_DECODED_BYTES_MAX: usize = 32 << 20;
/// Bytes of a request's head.
pub const HEADER_BYTES_MAX: usize = 16 << 10;
/// Time for a peer to send its request's head.
pub const HEADER_TIME_S: u64 = 10;
/// A body slower than this, measured over [`BODY_RATE_WINDOW_S`], is cut off.
pub const BODY_RATE_BYTES_PER_S_MIN: u64 = 1 << 10;
/// The window over which a body's rate is measured.
pub const BODY_RATE_WINDOW_S: u64 = 10;
/// Signals waiting for a WebSocket peer that does not read, before it is cut off.
pub const SOCKET_QUEUE_FRAMES_MAX: usize = 1_024;
/// Bytes that wait to be read by a WebSocket peer, before it is cut off; answers to its pings that it does not read are among
/// them.
pub const SOCKET_UNREAD_BYTES_MAX: usize = 64 << 10;
/// Bytes of a frame a WebSocket peer may send us.
pub const SOCKET_FRAME_BYTES_MAX: usize = 64 << 10;
/// Requests served at once by one process; more are refused with "busy".
pub const REQUESTS_AT_ONCE_MAX: usize = 512;

// ── A client's conversation ─────────────────────────────────────────────────────────────────────────

/// A client asks for news this often even if no wake came: wakes are hints and may get lost.
pub const CLIENT_POLL_MS: u64 = 30_000;
/// The longest wait after a first failure; it doubles with every further one.
pub const CLIENT_BACKOFF_MS_MIN: u64 = 1_000;
/// The longest wait after any number of failures.
pub const CLIENT_BACKOFF_MS_MAX: u64 = 30_000;
/// So long a client that holds a state in the place of old history leaves a log that was begun anew to those that hold that
/// history itself.
pub const CLIENT_OTHERS_FIRST_MS: u64 = 10 * 60 * 1_000;
/// The shortest wait before a client asks again for what an operator must mend.
pub const CLIENT_OPERATOR_RETRY_MS_MIN: u64 = 30_000;
/// The longest such wait.
pub const CLIENT_OPERATOR_RETRY_MS_MAX: u64 = 300_000;
/// What a server asks a client to wait counts for at most this: a wrong number must not silence a device.
pub const CLIENT_RETRY_AFTER_MS_MAX: u64 = 3_600_000;
/// Pushes in a row without any effect, after which a client waits like after a failure. Halving a full batch down to one
/// op takes ten.
pub const CLIENT_IDLE_PUSHES_MAX: u32 = 16;
/// Times a client begins anew after a gap without a pause; servers that contradict each other would never let it end.
pub const CLIENT_RECOVERIES_MAX: u32 = 4;

// ── The timeout ladder of seed 001: each outer one exceeds the inner ────────────────────────────────

/// A store transaction.
pub const STORE_TIMEOUT_S: u64 = 60;
/// The server's handling of one request.
pub const REQUEST_TIMEOUT_S: u64 = 80;
/// A proxy in front of the server (documented for operators).
pub const PROXY_TIMEOUT_S: u64 = 85;
/// One HTTP request of our client. Seed 001 says 75, which is *less* than its server's 80; ours waits for the answer.
pub const CLIENT_REQUEST_TIMEOUT_S: u64 = 88;
/// A client's wait for one sync.
pub const CLIENT_SYNC_TIMEOUT_S: u64 = 90;
/// A request slower than this is logged with its duration.
pub const SLOW_REQUEST_S: u64 = 30;
/// Wait for a free database connection before the store says "busy".
pub const POOL_WAIT_S: u64 = 5;

const _: () = {
    assert!(STORE_TIMEOUT_S < REQUEST_TIMEOUT_S);
    assert!(REQUEST_TIMEOUT_S < PROXY_TIMEOUT_S);
    assert!(PROXY_TIMEOUT_S < CLIENT_REQUEST_TIMEOUT_S);
    assert!(CLIENT_REQUEST_TIMEOUT_S < CLIENT_SYNC_TIMEOUT_S);
    assert!(SLOW_REQUEST_S < STORE_TIMEOUT_S);
    assert!(POOL_WAIT_S < STORE_TIMEOUT_S);
    // Who is in contact is never retired, and one that was found full is asked about again before that.
    assert!(ACKNOWLEDGE_MS_MIN < ACKNOWLEDGE_MS_MAX && ACKNOWLEDGE_MS_MAX < REPLICA_SILENT_MS_MAX);
    // A failing server is asked no more often than a working one is polled, in the long run.
    assert!(CLIENT_BACKOFF_MS_MIN < CLIENT_BACKOFF_MS_MAX && CLIENT_BACKOFF_MS_MAX <= CLIENT_POLL_MS);
    assert!(CLIENT_OPERATOR_RETRY_MS_MIN < CLIENT_OPERATOR_RETRY_MS_MAX);
    // Halving never looks like a loop.
    assert!(BATCH_OPS_MAX.ilog2() < CLIENT_IDLE_PUSHES_MAX);
    // A batch that was accepted can be read back, and a body that carries it fits.
    assert!(FULL_STATE_BYTES_MAX < BATCH_BYTES_MAX);
    assert!(OP_PAYLOAD_BYTES_MAX < FULL_STATE_BYTES_MAX);
    assert!(BATCH_BYTES_MAX < BODY_DECODED_BYTES_MAX);
    assert!(BATCH_BYTES_MAX < BODY_BYTES_MAX);
    assert!(BODY_BYTES_MAX <= BODY_DECODED_BYTES_MAX);
    // A document with a deep value in its deepest field is read by every parser.
    assert!(DOCUMENT_DEPTH_MAX + JSON_DEPTH_MAX < 127);
    // What fits before it is sealed fits afterwards.
    assert!(SEALED_OP_CONTENT_BYTES_MAX + 5 + ENVELOPE_BYTES <= OP_PAYLOAD_BYTES_MAX);
    assert!(SEALED_STATE_CONTENT_BYTES_MAX + 5 + ENVELOPE_BYTES <= FULL_STATE_BYTES_MAX);
    // Base64 in JSON makes four bytes of three.
    assert!(FULL_STATE_BYTES_MAX / 3 * 4 < BODY_BYTES_MAX);
    // A commit of the longest names, each of their bytes escaped, fits a body.
    assert!(TREE_OPS_MAX * (6 * NAME_BYTES_MAX + 1_024) < COMMIT_BODY_BYTES_MAX);
    assert!(COMMIT_BODY_BYTES_MAX <= BODY_BYTES_MAX);
    // A shared folder of the longest names fits the op that says it.
    assert!(SHARE_NODES_MAX * (NAME_BYTES_MAX + 512) < OP_PAYLOAD_BYTES_MAX);
    // Thinning always finds something to do in a history that is longer than what it reads.
    assert!(REVISIONS_KEPT_MAX < REVISIONS_READ_MAX);
    assert!(PAGE_OPS_DEFAULT <= PAGE_OPS_MAX);
    // A part fits a request's head beside everything else: collection, colon, 16 bytes in hexadecimal, comma.
    assert!(PART_PREFIXES_MAX * (COLLECTION_BYTES_MAX + 34) < HEADER_BYTES_MAX * 2 / 3);
    // A full batch stays within a decision's reads: its ids, its entities, a receipt and an anchor.
    assert!(BATCH_OPS_MAX + BATCH_ENTITIES_MAX + 2 < DECISION_READS_MAX);
    assert!(OP_ENTITIES_MAX <= BATCH_ENTITIES_MAX);
};

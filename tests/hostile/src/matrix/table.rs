//! What each operation needs, and how it is called so that whoever may call it gets a known answer.
//!
//! What must hold: every operation of the document has a row. Who adds a route says here what it needs.

use serde_json::{Value, json};
use syncline::access::Access;

use super::world::{BLOB_BYTES, Ids};
use crate::common::{op_json, push_of};

/// What an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing.
    Nothing,
    /// A token that lets in.
    AToken,
    /// This much over the log in its path; as a writer, also over the replica that it names.
    OverLog(Access),
    /// The same, in the name of a replica.
    AsReplica(Access),
    /// The whole bucket.
    Bucket,
}

/// How it is called.
pub(super) enum Body {
    None,
    Json(Value),
    Bytes(&'static str, Vec<u8>),
    /// A blob's bytes behind an offset.
    Piece(Vec<u8>),
}

/// What is said of one operation.
pub(super) struct Row {
    pub(super) needs: Needs,
    pub(super) query: String,
    pub(super) body: Body,
    /// What who may call it is answered: statuses, with a code where it is a refusal that comes after all questions of rights.
    pub(super) answers: &'static [&'static str],
}

fn row(needs: Needs, answers: &'static [&'static str]) -> Row {
    Row { needs, query: String::new(), body: Body::None, answers }
}

impl Row {
    fn asking(self, query: impl Into<String>) -> Self {
        Self { query: query.into(), ..self }
    }

    fn with(self, body: Value) -> Self {
        Self { body: Body::Json(body), ..self }
    }

    fn of(self, body: Body) -> Self {
        Self { body, ..self }
    }
}

/// The row of an operation.
#[allow(clippy::too_many_lines, reason = "one arm per operation")]
pub(super) fn row_of(operation: &str, ids: &Ids) -> Option<Row> {
    use Access::{Admin, Read, Write};
    use Needs::{AToken, AsReplica, Bucket, Nothing, OverLog};

    let replica = ids.replica.to_string();
    let late = json!({"seq": 9_000_000});
    let request = "00000000-0000-7000-8000-0000000000aa";
    let node = |number: u8| format!("000000{number:02}-0000-7000-8000-0000000000bb");
    Some(match operation {
        "createLog" => row(OverLog(Admin), &["200", "201"]),
        "logStatus" => row(OverLog(Read), &["200"]),
        "deleteLog" => row(OverLog(Admin), &["409 LOG_MOVED"]).asking("?seq=9000000"),
        "rotateKeys" => row(OverLog(Write), &["409 KEY_EPOCH_MOVED"]).with(json!({"from": 4_000_000})),
        "listLogs" => row(AToken, &["200"]),
        "push" => {
            let op = op_json(ids.author, 1, r#"{"json":{"title":"unasked"}}"#);
            row(AsReplica(Write), &["200"]).of(Body::Bytes("application/json", push_of(&[op])))
        }
        "pull" => row(OverLog(Read), &["200"]),
        "getSnapshot" => row(OverLog(Read), &["200", "204"]),
        "putSnapshot" => row(OverLog(Write), &["400 NO_SUCH_SEQ"]).with(json!({
            "cursor": {"seq": 9_000_000, "anchor": "00".repeat(48)}, "clock": {}, "schema_version": 1, "payload": {"plain": "AAAA"},
        })),
        "restorePoints" => row(OverLog(Read), &["200"]),
        "restore" => {
            row(OverLog(Write), &["409 LOG_MOVED"]).with(json!({"to": 1, "seen": late, "request": request}))
        }
        "undoRestore" => row(OverLog(Write), &["409 LOG_MOVED"]).with(json!({"seen": late, "request": request})),
        "acknowledge" => row(AsReplica(Read), &["200"]).with(json!({"replica": replica, "cursor": {"seq": 0}})),
        "devices" => row(OverLog(Read), &["200"]),
        "reserveBlobs" => {
            row(OverLog(Write), &["200"]).with(json!({"blobs": [{"blob": ids.blob.to_string(), "size": BLOB_BYTES.len()}]}))
        }
        "blobUsage" => row(OverLog(Read), &["200"]),
        "setBlobQuota" => row(OverLog(Admin), &["200"]).with(json!({"quota": 1_000_000})),
        "putBlobs" => {
            let blobs = [(ids.blob, bytes::Bytes::from_static(BLOB_BYTES))];
            let body = syncline::wire::binary::encode_blobs(&blobs).to_vec();
            row(OverLog(Write), &["200"]).of(Body::Bytes("application/vnd.syncline.v1", body))
        }
        "getBlobs" => row(OverLog(Read), &["200"]).with(json!({"blobs": [ids.blob.to_string()]})),
        "putBlob" => row(OverLog(Write), &["201", "204"]).of(Body::Bytes("application/octet-stream", BLOB_BYTES.to_vec())),
        "getBlob" => row(OverLog(Read), &["200"]),
        "uploadAt" => row(OverLog(Write), &["200"]).asking(format!("?size={}", BLOB_BYTES.len())),
        "appendBlob" => row(OverLog(Write), &["204", "409 UPLOAD_OFFSET"])
            .asking(format!("?size={}", BLOB_BYTES.len()))
            .of(Body::Piece(BLOB_BYTES.to_vec())),
        "dropUpload" => row(OverLog(Write), &["204"]),
        "setScanning" => row(OverLog(Admin), &["204"]).with(json!({"policy": "off"})),
        "scans" => row(OverLog(Admin), &["200"]),
        "releaseBlob" => row(OverLog(Admin), &["204"]),
        // Whether there is something to be forgotten is the order's doing.
        "rescanBlob" => row(OverLog(Admin), &["204", "404 BLOB_NOT_FOUND"]),
        "keepManifest" => row(OverLog(Write), &["200", "422 MANIFEST_WRONG"]),
        "commit" => row(AsReplica(Write), &["200"]).with(json!({
            "id": node(1), "replica": replica, "label": "phone",
            "ops": [{"op": "create", "node": node(2), "parent": ids.root, "name": "unasked", "kind": "folder"}],
        })),
        "shareFolder" => row(AsReplica(Admin), &["404 NODE_NOT_FOUND"]).with(json!({
            "id": node(3), "replica": replica, "folder": node(90), "to": node(91), "mount": node(92),
        })),
        "treeTerms" => row(OverLog(Read), &["200"]),
        "setTreeTerms" => row(OverLog(Admin), &["200"]).with(json!({
            "names": "strict", "file_bytes_max": 1_000_000, "nodes_max": 1_000,
            "retention": {"version_days": 30, "max_versions": 100, "tombstone_days": 30},
        })),
        "nodes" | "node" | "children" | "revisions" | "leaves" | "trash" => row(OverLog(Read), &["200"]),
        "purgeTrash" => row(OverLog(Admin), &["409 NOT_IN_TRASH"]),
        "makeLink" => row(OverLog(Admin), &["201"]).with(json!({"node": ids.root})),
        "links" => row(OverLog(Admin), &["200"]),
        "revokeLink" => row(OverLog(Admin), &["404 LINK_NOT_FOUND"]),
        "openLink" => row(Nothing, &["200"]),
        "openLinkByForm" => row(Nothing, &["200"])
            .of(Body::Bytes("application/x-www-form-urlencoded", b"password=unasked".to_vec())),
        "mintToken" => row(Bucket, &["201"]).with(json!({"name": "unasked", "access": "read", "logs": []})),
        "revokeToken" | "deleteGroup" => row(Bucket, &["204"]),
        "rotateToken" => row(Bucket, &["404 TOKEN_NOT_FOUND"]),
        "tokens" | "groups" => row(Bucket, &["200"]),
        "createGroup" => row(Bucket, &["201"]).with(json!({"name": "unasked"})),
        "joinGroup" => row(Bucket, &["404 GROUP_NOT_FOUND"]),
        "leaveGroup" => row(Bucket, &["404 TOKEN_NOT_FOUND"]),
        "grant" => row(OverLog(Admin), &["204"]).asking("?access=read"),
        "endGrant" => row(OverLog(Admin), &["204"]),
        "wake" => row(OverLog(Read), &["101"]),
        "openapi" | "live" | "ready" => row(Nothing, &["200"]),
        _ => return None,
    })
}

//! Native JSON: one struct per body, unknown and repeated fields refused, binary values as base64 (RFC 4648, section 4).
//!
//! An op's JSON payload stands in the document as it is and keeps its text to the byte.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::{WireError, check_state};
use crate::access::Access;
use crate::call::{Page, PageOp, Push, Pushed};
use crate::clock::VectorClock;
use crate::id::{EntityId, LogId, OpId, ReplicaId, RequestId, TokenId};
use crate::oplog::{
    Collection, Draft, EntityKey, FullStateKind, Head, LogBounds, Op, OpKind, Payload, Precondition, RestorePoint,
    Snapshot, Subject, Verdict,
};
use crate::seq::{Cursor, Seq};
use crate::time::{Hlc, Timestamp};

mod answer;
mod ask;
mod blobs;
mod groups;
mod links;
mod nodes;
mod page;
mod problem;
mod scans;
mod share;
mod tree;
mod verdicts;

pub use answer::{
    AcknowledgedJson, DeviceJson, DevicesJson, FullStateJson, LogJson, LogsJson, PushedJson, RestorePointsJson,
    RestoredJson, TokenJson,
};
pub use ask::{
    AcknowledgeJson, MintTokenJson, OpJson, PushJson, RestoreJson, RotateKeysJson, SnapshotJson, UndoRestoreJson,
};
pub use blobs::{GetBlobsJson, NamedJson, NeedJson, NeedsJson, QuotaJson, ReserveJson, StoredJson, UsageJson};
pub use groups::{CreateGroupJson, GroupJson, GroupMadeJson, GroupsJson, TokenInfoJson, TokensJson};
pub use links::{LinkJson, LinkMadeJson, LinkedJson, LinksJson, MakeLinkJson};
pub use nodes::{NodesJson, RevisionsJson};
pub use page::PageJson;
pub use problem::ProblemJson;
pub use scans::{ScanJson, ScanningJson, ScansJson};
pub use share::{ShareJson, SharedJson};
pub use tree::{CommitJson, NamesJson, NewTermsJson, PurgedJson, RetentionJson, TreeTermsJson};
pub use verdicts::{CommittedJson, ManifestKeptJson};

/// Content in one of its three forms; exactly one field is there.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PayloadJson {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    json: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plain: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
}

/// Tells a `null` document from an absent field.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

impl PayloadJson {
    fn of(payload: &Payload) -> Result<Self, WireError> {
        let text = |bytes: &Bytes| Some(BASE64.encode(bytes));
        Ok(match payload {
            Payload::Json(bytes) => {
                let text = std::str::from_utf8(bytes).map_err(|_| WireError::Json("a payload is not UTF-8".into()))?;
                Self { json: Some(RawValue::from_string(text.to_owned())?), ..Self::default() }
            }
            Payload::Plain(bytes) => Self { plain: text(bytes), ..Self::default() },
            Payload::Sealed(bytes) => Self { sealed: text(bytes), ..Self::default() },
        })
    }

    fn read(self) -> Result<Payload, WireError> {
        let bytes = |text: String| {
            let bytes = BASE64.decode(text).map_err(|error| WireError::Json(format!("base64: {error}")))?;
            Ok::<_, WireError>(Bytes::from(bytes))
        };
        match (self.json, self.plain, self.sealed) {
            (Some(json), None, None) => Ok(Payload::Json(String::from(Box::<str>::from(json)).into())),
            (None, Some(plain), None) => bytes(plain).map(Payload::Plain),
            (None, None, Some(sealed)) => bytes(sealed).map(Payload::Sealed),
            _ => Err(WireError::Json("a payload has exactly one of json, plain and sealed".into())),
        }
    }
}

/// `"none"`, `"absent"` or `{"version": n}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum PreconditionJson {
    #[default]
    None,
    Absent,
    Version(Seq),
}

const KINDS: [(OpKind, &str); 8] = [
    (OpKind::Create, "create"),
    (OpKind::Update, "update"),
    (OpKind::Delete, "delete"),
    (OpKind::Move, "move"),
    (OpKind::Batch, "batch"),
    (OpKind::FullState(FullStateKind::Initial), "initial_state"),
    (OpKind::FullState(FullStateKind::Recovery), "recovery_state"),
    (OpKind::FullState(FullStateKind::Repair), "repair_state"),
];

/// Known kinds by name, others as `kind_<code>`.
fn kind_name(kind: OpKind) -> String {
    let known = KINDS.iter().find(|(known, _)| *known == kind);
    known.map_or_else(|| format!("kind_{}", kind.code()), |(_, name)| (*name).to_owned())
}

fn kind_of(name: &str) -> Result<OpKind, WireError> {
    if let Some((kind, _)) = KINDS.iter().find(|(_, known)| *known == name) {
        return Ok(*kind);
    }
    let code = name.strip_prefix("kind_").and_then(|code| code.parse::<u8>().ok());
    // One kind has one name: a known kind by its code would be a second spelling.
    let kind = code.map(OpKind::from_code).filter(|kind| matches!(kind, OpKind::Other(_)));
    kind.ok_or_else(|| WireError::Json(format!("unknown kind {name:?}")))
}

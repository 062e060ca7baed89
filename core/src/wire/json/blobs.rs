//! Blobs: what is asked about them and what is answered. Their bytes travel as they are.

use serde::{Deserialize, Serialize};

use crate::blob::{Need, Usage};
use crate::digest::BlobId;
use crate::store::PutOutcome;

/// The body of a reservation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct ReserveJson {
    /// 1 to [`LIST_ITEMS_MAX`](crate::limits::LIST_ITEMS_MAX) blobs.
    pub blobs: Vec<NamedJson>,
}

/// A blob by its name.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct NamedJson {
    /// Its SHA-256.
    pub blob: BlobId,
    /// Its bytes.
    pub size: u64,
}

/// The body of a question for many small blobs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct GetBlobsJson {
    /// 1 to [`LIST_ITEMS_MAX`](crate::limits::LIST_ITEMS_MAX) blobs.
    pub blobs: Vec<BlobId>,
}

/// What is to be done about one blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums, reason = "a body is one of these")]
pub enum NeedJson {
    /// Nothing: it is here.
    Have,
    /// Send it.
    Send,
    /// Ask again in a moment.
    Later,
}

/// The answer to a reservation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct NeedsJson {
    /// One per blob, in order.
    pub needs: Vec<NeedJson>,
}

/// The answer to blobs that were sent together.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct StoredJson {
    /// Of each in order whether it was new.
    pub stored: Vec<bool>,
}

/// What a log's blobs take, and may take.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct UsageJson {
    /// Bytes promised and stored.
    pub bytes: u64,
    /// Blobs promised and stored.
    pub blobs: u64,
    /// Bytes allowed; absent: as many as there is room for.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub quota: Option<u64>,
}

/// The body of a quota.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct QuotaJson {
    /// Bytes allowed; absent: as many as there is room for.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub quota: Option<u64>,
}

impl NeedsJson {
    /// These needs.
    #[must_use]
    pub fn of(needs: &[Need]) -> Self {
        let need = |need: &Need| match need {
            Need::Have => NeedJson::Have,
            Need::Send => NeedJson::Send,
            Need::Later => NeedJson::Later,
        };
        Self { needs: needs.iter().map(need).collect() }
    }

    /// The needs.
    #[must_use]
    pub fn read(self) -> Vec<Need> {
        let need = |need| match need {
            NeedJson::Have => Need::Have,
            NeedJson::Send => Need::Send,
            NeedJson::Later => Need::Later,
        };
        self.needs.into_iter().map(need).collect()
    }
}

impl StoredJson {
    /// These outcomes.
    #[must_use]
    pub fn of(outcomes: &[PutOutcome]) -> Self {
        Self { stored: outcomes.iter().map(|outcome| *outcome == PutOutcome::Stored).collect() }
    }

    /// The outcomes.
    #[must_use]
    pub fn read(self) -> Vec<PutOutcome> {
        let outcome = |stored| if stored { PutOutcome::Stored } else { PutOutcome::Present };
        self.stored.into_iter().map(outcome).collect()
    }
}

impl UsageJson {
    /// This use.
    #[must_use]
    pub const fn of(usage: &Usage) -> Self {
        Self { bytes: usage.bytes, blobs: usage.blobs, quota: usage.quota }
    }

    /// The use.
    #[must_use]
    pub const fn read(self) -> Usage {
        Usage { bytes: self.bytes, blobs: self.blobs, quota: self.quota }
    }
}

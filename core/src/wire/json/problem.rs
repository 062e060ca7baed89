//! Refusals as problem documents.

use serde::{Deserialize, Serialize};

use crate::call::{Advice, ErrorCode, Refusal};
use crate::seq::Cursor;

/// A refusal: a problem document (RFC 9457) with our members `code`, `advice`, `end` and `index`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct ProblemJson {
    /// `urn:syncline:problem:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// For people; not part of the API.
    pub detail: String,
    /// The stable code.
    pub code: String,
    /// `retry`, `fix`, `sign_in`, `resync` or `operator`.
    pub advice: String,
    /// Seconds to wait before a retry.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub retry_after_s: Option<u32>,
    /// Where the log ends, when the position was the problem.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub end: Option<Cursor>,
    /// Which op of the batch, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub index: Option<usize>,
}

impl ProblemJson {
    /// The problem document of a refusal.
    #[must_use]
    pub fn of(refusal: &Refusal) -> Self {
        let name = refusal.code.name();
        Self {
            kind: format!("urn:syncline:problem:{}", name.to_ascii_lowercase().replace('_', "-")),
            title: name.to_ascii_lowercase().replace('_', " "),
            status: refusal.code.status(),
            detail: refusal.detail.clone(),
            code: name.to_owned(),
            advice: refusal.code.advice().name().to_owned(),
            retry_after_s: match refusal.retry_after_ms {
                Some(ms) => Some(ms.get().div_ceil(1_000)),
                None => (refusal.code.advice() == Advice::Retry).then_some(1),
            },
            end: refusal.end,
            index: refusal.index,
        }
    }

    /// The refusal; `None` when its code is newer than this build.
    #[must_use]
    pub fn read(self) -> Option<Refusal> {
        let mut refusal = Refusal::new(ErrorCode::from_name(&self.code)?, self.detail);
        refusal.end = self.end;
        refusal.index = self.index;
        let retry_after_ms = self.retry_after_s.map_or(0, |s| u64::from(s) * 1_000);
        Some(refusal.with_retry_after(retry_after_ms))
    }
}

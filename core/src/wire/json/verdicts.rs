//! What became of a commit to a tree of files.

use super::*;
use crate::call::{Committed, ManifestKept};
use crate::digest::BlobId;
use crate::tree::{Answer, Dropped, Name, NameError, NameFault, Refusal, TreeVerdict};

/// The answer to a commit: blobs that have to be sent first, or where the log ends and one answer per op.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CommittedJson {
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    needs: Option<Vec<BlobId>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    seq: Option<Seq>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    answers: Vec<AnswerJson>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    end: Option<Cursor>,
}

/// `verdict` is `done`, `noop`, `copied`, `revived`, `partial`, `superseded`, `alias` or `rejected`; the others say which
/// and why.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct AnswerJson {
    verdict: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    copy: Option<EntityId>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    of: Option<EntityId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    fault: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    character: Option<char>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    bytes: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    suggested: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    long_path: bool,
}

const DROPPED: [(Dropped, &str); 4] =
    [(Dropped::Name, "name"), (Dropped::Parent, "parent"), (Dropped::Circle, "circle"), (Dropped::Unseen, "unseen")];

impl CommittedJson {
    /// The JSON form of what became of a commit.
    #[must_use]
    pub fn of(committed: &Committed) -> Self {
        match committed {
            Committed::Done { seq, answers, end } => {
                Self { needs: None, seq: *seq, answers: answers.iter().map(AnswerJson::of).collect(), end: Some(*end) }
            }
            Committed::Needs(blobs) => Self { needs: Some(blobs.clone()), ..Self::default() },
        }
    }

    /// What became of it.
    ///
    /// # Errors
    /// When it is neither, or a verdict is none.
    pub fn read(self) -> Result<Committed, WireError> {
        match (self.needs, self.end) {
            (Some(blobs), None) => Ok(Committed::Needs(blobs)),
            (None, Some(end)) => {
                let answers = self.answers.into_iter().map(AnswerJson::read).collect::<Result<_, _>>()?;
                Ok(Committed::Done { seq: self.seq, answers, end })
            }
            _ => Err(WireError::Json("a commit was decided or needs blobs".into())),
        }
    }
}

/// The answer to keeping a manifest: blobs that have to be sent first, or whether its pieces were read and make the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ManifestKeptJson {
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    needs: Option<Vec<BlobId>>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    judged: Option<bool>,
}

impl ManifestKeptJson {
    /// The JSON form of what became of a manifest.
    #[must_use]
    pub fn of(kept: &ManifestKept) -> Self {
        match kept {
            ManifestKept::Kept { judged } => Self { needs: None, judged: Some(*judged) },
            ManifestKept::Needs(blobs) => Self { needs: Some(blobs.clone()), judged: None },
        }
    }

    /// What became of it.
    ///
    /// # Errors
    /// When it is neither.
    pub fn read(self) -> Result<ManifestKept, WireError> {
        match (self.needs, self.judged) {
            (Some(blobs), None) => Ok(ManifestKept::Needs(blobs)),
            (None, Some(judged)) => Ok(ManifestKept::Kept { judged }),
            _ => Err(WireError::Json("a manifest is kept or needs blobs".into())),
        }
    }
}

impl AnswerJson {
    fn of(answer: &Answer) -> Self {
        let named = |name: &str| Self { verdict: name.into(), long_path: answer.long_path, ..Self::default() };
        match &answer.verdict {
            TreeVerdict::Done => named("done"),
            TreeVerdict::Noop => named("noop"),
            TreeVerdict::Copied { copy } => Self { copy: Some(*copy), ..named("copied") },
            TreeVerdict::Revived => named("revived"),
            TreeVerdict::Partial(dropped) => {
                let name = |dropped| DROPPED.iter().find(|(known, _)| known == dropped).map(|(_, name)| (*name).into());
                Self { dropped: dropped.iter().filter_map(name).collect(), ..named("partial") }
            }
            TreeVerdict::Superseded => named("superseded"),
            TreeVerdict::Alias { of } => Self { of: Some(*of), ..named("alias") },
            TreeVerdict::Rejected(refusal) => named("rejected").refused(refusal),
        }
    }

    fn refused(self, refusal: &Refusal) -> Self {
        let named = |name: &str| Self { reason: Some(name.into()), ..self };
        match refusal {
            Refusal::Name(error) => named("name").faulty(error),
            Refusal::Gone => named("gone"),
            Refusal::KindMismatch => named("kind_mismatch"),
            Refusal::ParentNotFolder => named("parent_not_folder"),
            Refusal::Root => named("root"),
            Refusal::TooDeep => named("too_deep"),
            Refusal::PathTooLong(bytes) => Self { bytes: Some(*bytes), ..named("path_too_long") },
            Refusal::TooLarge => named("too_large"),
            Refusal::QuotaExceeded => named("quota_exceeded"),
            Refusal::Ahead => named("ahead"),
        }
    }

    fn faulty(self, error: &NameError) -> Self {
        let suggested = Some(error.suggested.as_str().to_owned());
        let named = |name: &str| Self { fault: Some(name.into()), suggested, ..self };
        match error.fault {
            NameFault::Empty => named("empty"),
            NameFault::Dots => named("dots"),
            NameFault::Character(character) => Self { character: Some(character), ..named("character") },
            NameFault::Ending => named("ending"),
            NameFault::Beginning => named("beginning"),
            NameFault::Device => named("device"),
            NameFault::Ours => named("ours"),
            NameFault::TooLong(bytes) => Self { bytes: Some(bytes), ..named("too_long") },
        }
    }

    fn read(self) -> Result<Answer, WireError> {
        let long_path = self.long_path;
        let verdict = match self.verdict.as_str() {
            "done" => TreeVerdict::Done,
            "noop" => TreeVerdict::Noop,
            "copied" => TreeVerdict::Copied { copy: self.copy.ok_or_else(|| missing("copy"))? },
            "revived" => TreeVerdict::Revived,
            "partial" => TreeVerdict::Partial(self.dropped.iter().map(|name| dropped(name)).collect::<Result<_, _>>()?),
            "superseded" => TreeVerdict::Superseded,
            "alias" => TreeVerdict::Alias { of: self.of.ok_or_else(|| missing("of"))? },
            "rejected" => TreeVerdict::Rejected(self.refusal()?),
            other => return Err(unknown("verdict", other)),
        };
        Ok(Answer { verdict, long_path })
    }

    fn refusal(self) -> Result<Refusal, WireError> {
        Ok(match self.reason.as_deref().unwrap_or_default() {
            "name" => Refusal::Name(self.name_error()?),
            "gone" => Refusal::Gone,
            "kind_mismatch" => Refusal::KindMismatch,
            "parent_not_folder" => Refusal::ParentNotFolder,
            "root" => Refusal::Root,
            "too_deep" => Refusal::TooDeep,
            "path_too_long" => Refusal::PathTooLong(self.bytes.ok_or_else(|| missing("bytes"))?),
            "too_large" => Refusal::TooLarge,
            "quota_exceeded" => Refusal::QuotaExceeded,
            "ahead" => Refusal::Ahead,
            other => return Err(unknown("reason", other)),
        })
    }

    fn name_error(self) -> Result<NameError, WireError> {
        let fault = match self.fault.as_deref().unwrap_or_default() {
            "empty" => NameFault::Empty,
            "dots" => NameFault::Dots,
            "character" => NameFault::Character(self.character.ok_or_else(|| missing("character"))?),
            "ending" => NameFault::Ending,
            "beginning" => NameFault::Beginning,
            "device" => NameFault::Device,
            "ours" => NameFault::Ours,
            "too_long" => NameFault::TooLong(self.bytes.ok_or_else(|| missing("bytes"))?),
            other => return Err(unknown("fault of a name", other)),
        };
        let suggested = self.suggested.as_deref().and_then(Name::kept).ok_or_else(|| missing("suggested"))?;
        Ok(NameError { fault, suggested })
    }
}

fn dropped(name: &str) -> Result<Dropped, WireError> {
    let known = DROPPED.iter().find(|(_, known)| *known == name).map(|(dropped, _)| *dropped);
    known.ok_or_else(|| unknown("part of an op", name))
}

fn missing(what: &str) -> WireError {
    WireError::Json(format!("an answer without {what}"))
}

fn unknown(what: &str, name: &str) -> WireError {
    WireError::Json(format!("unknown {what} {name:?}"))
}

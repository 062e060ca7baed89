//! Bearer tokens (RFC 6750): opaque, random, kept only as a hash.
//!
//! Text form: `syncline_<bucket, 32 hex>_<id, 32 hex>_<secret, 64 hex>`. The prefix lets secret scanners find a leaked one. The
//! server keeps SHA-256 over all three. The id stays when a token is rotated and gets another secret: it is who holds it, and
//! what groups name.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Access, Caller};
use crate::digest::{Digest, read_hex, write_hex};
use crate::id::{BucketId, GroupId, LogId, ReplicaId, TokenId};
use crate::limits;
use crate::time::Timestamp;

/// A token as its holder has it. Debug output hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer {
    bucket: BucketId,
    id: TokenId,
    secret: [u8; 32],
}

/// The text is not a token of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a bearer token of this server")]
pub struct BearerError;

const PREFIX: &str = "syncline_";

impl Bearer {
    /// A token with this secret, which must be fresh random bits.
    #[must_use]
    pub const fn new(bucket: BucketId, id: TokenId, secret: [u8; 32]) -> Self {
        Self { bucket, id, secret }
    }

    /// The bucket it lets into.
    #[must_use]
    pub const fn bucket(&self) -> BucketId {
        self.bucket
    }

    /// What a server keeps of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&[b"syncline/token/v1\0", self.bucket.as_bytes(), self.id.as_bytes(), &self.secret])
    }

    /// The id under which it is kept.
    #[must_use]
    pub const fn id(&self) -> TokenId {
        self.id
    }
}

impl fmt::Display for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        write_hex(f, self.bucket.as_bytes())?;
        f.write_str("_")?;
        write_hex(f, self.id.as_bytes())?;
        f.write_str("_")?;
        write_hex(f, &self.secret)
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bearer({}, …)", self.bucket)
    }
}

impl FromStr for Bearer {
    type Err = BearerError;

    fn from_str(text: &str) -> Result<Self, BearerError> {
        let (bucket, rest) = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or(BearerError)?;
        let (id, secret) = rest.split_once('_').ok_or(BearerError)?;
        let bucket = read_hex(bucket).map_err(|_| BearerError)?;
        let id = TokenId::from_bytes(read_hex(id).map_err(|_| BearerError)?);
        let secret = read_hex(secret).map_err(|_| BearerError)?;
        Ok(Self { bucket: BucketId::from_bytes(bucket), id, secret })
    }
}

/// What a bucket's system log keeps of a token, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a stored record")]
pub struct TokenRecord {
    /// SHA-256 of the token, see [`Bearer::digest`].
    pub digest: Digest,
    /// For people.
    pub name: String,
    /// What its holder may do.
    pub access: Access,
    /// The logs it is for; absent for all of the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Vec<LogId>>,
    /// The replica it is bound to; absent for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<ReplicaId>,
    /// When it stops working; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The groups it is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupId>,
    /// The tokens whose place it took lately, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<FormerToken>,
}

/// A token that another took the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a stored record")]
pub struct FormerToken {
    /// SHA-256 of it.
    pub digest: Digest,
    /// Until when it still lets in.
    pub until: Timestamp,
}

impl TokenRecord {
    /// Another token takes this one's place, which lets in for a while yet: the answer may be lost on its way.
    pub fn rotate(&mut self, digest: Digest, now: Timestamp) {
        let former = FormerToken { digest: self.digest, until: now.plus_ms(limits::TOKEN_FORMER_MS) };
        self.former.retain(|former| former.until > now);
        self.former.push(former);
        let over = self.former.len().saturating_sub(limits::TOKENS_FORMER_MAX);
        self.former.drain(..over);
        self.digest = digest;
    }

    /// The caller this record lets in with this token, if it does; without what its groups are granted.
    #[must_use]
    pub fn admit(&self, bearer: &Bearer, now: Timestamp) -> Option<Caller> {
        let digest = bearer.digest();
        let known = self.digest == digest || self.former.iter().any(|one| one.digest == digest && now < one.until);
        let valid = known && self.expires_at.is_none_or(|end| now < end);
        valid.then(|| Caller {
            bucket: bearer.bucket(),
            token: Some(bearer.id()),
            access: self.access,
            logs: self.logs.as_ref().map(|logs| logs.iter().copied().collect()),
            grants: BTreeMap::new(),
            replica: self.replica,
        })
    }
}

//! Versions as values: which events somebody had seen, by name.
//!
//! ```text
//! version := count:varint, each in order: author's 16 bytes, number:varint
//! ```

use bytes::Bytes;

use super::{Lv, Text, TextError};
use crate::codec::{DecodeError, Reader, Writer};
use crate::id::ReplicaId;

/// What somebody had seen: the last events, by author and that author's number, from which all others follow.
///
/// The empty version is the empty text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub struct Version {
    /// In the order of authors, then numbers.
    pub(super) heads: Vec<(ReplicaId, u64)>,
}

impl Version {
    /// The last events, in the order of authors; usually one, or one per author just now concurrent.
    #[must_use]
    pub fn heads(&self) -> &[(ReplicaId, u64)] {
        &self.heads
    }

    /// The version with these last events.
    #[must_use]
    pub fn of(heads: impl IntoIterator<Item = (ReplicaId, u64)>) -> Self {
        let mut heads: Vec<_> = heads.into_iter().collect();
        heads.sort_unstable();
        heads.dedup();
        Self { heads }
    }

    /// The version as bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::default();
        out.len(self.heads.len());
        for (replica, seq) in &self.heads {
            out.fixed(replica.as_bytes());
            out.u64(*seq);
        }
        out.finish()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// When the bytes are not a version.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes.clone());
        let mut heads = Vec::new();
        for _ in 0..input.count(17, "a version")? {
            heads.push((ReplicaId::from_bytes(input.fixed("an author")?), input.u64("the number of an event")?));
        }
        input.finish()?;
        if !heads.is_sorted_by(|one, other| one < other) {
            return Err(DecodeError::NotCanonical("a version"));
        }
        Ok(Self { heads })
    }
}

impl Text {
    /// The version of everything taken in.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version_of(self.graph.frontier())
    }

    /// How many events of `author` are here, and so the number of their next.
    #[must_use]
    pub fn seen(&self, author: ReplicaId) -> u64 {
        self.authors.find(author).map_or(0, |author| self.authors.get(author).next.into())
    }

    /// Everybody who made an event here, in the order of names.
    pub fn authors(&self) -> impl Iterator<Item = ReplicaId> {
        self.authors
            .sorted()
            .iter()
            .map(|author| self.authors.get(*author))
            .filter(|author| author.next > 0)
            .map(|it| it.id)
    }

    pub(super) fn version_of(&self, version: &[Lv]) -> Version {
        let names = self.names_of(version);
        Version::of(names.into_iter().map(|(author, seq)| (self.authors.get(author).id, seq.into())))
    }

    /// The events of a version, sorted and minimal.
    pub(super) fn find_version(&self, version: &Version) -> Result<Vec<Lv>, TextError> {
        let mut found = Vec::with_capacity(version.heads.len());
        if *version == self.version_of(&[]) {
            return Ok(found);
        }
        for (replica, seq) in &version.heads {
            let author = self.authors.find(*replica);
            let known = author.is_some_and(|author| *seq < u64::from(self.authors.get(author).next));
            let (Some(author), true) = (author, known) else {
                return Err(TextError::Unseen { replica: *replica, seq: *seq });
            };
            let seq = u32::try_from(*seq).unwrap_or(u32::MAX);
            found.push(self.authors.lv(author, seq).ok_or(TextError::Collected)?);
        }
        if found.is_empty() && !self.base_heads.is_empty() {
            return Err(TextError::Collected);
        }
        found.sort_unstable();
        Ok(self.graph.minimize(&found))
    }
}

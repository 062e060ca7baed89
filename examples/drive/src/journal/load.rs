//! What is read from a journal.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _};
use syncline::blob::Manifest;
use syncline::codec::{DecodeError, Reader, Writer};
use syncline::files::{About, Base, Fingerprint, Held, Issues};
use syncline::tree::{Content, Node};
use syncline::{Cursor, Digest, EntityId, OpId, Timestamp};

use super::form::{read_content, read_cursor, read_held, read_issue, read_print};
use super::{Journal, JournalError};

type Loaded<T> = Result<T, JournalError>;

/// What is noted once.
#[derive(Debug, Clone, Copy)]
pub(super) enum Key {
    Cursor,
    Volume,
    Status,
    Leaving,
}

impl Key {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Cursor => "cursor",
            Self::Volume => "volume",
            Self::Status => "status",
            Self::Leaving => "leaving",
        }
    }
}

/// A commit that was not answered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a row of the journal")]
pub struct Waiting {
    /// Its id, kept when it is sent again.
    pub id: OpId,
    /// Its bytes.
    pub asked: Bytes,
    /// What becomes of each of its ops in the folder, as whoever made it wrote it.
    pub told: Bytes,
}

/// What is wanted of a node's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "here, not here, or as it comes")]
pub enum Pin {
    /// Here when somebody looked at it, and as long as there is room.
    Auto,
    /// Always here.
    Pinned,
    /// Not here.
    OnlineOnly,
}

impl Pin {
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Auto => 0,
            Self::Pinned => 1,
            Self::OnlineOnly => 2,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Pinned => "pinned",
            Self::OnlineOnly => "online-only",
        }
    }
}

/// How syncing goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "a row of the journal")]
pub struct Status {
    /// When folder and server were last alike.
    pub alike_at: Option<Timestamp>,
    /// When a sync was last tried.
    pub tried_at: Option<Timestamp>,
    /// Why the last one stopped, if it did.
    pub fault: Option<String>,
    /// Why nothing is done until somebody says that it is meant.
    pub halt: Option<String>,
}

impl Status {
    pub(super) fn to_bytes(&self) -> Bytes {
        let mut out = Writer::with_capacity(64);
        for time in [self.alike_at, self.tried_at] {
            out.u64(time.map_or(0, |time| time.ms() + 1));
        }
        for text in [&self.fault, &self.halt] {
            out.u8(u8::from(text.is_some()));
            out.bytes(text.as_deref().unwrap_or_default().as_bytes());
        }
        out.finish()
    }

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, DecodeError> {
        const WHAT: &str = "a status";
        let mut input = Reader::new(bytes.into());
        let mut time = || Ok(input.u64(WHAT)?.checked_sub(1).and_then(Timestamp::from_ms));
        let (alike_at, tried_at) = (time()?, time()?);
        let mut text = || {
            let is_some = input.u8(WHAT)? == 1;
            let bytes = input.bytes(WHAT)?;
            Ok(is_some.then(|| String::from_utf8_lossy(&bytes).into_owned()))
        };
        let (fault, halt) = (text()?, text()?);
        input.finish()?;
        Ok(Self { alike_at, tried_at, fault, halt })
    }
}

fn id(bytes: Vec<u8>) -> Loaded<EntityId> {
    let bytes = bytes.try_into().map_err(|_| JournalError::Unreadable("an id has 16 bytes".into()))?;
    Ok(EntityId::from_bytes(bytes))
}

fn pairs<T>(db: &Connection, sql: &str, mut read: impl FnMut(Vec<u8>, Vec<u8>) -> Loaded<T>) -> Loaded<Vec<T>> {
    let mut query = db.prepare_cached(sql)?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.map(|row| row.map_err(JournalError::from).and_then(|(one, other)| read(one, other))).collect()
}

pub(super) fn held(db: &Connection) -> Loaded<Vec<(EntityId, Held)>> {
    pairs(db, "SELECT id, held FROM held", |key, held| Ok((id(key)?, read_held(held)?)))
}

pub(super) fn contents(db: &Connection) -> Loaded<Vec<(Fingerprint, Content)>> {
    pairs(db, "SELECT print, content FROM contents", |print, content| Ok((read_print(print)?, read_content(content)?)))
}

pub(super) fn manifests(db: &Connection) -> Loaded<Vec<Digest>> {
    let wrong = || JournalError::Unreadable("a digest has 32 bytes".into());
    pairs(db, "SELECT id, x'' FROM manifests", |key, _| Ok(Digest::from_bytes(key.try_into().map_err(|_| wrong())?)))
}

impl Journal {
    /// What is held below this root.
    ///
    /// # Errors
    /// [`JournalError::Unreadable`], and what the database says; so with all of these.
    pub fn base(&self, root: EntityId) -> Loaded<Base> {
        let mut base = Base::new(root);
        for (id, held) in held(&self.db)? {
            base.hold(id, held);
        }
        Ok(base)
    }

    /// The nodes of the server's tree as far as it was read, in the order of their ids.
    ///
    /// # Errors
    /// As [`base`](Self::base).
    pub fn remote(&self) -> Loaded<Vec<(EntityId, Node)>> {
        let node = |key, node: Vec<u8>| Ok((id(key)?, Node::from_bytes(node.into())?));
        pairs(&self.db, "SELECT id, node FROM remote ORDER BY id", node)
    }

    fn noted(&self, key: Key) -> Loaded<Option<Vec<u8>>> {
        let mut query = self.db.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        Ok(query.query_row([key.name()], |row| row.get(0)).optional()?)
    }

    /// Up to where the log was read.
    ///
    /// # Errors
    /// As [`base`](Self::base).
    pub fn cursor(&self) -> Loaded<Option<Cursor>> {
        Ok(self.noted(Key::Cursor)?.map(read_cursor).transpose()?)
    }

    /// The volume that the folder was on.
    ///
    /// # Errors
    /// As [`base`](Self::base).
    pub fn volume(&self) -> Loaded<Option<u64>> {
        let wrong = |_| JournalError::Unreadable("a volume has 8 bytes".into());
        self.noted(Key::Volume)?.map(|bytes| bytes.try_into().map(u64::from_be_bytes).map_err(wrong)).transpose()
    }

    /// Whether leaving the folder has begun.
    ///
    /// # Errors
    /// As [`base`](Self::base).
    pub fn is_leaving(&self) -> Loaded<bool> {
        Ok(self.noted(Key::Leaving)?.is_some())
    }

    /// How syncing goes.
    ///
    /// # Errors
    /// As [`base`](Self::base).
    pub fn status(&self) -> Loaded<Status> {
        Ok(self.noted(Key::Status)?.map(Status::from_bytes).transpose()?.unwrap_or_default())
    }

    /// Commits that were not answered yet, in the order in which they are sent.
    ///
    /// # Errors
    /// As [`base`](Self::base).
    pub fn waiting(&self) -> Loaded<Vec<Waiting>> {
        let mut query = self.db.prepare_cached("SELECT id, asked, told FROM outbox ORDER BY number")?;
        let rows =
            query.query_map([], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?)))?;
        let read = |(key, asked, told): (Vec<u8>, _, _)| {
            Ok(Waiting {
                id: OpId::from_bytes(*id(key)?.as_bytes()),
                asked: Bytes::from(asked),
                told: Bytes::from(told),
            })
        };
        rows.map(|row| row.map_err(JournalError::from).and_then(read)).collect()
    }

    /// What files contain, by how they look.
    ///
    /// # Errors
    /// As [`base`](Self::base).
    pub fn contents(&self) -> Loaded<Vec<(Fingerprint, Content)>> {
        contents(&self.db)
    }

    /// Where a file is cut, by its manifest's name.
    ///
    /// # Errors
    /// As [`base`](Self::base).
    pub fn manifest(&self, manifest: Digest) -> Loaded<Option<Manifest>> {
        let mut query = self.db.prepare_cached("SELECT manifest FROM manifests WHERE id = ?1")?;
        let bytes: Option<Vec<u8>> = query.query_row([manifest.as_bytes()], |row| row.get(0)).optional()?;
        let read = |bytes: Vec<u8>| Manifest::from_bytes(bytes.into());
        let found = bytes.map(read).transpose().map_err(|error| JournalError::Unreadable(error.to_string()))?;
        Ok(found.filter(|found| found.id() == manifest))
    }

    /// What is wanted of nodes.
    ///
    /// # Errors
    /// As [`base`](Self::base).
    pub fn pins(&self) -> Loaded<Vec<(EntityId, Pin)>> {
        let mut query = self.db.prepare_cached("SELECT node, pin FROM pins")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let read = |(key, pin): (Vec<u8>, i64)| {
            let known = [Pin::Auto, Pin::Pinned, Pin::OnlineOnly];
            let pin = known.into_iter().find(|known| i64::from(known.number()) == pin);
            Ok((id(key)?, pin.ok_or_else(|| JournalError::Unreadable("no such pin".into()))?))
        };
        rows.map(|row| row.map_err(JournalError::from).and_then(read)).collect()
    }

    /// What the server refused.
    ///
    /// # Errors
    /// As [`base`](Self::base).
    pub fn issues(&self) -> Loaded<Issues> {
        let mut query = self.db.prepare_cached("SELECT folder, at, about, issue FROM issues")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        let mut issues = Issues::default();
        for row in rows {
            let (folder, at, about, issue): (Vec<u8>, String, i64, Vec<u8>) = row?;
            let about = match about {
                0 => About::Make,
                1 => About::Move,
                2 => About::Fill,
                _ => return Err(JournalError::Unreadable("no such kind of issue".into())),
            };
            issues.raise(id(folder)?, at, about, read_issue(issue)?);
        }
        Ok(issues)
    }
}

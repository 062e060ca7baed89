//! The file that `export` writes and `import` reads.
//!
//! Line 1 is the header: the log, its origin, the position the file begins after and the one it ends at. Then one
//! line per op as `pull` writes it, with `hash`, the log's running hash after it. The last line is the trailer: how
//! many ops, and the end again, so that a file that was cut off is told from a whole one.
//!
//! What must hold: nothing of a file is used before its hashes were recomputed from the ops themselves. They show
//! damage and clumsy edits; somebody who recomputes all of them can still make up a history.

use std::io::BufRead;

use serde::{Deserialize, Serialize};
use syncline::oplog::{Op, Sealing};
use syncline::{Anchor, BucketId, Cursor, LogId, LogKey, Seq, Timestamp};
use syncline_desk::Fault;

use crate::lines::{LineJson, Lines};

/// The version of the file's form.
pub(crate) const FORM: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    /// The version of the file's form.
    pub(crate) syncline_export: u32,
    /// Whose log it was.
    pub(crate) bucket: BucketId,
    /// Which.
    pub(crate) log: LogId,
    /// When the log was made, by the server's clock.
    pub(crate) created_at: Timestamp,
    /// The position before the first op in the file; its anchor holds the log's origin.
    pub(crate) base: Cursor,
    /// The position after the last op in the file.
    pub(crate) end: Cursor,
    /// The log's policy on sealed payloads.
    #[serde(default)]
    pub(crate) sealing: Sealing,
    /// The key epoch it was at.
    #[serde(default)]
    pub(crate) key_epoch: u32,
}

/// The last line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trailer {
    /// How many ops the file holds.
    pub(crate) ops: u64,
    /// The position after them.
    pub(crate) end: Cursor,
}

/// An op of the file, its place and hash checked.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) batch_rest: u32,
    pub(crate) op: Op,
}

/// Reads a file and checks it on the way.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    lines: Lines<R>,
    header: Header,
    at: Seq,
    anchor: Anchor,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When there is none, or it contradicts itself.
    pub(crate) fn open(from: R) -> Result<Self, Fault> {
        let mut lines = Lines::new(from);
        let header: Header = match lines.next()? {
            Some(line) => serde_json::from_str(line).map_err(|error| wrong(1, &format!("not a header: {error}")))?,
            None => return Err(Fault::new("the export is empty")),
        };
        if header.syncline_export != FORM {
            return Err(wrong(1, &format!("form {} is not known here, only {FORM}", header.syncline_export)));
        }
        let (Some(anchor), Some(end)) = (header.base.anchor, header.end.anchor) else {
            return Err(wrong(1, "both positions have anchors"));
        };
        let key = LogKey { bucket: header.bucket, log: header.log };
        let begins = header.base.seq > Seq::ZERO || anchor == Anchor::genesis(key, anchor.origin);
        if anchor.origin != end.origin || header.base.seq > header.end.seq || !begins {
            return Err(wrong(1, "the positions are not those of one log of this name"));
        }
        Ok(Self { lines, at: header.base.seq, anchor, header })
    }

    /// The header.
    pub(crate) const fn header(&self) -> &Header {
        &self.header
    }

    /// The next op; `None` after a trailer that fits everything before it.
    ///
    /// # Errors
    /// The line and the seq at which the file is not what was exported.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Fault> {
        if self.at == self.header.end.seq {
            return self.trailer().map(|()| None);
        }
        let Some(line) = self.lines.next()? else {
            let (at, end) = (self.at, self.header.end.seq);
            return Err(Fault::new(format!("the export was cut off after seq {at}; its log ends at {end}")));
        };
        let line = serde_json::from_str::<LineJson>(line);
        let number = self.lines.number();
        let seq = self.at.get() + 1;
        let wrong = |why: &str| Err(wrong(number, &format!("seq {seq} {why}")));
        let line = match line {
            Ok(line) => line,
            Err(error) => return wrong(&format!("does not read: {error}")),
        };
        if line.seq.get() != seq {
            return wrong(&format!("is expected, {} is there", line.seq));
        }
        let (hash, accepted_at, batch_rest, place) = (line.hash, line.accepted_at, line.batch_rest, line.seq);
        let op = match line.read() {
            Ok(op) => op,
            Err(why) => return wrong(&format!("is not an op: {why}")),
        };
        self.anchor = self.anchor.extend(op.digest(), accepted_at);
        if hash != Some(self.anchor.hash) {
            return wrong("is not the op that was exported: the running hash does not fit");
        }
        self.at = place;
        Ok(Some(Entry { batch_rest, op }))
    }

    fn trailer(&mut self) -> Result<(), Fault> {
        let line = self.lines.next()?.map(serde_json::from_str::<Trailer>);
        let number = self.lines.number();
        let trailer = match line {
            Some(Ok(trailer)) => trailer,
            Some(Err(error)) => return Err(wrong(number, &format!("not a trailer: {error}"))),
            None => return Err(Fault::new("the export was cut off before its trailer")),
        };
        let end = Cursor { seq: self.at, anchor: Some(self.anchor) };
        let ops = self.at.get() - self.header.base.seq.get();
        if trailer != (Trailer { ops, end }) || self.header.end != end {
            return Err(wrong(number, "the end is not the one that the ops lead to"));
        }
        match self.lines.next()? {
            None => Ok(()),
            Some(_) => Err(wrong(number + 1, "something follows the trailer")),
        }
    }
}

fn wrong(line: u64, why: &str) -> Fault {
    Fault::new(format!("line {line} of the export: {why}"))
}

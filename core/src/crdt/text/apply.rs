//! Taking in deltas: all of a batch or nothing.
//!
//! *What must hold:* a refused batch leaves no trace, wherever in it the fault was. A delta that is here already changes
//! nothing; one that says something else under the same numbers is refused. *Where next:* [`super::merge`].

use bytes::Bytes;

use super::authors::{AuthorIndex, Roster};
use super::delta::{Name, Piece, read_pieces, read_seq};
use super::ops::Ops;
use super::tracker::Effect;
use super::{Lv, Text, TextError, merge};
use crate::codec::{DecodeError, Reader};
use crate::id::ReplicaId;

/// How things stood before a batch.
#[derive(Debug)]
struct Before {
    lv: Lv,
    authors: usize,
    rosters: Vec<(AuthorIndex, Roster)>,
}

impl Text {
    /// Takes in deltas; gives what they do to the text, in order.
    pub(super) fn take_in(&mut self, deltas: &[(ReplicaId, Bytes)]) -> Result<Vec<Effect>, TextError> {
        match self.try_take_in(deltas) {
            Err(TextError::Collected) if self.base.stored.is_some() => {
                self.hydrate()?;
                self.try_take_in(deltas)
            }
            other => other,
        }
    }

    fn try_take_in(&mut self, deltas: &[(ReplicaId, Bytes)]) -> Result<Vec<Effect>, TextError> {
        let mut before = Before { lv: self.ops.end(), authors: self.authors.list().len(), rosters: Vec::new() };
        let effects = self.append_all(deltas, &mut before).and_then(|()| {
            if self.ops.end() == before.lv {
                return Ok(Vec::new());
            }
            merge::merge(history(&self.graph, &self.ops, &self.authors), &mut self.zone, before.lv, self.buffer.len())
        });
        match effects {
            Ok(effects) => {
                merge::apply(&effects, &self.ops, &mut self.buffer);
                Ok(effects)
            }
            Err(error) => {
                self.roll_back(before);
                Err(error)
            }
        }
    }

    fn roll_back(&mut self, before: Before) {
        for (author, roster) in before.rosters.into_iter().rev() {
            self.authors.get_mut(author).roster = roster;
        }
        self.zone = None;
        if self.ops.end() > before.lv {
            self.graph.truncate(before.lv);
            self.ops.truncate(before.lv);
        }
        self.authors.truncate(before.lv, before.authors);
    }

    fn append_all(&mut self, deltas: &[(ReplicaId, Bytes)], before: &mut Before) -> Result<(), TextError> {
        for (author, delta) in deltas {
            self.append(*author, delta, before)?;
        }
        Ok(())
    }

    /// Appends a delta's events to the history, not yet to the text.
    fn append(&mut self, id: ReplicaId, delta: &Bytes, before: &mut Before) -> Result<(), TextError> {
        let mut input = Reader::new(delta.clone());
        let seq = read_seq(&mut input)?;
        let known = self.authors.find(id);
        let next = known.map_or(0, |author| self.authors.get(author).next);
        if seq > next {
            return Err(TextError::Unseen { replica: id, seq: next.into() });
        }
        if seq == 0 && input.remaining() == 0 && known.is_none() {
            return Ok(());
        }
        let mut roster = match known {
            Some(author) if seq < next && !self.has_events_from(author, seq) => {
                // Too old to compare. It was taken in before, or its rest could not be understood now.
                return self.skip_collected(author, input, seq);
            }
            Some(author) => self.roster_at(author, seq)?,
            None => Roster::default(),
        };
        let author = self.authors.index(id);
        let pieces = read_pieces(&mut input, &self.authors, Some(author), &mut roster)?;
        let fresh = if seq < next { self.compare(author, seq, next, &pieces)? } else { pieces };
        before.rosters.push((author, self.authors.get(author).roster.clone()));
        if !fresh.is_empty() {
            self.push_pieces(author, &fresh)?;
        }
        if roster.seq >= next {
            self.authors.get_mut(author).roster = roster;
        }
        Ok(())
    }

    fn skip_collected(&self, author: AuthorIndex, input: Reader, seq: u32) -> Result<(), TextError> {
        let next = self.authors.get(author).next;
        let mut input = input;
        let mut roster = Roster { seq, cursor: super::ops::EVENTS_MAX / 2, named: Vec::new() };
        match read_pieces(&mut input, &self.authors, Some(author), &mut roster) {
            Ok(_) if roster.seq <= next => Ok(()),
            _ => Err(TextError::Collected),
        }
    }

    /// Compares the events of a delta that are here; gives back the pieces that are not.
    fn compare(&self, author: AuthorIndex, seq: u32, next: u32, pieces: &[Piece]) -> Result<Vec<Piece>, TextError> {
        let (mut theirs, mut their_parents, mut at) = (Ops::default(), Vec::new(), seq);
        let mut fresh = Vec::new();
        for piece in pieces {
            let Some(run) = piece.run() else {
                if let (Piece::Parents(names), true) = (piece, at < next) {
                    their_parents.push((at, names.clone()));
                } else {
                    fresh.push(piece.clone());
                }
                continue;
            };
            let known = next.saturating_sub(at).min(run.len);
            if known > 0 {
                theirs.push(&run.part(0, known));
            }
            if known < run.len {
                let rest = run.part(known, run.len);
                let text = Bytes::copy_from_slice(rest.text.as_bytes());
                fresh.push(Piece::Run { kind: rest.kind, pos: rest.pos, len: rest.len, text });
            }
            at += run.len;
        }
        let to = at.min(next);
        let (mut ours, mut our_parents) = (Ops::default(), Vec::new());
        for (start, lv, len) in self.authors.stretches(author, seq) {
            let len = len.min(to.saturating_sub(start));
            for part in self.graph.stretches(lv, lv + len) {
                let first = start + (part.start - lv);
                let mut names = self.parents_named(part.start);
                let own = first.checked_sub(1).map(|seq| (author, seq));
                if names != own.into_iter().collect::<Vec<_>>() {
                    names.sort_unstable();
                    our_parents.push((first, names));
                }
                for run in self.ops.runs(part.start, part.end) {
                    ours.push(&run);
                }
            }
        }
        for (_, names) in &mut their_parents {
            names.sort_unstable();
        }
        if ours != theirs || our_parents != their_parents {
            return Err(TextError::Forked { replica: self.authors.get(author).id, seq: seq.into() });
        }
        Ok(fresh)
    }

    /// Appends pieces as the author's next events.
    fn push_pieces(&mut self, author: AuthorIndex, pieces: &[Piece]) -> Result<(), TextError> {
        let next = self.authors.get(author).next;
        let mut parents: Vec<Lv> = match next.checked_sub(1) {
            Some(seq) if !matches!(pieces.first(), Some(Piece::Parents(_))) => self.resolve(&[(author, seq)])?,
            None if !self.base_heads.is_empty() && !matches!(pieces.first(), Some(Piece::Parents(_))) => {
                return Err(TextError::Collected);
            }
            _ => Vec::new(),
        };
        for piece in pieces {
            if let Piece::Parents(names) = piece {
                parents = self.resolve(names)?;
                continue;
            }
            let Some(run) = piece.run() else { continue };
            self.ops.check_room(run.len as usize, run.text.len())?;
            let lv = self.ops.end();
            self.ops.push(&run);
            self.graph.push(&parents, run.len);
            self.authors.extend(author, lv, run.len);
            parents.clear();
            parents.push(lv + run.len - 1);
        }
        Ok(())
    }

    /// The version made of these events; empty if they are where the history begins.
    fn resolve(&self, names: &[Name]) -> Result<Vec<Lv>, TextError> {
        let mut version = Vec::with_capacity(names.len());
        for (author, seq) in names {
            let Some(lv) = self.authors.lv(*author, *seq) else {
                let mut names = names.to_vec();
                self.sort_names(&mut names);
                if names == self.base_heads {
                    return Ok(Vec::new());
                }
                return Err(TextError::Collected);
            };
            version.push(lv);
        }
        if version.is_empty() && !self.base_heads.is_empty() {
            return Err(TextError::Collected);
        }
        version.sort_unstable();
        if !self.graph.is_minimal(&version) || version.windows(2).any(|two| two[0] == two[1]) {
            return Err(DecodeError::NotCanonical("the parents of an event").into());
        }
        Ok(version)
    }
}

/// What trackers read.
pub(super) const fn history<'a>(
    graph: &'a super::graph::Graph,
    ops: &'a Ops,
    authors: &'a super::authors::Authors,
) -> super::tracker::History<'a> {
    super::tracker::History { graph, ops, authors }
}

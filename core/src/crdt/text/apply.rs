//! Taking in deltas: all of a batch or nothing.
//!
//! *What must hold:* a refused batch leaves no trace, wherever in it the fault was. A delta that is here already changes
//! nothing; one that says something else under the same numbers is refused. *Where next:* [`super::merge`].

use bytes::Bytes;

use super::authors::{AuthorIndex, Authors, Roster, RosterUndo};
use super::delta::{Name, Piece, Reading, read_seq};
use super::graph::Graph;
use super::ops::{EVENTS_MAX, Kind, Ops};
use super::tracker::{Effect, History};
use super::{Lv, Text, TextError, merge};
use crate::codec::{DecodeError, Reader};
use crate::id::ReplicaId;
use crate::limits;

/// Room that is used again for every delta, and how to take a batch back.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    pieces: Vec<Piece>,
    parents: Vec<Lv>,
    undo: Vec<RosterUndo>,
}

impl Text {
    /// Takes in deltas; tells `observe` what they do to the text, in order.
    pub(super) fn take_in<'a>(
        &mut self,
        deltas: impl Iterator<Item = (ReplicaId, &'a Bytes)> + Clone,
        observe: &mut dyn FnMut(Effect, &Ops),
    ) -> Result<(), TextError> {
        match self.try_take_in(deltas.clone(), observe) {
            Err(TextError::Collected) if self.base.stored.is_some() => {
                self.hydrate()?;
                self.try_take_in(deltas, observe)
            }
            other => other,
        }
    }

    fn try_take_in<'a>(
        &mut self,
        deltas: impl Iterator<Item = (ReplicaId, &'a Bytes)>,
        observe: &mut dyn FnMut(Effect, &Ops),
    ) -> Result<(), TextError> {
        let (from, authors) = (self.ops.end(), self.authors.list().len());
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut deltas = deltas;
        let appended = deltas.try_for_each(|(author, delta)| self.append(author, delta, &mut scratch));
        let carries = appended.is_ok();
        let done = appended.and_then(|()| self.carry_out(from, observe));
        if done.is_err() {
            for undo in scratch.undo.drain(..).rev() {
                self.authors.undo(undo);
            }
            if carries {
                self.zone = None;
            }
            if self.ops.end() > from {
                self.graph.truncate(from);
                self.ops.truncate(from);
            }
            self.authors.truncate(from, authors);
        }
        // Room for the next keystroke, not for the next batch.
        scratch.undo.clear();
        scratch.undo.shrink_to(4);
        scratch.pieces.clear();
        scratch.pieces.shrink_to(16);
        self.scratch = scratch;
        done
    }

    /// Brings the events from `from` on to the text; changes it only if all are in bounds.
    pub(super) fn carry_out(&mut self, from: Lv, observe: &mut dyn FnMut(Effect, &Ops)) -> Result<(), TextError> {
        let end = self.ops.end();
        if from == end {
            return Ok(());
        }
        if self.graph.critical_from(from).is_some_and(|range| range == (from..end)) {
            merge::check_bounds(&self.ops, from..end, self.buffer.len())?;
            self.zone = None;
            for run in self.ops.runs(from, end) {
                if run.kind == Kind::Insert {
                    self.buffer.insert(run.pos, run.text, run.len);
                } else {
                    self.buffer.delete(run.low(), run.len);
                }
                observe(merge::effect_of(&run), &self.ops);
            }
            return Ok(());
        }
        let history = History { graph: &self.graph, ops: &self.ops, authors: &self.authors };
        let effects = merge::merge(history, &mut self.zone, from, self.buffer.len())?;
        merge::apply(&effects, &self.ops, &mut self.buffer);
        effects.into_iter().for_each(|effect| observe(effect, &self.ops));
        Ok(())
    }

    /// Appends a delta's events to the history, not yet to the text.
    fn append(&mut self, id: ReplicaId, delta: &Bytes, scratch: &mut Scratch) -> Result<(), TextError> {
        let mut input = Reader::new(delta.clone());
        let seq = read_seq(&mut input)?;
        let known = self.authors.find(id);
        let next = known.map_or(0, |author| self.authors.get(author).next);
        if seq > next {
            return Err(TextError::Unseen { replica: id, seq: next.into() });
        }
        if input.remaining() == 0 {
            return Ok(());
        }
        let author = known.unwrap_or_else(|| self.authors.index(id));
        if self.authors.get(author).roster.seq != seq || seq < next {
            return self.append_again(author, delta, input, seq);
        }
        let mut roster = std::mem::take(&mut self.authors.get_mut(author).roster);
        let mut undo = roster.undo(author);
        scratch.pieces.clear();
        let reading = &mut Reading {
            authors: &self.authors,
            author,
            roster: &mut roster,
            undo: &mut undo,
            pieces: &mut scratch.pieces,
        };
        let read = reading.read(&mut input, delta);
        self.authors.get_mut(author).roster = roster;
        scratch.undo.push(undo);
        read?;
        let pieces = std::mem::take(&mut scratch.pieces);
        let pushed = self.push_pieces(author, &pieces, delta, &mut scratch.parents);
        scratch.pieces = pieces;
        pushed
    }

    /// Appends a delta that was taken in before, wholly or in part, or whose author's roster is behind.
    fn append_again(&mut self, author: AuthorIndex, delta: &Bytes, input: Reader, seq: u32) -> Result<(), TextError> {
        let next = self.authors.get(author).next;
        let mut input = input;
        let kept = seq >= next || self.has_events_from(author, seq);
        // Too old to compare: only that it is wholly from before can be told.
        let blind = Roster { seq, cursor: EVENTS_MAX / 2, named: Vec::new() };
        let mut roster = if kept { self.roster_at(author, seq)? } else { blind };
        let (mut undo, mut pieces) = (RosterUndo::default(), Vec::new());
        let reading =
            &mut Reading { authors: &self.authors, author, roster: &mut roster, undo: &mut undo, pieces: &mut pieces };
        let read = reading.read(&mut input, delta);
        if !kept {
            return if read.is_ok() && roster.seq <= next && self.base.stored.is_none() {
                Ok(())
            } else {
                Err(TextError::Collected)
            };
        }
        read?;
        let fresh = self.compare(author, seq, next, &pieces, delta)?;
        if fresh.is_empty() {
            return Ok(());
        }
        self.push_pieces(author, &fresh, delta, &mut Vec::new())?;
        let roster = self.roster_at(author, self.authors.get(author).next)?;
        self.authors.get_mut(author).roster = roster;
        Ok(())
    }

    /// Compares the events of a delta that are here; gives back the pieces that are not.
    fn compare(
        &self,
        author: AuthorIndex,
        seq: u32,
        next: u32,
        pieces: &[Piece],
        delta: &[u8],
    ) -> Result<Vec<Piece>, TextError> {
        let (mut theirs, mut their_parents, mut at) = (Ops::default(), Vec::new(), seq);
        let mut fresh = Vec::new();
        for piece in pieces {
            let (Some(run), Piece::Run { text, .. }) = (piece.run(delta), piece) else {
                match piece {
                    Piece::Parents(names) if at < next => their_parents.push((at, names.clone())),
                    _ => fresh.push(piece.clone()),
                }
                continue;
            };
            let known = next.saturating_sub(at).min(run.len);
            if known > 0 {
                theirs.push(&run.part(0, known));
            }
            if known < run.len {
                let rest = run.part(known, run.len);
                let text = text.end - rest.text.len()..text.end;
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
        if !ours.agrees(&theirs) || our_parents != their_parents {
            return Err(TextError::Forked { replica: self.authors.get(author).id, seq: seq.into() });
        }
        Ok(fresh)
    }

    /// Appends pieces as the author's next events.
    fn push_pieces(
        &mut self,
        author: AuthorIndex,
        pieces: &[Piece],
        delta: &[u8],
        parents: &mut Vec<Lv>,
    ) -> Result<(), TextError> {
        if !matches!(pieces.first(), Some(Piece::Parents(_))) {
            parents.clear();
            match (self.authors.get(author).next.checked_sub(1), self.authors.last_lv(author)) {
                (Some(_), Some(lv)) => parents.push(lv),
                (Some(seq), None) => self.find_parents(&[(author, seq)], parents)?,
                (None, _) => self.find_parents(&[], parents)?,
            }
        }
        for piece in pieces {
            let Some(run) = piece.run(delta) else {
                if let Piece::Parents(names) = piece {
                    self.find_parents(names, parents)?;
                }
                continue;
            };
            self.ops.check_room(run.len as usize, run.text.len())?;
            let lv = self.ops.end();
            self.ops.push(&run);
            self.graph.push(parents, run.len);
            self.authors.extend(author, lv, run.len);
            if self.graph.frontier().len() > limits::TEXT_PARENTS_MAX {
                return Err(TextError::TooManyVersions);
            }
            parents.clear();
            parents.push(lv + run.len - 1);
        }
        Ok(())
    }

    /// The version made of these events; empty if they are where the history begins.
    fn find_parents(&mut self, names: &[Name], version: &mut Vec<Lv>) -> Result<(), TextError> {
        version.clear();
        for (author, seq) in names {
            let Some(lv) = self.authors.lv(*author, *seq) else {
                let mut names = names.to_vec();
                self.sort_names(&mut names);
                version.clear();
                return if names == self.base_heads { Ok(()) } else { Err(TextError::Collected) };
            };
            version.push(lv);
        }
        if version.is_empty() && !self.base_heads.is_empty() {
            return Err(TextError::Collected);
        }
        version.sort_unstable();
        if version.windows(2).any(|two| two[0] == two[1]) || !self.graph.is_minimal(version) {
            return Err(DecodeError::NotCanonical("the parents of an event").into());
        }
        Ok(())
    }
}

/// What trackers read.
pub(super) const fn history<'a>(graph: &'a Graph, ops: &'a Ops, authors: &'a Authors) -> History<'a> {
    History { graph, ops, authors }
}

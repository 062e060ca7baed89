//! The columns of a history: who, after what, did what, and the characters that are gone.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;

use super::Reordered;
use crate::codec::{DecodeError, Reader, Writer};
use crate::crdt::content::{unzigzag, zigzag};
use crate::crdt::text::authors::{AuthorIndex, Authors};
use crate::crdt::text::graph::Graph;
use crate::crdt::text::merge::replay_all;
use crate::crdt::text::ops::{EVENTS_MAX, Kind, Ops, Run};
use crate::crdt::text::tracker::{History, Tracker, UNDER};
use crate::crdt::text::{Lv, TextError};

/// Inserted characters that are in the text: first event, how many, and their bytes in the text.
pub(in crate::crdt::text) type Alive = (Lv, u32, Range<usize>);

/// Which events' characters are in `text`, in the order of events.
pub(in crate::crdt::text) fn alive(history: History<'_>, under: u32, text: &str) -> Result<Vec<Alive>, TextError> {
    let bad = || TextError::from(DecodeError::NotCanonical("history"));
    let base = history.graph.base();
    let mut tracker = Tracker::default();
    tracker.reset(base, None, Some(under));
    replay_all(history, &mut tracker, base..history.ops.end(), |_| {})?;
    let mut alive = Vec::new();
    let (ascii, mut at) = (text.is_ascii(), 0);
    for span in tracker.spans() {
        if span.state & 1 == 1 {
            continue;
        }
        // The stretch under everything is longer than the text was.
        let len = if span.id >= UNDER { (under + UNDER).saturating_sub(span.id).min(span.len) } else { span.len };
        let rest = text.get(at..).ok_or_else(bad)?;
        // A history may say that there are more characters than there are.
        let bytes = if ascii { len as usize } else { cut_at(rest, len) };
        let end = at.checked_add(bytes).filter(|end| *end <= text.len()).ok_or_else(bad)?;
        if span.id < UNDER {
            alive.push((span.id, len, at..end));
        }
        at = end;
    }
    if at != text.len() {
        return Err(bad());
    }
    alive.sort_unstable_by_key(|one| one.0);
    Ok(alive)
}

/// The inserted characters that are not in the text.
pub(super) fn deleted(ops: &Ops, alive: &[Alive]) -> String {
    let mut out = String::new();
    let mut alive = alive.iter().peekable();
    for run in ops.runs(ops.base(), ops.end()).filter(|run| run.kind == Kind::Insert) {
        let mut at = run.lv;
        let end = run.lv + run.len;
        while at < end {
            match alive.peek() {
                Some((lv, len, _)) if *lv < end => {
                    out.push_str(run.part(at - run.lv, lv.max(&at) - run.lv).text);
                    at = end.min(lv + len);
                    if lv + len <= end {
                        alive.next();
                    }
                }
                _ => {
                    out.push_str(run.part(at - run.lv, run.len).text);
                    at = end;
                }
            }
        }
    }
    out
}

/// Who, after what, did what.
pub(super) fn events(graph: &Graph, ops: &Ops, authors: &Authors, rank: &BTreeMap<AuthorIndex, u64>) -> Bytes {
    let (mut out, mut positions) = (Writer::default(), Writer::default());
    let (base, end) = (graph.base(), graph.end());
    let mut spans = Vec::new();
    let mut lv = base;
    while lv < end {
        let (author, _, to) = authors.stretch(lv, end);
        spans.push((rank.get(&author).copied().unwrap_or_default(), to - lv));
        lv = to;
    }
    out.len(spans.len());
    for (author, len) in spans {
        out.u64(author);
        out.u64(len.into());
    }
    let parts: Vec<Range<Lv>> = graph.stretches(base, end).collect();
    out.len(parts.len());
    for part in &parts {
        let mut own = [0];
        let parents = graph.parents_of(part.start, &mut own);
        out.u64((part.end - part.start).into());
        out.len(parents.len());
        for parent in parents {
            out.u64((part.start - parent).into());
        }
    }
    let runs: Vec<Run<'_>> = ops.runs(base, end).collect();
    out.len(runs.len());
    let mut cursor = 0_u32;
    for run in &runs {
        let kind = match run.kind {
            Kind::Insert => 0,
            Kind::Delete => 1,
            Kind::Backspace => 2,
        };
        out.u64(u64::from(run.len) << 2 | kind);
        positions.u64(zigzag(i64::from(run.pos) - i64::from(cursor)));
        cursor = run.cursor();
    }
    out.fixed(&positions.finish());
    out.finish()
}

/// An operation whose text is not known yet.
type Head = (Kind, u32, u32);

fn bad() -> TextError {
    DecodeError::NotCanonical("history").into()
}

fn number(input: &mut Reader, what: &'static str) -> Result<u32, TextError> {
    let value = input.u64(what)?;
    u32::try_from(value).ok().filter(|value| *value <= EVENTS_MAX).ok_or_else(bad)
}

/// What is known of a stored history before it is read.
#[derive(Debug)]
pub(super) struct Part {
    /// The authors by their places, without events.
    pub(super) ids: Authors,
    /// The number of each one's next event behind the part.
    pub(super) nexts: Vec<u32>,
    pub(super) range: Range<Lv>,
    /// Length of the text before it.
    pub(super) under: u32,
}

/// Reads `events` and gives every insertion its characters, from `text` or from `deleted`.
pub(super) fn read(events: Bytes, part: Part, text: &str, deleted: &str) -> Result<Reordered, TextError> {
    let mut input = Reader::new(events);
    let Part { ids: mut authors, nexts, range, under } = part;
    let (base, end) = (range.start, range.end);
    let mut spans = Vec::new();
    let mut firsts = nexts;
    let mut lv = base;
    for _ in 0..input.count(2, "runs of authors")? {
        let (author, len) = (number(&mut input, "an author")?, number(&mut input, "a run")?);
        let first = firsts.get_mut(author as usize).ok_or_else(bad)?;
        *first = first.checked_sub(len).ok_or_else(bad)?;
        if len == 0 || len > end - lv {
            return Err(bad());
        }
        spans.push((author, lv, len));
        lv += len;
    }
    for (author, first) in (0..).zip(&firsts) {
        if base == 0 && *first > 0 {
            return Err(bad());
        }
        authors.set_next(author, *first);
    }
    for (author, lv, len) in spans {
        authors.extend(author, lv, len);
    }
    let mut graph = Graph::from_base(base);
    for _ in 0..input.count(2, "runs of the graph")? {
        let len = number(&mut input, "a run")?;
        let count = input.count(1, "parents")?;
        let mut parents = Vec::with_capacity(count);
        for _ in 0..count {
            let back = number(&mut input, "a parent")?;
            let parent = graph.end().checked_sub(back).filter(|parent| back > 0 && *parent >= base).ok_or_else(bad)?;
            parents.push(parent);
        }
        if len == 0 || len > end - graph.end() || !parents.is_sorted_by(|a, b| a < b) || !graph.is_minimal(&parents) {
            return Err(bad());
        }
        graph.push(&parents, len);
    }
    if lv != end || graph.end() != end {
        return Err(bad());
    }
    let heads = read_heads(input, base, end)?;
    // Positions alone say where every character is; then its run can have its text.
    let blank = blank_ops(&heads, base, text.len() + deleted.len())?;
    let alive = alive(History { graph: &graph, ops: &blank, authors: &authors }, under, text)?;
    let ops = fill(&heads, base, &alive, text, deleted)?;
    Ok((graph, ops, authors))
}

fn read_heads(input: Reader, base: Lv, end: Lv) -> Result<Vec<Head>, TextError> {
    let mut input = input;
    let count = input.count(2, "runs of events")?;
    let mut heads = Vec::with_capacity(count);
    let mut lv = base;
    for _ in 0..count {
        let head = input.u64("a run")?;
        let len = u32::try_from(head >> 2).map_err(|_| bad())?;
        let kind = match head & 3 {
            0 => Kind::Insert,
            1 => Kind::Delete,
            2 => Kind::Backspace,
            _ => return Err(bad()),
        };
        if len == 0 || len > end - lv {
            return Err(bad());
        }
        lv += len;
        heads.push((kind, 0, len));
    }
    let mut cursor = 0_u32;
    for (kind, pos, len) in &mut heads {
        let step = unzigzag(input.u64("a position")?);
        let at = i64::from(cursor).checked_add(step).and_then(|at| u32::try_from(at).ok());
        *pos = at.filter(|at| *at <= EVENTS_MAX && (*kind != Kind::Backspace || *at + 1 >= *len)).ok_or_else(bad)?;
        cursor = Run { lv: 0, len: *len, kind: *kind, pos: *pos, text: "" }.cursor();
    }
    input.finish()?;
    if lv != end {
        return Err(bad());
    }
    Ok(heads)
}

/// The runs without text. More insertions than there are bytes of text cannot be.
fn blank_ops(heads: &[Head], base: Lv, bytes: usize) -> Result<Ops, TextError> {
    let inserted = heads.iter().filter(|head| head.0 == Kind::Insert).map(|head| u64::from(head.2)).sum::<u64>();
    if inserted > bytes as u64 {
        return Err(bad());
    }
    let mut ops = Ops::from_base(base);
    for (kind, pos, len) in heads {
        match kind {
            Kind::Insert => ops.insert_blank(*pos, *len),
            _ => ops.delete(*kind, *pos, *len),
        }
    }
    Ok(ops)
}

fn fill(heads: &[Head], base: Lv, alive: &[Alive], text: &str, deleted: &str) -> Result<Ops, TextError> {
    let mut ops = Ops::from_base(base);
    let mut alive = alive.iter().cloned().peekable();
    let mut rest = deleted;
    for (kind, pos, len) in heads {
        if *kind != Kind::Insert {
            ops.delete(*kind, *pos, *len);
            continue;
        }
        let (start, end) = (ops.end(), ops.end() + len);
        let mut at = start;
        while at < end {
            let (chars, piece) = match alive.peek_mut() {
                Some((lv, len, bytes)) if *lv == at => {
                    let take = (*len).min(end - at);
                    let whole = &text[bytes.clone()];
                    let cut = if take == *len { whole.len() } else { cut_at(whole, take) };
                    let piece = &whole[..cut];
                    if take == *len {
                        alive.next();
                    } else {
                        (*lv, *len) = (*lv + take, *len - take);
                        bytes.start += cut;
                    }
                    (take, piece)
                }
                next => {
                    let to = next.map_or(end, |next| next.0.min(end));
                    let cut = cut_at(rest, to - at);
                    let (piece, behind) = rest.split_at_checked(cut).ok_or_else(bad)?;
                    rest = behind;
                    (to - at, piece)
                }
            };
            ops.insert(pos + (at - start), piece, chars);
            at += chars;
        }
    }
    if !rest.is_empty() {
        return Err(bad());
    }
    Ok(ops)
}

/// The byte behind the first `chars` characters; behind the end if there are not that many.
fn cut_at(text: &str, chars: u32) -> usize {
    let head = text.get(..chars as usize);
    if head.is_some_and(str::is_ascii) {
        return chars as usize;
    }
    let mut indices = text.char_indices();
    match indices.nth(chars as usize) {
        Some((byte, _)) => byte,
        None if text.chars().count() == chars as usize => text.len(),
        None => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::cut_at;

    #[test]
    fn a_cut_is_behind_so_many_characters() {
        assert_eq!([cut_at("aß€", 0), cut_at("aß€", 1), cut_at("aß€", 2), cut_at("aß€", 3)], [0, 1, 3, 6]);
        assert_eq!(cut_at("aß€", 4), usize::MAX);
    }
}

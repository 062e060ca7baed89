//! From events in the log of a document to edits of its text.
//!
//! Where an event has seen everything before it, its positions are those of our text: it is applied as it stands, and a
//! linear history is nothing but edits of a rope. In between lie *zones* of concurrency, each behind a critical event;
//! only they go through the [`Tracker`](super::tracker). A zone that is still open keeps its tracker, so that what
//! arrives next costs what it says and not what the zone holds.
//!
//! *What must hold:* nothing of a batch changes the text before all of it is known to be in bounds. Within a zone
//! branches are replayed one after the other as far as their parents allow: switching between two costs what they
//! differ by, or what a lane of the tracker costs if they do it often.

use std::ops::Range;

use super::buffer::Buffer;
use super::graph::Graph;
use super::ops::{Kind, Ops, Run};
use super::tracker::{Effect, History, Tracker};
use super::{Lv, TextError};

/// The tracker of an open zone.
#[derive(Debug, Clone)]
pub(super) struct OpenZone {
    tracker: Tracker,
    upto: Lv,
    /// Events replayed in all.
    #[cfg(test)]
    replayed: u64,
}

#[cfg(test)]
mod tests;

impl Default for OpenZone {
    /// Of nowhere.
    fn default() -> Self {
        Self {
            tracker: Tracker::default(),
            upto: Lv::MAX,
            #[cfg(test)]
            replayed: 0,
        }
    }
}

impl OpenZone {
    pub(super) fn check(&self) -> Result<(), String> {
        self.tracker.check()
    }
}

/// Works out what the events from `from` on, already in `history`, do to a text of `len` characters that has all before.
pub(super) fn merge(
    history: History<'_>,
    zone: &mut Option<Box<OpenZone>>,
    from: Lv,
    len: u32,
) -> Result<Vec<Effect>, TextError> {
    let (graph, ops) = (history.graph, history.ops);
    let mut effects = Vec::new();
    let (mut at, mut len) = (from, len);
    let end = ops.end();
    while at < end {
        let next = graph.critical_from(at);
        if let Some(range) = next.as_ref().filter(|range| range.start == at) {
            len = check_bounds(ops, range.clone(), len)?;
            effects.extend(ops.runs(range.start, range.end).map(|run| effect_of(&run)));
            at = range.end;
            continue;
        }
        let to = next.map_or(end, |range| range.start);
        let before = effects.len();
        replay_zone(history, zone, at, to, len, &mut effects)?;
        for effect in &effects[before..] {
            match effect {
                Effect::Insert { len: more, .. } => len += more,
                Effect::Delete { len: less, .. } => len = len.saturating_sub(*less),
            }
        }
        at = to;
    }
    if graph.critical_from(end - 1).is_some() {
        *zone = None;
    }
    Ok(effects)
}

/// Whether events that have each seen everything before them are within a text of `len` characters; its length behind.
pub(super) fn check_bounds(ops: &Ops, range: Range<Lv>, len: u32) -> Result<u32, TextError> {
    let mut len = len;
    for run in ops.runs(range.start, range.end) {
        let reach = if run.kind == Kind::Insert { run.pos } else { run.low().saturating_add(run.len) };
        if reach > len {
            return Err(TextError::OutOfBounds { at: reach.into(), len: len.into() });
        }
        len = if run.kind == Kind::Insert { len + run.len } else { len - run.len };
    }
    Ok(len)
}

/// What a run does to a text that its author saw.
pub(super) const fn effect_of(run: &Run<'_>) -> Effect {
    match run.kind {
        Kind::Insert => Effect::Insert { at: run.pos, lv: run.lv, len: run.len },
        Kind::Delete | Kind::Backspace => Effect::Delete { at: run.low(), len: run.len },
    }
}

/// Replays the events `at..to` of a zone, and silently those before that its tracker does not have yet.
fn replay_zone(
    history: History<'_>,
    zone: &mut Option<Box<OpenZone>>,
    at: Lv,
    to: Lv,
    len: u32,
    effects: &mut Vec<Effect>,
) -> Result<(), TextError> {
    let graph = history.graph;
    let root_behind = |critical: Option<Lv>| critical.map_or(graph.base(), |lv| lv + 1);
    let critical = graph.critical_before(at);
    let root = root_behind(critical);
    let open = zone.get_or_insert_with(Box::default);
    // One that begins further back will do: what was critical there still is.
    if open.upto > at || open.upto < root || open.tracker.root() > root {
        let (mut critical, mut root) = (critical, root);
        if open.upto <= at && open.upto >= root {
            // Somebody had seen only what is before the zone. It begins at least twice as far back, so that whoever names
            // what is further back each time has it replayed a few times only.
            let twice = at.saturating_sub(2 * (at - open.tracker.root()));
            critical = graph.critical_before(root.min(twice + 1));
            root = root_behind(critical);
        }
        open.tracker.reset(root, critical, (root == at).then_some(len));
        open.upto = root;
    }
    if open.upto < at {
        replay_all(history, &mut open.tracker, open.upto..at, |_| {})?;
        let under = i64::from(len) - open.tracker.growth();
        open.tracker.set_under(u32::try_from(under).unwrap_or(0));
    }
    #[cfg(test)]
    {
        open.replayed += u64::from(to - open.upto);
    }
    replay_all(history, &mut open.tracker, at..to, |effect| effects.push(effect))?;
    open.upto = to;
    Ok(())
}

/// Replays every event of a range, branch by branch.
pub(super) fn replay_all(
    history: History<'_>,
    tracker: &mut Tracker,
    range: Range<Lv>,
    mut effect: impl FnMut(Effect),
) -> Result<(), TextError> {
    for part in in_branches(history.graph, range) {
        let mut own = [0];
        let parents = history.graph.parents_of(part.start, &mut own);
        tracker.replay(history, part.start, part.end, parents, &mut effect)?;
    }
    Ok(())
}

/// The stretches of a range in an order in which parents come first and branches stay together, short ones first: coming
/// back to where two parted costs what was replayed since.
fn in_branches(graph: &Graph, range: Range<Lv>) -> Vec<Range<Lv>> {
    let from = range.start;
    let whole: Vec<Range<Lv>> = graph.stretches(from, range.end).collect();
    if whole.len() <= 1 {
        return whole;
    }
    let parts = cut_at_forks(graph, from, whole);
    let of = |lv: Lv| parts.partition_point(|part| part.start <= lv) - 1;
    // Children of a part as a list of edges: (child, next edge).
    let mut first: Vec<Option<usize>> = vec![None; parts.len()];
    let mut edges: Vec<(usize, Option<usize>)> = Vec::with_capacity(parts.len());
    let mut waiting = vec![0_u32; parts.len()];
    for (child, part) in parts.iter().enumerate() {
        let mut own = [0];
        for parent in graph.parents_of(part.start, &mut own).iter().filter(|parent| **parent >= from) {
            let parent = of(*parent);
            edges.push((child, first[parent].replace(edges.len())));
            waiting[child] += 1;
        }
    }
    // How much hangs on a part and on nothing else.
    let mut weight: Vec<u32> = parts.iter().map(|part| part.end - part.start).collect();
    for part in (0..parts.len()).rev() {
        let mut edge = first[part];
        while let Some((child, next)) = edge.map(|edge| edges[edge]) {
            if waiting[child] == 1 {
                weight[part] = weight[part].saturating_add(weight[child]);
            }
            edge = next;
        }
    }
    // Popped last first: what others wait for before what joins them, and of that the light before the heavy.
    let joins: Vec<bool> = waiting.iter().map(|parents| *parents > 1).collect();
    let turn = |part: &usize| (!joins[*part], std::cmp::Reverse(weight[*part]));
    let mut ready: Vec<usize> = (0..parts.len()).rev().filter(|part| waiting[*part] == 0).collect();
    ready.sort_by_key(turn);
    let mut ordered = Vec::with_capacity(parts.len());
    while let Some(part) = ready.pop() {
        ordered.push(parts[part].clone());
        let old = ready.len();
        let mut edge = first[part];
        while let Some((child, next)) = edge.map(|edge| edges[edge]) {
            waiting[child] -= 1;
            if waiting[child] == 0 {
                ready.push(child);
            }
            edge = next;
        }
        if ready.len() > old + 1 {
            ready[old..].sort_by_key(turn);
        }
    }
    ordered
}

/// Cuts stretches behind every event that others than the next have seen last.
fn cut_at_forks(graph: &Graph, from: Lv, whole: Vec<Range<Lv>>) -> Vec<Range<Lv>> {
    let mut cuts: Vec<Lv> = Vec::with_capacity(whole.len());
    for part in &whole {
        let mut own = [0];
        let parents = graph.parents_of(part.start, &mut own);
        cuts.extend(parents.iter().filter(|parent| **parent >= from).map(|parent| parent + 1));
    }
    cuts.sort_unstable();
    cuts.dedup();
    let mut parts = Vec::with_capacity(whole.len() + cuts.len());
    let mut cuts = cuts.into_iter().peekable();
    for part in whole {
        let mut start = part.start;
        while let Some(cut) = cuts.next_if(|cut| *cut < part.end) {
            if cut > start {
                parts.push(start..cut);
                start = cut;
            }
        }
        parts.push(start..part.end);
    }
    parts
}

/// Carries effects out.
pub(super) fn apply(effects: &[Effect], ops: &Ops, buffer: &mut Buffer) {
    for effect in effects {
        match *effect {
            Effect::Insert { at, lv, len } => {
                let mut at = at;
                for run in ops.runs(lv, lv + len) {
                    buffer.insert(at, run.text, run.len);
                    at += run.len;
                }
            }
            Effect::Delete { at, len } => buffer.delete(at, len),
        }
    }
}

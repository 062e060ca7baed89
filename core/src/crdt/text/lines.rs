//! Whether an event has seen another, looked up instead of walked.
//!
//! A *line* is events of which each has seen the one before, whoever made them. What an event of a line has seen of another
//! line is all of that up to some event, and only ever more further on; so a line keeps where that bound rises. A new event
//! goes on with a line all of which it has seen, so that there are about as many lines as there were writers at once, not as
//! many as there were authors.
//!
//! *What must hold:* lines are kept only once walking has cost more than to make them, and only as long as [`LINES`] are
//! enough; a text that nobody walks through far has none. *Where next:* [`super::graph`], which asks.

use super::Lv;
use super::graph::Graph;

/// Most lines; with more at once, asking walks. Replay has views for fewer.
pub(super) const LINES: usize = 32;

/// By line, up to which event it was seen, that one not included.
type Seen = [Lv; LINES];

#[derive(Debug, Clone)]
struct Line {
    /// Its last stretch.
    last: usize,
    /// By other line, ascending: from which event of this one on, and up to where that one was seen.
    rises: Vec<Vec<(Lv, Lv)>>,
}

/// The lines of a graph from one of its stretches on. Whatever is there has seen everything before that stretch.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    first: usize,
    /// Where the first stretch begins.
    root: Lv,
    /// The line of every stretch.
    of: Vec<u8>,
    lines: Vec<Line>,
}

impl Lines {
    /// Of nothing so far, from stretch `first` on, which begins at `root`.
    pub(super) const fn new(first: usize, root: Lv) -> Self {
        Self { first, root, of: Vec::new(), lines: Vec::new() }
    }

    /// The first stretch that is in no line so far.
    pub(super) const fn next(&self) -> usize {
        self.first + self.of.len()
    }

    pub(super) const fn first(&self) -> usize {
        self.first
    }

    pub(super) const fn root(&self) -> Lv {
        self.root
    }

    /// Takes in what came to the graph since; gives the steps that took, or `None` if that needs more than [`LINES`] lines,
    /// and these are then good for nothing.
    pub(super) fn follow(&mut self, graph: &Graph) -> Option<usize> {
        let mut steps = 0;
        while let Some((range, parents)) = graph.stretch(self.next()) {
            let mut seen = [0; LINES];
            let mut mine = None;
            // More parents than lines are on two lines at least.
            for parent in parents.iter().take(LINES + 1) {
                if let Some(line) = self.line_of(graph, *parent) {
                    self.gather(line, *parent, &mut seen);
                    mine = self.ends_at(graph, line, parent + 1).then_some(line).or(mine);
                }
                steps += self.lines.len();
            }
            let all_seen = |line: &usize| self.ends_at(graph, *line, seen[*line]);
            let mine = mine.or_else(|| (0..self.lines.len()).find(all_seen)).unwrap_or(self.lines.len());
            if mine == LINES {
                return None;
            }
            self.of.push(u8::try_from(mine).ok()?);
            let last = self.next() - 1;
            if mine == self.lines.len() {
                self.lines.push(Line { last, rises: Vec::new() });
            }
            let count = self.lines.len();
            let line = &mut self.lines[mine];
            line.last = last;
            line.rises.resize_with(count.max(line.rises.len()), Vec::new);
            for (other, rises) in line.rises.iter_mut().enumerate() {
                if other != mine && seen[other] > rises.last().map_or(0, |rise| rise.1) {
                    rises.push((range.start, seen[other]));
                }
            }
            steps += count + 1;
        }
        Some(steps)
    }

    /// Whether no event of the sorted `version`, the last of which is in a line, has seen another of it; and the steps that
    /// took.
    pub(super) fn is_minimal(&self, graph: &Graph, version: &[Lv]) -> (bool, usize) {
        let mut seen = [0; LINES];
        let mut steps = 0;
        for lv in version.iter().rev() {
            steps += self.lines.len();
            match self.line_of(graph, *lv) {
                Some(line) if seen[line] <= *lv => self.gather(line, *lv, &mut seen),
                _ => return (false, steps),
            }
        }
        (true, steps)
    }

    fn line_of(&self, graph: &Graph, lv: Lv) -> Option<usize> {
        if lv < self.root {
            return None;
        }
        self.of.get(graph.entry(lv).checked_sub(self.first)?).map(|line| usize::from(*line))
    }

    /// Whether a line has its last event before `end`.
    fn ends_at(&self, graph: &Graph, line: usize, end: Lv) -> bool {
        let last = self.lines.get(line).and_then(|line| graph.stretch(line.last));
        last.is_some_and(|(range, _)| range.end == end)
    }

    /// Adds what event `at` of a line has seen, and itself.
    fn gather(&self, line: usize, at: Lv, seen: &mut Seen) {
        let Some(this) = self.lines.get(line) else { return };
        seen[line] = seen[line].max(at + 1);
        for (other, rises) in this.rises.iter().enumerate() {
            let risen = rises.partition_point(|rise| rise.0 <= at).checked_sub(1);
            if let Some((_, upto)) = risen.map(|risen| rises[risen]) {
                seen[other] = seen[other].max(upto);
            }
        }
    }
}

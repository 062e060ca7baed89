//! The way through a cycle while nothing stands in it: download once, then batch after batch, then news.

use super::{Asked, Came, Cycle, Halt, Kept, Rest, Session, Setback, State, Wanted};
use crate::call::{ErrorCode, Page, Push, Pushed, Reply};
use crate::limits;
use crate::oplog::{Gap, Snapshot};
use crate::seq::{Cursor, Seq};
use crate::time::Env;

impl Session {
    pub(super) fn begin(&mut self) {
        self.cycle = Cycle::default();
        self.go_on();
    }

    /// The first thing of a cycle, and the next after the local history was begun anew from its start.
    fn go_on(&mut self) {
        if self.heard.offline {
            self.state = State::Offline;
        } else if !self.fresh {
            self.prepare();
        } else if self.cursor.seq == Seq::ZERO {
            self.ask(Asked::Snapshot(Wanted::Fresh));
        } else {
            self.pull();
        }
    }

    /// Everything asked of the server begins here.
    pub(super) fn ask(&mut self, asked: Asked) {
        if self.heard.offline {
            self.state = State::Offline;
            return;
        }
        self.heard.online = false;
        if matches!(asked, Asked::Push(_) | Asked::Pull) {
            // Its answer serves who asked before it.
            self.heard.asked = false;
            self.heard.wake = Seq::ZERO;
            self.cycle.at_end = false;
        }
        self.state = State::Calling(asked);
    }

    pub(super) fn pull(&mut self) {
        self.ask(Asked::Pull);
    }

    fn prepare(&mut self) {
        self.heard.edited = false;
        self.state = State::Preparing;
    }

    /// What came is kept, unless the application must be asked first.
    pub(super) fn keep(&mut self, came: Came) {
        let end = match &came {
            Came::Page(page) => page.end.max(page.next.seq),
            Came::Begin { snapshot, .. } => snapshot.seq,
            _ => Seq::ZERO,
        };
        let ask = self.unconfirmed && end > Seq::ZERO;
        self.state = if ask { State::Confirming(came, end) } else { State::Keeping(came) };
    }

    pub(super) fn prepared(&mut self, push: Option<Box<Push>>, env: &Env) {
        match push {
            Some(_) if self.cycle.idle_pushes > limits::CLIENT_IDLE_PUSHES_MAX => {
                self.back_off(Setback::NoProgress, None, env);
            }
            Some(push) => self.ask(Asked::Push(push)),
            None => {
                self.cycle.drained = true;
                self.settle(env);
            }
        }
    }

    /// The local history is at the server's end as far as known: upload what waits, hear what came meanwhile, or rest.
    fn settle(&mut self, env: &Env) {
        let news = self.heard.asked || self.heard.wake > self.cursor.seq;
        if !self.cycle.denied && (self.heard.edited || !self.cycle.drained) {
            self.prepare();
        } else if news || !self.cycle.at_end {
            self.pull();
        } else {
            self.attempts = 0;
            let rest = Rest { since: env.now, until: env.now.plus_ms(self.poll_ms) };
            self.state = if self.heard.offline {
                State::Offline
            } else if self.cycle.denied {
                State::Halted(Halt::SignIn, Some(rest))
            } else {
                State::Live(rest)
            };
        }
    }

    pub(super) fn replied(&mut self, asked: Asked, reply: Reply, env: &Env) {
        match (asked, reply) {
            (Asked::Push(push), Reply::Pushed(pushed)) if pushed.verdicts.len() == push.ops.len() => {
                self.keep(Came::Verdicts(pushed));
            }
            (Asked::Pull, Reply::Pulled(page)) => self.pulled(page, env),
            (Asked::Snapshot(wanted), Reply::Snapshot(snapshot)) => self.fetched(wanted, snapshot, env),
            (Asked::Trial(mut search, cursor), Reply::Pulled(_)) => {
                search.same(cursor.seq);
                self.seek(search);
            }
            _ => self.back_off(Setback::Protocol, None, env),
        }
    }

    pub(super) fn pulled(&mut self, page: Page, env: &Env) {
        // The usual answer to a question for news: there is nothing to put down.
        if page.ops.is_empty() && page.next == self.cursor && !page.more {
            self.reached_end(env);
        } else {
            self.keep(Came::Page(page));
        }
    }

    /// What was asked for to begin from, if the server has it.
    pub(super) fn fetched(&mut self, wanted: Wanted, snapshot: Option<Box<Snapshot>>, env: &Env) {
        let foreign = |snapshot: &Snapshot| self.cursor.anchor.is_some_and(|at| at.origin != snapshot.anchor.origin);
        if snapshot.as_deref().is_some_and(foreign) {
            return self.halt(Halt::ForeignLog);
        }
        match (wanted, snapshot) {
            (Wanted::Fresh, None) => self.pull(),
            (Wanted::Parted, Some(snapshot)) => self.keep(Came::Begin { snapshot, parted: true }),
            (Wanted::Parted, None) => self.keep(Came::Rewind(Seq::ZERO)),
            (Wanted::Fresh | Wanted::Pruned, Some(snapshot)) if snapshot.seq > self.cursor.seq => {
                self.keep(Came::Begin { snapshot, parted: false });
            }
            (Wanted::Fresh, Some(_)) => self.pull(),
            // What leads nowhere is not begun anew from: local history stays until somebody has mended the server.
            (Wanted::Pruned, _) => self.call_operator(ErrorCode::GapPruned, None, env),
        }
    }

    pub(super) fn kept(&mut self, came: Came, kept: Kept, env: &Env) {
        let before = std::mem::replace(&mut self.cursor, kept.cursor);
        let moved = before != kept.cursor;
        self.cycle.drained = false;
        match (came, kept.gap) {
            (Came::Verdicts(pushed), gap) => {
                self.count_push(moved || pushed.verdicts.iter().any(|verdict| verdict.seq().is_some()));
                match gap {
                    Some(gap) => self.misfit(gap, env),
                    None => self.uploaded(&pushed, kept.more),
                }
            }
            (Came::Refused(_) | Came::TooLarge, _) => self.prepare(),
            (_, Some(gap)) => self.misfit(gap, env),
            // A page that promises more and leads nowhere would be asked for for ever.
            (Came::Page(_), None) if kept.more && !moved => self.misfit(Gap::Hole, env),
            (Came::Page(_), None) => {
                self.went_well(moved);
                if moved {
                    self.cycle.idle_pushes = 0;
                }
                if kept.more { self.pull() } else { self.reached_end(env) }
            }
            (Came::Rewind(_) | Came::Begin { .. }, None) => {
                self.cycle.recovered = Some(kept.cursor);
                // An empty server is offered the history here at once; everywhere else there is history to read first.
                if self.cycle.server_empty { self.go_on() } else { self.pull() }
            }
        }
    }

    fn uploaded(&mut self, pushed: &Pushed, more: bool) {
        match pushed.newer {
            Some(_) if !more => {
                self.cycle.at_end = true;
                self.prepare();
            }
            _ => self.pull(),
        }
    }

    pub(super) fn count_push(&mut self, effect: bool) {
        self.went_well(effect);
        self.cycle.idle_pushes = if effect { 0 } else { self.cycle.idle_pushes + 1 };
    }

    /// Two servers that contradict each other make progress for ever: after beginning anew, only the end counts.
    fn went_well(&mut self, effect: bool) {
        if effect && self.cycle.recoveries == 0 {
            self.attempts = 0;
        }
    }

    /// The answer brought the log's end: from here on, a fresh device is like any other.
    pub(super) fn reached_end(&mut self, env: &Env) {
        self.cycle.at_end = true;
        self.fresh = false;
        self.unconfirmed = false;
        self.settle(env);
    }

    /// Where the log of a server stands that has no log: nothing to read, nothing to keep.
    pub(super) fn nothing_there(&mut self, env: &Env) {
        self.pulled(
            Page { ops: Vec::new(), left_out: Vec::new(), next: Cursor::START, end: Seq::ZERO, more: false },
            env,
        );
    }
}

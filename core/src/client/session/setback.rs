//! Everything that stands in the way: refusals, gaps, lost connections. Each leads on, to a backoff, or to a halt.

use std::num::NonZeroU32;

use super::{Asked, Came, Halt, Rest, Search, Session, Setback, State, Wanted};
use crate::call::{Advice, ErrorCode, Refusal};
use crate::client::CallError;
use crate::client::backoff::{backoff_ms, operator_retry_ms};
use crate::limits;
use crate::oplog::Gap;
use crate::seq::{Cursor, Seq};
use crate::time::Env;

impl Session {
    pub(super) fn failed(&mut self, asked: Asked, error: CallError, env: &Env) {
        match error {
            CallError::Refused(refusal) => self.refused(asked, refusal, env),
            other => self.hindered(&other, env),
        }
    }

    /// A call failed that only served to get ready.
    pub(super) fn hindered(&mut self, error: &CallError, env: &Env) {
        match error {
            CallError::Unreachable(_) => self.back_off(Setback::Unreachable, None, env),
            CallError::Interrupted(_) => self.back_off(Setback::Interrupted, None, env),
            CallError::Protocol(_) => self.back_off(Setback::Protocol, None, env),
            CallError::Refused(refusal) => self.turned_away(refusal, env),
        }
    }

    /// What a refusal means depends on what was asked.
    fn refused(&mut self, asked: Asked, refusal: Refusal, env: &Env) {
        use ErrorCode::{
            BatchSize, BodyTooLarge, Forbidden, ForbiddenReplica, GapPruned, LogNotFound, OpInvalid, ReplayTooLarge,
            RequestIdReused, SealedHistory, UnknownHistory,
        };
        match (asked, refusal.code) {
            (Asked::Push(_), OpInvalid | ForbiddenReplica | RequestIdReused) => {
                self.count_push(false);
                self.keep(Came::Refused(refusal));
            }
            // Who may not write any more may still read.
            (Asked::Push(_), Forbidden) => {
                self.cycle.denied = true;
                self.pull();
            }
            (Asked::Push(_), BatchSize | BodyTooLarge) => {
                self.count_push(false);
                self.keep(Came::TooLarge);
            }
            // No snapshot can be had: reading from the start is what is left.
            (Asked::Snapshot(wanted), LogNotFound | GapPruned | ReplayTooLarge | SealedHistory | UnknownHistory) => {
                self.fetched(wanted, None, env);
            }
            (Asked::Snapshot(_), code) if gap_of(code).is_some() && code != ErrorCode::GapHole => {
                self.back_off(Setback::Refused(code), refusal.retry_after_ms, env);
            }
            (Asked::Pull, LogNotFound) if self.cursor.seq == Seq::ZERO => self.nothing_there(env),
            (Asked::Trial(search, at), code) => self.tried(search, at, code, &refusal, env),
            (_, code) => match gap_of(code) {
                Some(gap) => self.gap(gap, refusal.end, env),
                None => self.turned_away(&refusal, env),
            },
        }
    }

    /// A refusal that has nothing to do with what was asked.
    fn turned_away(&mut self, refusal: &Refusal, env: &Env) {
        let code = refusal.code;
        match code.advice() {
            Advice::Retry | Advice::Resync => self.back_off(Setback::Refused(code), refusal.retry_after_ms, env),
            Advice::SignIn => self.halt(Halt::SignIn),
            Advice::Operator => self.call_operator(code, refusal.retry_after_ms, env),
            Advice::Fix if code == ErrorCode::UpgradeRequired => self.halt(Halt::Upgrade),
            Advice::Fix => self.halt(Halt::Refused(code)),
        }
    }

    /// The server cannot go on from the cursor.
    fn gap(&mut self, gap: Gap, end: Option<Cursor>, env: &Env) {
        match gap {
            Gap::ForeignLog => return self.halt(Halt::ForeignLog),
            Gap::Hole => return self.call_operator(ErrorCode::GapHole, None, env),
            _ => {}
        }
        let again = self.cycle.recovered == Some(self.cursor);
        if again || self.cycle.recoveries >= limits::CLIENT_RECOVERIES_MAX {
            return self.back_off(Setback::Refused(code_of(gap)), None, env);
        }
        self.cycle.recoveries += 1;
        self.cycle.server_empty = gap == Gap::ServerEmpty;
        match gap {
            Gap::Pruned => self.ask(Asked::Snapshot(Wanted::Pruned)),
            Gap::ServerEmpty => self.keep(Came::Rewind(Seq::ZERO)),
            _ => self.seek(Search::new(self.cursor, end)),
        }
    }

    /// A page that was kept out because it does not follow. One may have been cut or mixed up on the way.
    pub(super) fn misfit(&mut self, gap: Gap, env: &Env) {
        if gap == Gap::Hole && !std::mem::replace(&mut self.cycle.misread, true) {
            self.pull();
        } else {
            self.gap(gap, None, env);
        }
    }

    pub(super) fn seek(&mut self, search: Search) {
        if search.place().is_some() {
            self.state = State::Probing(search);
        } else if search.common() > Seq::ZERO {
            self.keep(Came::Rewind(search.common()));
        } else {
            self.ask(Asked::Snapshot(Wanted::Parted));
        }
    }

    pub(super) fn probed(&mut self, mut search: Search, found: Option<Cursor>) {
        match search.probed(found) {
            Some(cursor) => self.ask(Asked::Trial(search, cursor)),
            None => self.seek(search),
        }
    }

    fn tried(&mut self, mut search: Search, at: Cursor, code: ErrorCode, refusal: &Refusal, env: &Env) {
        match gap_of(code) {
            Some(Gap::Diverged | Gap::ClientAhead) => search.other(at.seq),
            Some(Gap::Pruned) => search.pruned(at.seq),
            Some(gap) => return self.gap(gap, refusal.end, env),
            None => return self.turned_away(refusal, env),
        }
        self.seek(search);
    }

    pub(super) fn back_off(&mut self, why: Setback, at_least_ms: Option<NonZeroU32>, env: &Env) {
        let attempt = self.attempts;
        self.wait_and_begin(env, backoff_ms(attempt, at_least_ms, env), |rest| State::Backoff(rest, attempt, why));
    }

    pub(super) fn call_operator(&mut self, code: ErrorCode, at_least_ms: Option<NonZeroU32>, env: &Env) {
        let wait = operator_retry_ms(self.attempts, at_least_ms, env);
        self.wait_and_begin(env, wait, |rest| State::Halted(Halt::Operator(code), Some(rest)));
    }

    /// A key may come without anybody saying so, so a halt for want of one is looked at again.
    pub(super) fn stopped(&mut self, why: Halt, env: &Env) {
        if matches!(why, Halt::KeyNeeded { .. } | Halt::WrongKey { .. }) {
            let wait = operator_retry_ms(self.attempts, None, env);
            self.wait_and_begin(env, wait, |rest| State::Halted(why, Some(rest)));
        } else {
            self.halt(why);
        }
    }

    fn wait_and_begin(&mut self, env: &Env, ms: u64, state: impl FnOnce(Rest) -> State) {
        self.attempts = self.attempts.saturating_add(1);
        if self.heard.offline {
            self.state = State::Offline;
        } else if std::mem::take(&mut self.heard.online) {
            self.begin();
        } else {
            self.state = state(Rest { since: env.now, until: env.now.plus_ms(ms) });
        }
    }

    pub(super) fn halt(&mut self, halt: Halt) {
        self.state = State::Halted(halt, None);
    }
}

const GAPS: [(Gap, ErrorCode); 6] = [
    (Gap::ServerEmpty, ErrorCode::GapServerEmpty),
    (Gap::ClientAhead, ErrorCode::GapClientAhead),
    (Gap::Pruned, ErrorCode::GapPruned),
    (Gap::Hole, ErrorCode::GapHole),
    (Gap::Diverged, ErrorCode::GapDiverged),
    (Gap::ForeignLog, ErrorCode::GapForeignLog),
];

/// The gap that a refusal's code says.
pub(in crate::client) fn gap_of(code: ErrorCode) -> Option<Gap> {
    GAPS.iter().find(|(_, known)| *known == code).map(|(gap, _)| *gap)
}

fn code_of(gap: Gap) -> ErrorCode {
    GAPS.iter().find(|(known, _)| *known == gap).map_or(ErrorCode::Internal, |(_, code)| *code)
}

//! The language of the scripts: one line for what happens, one for what the conversation says to it.
//!
//! `# …` and blank lines are for readers. `> …` is read and handed in; the `< …` lines are written by the runner, from
//! [`Session::poll`], [`Session::phase`] and the clock.
//!
//! | line | meaning |
//! |---|---|
//! | `> session [fresh] [confirm] at C` | a new conversation, first of all |
//! | `> N times …; …; …` | the inputs in turn, which always lead to the same |
//! | `> edited [xN]`, `> wake N`, `> online`, `> offline` | what happens by itself |
//! | `> tick`, `> tick early`, `> tick set back` | the wait is over; a ms before; an hour before it began |
//! | `> prepared none`, `> prepared A..B` | the next batch: ops A to B of one author |
//! | `> pushed V,V,… [news C [end N] [more]]` | verdicts `ok`, `dup`, `conflict`, `rejected`; `okxN` for many |
//! | `> page C [end N] [more]` | ops up to C |
//! | `> snapshot none`, `> snapshot C` | |
//! | `> refused CODE [end C] [op N] [after MS]`, `> unreachable`, `> interrupted`, `> unreadable` | no answer |
//! | `> stopped key|wrong|policy [at C]`, `> unlocked` | it cannot go on without a key, or at all; a key came |
//! | `> kept C [more] [gap NAME]`, `> probed none`, `> probed C`, `> confirmed yes`, `> confirmed no` | local answers |
//!
//! A cursor C is `start` (nothing known), `8` (seq 8 of the history), `8b` (seq 8 of another history of the same log), or
//! `8z` (of another log).

use std::io::Error;

use syncline::call::{Call, ErrorCode, Page, PageOp, Push, Pushed, Refusal, Reply};
use syncline::client::{CallError, Came, Halt, Input, Kept, Output, Phase, Session, SessionOptions, Setback};
use syncline::conformance::author::Author;
use syncline::conformance::support::{env, log};
use syncline::oplog::{ConflictReason, Gap, Op, OpKind, Payload, RejectReason, Sealing, Snapshot, Verdict};
use syncline::{Anchor, Cursor, Digest, Env, Origin, RequestId, Seq, Timestamp, VectorClock, limits};

use crate::common::seq;

/// A conversation and the world around it.
pub(crate) struct Talk {
    session: Session,
    now: Timestamp,
    inputs: u64,
    /// Where the local history is, to make pages that begin there.
    cursor: Cursor,
}

/// Runs a script and writes what the conversation says after each input.
pub(crate) fn run(script: &str) -> String {
    let mut talk: Option<Talk> = None;
    let mut text = String::new();
    for line in script.lines().filter(|line| !line.starts_with('<')) {
        text += line;
        text += "\n";
        if let Some(input) = line.strip_prefix("> ") {
            if input.starts_with("session") {
                talk = Some(Talk::new(input));
            }
            let talk = talk.as_mut().expect("a script begins with a session");
            text += &format!("< {}\n", talk.hear(input));
        }
    }
    text
}

impl Talk {
    fn new(line: &str) -> Self {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words.first(), Some(&"session"), "a script begins with a session: {line}");
        let at = after(&words, "at").map_or(Cursor::START, cursor);
        let options = SessionOptions {
            log: log(1).log,
            fresh: words.contains(&"fresh"),
            confirm_first: words.contains(&"confirm"),
            poll_ms: limits::CLIENT_POLL_MS,
        };
        Self { session: Session::new(options, at), now: env(0).now, inputs: 0, cursor: at }
    }

    /// Takes a line and says what it led to.
    fn hear(&mut self, line: &str) -> String {
        if line.starts_with("session") {
            return self.said();
        }
        let Some((times, round)) = line.split_once(" times ") else {
            self.take(line);
            return self.said();
        };
        let mut said: Option<String> = None;
        for turn in 0..number(times) {
            let inputs = round.split("; ").map(|input| {
                self.take(input);
                self.said()
            });
            let again = inputs.collect::<Vec<_>>().join("; ");
            let first = said.get_or_insert_with(|| again.clone());
            assert_eq!(*first, again, "turn {turn} of: {line}");
        }
        said.unwrap_or_default()
    }

    fn take(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let times = words.last().and_then(|last| last.strip_prefix('x')).map_or(1, number);
        for _ in 0..times {
            if words.first() == Some(&"tick") {
                self.move_clock(words.get(1).copied());
            }
            let input = self.read(&words);
            self.inputs += 1;
            self.session.handle(input, Env { now: self.now, ..env(self.inputs) });
            let again = (format!("{:?}", self.session.poll()), format!("{:?}", self.session.poll()));
            assert_eq!(again.0, again.1, "the same until answered");
        }
    }

    fn move_clock(&mut self, how: Option<&str>) {
        let Output::Wait(until) = self.session.poll() else { return };
        let until = until.unwrap_or(self.now);
        self.now = match how {
            Some("early") => until.minus_ms(1),
            Some("set") => self.now.minus_ms(3_600_000),
            _ => until.max(self.now),
        };
    }

    fn read(&mut self, words: &[&str]) -> Input {
        let Some((first, rest)) = words.split_first() else { panic!("an empty input") };
        let next = rest.first().copied();
        match (*first, next) {
            ("edited", _) => Input::Edited,
            ("wake", Some(at)) => Input::Wake(seq(number(at))),
            ("online", _) => Input::Online,
            ("offline", _) => Input::Offline,
            ("tick", _) => Input::Tick,
            ("prepared", Some("none")) => Input::Prepared(None),
            ("prepared", Some(range)) => Input::Prepared(Some(Box::new(push(range)))),
            ("pushed", Some(list)) => {
                let newer = after(rest, "news").map(|at| self.page(at, rest));
                Input::Replied(Reply::Pushed(Pushed {
                    verdicts: verdicts(list),
                    replayed: false,
                    accepted_at: Timestamp::default(),
                    newer,
                }))
            }
            ("page", Some(at)) => Input::Replied(Reply::Pulled(self.page(at, rest))),
            ("snapshot", Some("none")) => Input::Replied(Reply::Snapshot(None)),
            ("snapshot", Some(at)) => Input::Replied(Reply::Snapshot(Some(Box::new(snapshot(cursor(at)))))),
            ("refused", Some(code)) => Input::Failed(CallError::Refused(refusal(code, rest))),
            ("unreachable", _) => Input::Failed(CallError::Unreachable(Box::new(Error::other("no route")))),
            ("interrupted", _) => Input::Failed(CallError::Interrupted(Box::new(Error::other("reset")))),
            ("unreadable", _) => Input::Failed(CallError::Protocol("a proxy's page".to_owned())),
            ("kept", Some(at)) => {
                let gap = after(rest, "gap").map(gap);
                self.cursor = cursor(at);
                Input::Kept(Kept { cursor: self.cursor, more: rest.contains(&"more"), gap })
            }
            ("probed", Some("none")) => Input::Probed(None),
            ("probed", Some(at)) => Input::Probed(Some(cursor(at))),
            ("confirmed", Some(answer)) => Input::Confirmed(answer == "yes"),
            ("unlocked", _) => Input::Unlocked,
            ("stopped", Some(why)) => {
                let why = match why {
                    "key" => Halt::KeyNeeded { epoch: 2 },
                    "wrong" => Halt::WrongKey { epoch: 2 },
                    _ => Halt::Sealing(Sealing::Forbidden),
                };
                self.cursor = after(rest, "at").map_or(self.cursor, cursor);
                Input::Stopped { why, cursor: self.cursor }
            }
            _ => panic!("not an input: {words:?}"),
        }
    }

    /// Ops from the local end up to a cursor.
    fn page(&self, at: &str, words: &[&str]) -> Page {
        let next = cursor(at);
        let op = Author::new(2).op(OpKind::Update, "causal", 1, "x").raw().clone();
        let ops = (self.cursor.seq.get() + 1..=next.seq.get()).map(|at| PageOp {
            seq: seq(at),
            accepted_at: self.now,
            batch_rest: 0,
            op: op.clone(),
        });
        let end = after(words, "end").map_or(next.seq, |end| seq(number(end)));
        Page { ops: ops.collect(), left_out: Vec::new(), next, end, more: words.contains(&"more") }
    }

    fn said(&self) -> String {
        match self.session.poll() {
            Output::Prepare => "prepare".to_owned(),
            Output::Call(Call::Push(push)) => format!("push {}", range(&push)),
            Output::Call(Call::Pull { cursor, limit, .. }) if limit.ops_max() == 1 => {
                format!("pull one after {}", place(cursor))
            }
            Output::Call(Call::Pull { cursor, .. }) => format!("pull after {}", place(cursor)),
            Output::Call(Call::GetSnapshot(_)) => "get snapshot".to_owned(),
            Output::Keep(came) => format!("keep {}", keep(&came)),
            Output::Probe(at) => format!("probe {at}"),
            Output::Confirm { end } => format!("confirm a log that ends at {end}"),
            Output::Wait(until) => format!("{}, {}", self.wait(until), phase(self.session.phase())),
            other => panic!("not an output of a conversation: {other:?}"),
        }
    }

    fn wait(&self, until: Option<Timestamp>) -> String {
        match until {
            None => "wait".to_owned(),
            Some(until) if until <= self.now => "wait no longer".to_owned(),
            Some(until) => format!("wait {} ms", until.ms() - self.now.ms()),
        }
    }
}

fn after<'w>(words: &[&'w str], name: &str) -> Option<&'w str> {
    let index = words.iter().position(|word| *word == name)?;
    words.get(index + 1).copied()
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}

const HISTORIES: [(&str, u8); 3] = [("", 1), ("b", 1), ("z", 2)];

/// `8`, `8b`, `8z` or `start`.
pub(crate) fn cursor(text: &str) -> Cursor {
    if text == "start" {
        return Cursor::START;
    }
    let digits = text.trim_end_matches(|letter: char| letter.is_alphabetic());
    let (name, origin) = HISTORIES.iter().find(|(name, _)| text == format!("{digits}{name}")).expect("a history");
    let hash = Digest::of(&[name.as_bytes(), digits.as_bytes()]);
    Cursor { seq: seq(number(digits)), anchor: Some(Anchor { origin: Origin([*origin; 16]), hash }) }
}

fn place(at: Cursor) -> String {
    let named = HISTORIES.iter().map(|(name, _)| format!("{}{name}", at.seq)).find(|text| cursor(text) == at);
    named.unwrap_or_else(|| "start".to_owned())
}

fn push(range: &str) -> Push {
    let (first, last) = range.split_once("..").unwrap_or((range, range));
    let mut author = Author::new(1);
    let ops: Vec<Op> = (1..=number(last)).map(|_| author.op(OpKind::Update, "causal", 1, "x")).collect();
    let skip = usize::try_from(number(first) - 1).expect("few");
    let request = Some(RequestId::from_bytes([u8::try_from(number(first) % 251).expect("small"); 16]));
    Push { log: log(1).log, request, cursor: None, atomic: false, ops: ops[skip..].to_vec() }
}

/// The ops of a batch by their numbers.
fn range(push: &Push) -> String {
    let number = |op: &Op| {
        let bytes: [u8; 8] = op.id().as_bytes()[8..].try_into().expect("16 bytes");
        u64::from_be_bytes(bytes)
    };
    match push.ops.as_slice() {
        [] => "nothing".to_owned(),
        [one] => number(one).to_string(),
        [first, .., last] => format!("{}..{}", number(first), number(last)),
    }
}

fn verdicts(list: &str) -> Vec<Verdict> {
    let verdict = |name: &str| match name {
        "ok" => Verdict::Accepted { seq: Seq::FIRST },
        "dup" => Verdict::Duplicate { seq: Seq::FIRST },
        "conflict" => Verdict::Conflict { reason: ConflictReason::Concurrent, head: None },
        "rejected" => Verdict::Rejected { reason: RejectReason::BatchAborted },
        other => panic!("not a verdict: {other}"),
    };
    let many = list.split(',').flat_map(|name| {
        let (name, times) = name.split_once('x').map_or((name, 1), |(name, times)| (name, number(times)));
        (0..times).map(move |_| verdict(name))
    });
    many.collect()
}

fn snapshot(at: Cursor) -> Snapshot {
    let anchor = at.anchor.expect("a snapshot has an anchor");
    let payload = Payload::Json("{}".into());
    Snapshot { seq: at.seq, anchor, clock: VectorClock::new(), schema_version: 1, payload }
}

fn refusal(code: &str, words: &[&str]) -> Refusal {
    let code = ErrorCode::from_name(code).unwrap_or_else(|| panic!("not a code: {code}"));
    let mut refusal = Refusal::new(code, "for people");
    refusal.end = after(words, "end").map(cursor);
    refusal.index = after(words, "op").map(|index| usize::try_from(number(index)).expect("few"));
    refusal.with_retry_after(after(words, "after").map_or(0, number))
}

fn gap(name: &str) -> Gap {
    match name {
        "hole" => Gap::Hole,
        "diverged" => Gap::Diverged,
        "foreign" => Gap::ForeignLog,
        other => panic!("not a gap: {other}"),
    }
}

fn keep(came: &Came) -> String {
    let page = |page: &Page| {
        let more = if page.more { " and more" } else { "" };
        format!("{} ops up to {}{more}", page.ops.len(), place(page.next))
    };
    match came {
        Came::Verdicts(pushed) => {
            let news = pushed.newer.as_ref().map_or("no news".to_owned(), page);
            format!("{} verdicts, {news}", pushed.verdicts.len())
        }
        Came::Refused(refusal) => match refusal.index {
            Some(index) => format!("op {index} refused: {}", refusal.code.name()),
            None => format!("batch refused: {}", refusal.code.name()),
        },
        Came::TooLarge => "too large".to_owned(),
        Came::Page(came) => page(came),
        Came::Rewind(common) => format!("back to {common}"),
        Came::Begin { snapshot, parted } => {
            let parted = if *parted { ", parted" } else { "" };
            format!("snapshot {}{parted}", place(snapshot.cursor()))
        }
        other => panic!("nothing a server sends: {other:?}"),
    }
}

fn phase(phase: Phase) -> String {
    match phase {
        Phase::Offline => "offline".to_owned(),
        Phase::Working => "working".to_owned(),
        Phase::Live => "live".to_owned(),
        Phase::Backoff { attempt, why, .. } => format!("backoff {attempt}: {}", setback(why)),
        Phase::Halted(Halt::Operator(code)) => format!("halted: operator, {}", code.name()),
        Phase::Halted(Halt::Refused(code)) => format!("halted: refused, {}", code.name()),
        Phase::Halted(halt) => format!("halted: {halt:?}"),
        other => panic!("not a phase: {other:?}"),
    }
}

fn setback(why: Setback) -> String {
    match why {
        Setback::Refused(code) => code.name().to_owned(),
        other => format!("{other:?}"),
    }
}

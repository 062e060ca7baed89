//! What holds for every sequence of inputs, sensible or not.
//!
//! How: proptest draws inputs and answers; the laws of `session.rs`'s head are checked after each. The bounds of the
//! waits and the search for the place where histories part are tried over their whole ranges.

use std::io::Error;
use std::num::NonZeroU32;

use proptest::collection::vec;
use proptest::prelude::*;
use syncline::call::{Call, ErrorCode, Page, Push, Pushed, Refusal, Reply};
use syncline::client::{
    CallError, Came, Halt, Input, Kept, Output, Phase, Session, SessionOptions, backoff_ms, operator_retry_ms,
};
use syncline::conformance::author::Author;
use syncline::conformance::support::{env, log};
use syncline::oplog::{ConflictReason, Gap, OpKind, Payload, Sealing, Snapshot, Verdict};
use syncline::{Anchor, Cursor, Env, Seq, Timestamp, VectorClock, limits};

use crate::common::seq;
use crate::script::cursor;

fn options(fresh: bool, confirm_first: bool) -> SessionOptions {
    SessionOptions { log: log(1).log, fresh, confirm_first, poll_ms: limits::CLIENT_POLL_MS }
}

fn push(ops: usize) -> Push {
    let mut author = Author::new(1);
    let ops = (0..ops).map(|_| author.op(OpKind::Update, "causal", 1, "x")).collect();
    Push { log: log(1).log, request: None, cursor: None, atomic: false, ops }
}

fn page(at: Cursor, more: bool) -> Page {
    Page { ops: Vec::new(), left_out: Vec::new(), next: at, end: at.seq, more }
}

fn snapshot(at: Cursor) -> Option<Box<Snapshot>> {
    let payload = Payload::Json("{}".into());
    let (seq, anchor) = (at.seq, at.anchor?);
    Some(Box::new(Snapshot { seq, anchor, clock: VectorClock::new(), schema_version: 1, payload }))
}

pub(crate) fn places() -> impl Strategy<Value = Cursor> {
    prop::sample::select(vec!["start", "0", "3", "5", "5b", "8", "8b", "9z", "9223372036854775807"]).prop_map(cursor)
}

fn refusals() -> impl Strategy<Value = Refusal> {
    let code = prop::sample::select(ErrorCode::ALL.to_vec());
    (code, prop::option::of(places()), prop::option::of(0..4_usize), 0..100_000_u64).prop_map(
        |(code, end, index, after)| {
            let mut refusal = Refusal::new(code, "for people").with_retry_after(after);
            (refusal.end, refusal.index) = (end, index);
            refusal
        },
    )
}

fn failures() -> impl Strategy<Value = Input> {
    prop_oneof![
        4 => refusals().prop_map(|refusal| Input::Failed(CallError::Refused(refusal))),
        1 => Just(()).prop_map(|()| Input::Failed(CallError::Unreachable(Box::new(Error::other("x"))))),
        1 => Just(()).prop_map(|()| Input::Failed(CallError::Interrupted(Box::new(Error::other("x"))))),
        1 => Just(()).prop_map(|()| Input::Failed(CallError::Protocol("x".to_owned()))),
    ]
}

fn verdicts() -> impl Strategy<Value = Vec<Verdict>> {
    let lost = Verdict::Conflict { reason: ConflictReason::Stale, head: None };
    vec(prop::sample::select(vec![Verdict::Accepted { seq: Seq::FIRST }, lost]), 0..3)
}

fn replies() -> impl Strategy<Value = Input> {
    let newer = prop::option::of((places(), any::<bool>()).prop_map(|(at, more)| page(at, more)));
    let pushed = (verdicts(), newer).prop_map(|(verdicts, newer)| Pushed {
        verdicts,
        replayed: false,
        accepted_at: Timestamp::default(),
        newer,
    });
    let reply = prop_oneof![
        2 => pushed.prop_map(Reply::Pushed),
        2 => (places(), any::<bool>()).prop_map(|(at, more)| Reply::Pulled(page(at, more))),
        1 => prop::option::of(places()).prop_map(|at| Reply::Snapshot(at.and_then(snapshot))),
        1 => Just(Reply::Done),
    ];
    reply.prop_map(Input::Replied)
}

fn local_answers() -> impl Strategy<Value = Input> {
    let gap = prop::sample::select(vec![None, None, None, Some(Gap::Hole), Some(Gap::Diverged), Some(Gap::ForeignLog)]);
    prop_oneof![
        2 => prop::option::of(0..3_usize).prop_map(|ops| Input::Prepared(ops.map(|ops| Box::new(push(ops))))),
        2 => (places(), any::<bool>(), gap).prop_map(|(cursor, more, gap)| Input::Kept(Kept { cursor, more, gap })),
        1 => prop::option::of(places()).prop_map(Input::Probed),
        1 => any::<bool>().prop_map(Input::Confirmed),
        1 => (stops(), places()).prop_map(|(why, cursor)| Input::Stopped { why, cursor }),
    ]
}

fn stops() -> impl Strategy<Value = Halt> {
    let key = Halt::KeyNeeded { epoch: 2 };
    prop::sample::select(vec![key, key, Halt::WrongKey { epoch: 2 }, Halt::Sealing(Sealing::Forbidden)])
}

fn happenings() -> impl Strategy<Value = Input> {
    prop_oneof![
        Just(()).prop_map(|()| Input::Edited),
        places().prop_map(|at| Input::Wake(at.seq)),
        Just(()).prop_map(|()| Input::Online),
        Just(()).prop_map(|()| Input::Offline),
        Just(()).prop_map(|()| Input::Tick),
        Just(()).prop_map(|()| Input::Unlocked),
    ]
}

pub(crate) fn inputs() -> impl Strategy<Value = Input> {
    prop_oneof![3 => happenings(), 2 => failures(), 3 => replies(), 3 => local_answers()]
}

pub(crate) fn moment() -> impl Strategy<Value = Env> {
    (0..200_000_u64, any::<[u8; 32]>()).prop_map(|(at, entropy)| Env { entropy, ..env(at) })
}

/// Whether the input is an answer, of whatever content, to what was said.
fn answers(input: &Input, said: &Output) -> bool {
    matches!(
        (input, said),
        (Input::Prepared(_), Output::Prepare)
            | (Input::Kept(_), Output::Keep(_))
            | (Input::Probed(_), Output::Probe(_))
            | (Input::Confirmed(_), Output::Confirm { .. })
            | (Input::Replied(_), Output::Call(_))
            | (Input::Failed(_), Output::Call(_) | Output::Prepare)
            | (Input::Stopped { .. }, Output::Call(_) | Output::Prepare | Output::Keep(_))
    )
}

/// Never a panic, always something to do; and the promises of the head of `session.rs`.
pub(crate) fn promises_hold(
    fresh: bool,
    confirm: bool,
    at: Cursor,
    script: Vec<(Input, Env)>,
) -> Result<(), TestCaseError> {
    let mut session = Session::new(options(fresh, confirm), at);
    let asks_first = fresh && confirm && at.seq == Seq::ZERO;
    let (mut offline, mut confirmed, mut ended) = (false, !asks_first, !fresh);
    for (input, env) in script {
        let before = session.poll();
        let answered = answers(&input, &before);
        match &input {
            Input::Offline => offline = true,
            Input::Online => offline = false,
            Input::Confirmed(yes) if answered => confirmed |= *yes,
            _ => {}
        }
        let happened = !matches!(
            input,
            Input::Online | Input::Offline | Input::Edited | Input::Wake(_) | Input::Tick | Input::Unlocked
        );
        // Only the end of the pages, or no log at all, ends a first download.
        let end = match (&input, &before) {
            (Input::Replied(Reply::Pulled(page)), _) => answered && !page.more,
            (Input::Kept(kept), Output::Keep(Came::Page(_))) => !kept.more && kept.gap.is_none(),
            (Input::Failed(CallError::Refused(refusal)), Output::Call(Call::Pull { .. })) => {
                refusal.code == ErrorCode::LogNotFound
            }
            _ => false,
        };
        session.handle(input, env);
        let said = session.poll();
        // A page that is still to be kept, or asked about, has ended nothing yet.
        ended |= end && !matches!(said, Output::Keep(_) | Output::Confirm { .. });
        prop_assert_eq!(format!("{:?}", said), format!("{:?}", session.poll()), "the same until answered");
        if happened && !answered {
            prop_assert_eq!(format!("{:?}", said), format!("{:?}", before), "an answer to nothing changes nothing");
        }
        match &said {
            Output::Call(Call::Push(_)) => prop_assert!(ended, "uploaded before the download was over"),
            Output::Keep(Came::Begin { .. }) => prop_assert!(confirmed || ended, "kept unasked"),
            Output::Keep(Came::Page(page)) => {
                prop_assert!(confirmed || ended || page.end == Seq::ZERO, "kept unasked");
            }
            Output::Wait(None) => {
                prop_assert!(matches!(session.phase(), Phase::Offline | Phase::Halted(_)), "waits for ever");
            }
            _ => {}
        }
        if let Output::Call(_) = &said {
            let under_way = format!("{said:?}") == format!("{before:?}");
            prop_assert!(!offline || under_way, "a call was begun without a network");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_sequence_of_inputs_breaks_a_promise(
        fresh: bool,
        confirm: bool,
        at in places(),
        script in vec((inputs(), moment()), 0..120),
    ) {
        promises_hold(fresh, confirm, at, script)?;
    }

    /// Whatever a server and a store answer, as long as nothing moves the conversation comes to rest.
    #[test]
    fn without_progress_it_comes_to_rest(
        fresh: bool,
        at in places(),
        answers_drawn in vec((failures(), replies(), local_answers(), any::<bool>()), 1..40),
    ) {
        let mut session = Session::new(options(fresh, false), at);
        session.handle(Input::Online, env(0));
        let mut drawn = answers_drawn.into_iter();
        for step in 0..1_000 {
            let (failure, reply, local, fails) = match drawn.next() {
                Some(drawn) => drawn,
                None => break,
            };
            let input = match session.poll() {
                Output::Wait(_) => return Ok(()),
                Output::Call(call) if !fails => fitting(&call, reply),
                Output::Call(_) => failure,
                Output::Prepare => Input::Prepared(Some(Box::new(push(1)))),
                Output::Keep(_) => match local {
                    Input::Kept(kept) => Input::Kept(Kept { cursor: at, ..kept }),
                    _ => Input::Kept(Kept { cursor: at, more: fails, gap: None }),
                },
                Output::Probe(place) => Input::Probed(Some(Cursor { seq: place, ..cursor("3") }).filter(|_| fails)),
                _ => Input::Confirmed(true),
            };
            session.handle(input, env(step));
        }
        // The draw is over: from here on the server says what keeps it going longest, again and again.
        for step in 0..1_000 {
            let input = match session.poll() {
                Output::Wait(_) => return Ok(()),
                Output::Call(Call::Push(push)) => stale(&push),
                Output::Call(Call::Pull { .. }) => Input::Replied(Reply::Pulled(page(at, false))),
                Output::Call(_) => Input::Replied(Reply::Snapshot(None)),
                Output::Prepare => Input::Prepared(Some(Box::new(push(1)))),
                Output::Keep(_) => Input::Kept(Kept { cursor: at, more: true, gap: None }),
                Output::Probe(_) => Input::Probed(None),
                _ => Input::Confirmed(true),
            };
            session.handle(input, env(step));
        }
        prop_assert!(false, "a thousand steps without rest");
    }

    /// The place where two histories part is found, wherever it is comparable, in at most 64 looks.
    #[test]
    fn the_place_where_histories_part_is_found_in_64_looks(
        local in 1..=Seq::MAX.get(),
        (end, parted, kept, horizon) in (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()),
        small: bool,
        told: bool,
    ) {
        let local = if small { local % 40 + 1 } else { local };
        let end = if small { end % 60 + 1 } else { (end & Seq::MAX.get()).max(1) };
        // Common up to `parted`, which is neither history's end for both.
        let parted = parted % local.min(end.saturating_add(1));
        let (kept, horizon) = (kept % (local + 1), horizon % (local.min(end) + 1));
        let server_end = if end <= parted { at(end, 'a') } else { at(end, 'b') };
        let theirs = |place: Cursor| place.seq.get() <= end && place == if place.seq.get() <= parted {
            at(place.seq.get(), 'a')
        } else {
            at(place.seq.get(), 'b')
        };
        let gap = |place: Cursor| match () {
            () if place.seq.get() > end => ErrorCode::GapClientAhead,
            () if place.seq.get() < horizon => ErrorCode::GapPruned,
            () => ErrorCode::GapDiverged,
        };
        let refuse = |place: Cursor| {
            let refusal = Refusal::new(gap(place), "for people");
            let refusal = if told { refusal.with_end(server_end) } else { refusal };
            Input::Failed(CallError::Refused(refusal))
        };
        let here = at(local, 'a');
        prop_assert!(!theirs(here) && gap(here) != ErrorCode::GapPruned, "the server cannot go on from here");
        let mut session = Session::new(options(false, false), here);
        session.handle(Input::Online, env(0));
        session.handle(Input::Prepared(None), env(0));
        let mut looks = 0;
        let common = loop {
            let input = match session.poll() {
                Output::Call(Call::Pull { cursor, .. }) if theirs(cursor) && cursor.seq.get() >= horizon => {
                    Input::Replied(Reply::Pulled(page(cursor, false)))
                }
                Output::Call(Call::Pull { cursor, .. }) => refuse(cursor),
                Output::Call(_) => Input::Replied(Reply::Snapshot(None)),
                Output::Probe(place) => {
                    looks += 1;
                    Input::Probed((place.get() >= kept).then(|| at(place.get(), 'a')))
                }
                Output::Keep(Came::Rewind(common)) => break common.get(),
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            };
            session.handle(input, env(1));
        };
        prop_assert!(looks <= 64, "{} looks", looks);
        let parts_at = parted.min(end);
        let by_end = told && end <= parted && end < local && end >= kept;
        let comparable = parts_at >= kept.max(horizon) || by_end;
        prop_assert_eq!(common, if comparable { parts_at } else { 0 });
    }

    /// Full jitter: anywhere from nothing to a span that doubles up to its maximum, after what the server asks for.
    #[test]
    fn waits_stay_within_their_spans(attempt in 0..200_u32, after: u32, entropy: [u8; 32]) {
        let env = Env { entropy, ..env(0) };
        let asked = u64::from(after).min(limits::CLIENT_RETRY_AFTER_MS_MAX);
        let doubled = |first: u64, max: u64| first.saturating_mul(2_u64.saturating_pow(attempt)).min(max);
        let span = doubled(limits::CLIENT_BACKOFF_MS_MIN, limits::CLIENT_BACKOFF_MS_MAX);
        let wait = backoff_ms(attempt, NonZeroU32::new(after), &env);
        prop_assert!((asked..=asked + span).contains(&wait), "{} of {}", wait, span);
        prop_assert_eq!(wait, backoff_ms(attempt, None, &env) + asked, "the same world, the same wait");
        let least = limits::CLIENT_OPERATOR_RETRY_MS_MIN;
        let most = least + doubled(least, limits::CLIENT_OPERATOR_RETRY_MS_MAX - least);
        let wait = operator_retry_ms(attempt, None, &env);
        prop_assert!((least..=most).contains(&wait) && most <= limits::CLIENT_OPERATOR_RETRY_MS_MAX);
        prop_assert_eq!(operator_retry_ms(attempt, NonZeroU32::new(after), &env), wait.max(asked));
    }
}

/// Two devices cut off at the same instant do not come back at the same instant.
#[test]
fn waits_are_spread_over_the_whole_span() {
    for (attempt, span) in [(0, 1_000), (1, 2_000), (4, 16_000), (5, 30_000), (99, 30_000)] {
        let mut quarters = [0; 4];
        for device in 0..1_000 {
            let wait = backoff_ms(attempt, None, &env(device));
            quarters[usize::try_from((wait * 4 / (span + 1)).min(3)).expect("small")] += 1;
        }
        assert!(quarters.iter().all(|devices| (200..300).contains(devices)), "attempt {attempt}: {quarters:?}");
    }
}

/// The place with this number in history `a` or `b`.
fn at(number: u64, history: char) -> Cursor {
    let name = if history == 'a' { String::new() } else { "b".to_owned() };
    let here = cursor(&format!("{number}{name}"));
    Cursor { seq: seq(number), anchor: here.anchor.map(|anchor| Anchor { ..anchor }) }
}

fn stale(push: &Push) -> Input {
    let verdicts = push.ops.iter().map(|_| Verdict::Conflict { reason: ConflictReason::Stale, head: None }).collect();
    Input::Replied(Reply::Pushed(Pushed { verdicts, replayed: false, accepted_at: Timestamp::default(), newer: None }))
}

/// The drawn reply if it is one to this call, otherwise a plain one that is.
fn fitting(call: &Call, drawn: Input) -> Input {
    match (call, &drawn) {
        (Call::Push(push), _) => stale(push),
        (Call::Pull { cursor, .. }, _) => Input::Replied(Reply::Pulled(page(*cursor, false))),
        (_, Input::Replied(Reply::Snapshot(_))) => drawn,
        _ => Input::Replied(Reply::Snapshot(None)),
    }
}

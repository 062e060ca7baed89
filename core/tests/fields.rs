//! Last writer wins by field: what the bytes are, and the laws that make it the default.
//!
//! How: proptest draws changes of a few authors over a few fields, so that they meet; the reference is a map that is
//! told the changes in the order of their stamps.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "each proof uses its part")]
mod common;

use std::collections::BTreeMap;

use bytes::Bytes;
use common::seq;
use proptest::collection::vec;
use proptest::prelude::*;
use syncline::conformance::author::{Author, entity_key, entity_subject};
use syncline::conformance::support::{env, log};
use syncline::oplog::{
    Change, Draft, Fields, JsonMerge, LogState, LoggedOp, Op, OpKind, Payload, ReduceError, Reducer, Remainder,
    ReplayStop, Schema, Stamp,
};
use syncline::{Anchor, Hlc, OpId, Origin, ReplicaId, Timestamp, limits};

/// A change that owns its payload.
#[derive(Debug, Clone)]
struct Said {
    author: u8,
    ms: u64,
    counter: u16,
    kind: OpKind,
    payload: Payload,
    accepted_at: Timestamp,
}

impl Said {
    fn change(&self) -> Change<'_> {
        Change {
            op: OpId::from_bytes([0; 16]),
            replica: ReplicaId::from_bytes([self.author; 16]),
            kind: self.kind,
            hlc: Hlc { ms: ms(self.ms), counter: self.counter },
            accepted_at: self.accepted_at,
            payload: &self.payload,
        }
    }
}

fn ms(ms: u64) -> Timestamp {
    Timestamp::from_ms(ms).expect("in range")
}

fn json(text: impl Into<String>) -> Payload {
    Payload::Json(text.into().into())
}

fn edit(author: u8, ms: u64, text: &str) -> Said {
    Said { author, ms, counter: 0, kind: OpKind::Update, payload: json(text), accepted_at: Timestamp::MAX }
}

fn delete(author: u8, ms: u64) -> Said {
    Said { kind: OpKind::Delete, ..edit(author, ms, "null") }
}

fn reduced<'a>(reducer: &dyn Reducer, said: impl IntoIterator<Item = &'a Said>) -> Option<Vec<u8>> {
    let mut state = None;
    said.into_iter().for_each(|said| reducer.reduce(&mut state, &said.change()).expect("fits"));
    state
}

fn view(state: Option<&[u8]>) -> Option<String> {
    let shown = Fields.view(state?).expect("a state of fields")?;
    Some(String::from_utf8(shown.to_vec()).expect("JSON"))
}

fn shown(said: &[Said]) -> Option<String> {
    view(reduced(&Fields, said).as_deref())
}

fn payload() -> impl Strategy<Value = Payload> {
    let value = prop::sample::select(vec!["1", "null", "\"x\"", "{\"n\":[1.0]}", "-0"]);
    proptest::collection::btree_map("[ab\u{e9}]", value, 0..3).prop_map(|fields| {
        let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        json(format!("{{{}}}", fields.join(",")))
    })
}

/// Changes of three authors in a few milliseconds, as a log might order them.
fn history(deletes: u32) -> impl Strategy<Value = Vec<Said>> {
    let kinds = vec![OpKind::Create, OpKind::Update, OpKind::Move, OpKind::Batch];
    let kind = prop_oneof![deletes => Just(OpKind::Delete), 4 => prop::sample::select(kinds)];
    let said = (1..=3_u8, 1..6_u64, 0..2_u16, kind, payload()).prop_map(|(author, ms, counter, kind, payload)| Said {
        author,
        ms,
        counter,
        kind,
        payload,
        accepted_at: Timestamp::MAX,
    });
    vec(said, 1..12)
}

/// Keeps the first change of each stamp.
fn distinct(said: Vec<Said>) -> Vec<Said> {
    let mut stamps: Vec<Stamp> = Vec::new();
    let mut kept = Vec::new();
    for said in said {
        if !stamps.contains(&said.change().stamp()) {
            stamps.push(said.change().stamp());
            kept.push(said);
        }
    }
    kept
}

/// What the changes say one after the other, the oldest stamp first.
fn said_in_order(said: &[Said]) -> Option<BTreeMap<String, serde_json::Value>> {
    let mut sorted: Vec<&Said> = said.iter().collect();
    sorted.sort_by_key(|said| said.change().stamp());
    let mut state = None;
    for said in sorted {
        if said.kind == OpKind::Delete {
            state = None;
        } else {
            let new: BTreeMap<String, serde_json::Value> =
                serde_json::from_slice(said.payload.bytes()).expect("an object");
            state.get_or_insert_with(BTreeMap::new).extend(new);
        }
    }
    state
}

proptest! {
    #[test]
    fn fields_are_what_the_changes_say_in_the_order_of_their_stamps(said in history(2)) {
        let seen = shown(&said).map(|text| serde_json::from_str(&text).expect("an object"));
        prop_assert_eq!(seen, said_in_order(&said));
    }

    #[test]
    fn changes_in_any_order_make_the_same_bytes(
        (one, other) in history(2).prop_map(distinct).prop_flat_map(|said| (Just(said.clone()), Just(said).prop_shuffle())),
    ) {
        prop_assert_eq!(reduced(&Fields, &one), reduced(&Fields, &other));
        prop_assert_eq!(shown(&one), shown(&other));
    }

    #[test]
    fn a_change_that_comes_again_changes_nothing(said in history(2).prop_map(distinct), again in any::<prop::sample::Index>()) {
        let repeated = said.iter().chain([again.get(&said)]);
        prop_assert_eq!(reduced(&Fields, repeated), reduced(&Fields, &said));
        prop_assert_eq!(reduced(&Fields, said.iter().chain(&said)), reduced(&Fields, &said), "a whole history");
    }

    #[test]
    fn what_is_left_of_an_older_change_and_the_newer_one_equal_both(
        before in history(1),
        (older, newer) in (history(1), history(1)),
    ) {
        let (mut older, mut newer) = (older[0].clone(), newer[0].clone());
        (older.author, newer.author) = (1, 1);
        newer.ms = newer.ms.max(older.ms);
        newer.counter = if newer.ms == older.ms { newer.counter.max(older.counter) } else { newer.counter };
        for reducer in [&Fields as &dyn Reducer, &JsonMerge] {
            let mut whole = reduced(reducer, &before);
            let mut rest = whole.clone();
            reducer.reduce(&mut whole, &older.change()).expect("fits");
            reducer.reduce(&mut whole, &newer.change()).expect("fits");
            match reducer.remainder((older.kind, &older.payload), (newer.kind, &newer.payload)) {
                Remainder::Whole => reducer.reduce(&mut rest, &older.change()).expect("fits"),
                Remainder::Part(payload) => {
                    prop_assert!(payload.bytes().len() < older.payload.bytes().len());
                    let part = Said { payload, ..older.clone() };
                    reducer.reduce(&mut rest, &part.change()).expect("fits");
                }
                Remainder::Nothing => {}
            }
            reducer.reduce(&mut rest, &newer.change()).expect("fits");
            prop_assert_eq!(rest, whole, "{:?}: {:?}, {:?}", reducer, older, newer);
        }
    }

    #[test]
    fn a_state_of_any_origin_is_understood_or_left_alone(bytes in hostile(), said in history(1)) {
        for said in said {
            let mut state = Some(bytes.clone());
            let outcome = Fields.reduce(&mut state, &said.change());
            let _ = Fields.view(state.as_deref().expect("a state stays one"));
            if outcome.is_err() {
                prop_assert_eq!(state.as_deref(), Some(bytes.as_slice()));
                prop_assert!(matches!(outcome, Err(ReduceError::Unfit(_))));
            }
        }
    }
}

/// Bytes that pretend to be a state: junk, or a good one with some bytes changed, cut off or added.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let changed =
        (history(1), vec((any::<prop::sample::Index>(), any::<u8>()), 0..3), 0..4_usize, vec(any::<u8>(), 0..3));
    let changed = changed.prop_map(|(said, places, cut, more)| {
        let mut bytes = reduced(&Fields, &said).expect("a state");
        places.into_iter().for_each(|(place, byte)| *place.get_mut(&mut bytes) = byte);
        bytes.truncate(bytes.len() - cut);
        bytes.extend(more);
        bytes
    });
    prop_oneof![1 => vec(any::<u8>(), 0..60), 3 => changed]
}

#[test]
fn an_edit_and_a_delete_end_the_same_whichever_comes_first() {
    let first = edit(1, 1, r#"{"title":"milk","done":false}"#);
    // (what, the other changes in both orders, what a reader sees)
    let rows: &[(&str, [Said; 2], Option<&str>)] = &[
        (
            "an edit made after the delete wins",
            [delete(2, 5), edit(1, 6, r#"{"done":true}"#)],
            Some(r#"{"done":true}"#),
        ),
        ("an edit made before the delete loses", [delete(2, 5), edit(1, 4, r#"{"done":true}"#)], None),
        ("at one time the replica decides", [delete(2, 5), edit(1, 5, r#"{"done":true}"#)], None),
        ("at one time the replica decides", [delete(2, 5), edit(3, 5, r#"{"done":1}"#)], Some(r#"{"done":1}"#)),
        (
            "the newest of two edits of a field",
            [edit(2, 5, r#"{"done":1}"#), edit(3, 5, r#"{"done":2}"#)],
            Some(r#"{"done":2,"title":"milk"}"#),
        ),
        (
            "edits of different fields",
            [edit(2, 3, r#"{"done":1}"#), edit(3, 2, r#"{"title":null}"#)],
            Some(r#"{"done":1,"title":null}"#),
        ),
        ("made again without a field", [delete(2, 5), edit(1, 6, "{}")], Some("{}")),
        ("the newest of two deletes", [delete(2, 5), delete(1, 9)], None),
    ];
    for (what, [one, other], expected) in rows {
        for order in [[&first, one, other], [&first, other, one], [one, other, &first], [other, one, &first]] {
            let seen = view(reduced(&Fields, order).as_deref());
            assert_eq!(seen.as_deref(), *expected, "{what}: {order:?}");
        }
    }
    let later = [delete(1, 5), edit(2, 4, r#"{"old":1}"#), edit(2, 7, r#"{"new":1}"#)];
    assert_eq!(shown(&later).as_deref(), Some(r#"{"new":1}"#), "what came back has nothing from before its end");
    let twice = [edit(1, 5, r#"{"a":1}"#), delete(1, 5), edit(1, 5, r#"{"b":2}"#)];
    assert_eq!(shown(&twice).as_deref(), Some(r#"{"b":2}"#), "one author at one reading: the log's order");
}

#[test]
fn a_clock_that_runs_ahead_wins_by_no_more_than_the_bound() {
    let accepted_at = ms(1_000_000);
    let cap = 1_000_000 + limits::CLOCK_DRIFT_MS_MAX;
    let ahead = Said { accepted_at, ..edit(1, cap + 999_999_999, r#"{"a":"ahead"}"#) };
    let own_next = Said { accepted_at, ..edit(1, cap + 999_999_998, r#"{"a":"next"}"#) };
    let within = Said { accepted_at: ms(2_000_000), ..edit(2, cap - 1, r#"{"a":"honest"}"#) };
    let after = Said { accepted_at: ms(2_000_000), ..edit(2, cap + 1, r#"{"a":"honest"}"#) };
    assert_eq!(shown(&[ahead.clone(), within]).as_deref(), Some(r#"{"a":"ahead"}"#));
    assert_eq!(shown(&[ahead.clone(), after.clone()]).as_deref(), Some(r#"{"a":"honest"}"#));
    assert_eq!(shown(&[ahead.clone(), own_next]).as_deref(), Some(r#"{"a":"next"}"#), "one author: the log's order");
    let waiting = Said { accepted_at: Timestamp::MAX, ..ahead };
    assert_eq!(shown(&[waiting, after]).as_deref(), Some(r#"{"a":"ahead"}"#), "nothing bounds what nobody has taken");
}

#[test]
fn a_state_of_fields_is_as_documented_to_the_byte() {
    let said =
        [edit(1, 300, r#"{"b":1.0,"\u0061":{"x" : [ ]}}"#), delete(2, 299), Said { counter: 7, ..edit(3, 301, "{}") }];
    let stamp = |ms: &[u8], counter: u8, author: u8| [ms, &[counter], &[author; 16]].concat();
    let expected = [
        vec![1, 3],
        stamp(&[0xab, 2], 0, 2),
        stamp(&[0xad, 2], 7, 3),
        [&[2, 1], b"a".as_slice()].concat(),
        stamp(&[0xac, 2], 0, 1),
        [&[11], br#"{"x" : [ ]}"#.as_slice()].concat(),
        [&[1], b"b".as_slice()].concat(),
        stamp(&[0xac, 2], 0, 1),
        [&[3], b"1.0".as_slice()].concat(),
    ];
    assert_eq!(reduced(&Fields, &said), Some(expected.concat()));
    assert_eq!(shown(&said).as_deref(), Some(r#"{"a":{"x" : [ ]},"b":1.0}"#), "each value as its author wrote it");
}

#[test]
fn what_is_no_object_is_refused_and_changes_nothing() {
    let before = reduced(&Fields, &[edit(1, 1, r#"{"a":1}"#)]);
    let unfit = ReduceError::Unfit("a JSON object");
    let table = [
        (json("[1]"), unfit.clone()),
        (json("null"), unfit.clone()),
        (json(r#"{"a":1"#), unfit.clone()),
        (json(r#"{"a":1,"\u0061":2}"#), unfit.clone()),
        (json(r#"{"\ud800":1}"#), unfit.clone()),
        (Payload::Json(Bytes::from_static(b"{\"a\":\"\xff\"}")), unfit.clone()),
        (Payload::Plain(Bytes::from_static(b"{}")), unfit),
        (Payload::Sealed(Bytes::from_static(b"{}")), ReduceError::Sealed),
    ];
    for (payload, expected) in table {
        let mut state = before.clone();
        let said = Said { payload, ..edit(1, 2, "") };
        assert_eq!(Fields.reduce(&mut state, &said.change()), Err(expected), "{:?}", said.payload);
        assert_eq!(state, before);
    }
}

/// A full state may come from anybody who may write; what it holds in a value's place must not become other fields.
#[test]
fn a_value_that_is_no_single_value_is_not_shown() {
    let good = reduced(&Fields, &[edit(1, 1, r#"{"a":"123456789"}"#)]).expect("a state");
    for text in [r#"1,"admin":1"#, r#"1         "#, r#"          1"#, "", "1}"] {
        let mut bytes = good[..good.len() - 12].to_vec();
        bytes.push(u8::try_from(text.len()).expect("short"));
        bytes.extend(text.as_bytes());
        assert!(matches!(Fields.view(&bytes), Err(ReduceError::Unfit(_))), "{text:?}");
    }
}

#[test]
fn only_what_a_newer_edit_does_not_say_is_left_of_an_older_one() {
    let rows: &[(OpKind, &str, OpKind, &str, Remainder)] = &[
        (OpKind::Create, r#"{"a":1,"b":1.0}"#, OpKind::Update, r#"{"a":2}"#, Remainder::Part(json(r#"{"b":1.0}"#))),
        (OpKind::Update, r#"{"\u0061":1}"#, OpKind::Update, r#"{"a":2,"c":3}"#, Remainder::Nothing),
        (OpKind::Create, "{}", OpKind::Update, r#"{"a":2}"#, Remainder::Nothing),
        (OpKind::Update, r#"{"a":1}"#, OpKind::Update, r#"{"b":2}"#, Remainder::Whole),
        (OpKind::Update, r#"{"a":1}"#, OpKind::Delete, "null", Remainder::Nothing),
        (OpKind::Delete, "null", OpKind::Delete, "null", Remainder::Nothing),
        (OpKind::Delete, "null", OpKind::Update, r#"{"a":1}"#, Remainder::Whole),
        (OpKind::Update, "[1]", OpKind::Update, r#"{"a":1}"#, Remainder::Whole),
        (OpKind::Update, r#"{"a":1}"#, OpKind::Update, "[1]", Remainder::Whole),
        (OpKind::Other(99), r#"{"a":1}"#, OpKind::Update, r#"{"a":1}"#, Remainder::Whole),
        (OpKind::Other(99), r#"{"a":1}"#, OpKind::Delete, "null", Remainder::Whole),
    ];
    for (older, said, newer, says, expected) in rows {
        for reducer in [&Fields as &dyn Reducer, &JsonMerge] {
            assert_eq!(reducer.remainder((*older, &json(*said)), (*newer, &json(*says))), *expected, "{said} {says}");
        }
    }
    let sealed = Payload::Sealed(Bytes::from_static(b"?"));
    let both = ((OpKind::Update, &sealed), (OpKind::Update, &json("{}")));
    assert_eq!(Fields.remainder(both.0, both.1), Remainder::Whole);
}

fn logged(number: u64, op: &Op) -> LoggedOp {
    let anchor = Anchor::genesis(log(1), Origin([4; 16]));
    LoggedOp { seq: seq(number), anchor, accepted_at: env(0).now, batch_rest: 0, op: op.raw().clone() }
}

/// Sealed history is replayed by who can open it, under the rules that hold for readable history.
#[test]
fn an_opened_history_has_the_state_of_one_that_was_never_sealed() {
    let schema = Schema::default();
    let (mut plain, mut opened) = (LogState::default(), LogState::default());
    let mut author = Author::new(1);
    for (index, text) in [r#"{"a":1,"b":2}"#, r#"{"a":3}"#].into_iter().enumerate() {
        let number = index as u64 + 1;
        let draft = author.draft(OpKind::Update, entity_subject("tasks", 1), json(text));
        let sealed = Draft { payload: Payload::Sealed(Bytes::from_static(b"?")), ..draft.clone() };
        let (draft, sealed) = (draft.seal().expect("good"), sealed.seal().expect("good"));
        let work = plain.apply_counted(&logged(number, &draft), &schema);
        assert_eq!(opened.apply(&logged(number, &sealed), &schema), Err(ReplayStop::Sealed(seq(number))));
        assert_eq!(opened.apply_opened(&logged(number, &sealed), &sealed, &json(text), &schema), work);
    }
    assert_eq!(opened.to_bytes(), plain.to_bytes());
    assert_eq!(view(opened.get(&entity_key("tasks", 1))).as_deref(), Some(r#"{"a":3,"b":2}"#));

    let before = opened.clone();
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(limits::JSON_DEPTH_MAX), "]".repeat(limits::JSON_DEPTH_MAX));
    for text in [r#"{"a":1,"a":2}"#, r#"{"a":1e999}"#, " {}", deep.as_str()] {
        let sealed = author.draft(OpKind::Update, entity_subject("tasks", 1), Payload::Sealed(Bytes::new()));
        let sealed = sealed.seal().expect("good");
        let outcome = opened.apply_opened(&logged(3, &sealed), &sealed, &json(text), &schema);
        assert!(matches!(outcome, Err(ReplayStop::Unfit { .. })), "{text}: no author could have sent it readable");
        let newer = Draft { schema_version: 2, ..sealed.draft().clone() }.seal().expect("good");
        let outcome = opened.apply_opened(&logged(3, &newer), &newer, &json("{}"), &schema);
        assert_eq!(outcome, Err(ReplayStop::Unknown(seq(3))));
    }
    assert_eq!(opened, before);
}

//! Writers who meet: nobody's run is torn apart, a view can follow, and a copied device takes a new name.

use syncline::ReplicaId;
use syncline::crdt::text::{Text, TextError};

use crate::random::Random;
use crate::replica;

type Writer<'a> = (ReplicaId, &'a dyn Fn(&mut Text, ReplicaId));

/// Each writes alone, after a common text; then somebody takes in all, in every rotation.
fn meet(common: &str, writers: &[Writer<'_>]) -> String {
    let mut origin = Text::new();
    origin.insert(replica(50), 0, common).unwrap();
    let start = origin.delta(replica(50), 0).unwrap();
    let deltas: Vec<_> = writers
        .iter()
        .map(|(id, write)| {
            let mut text = Text::new();
            text.apply(replica(50), &start).unwrap();
            write(&mut text, *id);
            (*id, text.delta(*id, 0).unwrap())
        })
        .collect();
    let mut shown = Vec::new();
    for turn in 0..deltas.len() {
        let mut text = origin.clone();
        for at in 0..deltas.len() {
            let (id, delta) = &deltas[(at + turn) % deltas.len()];
            text.apply(*id, delta).unwrap();
        }
        shown.push(text.to_string());
    }
    assert!(shown.iter().all(|one| *one == shown[0]), "{shown:?}");
    shown.remove(0)
}

fn forwards(word: &'static str) -> impl Fn(&mut Text, ReplicaId) {
    move |text, id| {
        for (offset, char) in word.chars().enumerate() {
            text.insert(id, 1 + offset, &char.to_string()).unwrap();
        }
    }
}

fn backwards(word: &'static str) -> impl Fn(&mut Text, ReplicaId) {
    move |text, id| {
        for char in word.chars().rev() {
            text.insert(id, 1, &char.to_string()).unwrap();
        }
    }
}

#[test]
fn runs_typed_at_one_place_do_not_interleave() {
    let (a, b, c) = (replica(1), replica(2), replica(3));
    let (milk, bread, eggs) = (forwards("milk"), forwards("bread"), forwards("eggs"));
    assert_eq!(meet("[]", &[(a, &milk), (b, &bread)]), "[milkbread]");
    assert_eq!(meet("[]", &[(c, &milk), (b, &bread)]), "[breadmilk]");
    assert_eq!(meet("[]", &[(a, &milk), (b, &bread), (c, &eggs)]), "[milkbreadeggs]");
}

#[test]
fn runs_typed_backwards_at_one_place_do_not_interleave() {
    let (a, b, c) = (replica(1), replica(2), replica(3));
    let (milk, bread, eggs) = (backwards("milk"), backwards("bread"), backwards("eggs"));
    assert_eq!(meet("[]", &[(a, &milk), (b, &bread)]), "[milkbread]");
    assert_eq!(meet("[]", &[(a, &milk), (b, &bread), (c, &eggs)]), "[milkbreadeggs]");
    let typed = forwards("tea");
    assert_eq!(meet("[]", &[(a, &milk), (b, &typed), (c, &eggs)]), "[milkteaeggs]");
}

#[test]
fn a_view_that_follows_the_edits_shows_the_text() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let mut texts: Vec<Text> = (0..3).map(|_| Text::new()).collect();
        let mut views: Vec<Vec<char>> = vec![Vec::new(); 3];
        for _ in 0..30 {
            let who = random.below(3);
            let text = &mut texts[who];
            let at = random.below(text.len() + 1);
            let typed = ["ab", "👍", "é\r\n"][random.below(3)];
            text.insert(replica(who), at, typed).unwrap();
            views[who].splice(at..at, typed.chars());
            let at = random.below(text.len());
            text.delete(replica(who), at..at + 1).unwrap();
            views[who].remove(at);
            let (from, to) = (random.below(3), random.below(3));
            let author = replica(from);
            let since = texts[to].seen(author);
            let delta = texts[from].delta(author, since).unwrap();
            let view = &mut views[to];
            let told = texts[to].apply_with(author, &delta, |edit| {
                view.splice(edit.at..edit.at + edit.deleted, edit.inserted.chars());
            });
            assert!(matches!(told, Ok(()) | Err(TextError::Unseen { .. })), "{told:?}");
            assert_eq!(views[to].iter().collect::<String>(), texts[to].to_string(), "seed {seed}");
        }
    }
}

/// Each event of one has seen the other's latest: whoever takes in first all of the other's, then all of theirs, must not
/// walk the whole history for each.
#[test]
fn one_who_follows_another_keystroke_by_keystroke_is_taken_in_at_once() {
    let (writer, follower) = (replica(1), replica(2));
    let (mut ahead, mut behind) = (Text::new(), Text::new());
    ahead.insert(writer, 0, ".").unwrap();
    let mut sent = 0;
    for count in 0..400 {
        let delta = ahead.delta(writer, sent).unwrap();
        sent = ahead.seen(writer);
        behind.apply(writer, &delta).unwrap();
        behind.insert(follower, count % (behind.len() + 1), "x").unwrap();
        ahead.insert(writer, count % (ahead.len() + 1), "y").unwrap();
    }
    let all = (ahead.delta(writer, 0).unwrap(), behind.delta(follower, 0).unwrap());
    let rest = ahead.delta(writer, sent).unwrap();
    behind.apply(writer, &rest).unwrap();
    let mut late = Text::new();
    late.apply(writer, &all.0).unwrap();
    late.apply(follower, &all.1).unwrap();
    assert_eq!(late.state_hash(), behind.state_hash());
    assert_eq!(late.save().unwrap(), behind.save().unwrap());
    ahead.apply(follower, &all.1).unwrap();
    assert_eq!(ahead.state_hash(), behind.state_hash());
}

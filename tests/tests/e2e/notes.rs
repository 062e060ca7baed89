//! Notes on several devices, each a process of its own, over real sockets and files: typed into at once and offline,
//! killed in the middle, undone; and every other type of value edited on devices that do not know of each other.

use serde_json::{Value, json};
use syncline_tests::rig::server::Process;

use crate::notes_desk::{COLLECTIONS, Desk, meet};

fn house() -> (tempfile::TempDir, Process) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::start_with(&folder.path().join("server"), None, &["--collection", COLLECTIONS]);
    (folder, server)
}

/// Edits each of the two that are online make.
const EDITS: usize = 40;
/// Edits of the one that is not, each an op of its own until they are sent: so many times a thousand.
const FAR: usize = 10;

#[test]
fn two_type_at_once_through_a_server_that_is_killed_and_a_third_joins_with_ten_thousand_edits() {
    let (folder, server) = house();
    let mut desks = ["anna", "ben", "cleo"].map(|name| Desk::new(folder.path(), &server, name));
    desks[0].ask("open poem");
    desks[0].ask("type start\\n");
    desks[0].sync();
    for desk in &mut desks[1..] {
        desk.sync();
        assert_eq!(desk.ask("open poem")["text"], "start\n");
    }
    let [anna, ben, cleo] = &mut desks;
    cleo.ask("offline");
    for _ in 0..FAR {
        cleo.tell("type-many 1000");
    }
    for round in 0..EDITS {
        // At once: neither waits for the other.
        anna.tell(&format!("type a{round} "));
        ben.tell(&format!("insert 0 b{round} "));
        assert_eq!(anna.answer("type")["reply"], "type");
        assert_eq!(ben.answer("insert")["reply"], "insert");
        if round == EDITS / 2 {
            server.kill();
            anna.ask("type without-a-server ");
            server.run();
        }
    }
    for thousand in 1..=FAR {
        let far = cleo.answer("type-many");
        assert_eq!(far["len"], 6 + thousand * 1_000, "{far}");
    }
    // What was answered is on the disk, and nowhere else.
    cleo.kill();
    // Without a server the device has nothing but its disk: with one, others' edits may be there before it is asked.
    server.kill();
    cleo.open();
    assert_eq!(cleo.ask("open poem")["text"].as_str().map(str::len), Some(6 + FAR * 1_000));
    server.run();
    cleo.sync();
    let status = cleo.ask("status");
    assert_eq!((&status["unsynced"], &status["safe"]), (&json!(0), &json!(true)), "{status}");
    meet(&mut [anna, ben, cleo]);
    let whole = anna.text();
    assert_eq!(whole.chars().filter(|letter| *letter == 'x').count(), FAR * (1_000 - 1_000 / 60));
    for round in 0..EDITS {
        assert!(whole.contains(&format!("a{round} ")) && whole.contains(&format!("b{round} ")), "{round}: {whole}");
    }
    assert!(whole.contains("without-a-server ") && whole.contains("start\n"));
    assert_eq!(ben.text(), whole);
    assert_eq!(cleo.text(), whole);
    // A device that comes now has the same.
    let mut late = Desk::new(folder.path(), &server, "late");
    late.sync();
    assert_eq!(late.ask("open poem")["text"], whole.as_str());
}

#[test]
fn a_device_killed_while_it_types_has_every_edit_that_was_answered() {
    let (folder, server) = house();
    let mut desk = Desk::new(folder.path(), &server, "anna");
    let mut other = Desk::new(folder.path(), &server, "ben");
    let mut answered = Vec::new();
    for life in 0..5 {
        desk.ask("open poem");
        for edit in 0..10 {
            desk.ask(&format!("type {life}-{edit} "));
            answered.push(format!("{life}-{edit} "));
        }
        // This one may be there or not.
        desk.tell(&format!("type {life}-unanswered "));
        desk.kill();
        desk.open();
    }
    desk.ask("open poem");
    meet(&mut [&mut desk, &mut other]);
    let (text, theirs) = (desk.text(), other.ask("open poem")["text"].clone());
    assert_eq!(theirs, text.as_str());
    let words: Vec<&str> = text.split_inclusive(' ').filter(|word| !word.contains("unanswered")).collect();
    assert_eq!(words, answered, "each once, in order");
}

#[test]
fn what_one_types_and_where_its_cursor_is_shows_on_the_other_without_anybody_asking() {
    let (folder, server) = house();
    let mut anna = Desk::new(folder.path(), &server, "anna");
    let mut ben = Desk::new(folder.path(), &server, "ben");
    anna.ask("open poem");
    anna.ask("type hello \\u{1f980} world");
    ben.ask("open poem");
    ben.until("show", "what anna typed", |said| said["text"] == "hello 🦀 world");
    let place = |said: &Value, device: &str| {
        let found = said["devices"].as_array().and_then(|all| all.iter().find(|one| one["device"] == device).cloned());
        found.filter(|one| one["note"] == "poem").map(|one| one["place"].clone())
    };
    ben.until("who", "anna's cursor", |said| place(said, "anna") == Some(json!(13)));
    assert_eq!(anna.ask("go 6")["cursor"], 6);
    // What others type before a cursor moves it along, on both.
    ben.ask("insert 0 >> ");
    anna.until("show", "what ben typed", |said| said["cursor"] == 9);
    ben.until("who", "anna's cursor where it went", |said| place(said, "anna") == Some(json!(9)));
    anna.ask("type big ");
    ben.until("show", "what anna typed", |said| said["text"] == ">> hello big 🦀 world");
    let both = anna.until("who", "ben", |said| place(said, "ben").is_some());
    let here = both["devices"].as_array().into_iter().flatten().filter(|one| one["here"] == true);
    assert_eq!(here.map(|one| one["device"].clone()).collect::<Vec<_>>(), [json!("anna")]);
}

#[test]
fn what_was_deleted_from_a_note_can_be_forgotten_once_every_device_has_heard() {
    let (folder, server) = house();
    let mut anna = Desk::new(folder.path(), &server, "anna");
    anna.ask("offline");
    anna.ask("open poem");
    anna.ask("type a secret word");
    let whole = anna.ask("show")["version"].as_str().expect("a version").to_owned();
    anna.ask("delete 2 9");
    assert_eq!(anna.ask("tidy")["done"], false, "it waits here still");
    anna.sync();
    assert_eq!(anna.ask("tidy")["done"], true);
    let at = format!("at {whole}");
    assert_eq!(anna.ask(&at)["text"], "a secret word", "while it is open");
    anna.kill();
    anna.open();
    let shown = anna.ask("open poem");
    assert_eq!((&shown["text"], &shown["left_out"]), (&json!("a word"), &json!(0)));
    assert_eq!(anna.ask(&at)["text"], "a \u{1a}\u{1a}\u{1a}\u{1a}\u{1a}\u{1a}\u{1a}word");
}

#[test]
fn undo_takes_back_ones_own_line_after_others_typed_into_it_and_blame_says_who_wrote_what() {
    let (folder, server) = house();
    let mut anna = Desk::new(folder.path(), &server, "anna");
    let mut ben = Desk::new(folder.path(), &server, "ben");
    anna.ask("offline");
    ben.ask("offline");
    anna.ask("open poem");
    anna.ask("type one ");
    let version = anna.ask("show")["version"].clone();
    anna.ask("type two ");
    meet(&mut [&mut anna, &mut ben]);
    ben.ask("open poem");
    ben.ask("insert 6 --");
    meet(&mut [&mut anna, &mut ben]);
    assert_eq!(anna.text(), "one tw--o ");
    let blame = |desk: &mut Desk| desk.ask("blame")["pieces"].clone();
    let expected = json!([
        { "by": "anna", "text": "one tw" }, { "by": "ben", "text": "--" }, { "by": "anna", "text": "o " },
    ]);
    assert_eq!(blame(&mut anna), expected);
    assert_eq!(blame(&mut ben), expected);
    assert_eq!(anna.ask("undo")["done"], true);
    assert_eq!(anna.text(), "one --");
    anna.ask("redo");
    assert_eq!(anna.text(), "one tw--o ");
    anna.ask("undo");
    anna.ask("undo");
    assert_eq!(anna.ask("undo")["done"], false, "ben's is not anna's to undo");
    meet(&mut [&mut anna, &mut ben]);
    assert_eq!((anna.text(), ben.text()), ("--".to_owned(), "--".to_owned()));
    let at = format!("at {}", version.as_str().expect("a version"));
    assert_eq!(ben.ask(&at)["text"], "one ", "also who was not there can look back");
    assert!(ben.try_ask("at nonsense")["why"].as_str().is_some_and(|why| why.contains("no version")));
}

#[test]
fn every_type_of_value_edited_on_devices_that_are_apart_is_the_same_on_all_of_them() {
    let (folder, server) = house();
    let mut desks = ["anna", "ben", "cleo"].map(|name| Desk::new(folder.path(), &server, name));
    desks[0].ask("offline");
    for name in ["a", "b", "c", "d"] {
        for line in [format!("open {name}"), format!("type {name}"), format!("star {name}"), format!("put {name}")] {
            desks[0].ask(&line);
        }
    }
    for line in ["tag a old", "tag a both", "title a first", "set a mood calm"] {
        desks[0].ask(line);
    }
    for desk in &mut desks {
        desk.sync();
        desk.ask("offline");
    }
    let apart: [&[&str]; 3] = [
        &["like a 5", "tag a new", "untag a both", "move 0 3", "put a under b", "title a anna's", "set a mood loud"],
        &["like a -2", "tag a both", "move 0 2", "put b under c", "title b ben's", "set a place home", "untag a old"],
        &["like a", "like a", "unstar d", "put c under a", "set a mood quiet", "title a cleo's", "remove d"],
    ];
    // The newest counts of what counts once, so the three go one after the other, by their clocks and by what they saw.
    for (desk, lines) in desks.iter_mut().zip(apart) {
        lines.iter().for_each(|line| drop(desk.ask(line)));
    }
    for _ in 0..2 {
        desks.iter_mut().for_each(Desk::sync);
    }
    let [anna, rest @ ..] = &mut desks;
    let all = ["list", "stars", "outline"].map(|line| anna.ask(line));
    for desk in rest {
        assert_eq!(["list", "stars", "outline"].map(|line| desk.ask(line)), all);
    }
    let [list, stars, outline] = all;
    let notes = list["notes"].as_array().expect("notes");
    assert_eq!(notes.iter().map(|note| note["note"].clone()).collect::<Vec<_>>(), ["a", "b", "c"], "d was removed");
    assert_eq!(notes[0]["likes"], 5, "5 - 2 + 1 + 1: every one counts");
    assert_eq!(notes[0]["tags"], json!(["both", "new"]), "an add wins over a remove that had not seen it");
    assert_eq!(notes[0]["title"], "cleo's", "the newest");
    assert_eq!(notes[1]["title"], "ben's");
    assert_eq!(notes[0]["about"], json!({ "name": "a", "mood": "quiet", "place": "home" }), "the newest of each fact");
    let stars = stars["stars"].as_array().expect("stars");
    let mut names: Vec<&str> = stars.iter().filter_map(Value::as_str).collect();
    assert_eq!(names.iter().position(|name| *name == "b"), Some(0), "nobody moved b: {names:?}");
    names.sort_unstable();
    assert_eq!(names, ["a", "b", "c"], "a note moved twice is there once, and d was taken out");
    let nodes = outline["nodes"].as_array().expect("nodes");
    let mut places: Vec<(&str, u64)> =
        nodes.iter().filter_map(|node| Some((node["note"].as_str()?, node["depth"].as_u64()?))).collect();
    places.sort_unstable();
    assert_eq!(places.iter().map(|place| place.0).collect::<Vec<_>>(), ["a", "b", "c", "d"], "each is there once");
    let depths: Vec<u64> =
        ["a", "b", "c"].iter().filter_map(|name| places.iter().find(|p| p.0 == *name)).map(|p| p.1).collect();
    let mut sorted = depths.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [0, 1, 2], "a under b under c under a is no tree: one of the moves is passed over");
}

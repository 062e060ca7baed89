//! Two devices of the task list and a server, each in a terminal of its own, over real sockets and files; and everything
//! that happens to such things. After each disaster: the same list everywhere, also on a device that is new; what a device
//! said it had saved is in the log, or its author is told what became of it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::tasks_house::House;
use crate::tasks_terminal::{once, tasks};

/// Ten years.
const DECADE_MS: i64 = 10 * 365 * 86_400_000;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("copied");
        }
    }
}

#[test]
fn edits_made_offline_on_both_devices_end_the_same_and_a_note_changed_on_both_asks() {
    let mut house = House::new(&[0, 0], &[]);
    house.write(0, "add letter --note draft", None, &[("title", "letter"), ("note", "draft")]);
    house.check();
    let task = house.devices[0].known[0].clone();
    house.ask(0, "offline");
    house.ask(1, "offline");
    house.write(0, &format!("edit {task} --title post"), Some(&task), &[("title", "post")]);
    house.write(0, &format!("edit {task} --note first"), Some(&task), &[("note", "first")]);
    house.write(1, &format!("edit {task} --due 2030-01-01"), Some(&task), &[("due", "2030-01-01")]);
    house.write(1, &format!("edit {task} --note second"), Some(&task), &[("note", "second")]);
    for who in [0, 1] {
        for _ in 0..20 {
            house.do_something(who);
        }
        house.settle(who);
        assert_eq!(house.ask(who, "status")["safe"], false);
        house.ask(who, "online");
        house.ask(who, "sync");
    }
    house.check();
    let merged = house.ask(1, &format!("show {task}"))["task"].clone();
    assert!(merged["title"].as_str().is_some_and(|title| title != "letter"), "{merged}");
    let conflicts = house.ask(1, "conflicts")["conflicts"].as_array().cloned().expect("a list");
    let open: Vec<&Value> = conflicts.iter().filter(|conflict| conflict["mine"]["task"] == task.as_str()).collect();
    assert_eq!(open.len(), 1, "{conflicts:#?}");
    assert_eq!((&open[0]["outcome"], house.ask(1, "status")["safe"].clone()), (&"open".into(), Value::Bool(false)));
}

/// Catalogue C1, C2, S1, S2: at instants between any two things that are said.
#[test]
fn two_hundred_kills_of_devices_and_server_lose_nothing_that_was_said_to_be_saved() {
    let mut house = House::new(&[0, 0], &[]);
    while house.kills < 200 {
        for _ in 0..20 {
            live_and_kill(&mut house);
        }
        house.check();
    }
}

/// A few things are done on all devices, and while they are under way somebody is killed.
fn live_and_kill(house: &mut House) {
    for who in 0..house.devices.len() {
        if house.random.below(6) == 0 {
            let line = if house.random.below(2) == 0 { "offline" } else { "online" };
            house.tell(who, line);
        }
        for _ in 0..1 + house.random.below(4) {
            house.do_something(who);
        }
        if house.random.below(3) == 0 {
            house.tell(who, "sync");
        }
    }
    let answers = house.random.below(house.awaited() as u64 + 1);
    let before = house.awaited();
    while house.awaited() > before - usize::try_from(answers).expect("small") {
        house.listen();
    }
    // Not to wait for anything: to fall between two lines as well as upon one.
    std::thread::sleep(Duration::from_micros(house.random.below(3_000)));
    match house.random.below(house.devices.len() as u64 + 1) {
        0 => house.kill_server(),
        victim => {
            let who = usize::try_from(victim - 1).expect("a device");
            house.kill(who);
            house.open(who);
        }
    }
}

/// Catalogue S12.
#[test]
fn a_server_put_back_to_an_older_copy_gets_back_what_its_devices_still_have() {
    let mut house = House::new(&[0, 0], &[]);
    for round in 0..3 {
        for _ in 0..10 {
            house.do_something(0);
            house.do_something(1);
        }
        house.check();
        let (data, older) = (house.folder.path().join("server"), house.folder.path().join(format!("older-{round}")));
        house.server.kill();
        copy(&data, &older);
        house.server.run();
        // In the last round one device is away while the other gets more acknowledged.
        if round == 2 {
            house.ask(1, "offline");
        }
        for _ in 0..10 {
            house.do_something(0);
            house.do_something(1);
        }
        house.settle(0);
        house.ask(0, "sync");
        assert_eq!(house.ask(0, "status")["unsynced"], 0);
        house.server.kill();
        fs::remove_dir_all(&data).expect("removed");
        copy(&older, &data);
        house.server.run();
        if round == 2 {
            // The one that knows less comes first and goes on from there.
            house.kill(0);
            house.ask(1, "online");
            house.do_something(1);
            house.settle(1);
            house.ask(1, "sync");
            house.open(0);
        }
        house.check();
    }
}

/// Catalogue C8.
#[test]
fn a_device_that_is_copied_and_used_twice_keeps_both_its_lives() {
    let mut house = House::new(&[0, 0], &[]);
    for _ in 0..10 {
        house.do_something(0);
        house.do_something(1);
    }
    house.check();
    house.ask(0, "offline");
    for _ in 0..5 {
        house.do_something(0);
    }
    house.settle(0);
    house.kill(0);
    let twin = house.folder.path().join("twin");
    copy(house.folder_of(0), &twin);
    house.open(0);
    let twin = house.add_copy(twin, 0, 0);
    for _ in 0..3 {
        for _ in 0..5 {
            house.do_something(0);
            house.do_something(1);
            house.do_something(twin);
        }
        house.check_copied();
    }
    let names = [0, twin].map(|who| house.ask(who, "status")["device"].clone());
    assert_ne!(names[0], names[1], "each goes by a name of its own now");
}

/// Catalogue C9.
#[test]
fn a_device_set_back_to_an_older_copy_of_itself_reads_on_and_writes_on() {
    let mut house = House::new(&[0, 0], &[]);
    for round in 0..3 {
        for _ in 0..10 {
            house.do_something(0);
            house.do_something(1);
        }
        house.check();
        let (now, older) = (house.folder_of(0).to_owned(), house.folder.path().join(format!("older-{round}")));
        house.kill(0);
        copy(&now, &older);
        house.open(0);
        for _ in 0..10 {
            house.do_something(0);
        }
        // What is only in the copy that goes is gone with it, so all of it has to be on the server.
        house.check();
        house.kill(0);
        fs::remove_dir_all(&now).expect("removed");
        copy(&older, &now);
        house.open(0);
    }
    house.do_something(0);
    house.check();
}

/// Catalogue C4 and C5.
#[test]
fn clocks_that_are_ten_years_wrong_cost_nothing() {
    let mut house = House::new(&[DECADE_MS, -DECADE_MS], &[]);
    for round in 0..4 {
        for _ in 0..10 {
            house.do_something(0);
            house.do_something(1);
        }
        house.check();
        let clocks = if round % 2 == 0 { [-DECADE_MS, DECADE_MS] } else { [0, 0] };
        for who in [0, 1] {
            house.do_something(who);
            house.set_clock(who, clocks[who]);
            house.kill(who);
            house.open(who);
        }
        // Whoever has seen an edit and makes another one means it, whatever the clocks say.
        house.agree();
        let task = house.devices[0].known[0].clone();
        for who in [0, 1, 0] {
            let title = format!("t{}", house.ledger.writes.len());
            house.write(who, &format!("edit {task} --title {title}"), Some(&task), &[("title", &title)]);
            let list = house.agree();
            assert!(
                list.iter().any(|shown| shown["id"] == task.as_str() && shown["title"] == title.as_str()),
                "{title}"
            );
        }
    }
    house.check();
}

#[test]
fn whatever_happens_in_whatever_order_everybody_ends_with_everything() {
    let mut house = House::new(&[0, DECADE_MS], &[]);
    let (data, older) = (house.folder.path().join("server"), house.folder.path().join("older"));
    // Everybody has heard of everybody: a server put back to before that has a stranger's log, and nothing is mixed.
    for who in [0, 1] {
        house.write(who, &format!("add first-{who}"), None, &[("title", &format!("first-{who}"))]);
    }
    house.check();
    for round in 1..=40 {
        live_and_kill(&mut house);
        let disaster = house.random.below(8);
        eprintln!("round {round}, disaster {disaster}");
        match disaster {
            0 => {
                house.server.kill();
                let _ = fs::remove_dir_all(&older);
                copy(&data, &older);
                house.server.run();
            }
            1 | 2 if older.exists() => {
                house.server.kill();
                fs::remove_dir_all(&data).expect("removed");
                copy(&older, &data);
                house.server.run();
            }
            3 if house.devices.len() < 4 => {
                house.kill(1);
                let twin = house.folder.path().join(format!("twin-{round}"));
                copy(house.folder_of(1), &twin);
                house.open(1);
                house.add_copy(twin, 1, -DECADE_MS);
            }
            4 => {
                let clock = house.random.pick(&[0, DECADE_MS, -DECADE_MS]).copied().unwrap_or_default();
                house.set_clock(0, clock);
            }
            _ => {}
        }
        if round % 8 == 0 {
            house.check_copied();
        }
    }
}

#[test]
fn an_edit_that_the_server_refuses_is_kept_with_the_reason_and_goes_through_when_it_is_sent_again() {
    let mut house = House::new(&[0], &["--collection", "tasks=append"]);
    house.write(0, "add letter", None, &[("title", "letter")]);
    house.settle(0);
    let synced = house.ask(0, "sync");
    assert_eq!(synced["unsynced"], 0, "{synced}");
    let parked = house.ask(0, "parked")["parked"].as_array().cloned().expect("a list");
    assert_eq!(parked.len(), 1, "{parked:#?}");
    assert!(parked[0]["why"].as_str().is_some_and(|why| why.contains("APPEND_ONLY")), "{parked:#?}");
    assert_eq!(house.ask(0, "status")["safe"], false);
    house.move_server(&[]);
    house.ask(0, &format!("retry {}", parked[0]["number"]));
    house.check();
    assert_eq!(house.ask(0, "status")["safe"], true);
}

/// Whether any file of a folder holds these bytes.
fn holds(folder: &Path, words: &str) -> bool {
    let found = |path: &Path| {
        let bytes = fs::read(path).expect("readable");
        bytes.windows(words.len()).any(|window| window == words.as_bytes())
    };
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.into_iter().any(|path| if path.is_dir() { holds(&path, words) } else { found(&path) })
}

#[test]
fn a_sealed_list_is_read_on_both_devices_and_nowhere_on_the_server() {
    let mut house = House::with_key(&[0, 0], &[], true);
    let (data, words) = (house.folder.path().join("server"), ["gooseberries", "marmalade"]);
    house.write(0, "add gooseberries --note marmalade", None, &[("title", "gooseberries"), ("note", "marmalade")]);
    for _ in 0..10 {
        house.do_something(0);
        house.do_something(1);
    }
    house.kill_server();
    house.agree();
    let task = house.devices[0].known[0].clone();
    assert_eq!(house.ask(1, &format!("show {task}"))["task"]["id"], task.as_str());
    house.server.kill();
    assert!(words.iter().all(|words| !holds(&data, words)), "the server can read it");
    assert!(words.iter().all(|words| holds(house.folder_of(0), words)), "the search finds what is there");
    house.server.run();
    // A device without the key is told so, and keeps what it writes to itself.
    let stranger = house.folder.path().join("stranger");
    let key = house.folder.path().join("another.key").display().to_string();
    once(tasks(&stranger, &house.server.url, 0), &["init", "--key-file", &key]);
    once(tasks(&stranger, &house.server.url, 0), &["add", "secret"]);
    let shown = once(tasks(&stranger, &house.server.url, 0), &["list"]);
    assert_eq!(shown[0]["tasks"].as_array().map(Vec::len), Some(1), "{shown:?}");
    let status = once(tasks(&stranger, &house.server.url, 0), &["status"]);
    assert_eq!((&status[0]["safe"], &status[0]["unsynced"]), (&Value::Bool(false), &1.into()), "{status:?}");
}

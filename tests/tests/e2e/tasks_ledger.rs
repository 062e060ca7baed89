//! What devices said they had saved, held against what the log, the conflicts and the refused edits say.
//!
//! Every value that is written is written once, so it can be found again. A value that a device said was saved must be
//! in the log; or a later one of the same device for the same field is, because what was overwritten before it was sent
//! is not sent; or a later one of a copy of the device is, that was made when the value was there, because the copy may
//! send what is left of their common write before the device does; or it is among the conflicts or the refused edits, where its author is told what became of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A field of a task; `*` stands for the whole task, deleted.
pub(crate) type Place = (String, String);

/// One write that was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) who: usize,
    pub(crate) task: String,
    pub(crate) field: String,
    pub(crate) value: String,
    /// The device said it had saved it.
    pub(crate) saved: bool,
    /// Where the device said it was in the server's log.
    pub(crate) accepted: Option<u64>,
    /// Somebody chose the other side of a conflict.
    pub(crate) given_up: bool,
}

/// Everything that was asked for, in each device's own order.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) writes: Vec<Write>,
    /// Devices that began as a copy of another one: the copy, of whom, and how many writes there were.
    pub(crate) copies: Vec<(usize, usize, usize)>,
}

/// Values found in one place, with their field.
#[derive(Debug, Default)]
pub(crate) struct Found(BTreeMap<Place, BTreeMap<String, usize>>);

impl Found {
    /// Notes an op as the program shows it, or as it stands in the log.
    pub(crate) fn add(&mut self, collection: &str, task: &str, deleted: bool, fields: &Value) {
        if deleted && collection == "tasks" {
            self.put(task, "*", "deleted");
        }
        for (field, value) in fields.as_object().into_iter().flatten() {
            let field = if collection == "task-notes" { "note" } else { field };
            self.put(task, field, value.as_str().unwrap_or_default());
        }
    }

    /// Notes a conflict or a refused edit as the program lists it.
    pub(crate) fn add_shown(&mut self, mine: &Value) {
        let text = |name: &str| mine[name].as_str().unwrap_or_default();
        self.add(text("collection"), text("task"), text("kind") == "delete", &mine["fields"]);
    }

    fn put(&mut self, task: &str, field: &str, value: &str) {
        let values = self.0.entry((task.to_owned(), field.to_owned())).or_default();
        *values.entry(value.to_owned()).or_default() += 1;
    }

    fn has(&self, write: &Write) -> bool {
        let values = self.0.get(&(write.task.clone(), write.field.clone()));
        values.is_some_and(|values| values.contains_key(&write.value))
    }
}

impl Ledger {
    /// Whether a device began with the write of this number of that author: its author's own, or a later copy of it.
    fn knows(&self, who: usize, write: usize, author: usize) -> bool {
        let mut who = who;
        while who != author {
            match self.copies.iter().find(|(copy, _, writes)| *copy == who && *writes > write) {
                Some((_, of, _)) => who = *of,
                None => return false,
            }
        }
        true
    }

    /// Every write that was said to be saved and can be found nowhere, and every value that nobody wrote or that is
    /// there twice.
    pub(crate) fn faults(&self, log: &Found, kept: &Found, twice_is_a_fault: bool) -> Vec<String> {
        let mut faults = Vec::new();
        for (index, write) in self.writes.iter().enumerate() {
            let later = || {
                self.writes[index + 1..].iter().filter(|later| {
                    let overwrites = later.field == write.field || later.field == "*";
                    later.task == write.task && overwrites && self.knows(later.who, index, write.who)
                })
            };
            let found = |found: &Found| found.has(write) || later().any(|later| found.has(later));
            if write.accepted.is_some() && !found(log) && !found(kept) {
                faults.push(format!("said to be in the log, and is not: {write:?}"));
            } else if write.saved && !write.given_up && !found(log) && !found(kept) {
                faults.push(format!("said to be saved, and is nowhere: {write:?}"));
            }
        }
        let asked: BTreeSet<&str> = self.writes.iter().map(|write| write.value.as_str()).collect();
        for (place, values) in log.0.iter().filter(|((_, field), _)| ["title", "due", "note"].contains(&field.as_str()))
        {
            for (value, times) in values {
                if !asked.contains(value.as_str()) {
                    faults.push(format!("nobody wrote {value:?} at {place:?}"));
                } else if *times > 1 && place.1 != "note" && twice_is_a_fault {
                    faults.push(format!("{value:?} at {place:?} is in the log {times} times"));
                }
            }
        }
        faults
    }
}

#[test]
fn a_write_that_is_nowhere_is_found_out_and_one_that_was_overwritten_is_not() {
    let write = |task: &str, value: &str| Write {
        who: 0,
        task: task.to_owned(),
        field: "title".to_owned(),
        value: value.to_owned(),
        saved: true,
        accepted: None,
        given_up: false,
    };
    let ledger = Ledger { writes: vec![write("a", "1"), write("a", "2"), write("b", "3")], copies: Vec::new() };
    let (mut log, mut kept) = (Found::default(), Found::default());
    log.add("tasks", "a", false, &serde_json::json!({ "title": "2" }));
    let faults = ledger.faults(&log, &kept, true);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("nowhere") && faults[0].contains("\"3\""), "{faults:?}");
    kept.add("tasks", "b", false, &serde_json::json!({ "title": "3" }));
    assert_eq!(ledger.faults(&log, &kept, true), Vec::<String>::new());
    log.add("tasks", "a", false, &serde_json::json!({ "title": "2" }));
    log.add("tasks", "a", false, &serde_json::json!({ "title": "other" }));
    assert_eq!(ledger.faults(&log, &kept, true).len(), 2, "one is there twice, and one is nobody's");
}

#[test]
fn a_write_may_be_overwritten_by_a_copy_that_was_made_after_it_and_by_no_other() {
    let write = |who: usize, value: &str| Write {
        who,
        task: "a".to_owned(),
        field: "title".to_owned(),
        value: value.to_owned(),
        saved: true,
        accepted: None,
        given_up: false,
    };
    let mut log = Found::default();
    log.add("tasks", "a", false, &serde_json::json!({ "title": "late" }));
    let faults = |copies: &[(usize, usize, usize)]| {
        let ledger = Ledger { writes: vec![write(1, "early"), write(3, "late")], copies: copies.to_vec() };
        ledger.faults(&log, &Found::default(), true).len()
    };
    assert_eq!(faults(&[(3, 2, 1), (2, 1, 1)]), 0, "a copy of a copy that was made after the write");
    assert_eq!(faults(&[(3, 1, 0)]), 1, "a copy that was made before it");
    assert_eq!(faults(&[(3, 0, 1)]), 1, "a copy of somebody else");
}

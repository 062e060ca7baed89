//! What people do with a task list, at random, and how it is checked that all of it came out right.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use syncline::call::{Call, Reply};
use syncline::client::Transport as _;
use syncline::oplog::OpKind;
use syncline::store::PageLimit;
use syncline::{Cursor, LogId};
use syncline_tests::rig::server::TOKEN;
use syncline_transport_http::client::{ClientOptions, HttpClient};

use crate::tasks_house::{House, PATIENCE};
use crate::tasks_ledger::Found;
use crate::tasks_terminal::{once, tasks};

impl House {
    /// Types something that people type: mostly what writes.
    pub(crate) fn do_something(&mut self, who: usize) {
        let value = format!("v{}", self.ledger.writes.len());
        let known: Vec<String> = self.devices.iter().flat_map(|device| device.known.iter().cloned()).collect();
        let task = self.random.pick(&known).cloned().unwrap_or_default();
        let task = (!task.is_empty()).then_some(task.as_str());
        match (self.random.below(10), task) {
            (0..3, _) | (_, None) => self.write(who, &format!("add {value}"), None, &[("title", &value)]),
            (3, _) => {
                let note = format!("n{value}");
                self.write(who, &format!("add {value} --note {note}"), None, &[("title", &value), ("note", &note)]);
            }
            (4..6, Some(task)) => {
                self.write(who, &format!("edit {task} --title {value}"), Some(task), &[("title", &value)]);
            }
            (6, Some(task)) => {
                let writes = self.ledger.writes.len();
                let due = format!("{:04}-{:02}-01", 1000 + writes / 12, 1 + writes % 12);
                self.write(who, &format!("edit {task} --due {due}"), Some(task), &[("due", &due)]);
            }
            (7, Some(task)) => {
                self.write(who, &format!("edit {task} --note {value}"), Some(task), &[("note", &value)]);
            }
            (8, Some(task)) => {
                let verb = self.random.pick(&["done", "undone", "rm", "restore"]).copied().unwrap_or("done");
                self.tell(who, &format!("{verb} {task}"));
            }
            (_, Some(_)) => self.tell(who, "list"),
        }
    }

    /// Syncs everybody until all show the same list and nothing waits; the list.
    pub(crate) fn agree(&mut self) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let mut lists = Vec::new();
            let mut statuses = Vec::new();
            for who in 0..self.devices.len() {
                self.settle(who);
                self.ask(who, "sync");
            }
            for who in 0..self.devices.len() {
                statuses.push(self.ask(who, "status"));
                lists.push(self.ask(who, "list --all")["tasks"].as_array().cloned().expect("a list"));
            }
            let all_sent = statuses.iter().all(|status| status["unsynced"] == 0);
            if all_sent && lists.windows(2).all(|pair| pair[0] == pair[1]) {
                return lists.pop().unwrap_or_default();
            }
            assert!(begun.elapsed() < PATIENCE, "they never agreed:\n{statuses:#?}\n{}", difference(&lists));
        }
    }

    /// Lets everybody agree, and holds what they said they had saved against what is there: on them, on the server, and
    /// on a device that nobody had before.
    pub(crate) fn check(&mut self) {
        self.check_with(true);
    }

    /// The same, where a device was copied and both copies may have sent what neither had sent before.
    pub(crate) fn check_copied(&mut self) {
        self.check_with(false);
    }

    fn check_with(&mut self, twice_is_a_fault: bool) {
        let list = self.agree();
        let fresh = tempfile::tempdir_in(self.folder.path()).expect("a folder");
        let device = fresh.path().join("device");
        once(tasks(&device, &self.server.url, 0), &["init"]);
        let shown = once(tasks(&device, &self.server.url, 0), &["list", "--all"]);
        let shown = shown[0]["tasks"].as_array().cloned().expect("a list");
        assert!(shown == list, "a new device shows another list:\n{}", difference(&[list, shown]));
        let mut kept = Found::default();
        for who in 0..self.devices.len() {
            for conflict in self.ask(who, "conflicts")["conflicts"].as_array().into_iter().flatten() {
                kept.add_shown(&conflict["mine"]);
            }
            for parked in self.ask(who, "parked")["parked"].as_array().into_iter().flatten() {
                assert_ne!(parked["why"], "", "a refused edit says why");
                kept.add_shown(&parked["mine"]);
            }
        }
        let faults = self.ledger.faults(&self.log(), &kept, twice_is_a_fault);
        assert!(faults.is_empty(), "{faults:#?}");
    }

    /// Every write that the server has.
    pub(crate) fn log(&self) -> Found {
        let client = Arc::new(HttpClient::new(ClientOptions::new(&self.server.url, TOKEN)).expect("a client"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (mut found, mut cursor) = (Found::default(), Cursor::START);
            loop {
                let call = Call::Pull { log: LogId::named("tasks"), cursor, limit: PageLimit::default() };
                let page = match client.call(call).await {
                    Ok(Reply::Pulled(page)) => page,
                    other => panic!("no page: {other:?}"),
                };
                for logged in &page.ops {
                    let op = logged.op.read().expect("readable");
                    let fields = serde_json::from_slice(op.payload().bytes()).unwrap_or_default();
                    for key in op.subject().keys() {
                        let deleted = op.kind() == OpKind::Delete;
                        found.add(key.collection.as_str(), &key.entity.to_string(), deleted, &fields);
                    }
                }
                cursor = page.next;
                if !page.more {
                    return found;
                }
            }
        })
    }
}

/// What is not the same in the first list and another one.
fn difference(lists: &[Vec<Value>]) -> String {
    let Some((first, others)) = lists.split_first() else { return String::new() };
    let lines = others.iter().enumerate().flat_map(|(index, other)| {
        let only = |from: &[Value], than: &[Value]| -> Vec<String> {
            from.iter().filter(|task| !than.contains(task)).map(Value::to_string).collect()
        };
        let here = only(first, other).into_iter().map(|task| format!("only 0: {task}"));
        let there = only(other, first).into_iter().map(move |task| format!("only {}: {task}", index + 1));
        here.chain(there).collect::<Vec<_>>()
    });
    lines.collect::<Vec<_>>().join("\n")
}

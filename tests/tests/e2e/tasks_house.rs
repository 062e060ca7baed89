//! A household: devices of one task list in terminals of their own, their server, and everything they said.
//!
//! What must hold: every wait is for something that was asked for, ends with a sentence that says what did not come, and
//! is never for a time; a seed is printed with every failure.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::Value;
use syncline_tests::rig::server::Process;

use crate::tasks_chance::Random;
use crate::tasks_ledger::{Ledger, Write};
use crate::tasks_terminal::{Line, Terminal, once, tasks};

/// How long anything may take before the test says that it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// What a line that was typed is for.
#[derive(Debug)]
enum Asked {
    /// The first line after opening.
    Greeting,
    /// The ledger's writes from here on, so many of them.
    Writes(Vec<usize>),
    /// Somebody waits for the answer.
    Question,
    /// Nobody does.
    Nothing,
}

/// A device.
#[derive(Debug)]
pub(crate) struct Device {
    folder: PathBuf,
    clock_offset_ms: i64,
    terminal: Option<Terminal>,
    asked: VecDeque<Asked>,
    answer: Option<Value>,
    /// Ledger entries by the number the device gave them, in this life of it.
    numbers: BTreeMap<u64, usize>,
    /// Ids it knows.
    pub(crate) known: Vec<String>,
}

/// Everybody.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) server: Process,
    pub(crate) devices: Vec<Device>,
    pub(crate) ledger: Ledger,
    pub(crate) random: Random,
    pub(crate) kills: usize,
    lives: u64,
    sender: Sender<Line>,
    lines: Receiver<Line>,
}

impl House {
    /// A server and as many devices as there are clocks, all open.
    pub(crate) fn new(clocks: &[i64], server_options: &[&str]) -> Self {
        Self::with_key(clocks, server_options, false)
    }

    /// The same, with a list that is sealed from end to end where there is a key.
    pub(crate) fn with_key(clocks: &[i64], server_options: &[&str], sealed: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Process::start_with(&folder.path().join("server"), None, server_options);
        let (sender, lines) = channel();
        let (ledger, random) = (Ledger::default(), Random::seeded());
        let mut house = Self { folder, server, devices: Vec::new(), ledger, random, kills: 0, lives: 0, sender, lines };
        for (index, &clock) in clocks.iter().enumerate() {
            let folder = house.folder.path().join(format!("device-{index}"));
            let key = house.folder.path().join("list.key").display().to_string();
            let words = if sealed { vec!["init", "--key-file", &key] } else { vec!["init"] };
            once(tasks(&folder, &house.server.url, clock), &words);
            house.add_device(folder, clock);
        }
        house
    }

    /// Opens a device that is in this folder.
    pub(crate) fn add_device(&mut self, folder: PathBuf, clock_offset_ms: i64) -> usize {
        self.devices.push(Device {
            folder,
            clock_offset_ms,
            terminal: None,
            asked: VecDeque::new(),
            answer: None,
            numbers: BTreeMap::new(),
            known: Vec::new(),
        });
        self.open(self.devices.len() - 1);
        self.devices.len() - 1
    }

    /// Opens a copy of a device that was made just now.
    pub(crate) fn add_copy(&mut self, folder: PathBuf, of: usize, clock_offset_ms: i64) -> usize {
        let copied = (self.devices.len(), of, self.ledger.writes.len());
        self.ledger.copies.push(copied);
        self.add_device(folder, clock_offset_ms)
    }

    /// Where a device lives.
    pub(crate) fn folder_of(&self, who: usize) -> &Path {
        &self.devices[who].folder
    }

    /// Sets a device's clock, from its next opening on.
    pub(crate) fn set_clock(&mut self, who: usize, offset_ms: i64) {
        self.devices[who].clock_offset_ms = offset_ms;
    }

    /// Opens a device and does not wait for it.
    pub(crate) fn open(&mut self, who: usize) {
        self.lives += 1;
        let device = &mut self.devices[who];
        let command = tasks(&device.folder, &self.server.url, device.clock_offset_ms);
        let complaints = device.folder.with_extension("complaints");
        device.terminal = Some(Terminal::open(command, &complaints, who, self.lives, self.sender.clone()));
        device.asked.push_back(Asked::Greeting);
    }

    /// Kills a device, and takes to the ledger what it could still say.
    pub(crate) fn kill(&mut self, who: usize) {
        let Some(mut terminal) = self.devices[who].terminal.take() else { return };
        terminal.kill();
        eprintln!("{who} killed");
        self.kills += 1;
        while self.listen() != Some((who, terminal.life)) {}
        let device = &mut self.devices[who];
        device.asked.clear();
        device.numbers.clear();
        device.answer = None;
    }

    /// Kills the server and starts it again on the same files.
    pub(crate) fn kill_server(&mut self) {
        eprintln!("server killed");
        self.server.kill();
        self.kills += 1;
        self.server.run();
    }

    /// Starts the server with other options on the same files, at another address, and tells every device.
    pub(crate) fn move_server(&mut self, options: &[&str]) {
        self.server.kill();
        self.server = Process::start_with(&self.folder.path().join("server"), None, options);
        for who in 0..self.devices.len() {
            self.kill(who);
            let device = &self.devices[who];
            once(tasks(&device.folder, &self.server.url, device.clock_offset_ms), &["attach"]);
            self.open(who);
        }
    }

    /// Types a line whose answer matters to nobody.
    pub(crate) fn tell(&mut self, who: usize, line: &str) {
        self.type_in(who, line, Asked::Nothing);
    }

    /// Types a line that writes these fields of a task; of a new one, whose id the answer says, when there is no id.
    pub(crate) fn write(&mut self, who: usize, line: &str, task: Option<&str>, fields: &[(&str, &str)]) {
        let from = self.ledger.writes.len();
        let writes = fields.iter().map(|(field, value)| Write {
            who,
            task: task.unwrap_or_default().to_owned(),
            field: (*field).to_owned(),
            value: (*value).to_owned(),
            saved: false,
            accepted: None,
            given_up: false,
        });
        self.ledger.writes.extend(writes);
        self.type_in(who, line, Asked::Writes((from..self.ledger.writes.len()).collect()));
    }

    /// Types a line and waits for its answer.
    pub(crate) fn ask(&mut self, who: usize, line: &str) -> Value {
        self.type_in(who, line, Asked::Question);
        loop {
            if let Some(answer) = self.devices[who].answer.take() {
                return answer;
            }
            self.listen();
        }
    }

    /// Waits until a device has answered everything.
    pub(crate) fn settle(&mut self, who: usize) {
        while !self.devices[who].asked.is_empty() {
            self.listen();
        }
    }

    /// How many answers are still to come.
    pub(crate) fn awaited(&self) -> usize {
        self.devices.iter().map(|device| device.asked.len()).sum()
    }

    fn type_in(&mut self, who: usize, line: &str, asked: Asked) {
        // A failed run shows what led to it.
        eprintln!("{who} > {line}");
        let device = &mut self.devices[who];
        let terminal = device.terminal.as_mut().expect("an open device");
        assert!(terminal.type_in(line), "device {who} does not listen: {}", device.complaints());
        device.asked.push_back(asked);
    }

    /// Takes the next thing anybody says; who it was and in which life, if it was the end.
    pub(crate) fn listen(&mut self) -> Option<(usize, u64)> {
        let line = self.lines.recv_timeout(PATIENCE);
        let Ok(Line { who, life, said }) = line else { panic!("nobody said anything for {PATIENCE:?}: {self:#?}") };
        if let Some(said) = said {
            eprintln!("{who} < {said}");
            self.take(who, &said);
            return None;
        }
        let device = &self.devices[who];
        let alive = device.terminal.as_ref().is_some_and(|terminal| terminal.life == life);
        assert!(!alive, "device {who} ended by itself: {}", device.complaints());
        Some((who, life))
    }

    fn take(&mut self, who: usize, said: &Value) {
        let device = &mut self.devices[who];
        if said["event"] == "accepted" {
            let write = said["write"].as_u64().and_then(|number| device.numbers.get(&number));
            if let Some(index) = write {
                self.ledger.writes[*index].accepted = said["seq"].as_u64();
            }
            return;
        }
        if said.get("event").is_some() {
            return;
        }
        match device.asked.pop_front() {
            Some(Asked::Question) => device.answer = Some(said.clone()),
            Some(Asked::Writes(indexes)) if said["reply"] != "error" => {
                let task = said["tasks"][0].as_str().unwrap_or_default().to_owned();
                let numbers = said["writes"].as_array().cloned().unwrap_or_default();
                for index in &indexes {
                    let write = &mut self.ledger.writes[*index];
                    write.task.clone_from(&task);
                    // A note is a write of its own, the last one; the other fields are one.
                    let number = if write.field == "note" { numbers.last() } else { numbers.first() };
                    let number = number.and_then(Value::as_u64);
                    write.saved = number.is_some();
                    device.numbers.extend(number.map(|number| (number, *index)));
                }
                if !device.known.contains(&task) {
                    device.known.push(task);
                }
            }
            _ => {}
        }
    }
}

impl Device {
    fn complaints(&self) -> String {
        std::fs::read_to_string(self.folder.with_extension("complaints")).unwrap_or_default()
    }
}

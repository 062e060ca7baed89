//! Desks at which somebody types into notes, each a process on a folder of its own, and the server between them.
//!
//! What must hold: every wait is for something that was asked for, and ends with a sentence that says what did not come;
//! none is for a time.

use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;
use syncline_tests::rig::server::{Process, TOKEN, program};

use crate::tasks_house::PATIENCE;
use crate::tasks_terminal::{Line, Terminal, once};

/// What the server is told of the collections, so that it can make snapshots.
pub(crate) const COLLECTIONS: &str =
    "notes=text,likes=counter,tags=set,stars=list,outline=tree,titles=register,about=document,writers=register";

/// A device that is open.
#[derive(Debug)]
pub(crate) struct Desk {
    name: String,
    folder: PathBuf,
    url: String,
    life: u64,
    terminal: Option<Terminal>,
    lines: Receiver<Line>,
}

fn notes(folder: &PathBuf, url: &str) -> Command {
    let mut command = Command::new(program("syncline-notes"));
    command.arg("--json").arg("--device").arg(folder);
    command.env("SYNCLINE_SERVER", url).env("SYNCLINE_TOKEN", TOKEN);
    command
}

impl Desk {
    /// A new device.
    pub(crate) fn new(folder: &std::path::Path, server: &Process, name: &str) -> Self {
        let folder = folder.join(name);
        once(notes(&folder, &server.url), &["init"]);
        let mut desk = Self {
            name: name.to_owned(),
            folder,
            url: server.url.clone(),
            life: 0,
            terminal: None,
            lines: channel().1,
        };
        desk.open();
        desk
    }

    /// Opens it, again after it was killed.
    pub(crate) fn open(&mut self) {
        self.life += 1;
        let (sender, lines) = channel();
        let complaints = self.folder.with_extension("complaints");
        let command = notes(&self.folder, &self.url);
        self.lines = lines;
        self.terminal = Some(Terminal::open(command, &complaints, 0, self.life, sender));
        let greeting = self.answer("being opened");
        assert_eq!(greeting["reply"], "status", "{}: {greeting}", self.name);
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut terminal) = self.terminal.take() {
            terminal.kill();
        }
    }

    /// Types a line and does not wait for the answer.
    pub(crate) fn tell(&mut self, line: &str) {
        let terminal = self.terminal.as_mut().expect("an open device");
        assert!(terminal.type_in(line), "{} does not listen", self.name);
    }

    /// Types a line; its answer, which may be a complaint.
    pub(crate) fn try_ask(&mut self, line: &str) -> Value {
        self.tell(line);
        self.answer(line)
    }

    /// Types a line; its answer.
    pub(crate) fn ask(&mut self, line: &str) -> Value {
        let said = self.try_ask(line);
        assert_ne!(said["reply"], "error", "{} > {line}: {said}", self.name);
        said
    }

    /// The next answer.
    pub(crate) fn answer(&mut self, to: &str) -> Value {
        loop {
            let said = self.hear(&format!("an answer to {to:?}"));
            if said.get("reply").is_some() {
                return said;
            }
        }
    }

    fn hear(&mut self, awaited: &str) -> Value {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(Line { said: Some(said), .. }) => said,
            Ok(_) => panic!("{} ended while {awaited} was awaited: {}", self.name, self.complaints()),
            Err(error) => panic!("{}: {awaited} never came ({error}): {}", self.name, self.complaints()),
        }
    }

    /// Asks until the answer is good; in between it waits until the device says that something changed.
    pub(crate) fn until(&mut self, line: &str, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        loop {
            let said = self.ask(line);
            if good(&said) {
                return said;
            }
            while self.hear(&format!("{what} (now {said})")).get("event").is_none() {}
        }
    }

    /// The open note's text.
    pub(crate) fn text(&mut self) -> String {
        self.ask("show")["text"].as_str().expect("a text").to_owned()
    }

    /// Sends and gets everything, while there is a server.
    pub(crate) fn sync(&mut self) {
        let said = self.ask("sync");
        assert_eq!(said["safe"], true, "{}: {said}", self.name);
    }

    fn complaints(&self) -> String {
        std::fs::read_to_string(self.folder.with_extension("complaints")).unwrap_or_default()
    }
}

/// Syncs all of them until everybody has what everybody had.
pub(crate) fn meet(desks: &mut [&mut Desk]) {
    for _ in 0..2 {
        desks.iter_mut().for_each(|desk| desk.sync());
    }
}

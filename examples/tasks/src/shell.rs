//! A device that stays open: lines from stdin are commands, the background syncs, and what comes from elsewhere is told
//! between the answers. One task does all of it in turn, so an answer is never torn apart.

use std::collections::BTreeMap;

use clap::Parser as _;
use serde_json::{Value, json};
use syncline::EntityId;
use syncline::client::{Event, Fate, Receipt, Tier};
use syncline_desk::{Fault, Said};
use syncline_transport_http::client::Background;

use crate::app::App;
use crate::cli::{Line, ShellCommand, Verb};
use crate::commands::{self, changed, reason};
use crate::number::Number;
use crate::words;

/// Runs until stdin ends or somebody leaves.
///
/// # Errors
/// When nobody reads the answers.
pub(crate) async fn run(app: App) -> Result<(), Fault> {
    let mut events = app.replica.events();
    let mut lines = syncline_desk::typed();
    let mut shell = Shell { background: app.background(), shown: BTreeMap::new(), app };
    shell.app.out.say(&shell.app.status().await?)?;
    loop {
        shell.prompt();
        let keep_on = tokio::select! {
            // What was typed goes first: its answer says what its own events would.
            biased;
            line = lines.recv() => match line {
                Some(line) => shell.line(&line).await?,
                None => false,
            },
            event = events.next() => {
                shell.event(event).await?;
                true
            }
        };
        if !keep_on {
            break;
        }
    }
    shell.go_offline().await;
    Ok(())
}

struct Shell {
    app: App,
    background: Option<Background>,
    /// How tasks looked when they were last told about.
    shown: BTreeMap<EntityId, String>,
}

impl Shell {
    fn prompt(&self) {
        self.app.out.prompt("");
    }

    /// Whether to go on.
    async fn line(&mut self, line: &str) -> Result<bool, Fault> {
        let words = match words::split(line) {
            Ok(words) if words.is_empty() => return Ok(true),
            Ok(words) => words,
            Err(why) => return self.complain(&why),
        };
        let command = match Line::try_parse_from(words) {
            Ok(line) => line.command,
            Err(error) => return self.complain(error.to_string().trim_end()),
        };
        let done = match command {
            ShellCommand::Quit => return Ok(false),
            ShellCommand::Offline => {
                self.go_offline().await;
                Ok(Said::new(json!({ "reply": "offline" }), "Offline; everything goes on here.").into())
            }
            ShellCommand::Online => {
                self.go_online();
                Ok(Said::new(json!({ "reply": "online" }), "Online.").into())
            }
            ShellCommand::Verb(Verb::Sync) => self.sync().await,
            ShellCommand::Verb(verb) => commands::run_verb(&self.app, verb).await,
        };
        match done {
            Ok(did) => {
                self.app.out.say(&did.said)?;
                self.remember(&did.said.json).await?;
                did.receipts.into_iter().for_each(|receipt| self.follow(receipt));
                Ok(true)
            }
            Err(fault) => self.complain(&fault.to_string()),
        }
    }

    fn complain(&self, why: &str) -> Result<bool, Fault> {
        self.app.out.say(&Said::error(why))?;
        Ok(true)
    }

    async fn go_offline(&mut self) {
        if let Some(background) = self.background.take() {
            background.stop().await;
        }
    }

    fn go_online(&mut self) {
        if self.background.is_none() {
            self.background = self.app.background();
        }
    }

    /// At once and to the end, instead of the background, which comes back after it.
    async fn sync(&mut self) -> Result<commands::Did, Fault> {
        self.go_offline().await;
        let synced = commands::run_verb(&self.app, Verb::Sync).await;
        self.go_online();
        synced
    }

    /// What an answer has shown is not told again.
    async fn remember(&mut self, answer: &Value) -> Result<(), Fault> {
        for id in answer["tasks"].as_array().into_iter().flatten() {
            let id = id.as_str().or_else(|| id["id"].as_str()).and_then(|id| id.parse::<EntityId>().ok());
            if let Some(id) = id {
                let task = crate::task::read(&self.app.replica, id).await?;
                self.shown.insert(id, task.map(|task| task.line()).unwrap_or_default());
            }
        }
        Ok(())
    }

    async fn event(&mut self, event: Event) -> Result<(), Fault> {
        let out = self.app.out;
        match event {
            Event::Changed(keys) => {
                let (mut ids, mut lines) = (Vec::new(), Vec::new());
                for (id, task) in changed(&self.app.replica, &keys).await? {
                    let line = task.map(|task| task.line()).unwrap_or_default();
                    if self.shown.insert(id, line.clone()).as_ref() != Some(&line) {
                        let gone = || format!("{} deleted", crate::task::short(&id));
                        lines.push(format!("~ {}", if line.is_empty() { gone() } else { line }));
                        ids.push(id.to_string());
                    }
                }
                out.say(&Said::new(json!({ "event": "changed", "tasks": ids }), lines.join("\n")))
            }
            Event::Reset => {
                let list = commands::list(&self.app.replica, false).await?;
                self.remember(&list.json).await?;
                out.say(&Said::new(json!({ "event": "reset" }), format!("~ the list is new:\n{}", list.text)))
            }
            Event::Parked(no, why) => {
                let why = reason(&why);
                let json = json!({ "event": "parked", "write": no.get(), "why": why });
                out.say(&Said::new(json, format!("! edit {} was refused: {why}; see `parked`", Number::from(no))))
            }
            Event::Conflict(no) => {
                let json = json!({ "event": "conflict", "write": no.get() });
                out.say(&Said::new(json, format!("! edit {} met another one: see `conflicts`", Number::from(no))))
            }
            Event::Skew { ms } => {
                let text = format!("! this device's clock is wrong by {}", words::span(ms.unsigned_abs()));
                out.say(&Said::new(json!({ "event": "skew", "ms": ms }), text))
            }
            _ => Ok(()),
        }
    }

    /// Tells when a write is in the server's log, for programs that wait for it.
    fn follow(&self, receipt: Receipt) {
        let out = self.app.out;
        tokio::spawn(async move {
            let write = receipt.no().get();
            let json = match receipt.reached(Tier::Server).await {
                Ok(seq) => json!({ "event": "accepted", "write": write, "seq": seq.map(|seq| seq.get()) }),
                Err(not) => json!({ "event": "ended", "write": write, "fate": fate(&not.fate) }),
            };
            // Whoever stopped reading is told no more.
            let _ = out.say(&Said::new(json, ""));
        });
    }
}

const fn fate(fate: &Fate) -> &'static str {
    match fate {
        Fate::Waiting => "waiting",
        Fate::Accepted(_) => "accepted",
        Fate::Parked(_) => "parked",
        Fate::Lost => "lost",
        Fate::Discarded => "discarded",
        _ => "unknown",
    }
}

//! A device that stays open: lines from stdin, the background that syncs, and what comes from elsewhere, told between the
//! answers. One task does all of it in turn, so an answer is never torn apart.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use syncline::client::Event;
use syncline_desk::{Fault, Out, Said};
use syncline_transport_http::client::Background;

use crate::app::App;
use crate::commands;
use crate::line::{HELP, Line};
use crate::page::Page;
use crate::presence::{self, Presence};

/// An open device with what is open on it.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) app: App,
    /// Notes that were opened, for each can be undone until the device is closed.
    pub(crate) pages: BTreeMap<String, Page>,
    /// The one that is shown.
    pub(crate) open: Option<String>,
    /// The writer of this opening is known by name.
    pub(crate) signed: bool,
    presence: Presence,
    background: Option<Background>,
    online: bool,
    /// The open note as it was shown last, for people.
    shown: String,
}

/// Runs until stdin ends or somebody leaves.
///
/// # Errors
/// When nobody reads the answers.
pub(crate) async fn run(app: App) -> Result<(), Fault> {
    let mut events = app.book.0.events();
    let mut lines = syncline_desk::typed();
    let mut shell = Shell {
        pages: BTreeMap::new(),
        open: None,
        signed: false,
        presence: Presence::default(),
        background: app.background(),
        online: true,
        shown: String::new(),
        app,
    };
    shell.app.out.say(&shell.app.status())?;
    loop {
        shell.prompt();
        let due = shell.presence.due_in_ms(shell.app.now()).filter(|_| shell.online);
        let keep_on = tokio::select! {
            // What was typed goes first: its answer says what its own events would.
            biased;
            line = lines.recv() => match line {
                Some(line) => shell.line(&line).await?,
                None => false,
            },
            () = tokio::time::sleep(Duration::from_millis(due.unwrap_or_default())), if due.is_some() => {
                shell.say_where().await?
            }
            event = events.next() => {
                shell.event(event).await?;
                true
            }
        };
        if !keep_on {
            break;
        }
    }
    shell.stop().await;
    Ok(())
}

impl Shell {
    fn prompt(&self) {
        self.app.out.prompt(self.open.as_deref().unwrap_or_default());
    }

    /// Whether to go on.
    async fn line(&mut self, line: &str) -> Result<bool, Fault> {
        let line = match Line::read(line) {
            Ok(Some(Line::Quit)) => return Ok(false),
            Ok(Some(line)) => line,
            Ok(None) => return Ok(true),
            Err(why) => return self.complain(&why),
        };
        let opens = matches!(line, Line::Open(_));
        let said = match line {
            Line::Help => Ok(Said::new(json!({ "reply": "help", "lines": HELP }), HELP)),
            Line::Status => Ok(self.app.status()),
            Line::Offline => {
                self.online = false;
                self.stop().await;
                Ok(Said::new(json!({ "reply": "offline" }), "Offline; everything goes on here."))
            }
            Line::Online => {
                self.online = true;
                self.start();
                Ok(Said::new(json!({ "reply": "online" }), "Online."))
            }
            Line::Sync => self.sync().await,
            line => commands::run(self, line).await,
        };
        match said {
            Ok(said) => self.app.out.say(&said)?,
            Err(fault) => return self.complain(&fault.to_string()),
        }
        self.seen().await?;
        let elsewhere = self.open.as_ref().and_then(|open| self.pages.get(open));
        let elsewhere = elsewhere.is_some_and(|page| self.presence.at(page));
        if opens && elsewhere && self.online { self.say_where().await } else { Ok(true) }
    }

    fn complain(&self, why: &str) -> Result<bool, Fault> {
        self.app.out.say(&Said::error(why))?;
        Ok(true)
    }

    /// What cannot be written is no reason to stop: the next answer says why.
    async fn say_where(&mut self) -> Result<bool, Fault> {
        let now = self.app.now();
        match self.presence.say(&self.app.book.0, &self.app.name, now).await {
            Ok(()) => Ok(true),
            Err(fault) => {
                let why = fault.to_string();
                self.app.out.say(&Said::new(json!({ "event": "not_told", "why": why }), why))?;
                Ok(true)
            }
        }
    }

    async fn stop(&mut self) {
        if let Some(background) = self.background.take() {
            background.stop().await;
        }
    }

    fn start(&mut self) {
        if self.online && self.background.is_none() {
            self.background = self.app.background();
        }
    }

    /// At once and to the end, instead of the background, which comes back after it unless the device is offline.
    async fn sync(&mut self) -> Result<Said, Fault> {
        self.stop().await;
        let synced = self.app.sync().await;
        self.start();
        synced.map(|()| self.app.status())
    }

    /// Notes how the open note looks; whether that is news.
    async fn seen(&mut self) -> Result<bool, Fault> {
        // Programs ask for what they want to see.
        let Some(page) = self.open.as_ref().and_then(|open| self.pages.get(open)) else { return Ok(false) };
        if self.app.out == Out::Json {
            return Ok(false);
        }
        let text = page.text.get().await?;
        let news = text != self.shown;
        self.shown = text;
        Ok(news)
    }

    /// Takes note of who else is here, where that may have changed.
    async fn look_around(&mut self, event: &Event) -> Result<(), Fault> {
        let news = match event {
            Event::Changed(keys) => keys.iter().any(|key| key.collection.as_str() == presence::COLLECTION),
            event => matches!(event, Event::Reset),
        };
        if news {
            let (replica, now) = (&self.app.book.0, self.app.now());
            let found = presence::lately(replica, now).await?;
            let others = found.iter().filter(|(id, ..)| *id != presence::own(replica));
            self.presence.heard(others.map(|(_, ago_ms, _)| *ago_ms).min(), now);
        }
        Ok(())
    }

    async fn event(&mut self, event: Event) -> Result<(), Fault> {
        let json = match &event {
            Event::Changed(keys) => {
                let collections: BTreeSet<String> = keys.iter().map(|key| key.collection.to_string()).collect();
                json!({ "event": "changed", "in": collections })
            }
            Event::Reset => json!({ "event": "reset" }),
            Event::Parked(no, _) => json!({ "event": "parked", "write": no.get() }),
            Event::Conflict(no) => json!({ "event": "conflict", "write": no.get() }),
            _ => return Ok(()),
        };
        self.look_around(&event).await?;
        let text = match event {
            Event::Changed(_) | Event::Reset if self.seen().await? => format!("~ {}", self.shown),
            Event::Parked(..) => "! the server refused an edit; it is kept here".to_owned(),
            _ => String::new(),
        };
        self.app.out.say(&Said::new(json, text))
    }
}

//! Running a command: on its own, which opens the device and syncs when something was written, or in the shell.

mod conflicts;
mod edit;
mod feed;
mod look;

pub(crate) use conflicts::reason;
pub(crate) use look::{changed, list};

use serde_json::json;
use syncline::client::Receipt;
use syncline::time::EnvSource as _;
use syncline_desk::{Fault, Out, Said, Server, Settings};

use crate::app::{self, App, Home, Own};
use crate::cli::{At, Cli, Command, Verb};
use crate::keys;
use crate::shell;
use crate::world::World;

/// What a verb did.
#[derive(Debug)]
pub(crate) struct Did {
    /// The answer.
    pub(crate) said: Said,
    /// What was written; the answer says the numbers.
    pub(crate) receipts: Vec<Receipt>,
}

impl From<Said> for Did {
    fn from(said: Said) -> Self {
        Self { said, receipts: Vec::new() }
    }
}

/// Runs a command line.
///
/// # Errors
/// Why it stopped.
pub(crate) async fn run(cli: Cli) -> Result<(), Fault> {
    let at = cli.at;
    match cli.command {
        Command::Init { server, key, list, bucket } => {
            let world = World::new(at.clock_offset_ms).map_err(|error| Fault::new(error.to_string()))?;
            let key = keys::typed(key, world.env())?;
            let own = Own { sealed: key.is_some() };
            let home = Home::begin(&at.device, Settings { log: list, bucket, app: own, server: server.way()? })?;
            // The key first: a device that says it is sealed has one.
            if let Some(key) = &key {
                keys::keep(&key.secret, &app::key(&home))?;
            }
            home.keep()?;
            if let Some(told) = key.and_then(|key| key.told) {
                Out::of(at.json).say(&Said::new(json!({ "event": "key", "told": told }), told.clone()))?;
            }
            // A token or an address that cannot be is said now, and the first sync brings what is there.
            begin(&at, &home).await
        }
        Command::Attach { server } => attach(&at, server).await,
        Command::Detach => {
            Home::open(&at.device)?.attach(None)?;
            Out::of(at.json).say(&Said::new(json!({ "reply": "detach" }), "Everything stays on this device."))
        }
        Command::Shell => shell::run(App::open(&at).await?).await,
        Command::Watch => feed::watch(&App::open(&at).await?).await,
        Command::Log { follow } => feed::log(&App::open(&at).await?, follow).await,
        Command::Verb(verb) => {
            let app = App::open(&at).await?;
            let writes = verb.writes();
            let did = run_verb(&app, verb).await?;
            app.out.say(&did.said)?;
            if writes && app.has_server() { sync_after(&app).await } else { Ok(()) }
        }
    }
}

/// Runs a verb; `sync` among them syncs at once.
///
/// # Errors
/// Why it stopped; nothing was written then.
pub(crate) async fn run_verb(app: &App, verb: Verb) -> Result<Did, Fault> {
    match verb {
        Verb::Add { title, due, note } => edit::add(app, &title, due, note.as_deref()).await,
        Verb::Edit { task, title, due, note } => edit::edit(app, &task, title, due, note.as_deref()).await,
        Verb::Done { tasks } => edit::tick(app, &tasks, true).await,
        Verb::Undone { tasks } => edit::tick(app, &tasks, false).await,
        Verb::Rm { tasks, forever: false } => edit::bin(app, &tasks, true).await,
        Verb::Rm { tasks, forever: true } => edit::delete(app, &tasks).await,
        Verb::Restore { tasks } => edit::bin(app, &tasks, false).await,
        Verb::List { all } => Ok(list(&app.replica, all).await?.into()),
        Verb::Show { task } => Ok(look::show(app, &task).await?.into()),
        Verb::Sync => {
            app.sync().await?;
            Ok(app.status().await?.into())
        }
        Verb::Status => Ok(app.status().await?.into()),
        Verb::Conflicts => Ok(conflicts::list(app).await?.into()),
        Verb::Resolve { number, mine, theirs, note } => conflicts::resolve(app, number, mine, theirs, note).await,
        Verb::Parked => Ok(conflicts::parked(app).await?.into()),
        Verb::Retry { number } => Ok(conflicts::retry(app, number).await?.into()),
        Verb::Discard { number } => Ok(conflicts::discard(app, number).await?.into()),
    }
}

impl Verb {
    /// Whether it may write something that a server should have.
    const fn writes(&self) -> bool {
        !matches!(
            self,
            Self::List { .. }
                | Self::Show { .. }
                | Self::Sync
                | Self::Status
                | Self::Conflicts
                | Self::Parked
                | Self::Discard { .. }
        )
    }
}

async fn attach(at: &At, server: Server) -> Result<(), Fault> {
    let mut home = Home::open(&at.device)?;
    home.attach(Some(server.needed()?))?;
    begin(at, &home).await
}

async fn begin(at: &At, home: &Home) -> Result<(), Fault> {
    let app = App::open(at).await?;
    let server = home.settings().server.as_ref().map(|way| way.url.as_str());
    let text = match server {
        None => format!("{} is a device without a server.", home.folder().display()),
        Some(url) => {
            format!("{} keeps the list {:?} in step with {url}.", home.folder().display(), home.settings().log)
        }
    };
    app.out.say(&Said::new(json!({ "reply": "device", "list": home.settings().log, "server": server }), text))?;
    if app.has_server() { sync_after(&app).await } else { Ok(()) }
}

/// What was written is safe here, so a server that is away is worth a word and not a failure.
async fn sync_after(app: &App) -> Result<(), Fault> {
    match app.sync().await {
        Ok(_) => {
            let mut said = app.status().await?;
            if said.json["safe"] == true {
                "It is on the server.".clone_into(&mut said.text);
            }
            app.out.say(&said)
        }
        Err(fault) => app.out.say(&Said::not_synced(&fault)),
    }
}

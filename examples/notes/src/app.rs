//! A device at work: its replica on its own file, and the way to its server if it has one.
//!
//! What must hold: what a command line asks is done or said not to be; a server that is away is worth a word and is no
//! failure.
//!
//! Next: `shell`, the device that stays open.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use syncline::client::{Phase, Replica, ReplicaOptions};
use syncline::time::{EnvSource, Timestamp};
use syncline_desk::{Fault, Out, Said, Settings, Way};
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};
use syncline_transport_http::client::{Background, HttpClient, SystemEnv};

use crate::book::{self, Book};
use crate::cli::{At, Cli, Command};
use crate::shell;

/// A folder with notes.
type Home = syncline_desk::Home<Own>;

/// What only this program wants to know of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    /// What the others see it called.
    name: String,
}

/// Runs a command line.
///
/// # Errors
/// Why it stopped.
pub(crate) async fn run(cli: Cli) -> Result<(), Fault> {
    let at = cli.at;
    match cli.command {
        Command::Init { server, name, book, bucket } => {
            let folder = at.device.file_name().map(|name| name.to_string_lossy().into_owned());
            let name = name.or(folder).unwrap_or_else(|| "device".to_owned());
            let settings = Settings { log: book, bucket, app: Own { name }, server: server.way()? };
            let home = Home::begin(&at.device, settings)?;
            home.keep()?;
            begin(&at, &home).await
        }
        Command::Attach { server } => {
            let mut home = Home::open(&at.device)?;
            home.attach(Some(server.needed()?))?;
            begin(&at, &home).await
        }
        Command::Detach => {
            Home::open(&at.device)?.attach(None)?;
            Out::of(at.json).say(&Said::new(json!({ "reply": "detach" }), "Everything stays on this device."))
        }
        Command::Shell => shell::run(App::open(&at).await?).await,
    }
}

/// Says what the device is, and brings what is on its server.
async fn begin(at: &At, home: &Home) -> Result<(), Fault> {
    let app = App::open(at).await?;
    let Settings { log: book, app: Own { name }, server, .. } = home.settings();
    let server = server.as_ref().map(|way| way.url.as_str());
    let text = match server {
        None => format!("{} is {name}, a device without a server.", home.folder().display()),
        Some(url) => format!("{} is {name} and keeps {book:?} in step with {url}.", home.folder().display()),
    };
    app.out.say(&Said::new(json!({ "reply": "device", "device": name, "book": book, "server": server }), text))?;
    if server.is_none() {
        return Ok(());
    }
    let said = match app.sync().await {
        Ok(()) => app.status(),
        Err(fault) => Said::not_synced(&fault),
    };
    app.out.say(&said)
}

/// An open device.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) book: Book,
    /// What the others see it called.
    pub(crate) name: String,
    pub(crate) out: Out,
    env: Arc<SystemEnv>,
    way: Option<Arc<HttpClient>>,
}

impl App {
    /// Opens the device in a folder.
    ///
    /// # Errors
    /// When it is none, is open elsewhere, or does not read.
    async fn open(at: &At) -> Result<Self, Fault> {
        let home = Home::open(&at.device)?;
        let env = Arc::new(SystemEnv::new().map_err(|error| Fault::new(error.to_string()))?);
        let store = SqliteStore::open(SqliteOptions::device(home.replica()));
        let store = Arc::new(store.map_err(|error| Fault::store(home.folder(), &error))?);
        let mut options = ReplicaOptions::default();
        options.schema = book::schema()?;
        let replica = Replica::open(store, home.log(), env.clone(), options).await?;
        let settings = home.settings();
        let way = settings.server.as_ref().map(Way::client).transpose()?;
        let name = settings.app.name.clone();
        Ok(Self { book: Book(replica), name, out: Out::of(at.json), env, way })
    }

    /// What time it is.
    pub(crate) fn now(&self) -> Timestamp {
        self.env.env().now
    }

    /// Syncs once.
    ///
    /// # Errors
    /// Why it did not come to the end; what waits goes on waiting.
    pub(crate) async fn sync(&self) -> Result<(), Fault> {
        let way =
            self.way.as_ref().ok_or_else(|| Fault::new("this device has no server; give it one with `attach`"))?;
        self.book.0.sync_once(&**way).await?;
        Ok(())
    }

    /// Syncs from now on, if there is a server.
    pub(crate) fn background(&self) -> Option<Background> {
        let way = Arc::clone(self.way.as_ref()?);
        Some(Background::start(self.book.0.clone(), way, self.env.clone()))
    }

    /// Whether everything is safe.
    pub(crate) fn status(&self) -> Said {
        let status = self.book.0.status();
        let json = json!({
            "reply": "status", "device": self.name, "safe": status.is_safe(), "unsynced": status.unsynced,
            "parked": status.parked, "unread": status.unread, "error": &status.error,
            "live": status.phase == Some(Phase::Live), "replica": self.book.0.id().to_string(),
        });
        let mut lines = vec![match (status.is_safe(), status.unsynced) {
            (true, _) => "Safe: everything written here is on the server.".to_owned(),
            (false, 0) => format!("{} edits were refused by the server.", status.parked),
            (false, unsynced) => format!("{unsynced} edits are only on this device."),
        }];
        let live = status.phase == Some(Phase::Live);
        lines.extend(status.error.filter(|_| !live).map(|error| format!("What went wrong last: {error}")));
        Said::new(json, lines.join("\n"))
    }
}

//! A device at work: its replica on its own file, and the way to its server if it has one.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use syncline::client::{Halt, Phase, Replica, ReplicaOptions, Status};
use syncline::oplog::Sealing;
use syncline::time::EnvSource;
use syncline_desk::{Fault, Out, Said, Way};
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};
use syncline_transport_http::client::{Background, HttpClient};

use crate::cli::At;
use crate::keys;
use crate::note;
use crate::words::span;
use crate::world::World;

/// A folder with tasks.
pub(crate) type Home = syncline_desk::Home<Own>;

/// What only this program wants to know of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Own {
    /// Whether the list is sealed from end to end; then the key is beside the settings.
    pub(crate) sealed: bool,
}

/// Where the key of a device is, if its list is sealed.
pub(crate) fn key(home: &Home) -> PathBuf {
    home.folder().join("key")
}

/// An open device.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) replica: Replica,
    pub(crate) env: Arc<dyn EnvSource>,
    pub(crate) out: Out,
    way: Option<Arc<HttpClient>>,
}

impl App {
    /// Opens the device in a folder.
    ///
    /// # Errors
    /// When it is none, is open elsewhere, or does not read.
    pub(crate) async fn open(at: &At) -> Result<Self, Fault> {
        let home = Home::open(&at.device)?;
        let world = World::new(at.clock_offset_ms).map_err(|error| Fault::new(error.to_string()))?;
        let env: Arc<dyn EnvSource> = Arc::new(world);
        let store = SqliteStore::open(SqliteOptions::device(home.replica()));
        let store = Arc::new(store.map_err(|error| Fault::store(home.folder(), &error))?);
        let mut options = ReplicaOptions::default();
        options.schema = note::schema()?;
        if home.settings().app.sealed {
            options.sealer = Some(Arc::new(keys::keyring(&key(&home))?));
            options.sealing = Some(Sealing::Required);
        }
        let replica = Replica::open(store, home.log(), Arc::clone(&env), options).await?;
        let server = home.settings().server.as_ref().filter(|_| !at.offline);
        let way = server.map(Way::client).transpose()?;
        Ok(Self { replica, env, out: Out::of(at.json), way })
    }

    /// Whether there is a server to sync with.
    pub(crate) const fn has_server(&self) -> bool {
        self.way.is_some()
    }

    /// Syncs once.
    ///
    /// # Errors
    /// Why it did not come to the end; what waits goes on waiting.
    pub(crate) async fn sync(&self) -> Result<Status, Fault> {
        let way =
            self.way.as_ref().ok_or_else(|| Fault::new("this device has no server, or was told to stay offline"))?;
        Ok(self.replica.sync_once(&**way).await?)
    }

    /// Syncs from now on, if there is a server.
    pub(crate) fn background(&self) -> Option<Background> {
        let way = Arc::clone(self.way.as_ref()?);
        Some(Background::start(self.replica.clone(), way, Arc::clone(&self.env)))
    }

    /// Whether everything is safe, and what there is to do if it is not.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn status(&self) -> Result<Said, Fault> {
        let status = self.replica.status();
        let (safe, open) = (status.is_safe(), status.open_conflicts);
        let json = json!({
            "reply": "status", "safe": safe, "unsynced": status.unsynced, "parked": status.parked,
            "open_conflicts": open, "conflicts": status.conflicts, "unread": status.unread,
            "synced_once": status.synced_once, "last_contact_ms": status.last_contact.map(|at| at.ms()),
            "phase": phase(status.phase), "error": &status.error, "skew_ms": status.skew_ms,
            "device": self.replica.id().to_string(),
        });
        let mut lines = vec![match (safe, status.unsynced) {
            (true, _) => "Safe: everything written here is on the server.".to_owned(),
            (false, 0) => "Something waits for you to decide.".to_owned(),
            (false, 1) => "1 edit is only on this device.".to_owned(),
            (false, unsynced) => format!("{unsynced} edits are only on this device."),
        }];
        let now = self.env.env().now.ms();
        lines.extend(match status.last_contact {
            Some(at) => Some(format!("The server answered {} ago.", span(now.saturating_sub(at.ms())))),
            None if self.has_server() => Some("Nothing was exchanged with the server yet.".to_owned()),
            None => Some("There is no server; give this device one with `attach`.".to_owned()),
        });
        let error = status.error.filter(|_| status.phase != Some(Phase::Live));
        lines.extend(error.map(|error| format!("What went wrong last: {error}")));
        lines.extend(advice(status.phase));
        if status.parked > 0 {
            lines.push(format!("{} refused: see `parked`.", status.parked));
        }
        if open > 0 {
            lines.push(format!("{open} in conflict: see `conflicts`."));
        }
        if status.unread > 0 {
            lines.push(format!(
                "{} in the list cannot be read here, perhaps a newer version wrote them.",
                status.unread
            ));
        }
        lines.extend(status.skew_ms.filter(|ms| ms.unsigned_abs() > SKEW_TOLD_MS).map(|ms| {
            let side = if ms > 0 { "fast" } else { "slow" };
            format!("This device's clock is {} {side}.", span(ms.unsigned_abs()))
        }));
        Ok(Said::new(json, lines.join("\n")))
    }
}

/// A clock that is wrong by less is not worth a word.
const SKEW_TOLD_MS: u64 = 60_000;

const fn phase(phase: Option<Phase>) -> &'static str {
    match phase {
        None => "apart",
        Some(Phase::Offline) => "offline",
        Some(Phase::Working) => "working",
        Some(Phase::Live) => "live",
        Some(Phase::Backoff { .. }) => "waiting",
        Some(Phase::Halted(_)) => "halted",
        Some(_) => "unknown",
    }
}

fn advice(phase: Option<Phase>) -> Option<String> {
    let Some(Phase::Halted(halt)) = phase else { return None };
    Some(match halt {
        Halt::SignIn => "The server does not take this token: give another one with `attach`.".to_owned(),
        Halt::Upgrade => "The server speaks another version: update this program.".to_owned(),
        Halt::ForeignLog => "The server has another list under this name; nothing was mixed.".to_owned(),
        Halt::KeyNeeded { .. } | Halt::WrongKey { .. } | Halt::Sealing(_) => {
            "The list on the server is not sealed with this device's key; nothing was mixed.".to_owned()
        }
        Halt::Operator(code) => format!("The server's operator has to look ({}).", code.name()),
        halt => format!("Syncing stopped: {halt:?}."),
    })
}

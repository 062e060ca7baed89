//! A device: the folder that is synced, the folder where it remembers, the server, and who it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use std::num::NonZeroU32;
use syncline::time::EnvSource;
use syncline::tree::Label;
use syncline::{LogId, ReplicaId};
use syncline_desk::{Fault, Said, Settings, Way, in_words, token};
use syncline_drive::credentials::{Credentials, VARIABLE};
use syncline_drive::engine::{self, EngineError};
use syncline_drive::journal::{Journal, JournalError};
use syncline_drive::lock::Lock;
use syncline_drive::mounts::Mounts;
use syncline_drive::transfer::Limits;
use syncline_drive::view::{self, Mounted};
use syncline_transport_http::client::SystemEnv;

use super::cli::{Attach, Mode};

/// Where files that are here lie where the folder itself only shows them.
const KEPT: &str = "files";

type Home = syncline_desk::Home<Own>;

/// What only this program wants to know of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Own {
    /// The folder that is synced.
    folder: PathBuf,
    /// The server's address. Its token is elsewhere.
    url: String,
    /// Who it is.
    replica: ReplicaId,
    /// What conflict copies call it.
    label: String,
    /// Which log, if it is not the one that its name stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log: Option<LogId>,
    #[serde(default, skip_serializing_if = "Mode::is_folder")]
    mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    up: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    down: Option<NonZeroU32>,
}

/// A device that was attached.
#[derive(Debug)]
pub(super) struct Device {
    home: Home,
}

impl Device {
    /// The device that remembers in a folder.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn open(at: &Path) -> Result<Self, Fault> {
        if !at.join("device.json").exists() {
            return Err(Fault::new(format!("{} is no device yet; make it one with `attach`", at.display())));
        }
        Ok(Self { home: Home::open(at)? })
    }

    fn own(&self) -> &Own {
        &self.home.settings().app
    }

    /// The folder that is synced.
    pub(super) fn folder(&self) -> &Path {
        &self.own().folder
    }

    /// Where those of its files lie that are here.
    pub(super) fn kept_in(&self) -> PathBuf {
        match self.own().mode {
            Mode::Folder => self.own().folder.clone(),
            Mode::Fuse => self.home.folder().join(KEPT),
        }
    }

    /// Shows its files, if that is how it has them, until what is given back is dropped.
    ///
    /// # Errors
    /// When this system cannot show them.
    pub(super) fn show(&self, mounts: &mut Mounts) -> Result<Option<Mounted>, Fault> {
        match self.own().mode {
            Mode::Folder => Ok(None),
            Mode::Fuse => mounts.show_at(self.folder()).map(Some).map_err(|error| fault(&error)),
        }
    }

    /// Who it is.
    pub(super) fn replica(&self) -> ReplicaId {
        self.own().replica
    }

    /// The log whose tree it follows.
    pub(super) fn log(&self) -> syncline::LogKey {
        let named = self.home.log();
        syncline::LogKey { log: self.own().log.unwrap_or(named.log), ..named }
    }

    /// What conflict copies call it.
    ///
    /// # Errors
    /// When what was kept is no label.
    pub(super) fn label(&self) -> Result<Label, Fault> {
        Label::new(&self.own().label).map_err(|error| fault(&error))
    }

    /// Where it remembers.
    pub(super) fn state(&self) -> &Path {
        self.home.folder()
    }

    /// What it remembers, to look at or to note something small in.
    ///
    /// # Errors
    /// When it does not read.
    pub(super) fn journal(&self) -> Result<Journal, Fault> {
        let path = self.home.folder().join("journal.db");
        match Journal::beside(&path) {
            Err(JournalError::None) => Err(Fault::new("nothing was synced yet; begin with `sync-once`")),
            opened => opened.map_err(|error| fault(&error)),
        }
    }

    /// The way to its server.
    ///
    /// # Errors
    /// When there is no token that may be used.
    pub(super) fn way(&self) -> Result<Way, Fault> {
        let read = Credentials::of(self.home.folder()).read().map_err(|error| fault(&error))?;
        let none = || Fault::new(format!("there is no token: set {VARIABLE}, or give `attach` a --token-file"));
        let (token, _) = read.ok_or_else(none)?;
        Ok(Way { url: self.own().url.clone(), token })
    }

    /// The device at work, with all that is mounted in its folder; nobody else may be at it.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn mounts(&self) -> Result<Mounts, Fault> {
        let own = self.own();
        let label = self.label()?;
        let env: Arc<dyn EnvSource> = Arc::new(SystemEnv::new().map_err(|error| fault(&error))?);
        let device = engine::Device {
            folder: self.kept_in(),
            state: self.home.folder().to_owned(),
            log: self.log(),
            replica: own.replica,
            label,
            limits: Limits { up: own.up, down: own.down },
        };
        if own.mode == Mode::Fuse {
            fs::create_dir_all(&device.folder)
                .map_err(|error| Fault::file("cannot make the folder", &device.folder, &error))?;
        }
        let mut mounts = Mounts::open(device, self.way()?.client()?, env).map_err(stopped)?;
        if own.mode == Mode::Fuse {
            mounts.bring_what_is_opened();
        }
        // One that somebody else shared is not made where it is not there.
        Ok(if own.log.is_none() { mounts } else { mounts.of_another() })
    }
}

/// Why the engine stopped, for people.
pub(super) fn stopped(error: EngineError) -> Fault {
    match error {
        EngineError::Call(error) => error.into(),
        error => fault(&error),
    }
}

/// Any error, for people.
pub(super) fn fault(error: &(dyn std::error::Error + 'static)) -> Fault {
    Fault::new(in_words(error))
}

/// Makes a device, or gives one another address or token.
///
/// # Errors
/// Why not; nothing was changed then.
pub(super) fn attach(at: &Path, typed: Attach) -> Result<Said, Fault> {
    let typed_token = typed.token_file.as_deref().map(|file| token(None, Some(file))).transpose()?;
    let url = typed.server.trim_end_matches('/').to_owned();
    if typed.mode == Some(Mode::Fuse) {
        view::check().and_then(|()| view::clear(&typed.folder)).map_err(|error| fault(&error))?;
    }
    fs::create_dir_all(&typed.folder).map_err(|error| Fault::file("cannot make the folder", &typed.folder, &error))?;
    fs::create_dir_all(at).map_err(|error| Fault::file("cannot make the folder", at, &error))?;
    let whole = |path: &Path| fs::canonicalize(path).map_err(|error| Fault::file("cannot use", path, &error));
    let (folder, state) = (whole(&typed.folder)?, whole(at)?);
    if state.starts_with(&folder) || folder.starts_with(&state) {
        return Err(Fault::new(format!(
            "what the device remembers must not be in the folder that is synced, nor that in it: give --device another \
             place than {}",
            state.display()
        )));
    }
    let credentials = Credentials::of(&state);
    let found = match &typed_token {
        Some(token) => token.clone(),
        None => {
            let none = || Fault::new(format!("there is no token: set {VARIABLE}, or give a --token-file"));
            credentials.read().map_err(|error| fault(&error))?.ok_or_else(none)?.0
        }
    };
    let way = Way { url: url.clone(), token: found };
    // An address or token that cannot be is said before anything is kept.
    way.client()?;
    let known = if at.join("device.json").exists() { Some(Home::open(at)?) } else { None };
    if typed.mode == Some(Mode::Fuse) && known.is_none() {
        view::check_place(&folder).map_err(|error| fault(&error))?;
    }
    let settings = match known {
        Some(home) => renewed(&home, &folder, &way, &typed)?,
        None => Settings {
            log: typed.name,
            bucket: way.bucket().unwrap_or(typed.bucket),
            app: Own {
                folder: folder.clone(),
                url,
                replica: fresh_replica()?,
                label: typed.label.map_or_else(system_label, |label| label.as_str().to_owned()),
                log: typed.log,
                mode: typed.mode.unwrap_or_default(),
                up: typed.up,
                down: typed.down,
            },
            server: None,
        },
    };
    let (log, label) = (settings.log.clone(), settings.app.label.clone());
    let place = match typed_token {
        Some(token) => credentials.keep(&token).map_err(|error| fault(&error))?,
        None => VARIABLE,
    };
    keep(at, settings)?;
    let text = format!(
        "{} follows the files {log:?} at {} as {label:?}; its token is in {place}. `sync-once` brings them together.",
        folder.display(),
        way.url
    );
    let json = json!({ "reply": "attached", "folder": folder, "server": way.url, "name": log, "label": label });
    Ok(Said::new(json, text))
}

/// A device stays who it is, and on its folder and its files.
fn renewed(home: &Home, folder: &Path, way: &Way, typed: &Attach) -> Result<Settings<Own>, Fault> {
    let mut settings = home.settings().clone();
    if settings.app.folder != folder || settings.log != typed.name || settings.app.log != typed.log {
        let (folder, log) = (settings.app.folder.display(), &settings.log);
        return Err(Fault::new(format!(
            "this device keeps {folder} and the files {log:?}; another one needs a --device of its own"
        )));
    }
    if typed.mode.is_some_and(|mode| mode != settings.app.mode) {
        return Err(Fault::new("a device keeps its mode; another one needs a --device of its own"));
    }
    let bucket = way.bucket().unwrap_or(typed.bucket);
    if bucket != settings.bucket {
        let own = settings.bucket;
        return Err(Fault::new(format!("the token is for the bucket {bucket}, and this device is in {own}")));
    }
    way.url.clone_into(&mut settings.app.url);
    (settings.app.up, settings.app.down) = (typed.up, typed.down);
    if let Some(label) = &typed.label {
        label.as_str().clone_into(&mut settings.app.label);
    }
    Ok(settings)
}

fn keep(at: &Path, settings: Settings<Own>) -> Result<(), Fault> {
    Home::put(at, settings).keep()
}

fn fresh_replica() -> Result<ReplicaId, Fault> {
    let env = SystemEnv::new().map_err(|error| fault(&error))?.env();
    Ok(ReplicaId::from_bytes(env.uuid7("a device's replica")))
}

/// What the system calls this machine, as far as a name may contain it.
fn system_label() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    let fits: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect();
    let label = Label::new(fits.get(..fits.len().min(syncline::limits::LABEL_BYTES_MAX)).unwrap_or_default());
    label.map_or_else(|_| "device".to_owned(), |label| label.as_str().to_owned())
}

/// Forgets what was agreed on.
///
/// # Errors
/// When a program keeps the folder, or nothing was synced yet.
pub(super) fn panic_resync(device: &Device) -> Result<Said, Fault> {
    let _lock = Lock::take(device.home.folder()).map_err(|error| fault(&error))?;
    device.journal()?.start_over().map_err(|error| fault(&error))?;
    let text = "Forgotten. The next sync unites folder and server; nothing is deleted on either side.";
    Ok(Said::new(json!({ "reply": "forgotten" }), text))
}

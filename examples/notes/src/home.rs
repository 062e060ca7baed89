//! A device's folder: what it is called, which notes it keeps, which server it syncs with, and where its replica is.
//!
//! What must hold: the settings hold a token, so nobody else may read them; a reader never sees half of them.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use syncline::access::Bearer;
use syncline::{BucketId, LogId, LogKey};

use crate::cli;
use crate::fault::Fault;

const SETTINGS: &str = "device.json";

/// A folder that is a device.
#[derive(Debug)]
pub(crate) struct Home {
    folder: PathBuf,
    /// What it was told.
    pub(crate) settings: Settings,
}

/// What a device was told, as it stands in `device.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// What the others see it called.
    pub(crate) name: String,
    /// The name of its notes.
    pub(crate) book: String,
    /// Whose notes: fixed when the device is made, because the history's running hash begins with it.
    pub(crate) bucket: BucketId,
    /// The server it syncs with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<Way>,
}

/// The way to a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Way {
    /// Its address.
    pub(crate) url: String,
    /// The bearer token.
    pub(crate) token: String,
}

impl Home {
    /// Makes a folder a device.
    ///
    /// # Errors
    /// When it is one, or cannot be written.
    pub(crate) fn init(folder: &Path, mut settings: Settings) -> Result<Self, Fault> {
        if folder.join(SETTINGS).exists() {
            return Err(Fault::new(format!("{} is a device already; `attach` changes its server", folder.display())));
        }
        if let Some(bucket) = settings.server.as_ref().and_then(Way::bucket) {
            settings.bucket = bucket;
        }
        fs::create_dir_all(folder).map_err(|error| Fault::file("cannot make the folder", folder, &error))?;
        let home = Self { folder: folder.to_owned(), settings };
        home.keep()?;
        Ok(home)
    }

    /// The device in a folder.
    ///
    /// # Errors
    /// When it is none, or its settings do not read.
    pub(crate) fn open(folder: &Path) -> Result<Self, Fault> {
        let file = folder.join(SETTINGS);
        let text = fs::read_to_string(&file).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Fault::new(format!("{} is no device yet; make it one with `init`", folder.display()))
            }
            _ => Fault::file("cannot read", &file, &error),
        })?;
        let settings = serde_json::from_str(&text)
            .map_err(|error| Fault::new(format!("{} does not read: {error}", file.display())))?;
        Ok(Self { folder: folder.to_owned(), settings })
    }

    /// Gives it another server, or none.
    ///
    /// # Errors
    /// When the token is for somebody else's notes, or the folder cannot be written.
    pub(crate) fn attach(&mut self, server: Option<Way>) -> Result<(), Fault> {
        let own = self.settings.bucket;
        let bucket = server.as_ref().and_then(Way::bucket).unwrap_or(own);
        if bucket != own {
            return Err(Fault::new(format!("the token is for the bucket {bucket}, and these notes are in {own}")));
        }
        self.settings.server = server;
        self.keep()
    }

    /// Where its replica is.
    pub(crate) fn replica(&self) -> PathBuf {
        self.folder.join("replica.db")
    }

    /// The log of its notes.
    pub(crate) fn log(&self) -> LogKey {
        LogKey { bucket: self.settings.bucket, log: LogId::named(&self.settings.book) }
    }

    /// The folder, for people.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn keep(&self) -> Result<(), Fault> {
        let (file, fresh) = (self.folder.join(SETTINGS), self.folder.join("device.json.new"));
        let write = || {
            let mut out = fs::File::options().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
            out.write_all(serde_json::to_string_pretty(&self.settings)?.as_bytes())?;
            out.sync_all()?;
            fs::rename(&fresh, &file)?;
            fs::File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error: std::io::Error| Fault::file("cannot write", &file, &error))
    }
}

impl Way {
    /// What was typed, as a way: none without an address.
    ///
    /// # Errors
    /// When there is an address and no token, or a token file does not read.
    pub(crate) fn typed(server: cli::Server) -> Result<Option<Self>, Fault> {
        let Some(url) = server.server else { return Ok(None) };
        let token = match (server.token, server.token_file) {
            (_, Some(path)) => {
                fs::read_to_string(&path).map_err(|error| Fault::file("cannot read the token from", &path, &error))?
            }
            (Some(token), None) => token,
            (None, None) => return Err(Fault::new("no token: set SYNCLINE_TOKEN, or give --token-file or --token")),
        };
        Ok(Some(Self { url: url.trim_end_matches('/').to_owned(), token: token.trim().to_owned() }))
    }

    /// The bucket that the token names; an operator's own names none.
    fn bucket(&self) -> Option<BucketId> {
        self.token.parse().ok().map(|bearer: Bearer| bearer.bucket())
    }
}

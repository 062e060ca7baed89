//! A device's folder: which list it keeps, which server it syncs with, and where its replica is.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use syncline::access::Bearer;
use syncline::seal::LogSecret;
use syncline::{BucketId, LogId, LogKey};

use crate::cli;
use crate::fault::Fault;
use crate::keys;

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
    /// The name of its list.
    pub(crate) list: String,
    /// Whose list: fixed when the device is made, because the history's running hash begins with it.
    pub(crate) bucket: BucketId,
    /// Whether it is sealed from end to end; then the key is beside this.
    #[serde(default)]
    pub(crate) sealed: bool,
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
    pub(crate) fn init(folder: &Path, mut settings: Settings, key: Option<&LogSecret>) -> Result<Self, Fault> {
        let file = folder.join(SETTINGS);
        if file.exists() {
            return Err(Fault::new(format!("{} is a device already; `attach` changes its server", folder.display())));
        }
        if let Some(bucket) = settings.server.as_ref().and_then(Way::bucket) {
            settings.bucket = bucket;
        }
        fs::create_dir_all(folder).map_err(|error| Fault::file("cannot make the folder", folder, &error))?;
        settings.sealed = key.is_some();
        let home = Self { folder: folder.to_owned(), settings };
        if let Some(key) = key {
            keys::keep(key, &home.key())?;
        }
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
    /// When the token is for somebody else's lists, or the folder cannot be written.
    pub(crate) fn attach(&mut self, server: Option<Way>) -> Result<(), Fault> {
        let bucket = server.as_ref().and_then(Way::bucket).unwrap_or(self.settings.bucket);
        if bucket != self.settings.bucket {
            let own = self.settings.bucket;
            return Err(Fault::new(format!(
                "the token is for the bucket {bucket}, and this device's tasks are in {own}"
            )));
        }
        self.settings.server = server;
        self.keep()
    }

    /// Where its replica is.
    pub(crate) fn replica(&self) -> PathBuf {
        self.folder.join("replica.db")
    }

    /// Where its key is, if its list is sealed.
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.join("key")
    }

    /// The log of its list.
    pub(crate) fn log(&self) -> LogKey {
        LogKey { bucket: self.settings.bucket, log: LogId::named(&self.settings.list) }
    }

    /// The folder, for people.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A token is in it, so nobody else may read it; a reader never sees half of it.
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

const SETTINGS: &str = "device.json";

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

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(server: Option<Way>) -> Settings {
        Settings { list: "home".into(), bucket: BucketId::DEFAULT, sealed: false, server }
    }

    #[test]
    fn a_device_is_made_once_and_remembers_what_it_was_told() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("laptop");
        assert!(Home::open(&at).unwrap_err().to_string().contains("no device yet"));
        let mut home = Home::init(&at, settings(None), None).unwrap();
        let way = Way { url: "http://127.0.0.1:1".into(), token: "secret".into() };
        home.attach(Some(way.clone())).unwrap();
        assert_eq!(Home::open(&at).unwrap().settings, settings(Some(way)));
        let mode = fs::metadata(at.join(SETTINGS)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(Home::init(&at, settings(None), None).unwrap_err().to_string().contains("already"));
    }

    #[test]
    fn settings_that_do_not_read_are_said_to() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(SETTINGS), "{\"list\": 1}").unwrap();
        assert!(Home::open(folder.path()).unwrap_err().to_string().contains("does not read"));
    }
}

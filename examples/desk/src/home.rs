//! A device's folder: which log it keeps, which server it syncs with, and where its replica is.
//!
//! What must hold: the settings hold a token, so nobody else may read them; a reader never sees half of them.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use syncline::{BucketId, LogId, LogKey};

use crate::{Fault, Way};

const SETTINGS: &str = "device.json";

/// A folder that is a device of an application; `A` is what only that application wants to know of it.
#[derive(Debug)]
pub struct Home<A> {
    folder: PathBuf,
    settings: Settings<A>,
}

/// What a device was told, as it stands in `device.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings<A> {
    /// The name of its log.
    pub log: String,
    /// Whose log: fixed when the device is made, because the history's running hash begins with it.
    pub bucket: BucketId,
    /// The application's own.
    pub app: A,
    /// The server it syncs with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Way>,
}

impl<A: Serialize + DeserializeOwned> Home<A> {
    /// Makes a folder ready to be a device; it is one once it is [kept](Self::keep). A token that names a bucket decides
    /// whose log it is.
    ///
    /// # Errors
    /// When it is a device already, or cannot be made.
    pub fn begin(folder: &Path, mut settings: Settings<A>) -> Result<Self, Fault> {
        if folder.join(SETTINGS).exists() {
            return Err(Fault::new(format!("{} is a device already; `attach` changes its server", folder.display())));
        }
        if let Some(bucket) = settings.server.as_ref().and_then(Way::bucket) {
            settings.bucket = bucket;
        }
        fs::create_dir_all(folder).map_err(|error| Fault::file("cannot make the folder", folder, &error))?;
        Ok(Self { folder: folder.to_owned(), settings })
    }

    /// A device with these settings in a folder that is there, whether it was one or not; it is one once it is
    /// [kept](Self::keep).
    pub fn put(folder: &Path, settings: Settings<A>) -> Self {
        Self { folder: folder.to_owned(), settings }
    }

    /// The device in a folder.
    ///
    /// # Errors
    /// When it is none, or its settings do not read.
    pub fn open(folder: &Path) -> Result<Self, Fault> {
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
    /// When the token is for somebody else's logs, or the folder cannot be written.
    pub fn attach(&mut self, server: Option<Way>) -> Result<(), Fault> {
        let own = self.settings.bucket;
        let bucket = server.as_ref().and_then(Way::bucket).unwrap_or(own);
        if bucket != own {
            return Err(Fault::new(format!("the token is for the bucket {bucket}, and this device is in {own}")));
        }
        self.settings.server = server;
        self.keep()
    }

    /// Writes its settings: the old ones or the new ones are there whenever the machine stops.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn keep(&self) -> Result<(), Fault> {
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

impl<A> Home<A> {
    /// What it was told.
    pub const fn settings(&self) -> &Settings<A> {
        &self.settings
    }

    /// Where its replica is.
    pub fn replica(&self) -> PathBuf {
        self.folder.join("replica.db")
    }

    /// Its log.
    pub fn log(&self) -> LogKey {
        LogKey { bucket: self.settings.bucket, log: LogId::named(&self.settings.log) }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(server: Option<Way>) -> Settings<u8> {
        Settings { log: "home".into(), bucket: BucketId::DEFAULT, app: 7, server }
    }

    #[test]
    fn a_device_is_made_once_and_remembers_what_it_was_told() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("laptop");
        assert!(Home::<u8>::open(&at).unwrap_err().to_string().contains("no device yet"));
        let mut home = Home::begin(&at, settings(None)).unwrap();
        home.keep().unwrap();
        let way = Way { url: "http://127.0.0.1:1".into(), token: "secret".into() };
        home.attach(Some(way.clone())).unwrap();
        assert_eq!(*Home::open(&at).unwrap().settings(), settings(Some(way)));
        let mode = fs::metadata(at.join(SETTINGS)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(Home::begin(&at, settings(None)).unwrap_err().to_string().contains("already"));
    }

    #[test]
    fn settings_that_do_not_read_are_said_to() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(SETTINGS), "{\"log\": 1}").unwrap();
        assert!(Home::<u8>::open(folder.path()).unwrap_err().to_string().contains("does not read"));
    }
}

//! Where a device's token is kept: in a variable for who runs it from elsewhere, in the system's keychain, or in a file.
//!
//! What must hold: a token that others on this machine could read is not used, so that somebody notices.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The variable that comes before everything else.
pub const VARIABLE: &str = "SYNCLINE_TOKEN";
/// Longer than any token.
const TOKEN_BYTES_MAX: u64 = 4_096;

/// A place for a token.
pub trait CredentialStore: std::fmt::Debug {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// The token, if there is one.
    ///
    /// # Errors
    /// Why it cannot be used.
    fn read(&self) -> Result<Option<String>, CredentialError>;

    /// Keeps a token. `false`: this place takes none.
    ///
    /// # Errors
    /// Why it cannot.
    fn keep(&self, token: &str) -> Result<bool, CredentialError>;
}

/// Why a token cannot be used or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// Others may read it.
    #[error("others on this machine may read {}; make it yours alone (chmod 600) or take the token back", .0.display())]
    Readable(PathBuf),
    /// Somebody else's file.
    #[error("{} belongs to somebody else", .0.display())]
    NotOurs(PathBuf),
    /// The file does not work.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The keychain does not work.
    #[error("the keychain: {0}")]
    Keychain(String),
}

/// The places in the order in which they are asked.
#[derive(Debug)]
pub struct Credentials {
    places: Vec<Box<dyn CredentialStore>>,
}

impl Credentials {
    /// Those of a device, by the folder of its settings.
    #[must_use]
    pub fn of(home: &Path) -> Self {
        let mut places: Vec<Box<dyn CredentialStore>> = vec![Box::new(Variable(std::env::var(VARIABLE).ok()))];
        #[cfg(feature = "keychain")]
        places.push(Box::new(keychain::Keychain::of(home)));
        places.push(Box::new(TokenFile { path: home.join("token") }));
        Self { places }
    }

    /// The token, and where it was.
    ///
    /// # Errors
    /// When a place has one that cannot be used: another one is not taken instead.
    pub fn read(&self) -> Result<Option<(String, &'static str)>, CredentialError> {
        for place in &self.places {
            if let Some(token) = place.read()? {
                return Ok(Some((token, place.name())));
            }
        }
        Ok(None)
    }

    /// Keeps a token in the first place that takes it; says where.
    ///
    /// # Errors
    /// When none does.
    pub fn keep(&self, token: &str) -> Result<&'static str, CredentialError> {
        for place in &self.places {
            if place.keep(token)? {
                return Ok(place.name());
            }
        }
        Err(CredentialError::Keychain("no place takes a token".into()))
    }
}

#[derive(Debug)]
struct Variable(Option<String>);

impl CredentialStore for Variable {
    fn name(&self) -> &'static str {
        VARIABLE
    }

    fn read(&self) -> Result<Option<String>, CredentialError> {
        Ok(self.0.as_deref().map(str::trim).filter(|token| !token.is_empty()).map(str::to_owned))
    }

    fn keep(&self, _: &str) -> Result<bool, CredentialError> {
        Ok(false)
    }
}

/// A file that nobody else may read.
#[derive(Debug)]
struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    fn fault(&self, error: io::Error) -> CredentialError {
        CredentialError::File { path: self.path.clone(), error }
    }
}

impl CredentialStore for TokenFile {
    fn name(&self) -> &'static str {
        "a file of its own"
    }

    fn read(&self) -> Result<Option<String>, CredentialError> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| self.fault(error))?,
        };
        let said = file.metadata().map_err(|error| self.fault(error))?;
        if said.uid() != rustix::process::geteuid().as_raw() {
            return Err(CredentialError::NotOurs(self.path.clone()));
        }
        if said.mode() & 0o077 != 0 {
            return Err(CredentialError::Readable(self.path.clone()));
        }
        let mut token = String::new();
        file.take(TOKEN_BYTES_MAX).read_to_string(&mut token).map_err(|error| self.fault(error))?;
        Ok(Some(token.trim().to_owned()))
    }

    fn keep(&self, token: &str) -> Result<bool, CredentialError> {
        let fresh = self.path.with_extension("new");
        let write = || {
            let mut file = File::options().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
            // One that was left there may have had other permissions.
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
            file.write_all(token.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &self.path)
        };
        write().map_err(|error| self.fault(error))?;
        Ok(true)
    }
}

#[cfg(feature = "keychain")]
mod keychain {
    use std::path::Path;

    use keyring::{Entry, Error};

    use super::{CredentialError, CredentialStore};

    /// The system's keychain. A system without one is passed over.
    #[derive(Debug)]
    pub(super) struct Keychain {
        device: String,
    }

    impl Keychain {
        pub(super) fn of(home: &Path) -> Self {
            Self { device: home.display().to_string() }
        }

        fn entry(&self) -> Option<Entry> {
            Entry::new("syncline-drive", &self.device).ok()
        }
    }

    fn is_absent(error: &Error) -> bool {
        matches!(error, Error::NoStorageAccess(_) | Error::PlatformFailure(_) | Error::NoDefaultStore)
    }

    impl CredentialStore for Keychain {
        fn name(&self) -> &'static str {
            "the system's keychain"
        }

        fn read(&self) -> Result<Option<String>, CredentialError> {
            let Some(entry) = self.entry() else { return Ok(None) };
            match entry.get_password() {
                Ok(token) => Ok(Some(token)),
                Err(Error::NoEntry) => Ok(None),
                Err(error) if is_absent(&error) => Ok(None),
                Err(error) => Err(CredentialError::Keychain(error.to_string())),
            }
        }

        fn keep(&self, token: &str) -> Result<bool, CredentialError> {
            let Some(entry) = self.entry() else { return Ok(false) };
            match entry.set_password(token) {
                Ok(()) => Ok(true),
                Err(error) if is_absent(&error) => Ok(false),
                Err(error) => Err(CredentialError::Keychain(error.to_string())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn places(variable: Option<&str>, home: &Path) -> Credentials {
        let file = TokenFile { path: home.join("token") };
        Credentials { places: vec![Box::new(Variable(variable.map(Into::into))), Box::new(file)] }
    }

    #[test]
    fn a_token_is_kept_where_nobody_else_reads_it_and_the_variable_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let own = places(None, dir.path());
        assert_eq!(own.read().unwrap(), None);
        assert_eq!(own.keep("first").unwrap(), "a file of its own");
        own.keep("second").unwrap();
        assert_eq!(own.read().unwrap(), Some(("second".into(), "a file of its own")));
        let mode = fs::metadata(dir.path().join("token")).unwrap().mode();
        assert_eq!((mode & 0o777, fs::read_dir(dir.path()).unwrap().count()), (0o600, 1));
        let told = places(Some(" third\n"), dir.path());
        assert_eq!(told.read().unwrap(), Some(("third".into(), VARIABLE)));
        assert_eq!(places(Some(" "), dir.path()).read().unwrap().unwrap().0, "second");
    }

    #[test]
    fn a_token_that_others_may_read_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let own = places(None, dir.path());
        own.keep("secret").unwrap();
        for mode in [0o640, 0o604, 0o620, 0o660, 0o666] {
            fs::set_permissions(dir.path().join("token"), fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(own.read(), Err(CredentialError::Readable(_))), "{mode:o}");
        }
        fs::set_permissions(dir.path().join("token"), fs::Permissions::from_mode(0o400)).unwrap();
        assert!(own.read().unwrap().is_some());
    }
}

//! The key of a list that is sealed from end to end. The server stores the list and cannot read it; every device needs the
//! same key, from a file that is carried to it or from a passphrase.
//!
//! What must hold: the key leaves the device's folder never, and nobody else on the machine may read it there.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use syncline::Env;
use syncline::client::SharedKeyring;
use syncline::seal::{KeyRecipe, LogSecret};
use syncline_desk::Fault;

use crate::cli;

/// The only key epoch that this program knows: a list is sealed with one key.
const EPOCH: u32 = 1;

/// A key that was typed in, and what the user has to take to the other devices.
#[derive(Debug)]
pub(crate) struct Typed {
    pub(crate) secret: LogSecret,
    pub(crate) told: Option<String>,
}

/// The key that a command line asks for: none, a file's, a new one in a file that is not there yet, or a passphrase's.
///
/// # Errors
/// When a file or a recipe does not read.
pub(crate) fn typed(key: cli::Key, env: Env) -> Result<Option<Typed>, Fault> {
    match (key.key_file, key.passphrase_file) {
        (Some(path), _) if path.exists() => Ok(Some(Typed { secret: read(&path)?, told: None })),
        (Some(path), _) => {
            let secret = LogSecret::from_bytes(env.bytes32("the list's key"));
            keep(&secret, &path)?;
            let told = format!("The new key is in {}; take it to your other devices, and keep a copy.", path.display());
            Ok(Some(Typed { secret, told: Some(told) }))
        }
        (None, Some(path)) => {
            let text = fs::read_to_string(&path)
                .map_err(|error| Fault::file("cannot read the passphrase from", &path, &error))?;
            let (recipe, told) = match key.recipe {
                Some(text) => (text.parse().map_err(|error| Fault::new(format!("the recipe: {error}")))?, None),
                None => {
                    let recipe = KeyRecipe::new(env.bytes16("the recipe's salt"));
                    let told = format!("Your other devices need the passphrase and this: --recipe '{recipe}'");
                    (recipe, Some(told))
                }
            };
            let secret = recipe.secret(text.trim()).map_err(|error| Fault::new(error.to_string()))?;
            Ok(Some(Typed { secret, told }))
        }
        (None, None) => Ok(None),
    }
}

/// The keyring of a device whose key is in a file.
///
/// # Errors
/// When it does not read.
pub(crate) fn keyring(path: &Path) -> Result<SharedKeyring, Fault> {
    SharedKeyring::with(EPOCH, &read(path)?).map_err(|error| Fault::new(error.to_string()))
}

/// Puts a key into a file that only its owner reads.
///
/// # Errors
/// When it cannot be written, or is there already.
pub(crate) fn keep(secret: &LogSecret, path: &Path) -> Result<(), Fault> {
    let mut text = String::with_capacity(65);
    for byte in secret.expose() {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    let write = || {
        let mut file = fs::File::options().create_new(true).write(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| Fault::file("cannot write the key to", path, &error))
}

fn read(path: &Path) -> Result<LogSecret, Fault> {
    let text = fs::read_to_string(path).map_err(|error| Fault::file("cannot read the key from", path, &error))?;
    let text = text.trim();
    let digits = (text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(text);
    let bytes = digits.and_then(|digits| {
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        Some(bytes)
    });
    let bytes = bytes.ok_or_else(|| Fault::new(format!("{} holds no key of 64 digits", path.display())))?;
    Ok(LogSecret::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use syncline::Timestamp;

    fn env() -> Env {
        Env { now: Timestamp::default(), entropy: [7; 32] }
    }

    #[test]
    fn a_key_is_made_once_and_read_again() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.key");
        let key = || cli::Key { key_file: Some(path.clone()), passphrase_file: None, recipe: None };
        let made = typed(key(), env()).unwrap().unwrap();
        assert!(made.told.unwrap().contains("list.key"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = typed(key(), env()).unwrap().unwrap();
        assert!(again.told.is_none() && again.secret == made.secret);
        fs::write(&path, "not a key").unwrap();
        assert!(typed(key(), env()).unwrap_err().to_string().contains("no key"));
    }

    #[test]
    fn a_passphrase_and_its_recipe_make_the_same_key_on_the_next_device() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("words");
        fs::write(&path, "correct horse battery staple\n").unwrap();
        let key = |recipe| cli::Key { key_file: None, passphrase_file: Some(path.clone()), recipe };
        let first = typed(key(None), env()).unwrap().unwrap();
        let told = first.told.unwrap();
        let recipe = told.split('\'').nth(1).unwrap().to_owned();
        let second = typed(key(Some(recipe)), Env { entropy: [8; 32], ..env() }).unwrap().unwrap();
        assert!(second.secret == first.secret && second.told.is_none());
        assert!(typed(key(Some("salt".into())), env()).unwrap_err().to_string().contains("recipe"));
    }
}

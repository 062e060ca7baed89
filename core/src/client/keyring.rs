//! The engine's own [`Sealer`]: a log's keys, shared by a replica and its application.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::sealer::{Sealer, Unopened, Unsealed};
use crate::id::LogKey;
use crate::oplog::{Draft, Op, Payload, Snapshot};
use crate::seal::{
    EnvelopeHead, KeyringError, LogKeyring, LogSecret, OpenError, SealContext, SealError, open, seal_under,
};
use crate::time::Env;

/// The keys of one log. Clones share them: the application keeps one and adds keys, the replica has the other
/// ([`ReplicaOptions::sealer`](super::ReplicaOptions::sealer)) and seals and opens with what is there. After adding a key,
/// tell the replica by [`Replica::keys_changed`](super::Replica::keys_changed). Prints epochs only.
///
/// ```
/// # use std::sync::Arc;
/// # use syncline::client::{ReplicaOptions, SharedKeyring};
/// # use syncline::seal::LogSecret;
/// # fn main() -> Result<(), syncline::seal::KeyringError> {
/// let keys = SharedKeyring::with(1, &LogSecret::from_bytes([7; 32]))?; // 32 bytes drawn at random
/// let mut options = ReplicaOptions::default();
/// options.sealer = Some(Arc::new(keys.clone()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct SharedKeyring {
    keys: Arc<RwLock<LogKeyring>>,
}

impl SharedKeyring {
    /// Shares a keyring.
    #[must_use]
    pub fn new(keys: LogKeyring) -> Self {
        Self { keys: Arc::new(RwLock::new(keys)) }
    }

    /// The key of one epoch; a log's first is 1. Its secret comes from 32 random bytes ([`LogSecret::from_bytes`]) or from
    /// a passphrase ([`KeyRecipe::secret`](crate::seal::KeyRecipe::secret)).
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn with(epoch: u32, secret: &LogSecret) -> Result<Self, KeyringError> {
        LogKeyring::with(epoch, secret).map(Self::new)
    }

    /// Adds the key of an epoch; the same key twice is one.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn add(&self, epoch: u32, secret: &LogSecret) -> Result<(), KeyringError> {
        self.write().add(epoch, secret)
    }

    /// Puts another key in the place of a wrong one.
    ///
    /// # Errors
    /// [`KeyringError`]; then the old one is still there.
    pub fn replace(&self, epoch: u32, secret: &LogSecret) -> Result<(), KeyringError> {
        let new = LogKeyring::with(epoch, secret)?;
        let mut keys = self.write();
        keys.forget(epoch);
        keys.join(new);
        Ok(())
    }

    /// Takes a key off and wipes it. Whether it was there.
    pub fn forget(&self, epoch: u32) -> bool {
        self.write().forget(epoch)
    }

    /// The epochs there are keys of, ascending.
    #[must_use]
    pub fn epochs(&self) -> Vec<u32> {
        self.read().epochs().collect()
    }

    /// A panic while the lock was held leaves a keyring that is whole.
    fn read(&self) -> RwLockReadGuard<'_, LogKeyring> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, LogKeyring> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, context: &SealContext, payload: &Payload) -> Result<Payload, Unopened> {
        open(&self.read(), context, payload).map_err(|why| match (why, EnvelopeHead::read(payload.bytes())) {
            (OpenError::UnknownEpoch(epoch), _) => Unopened::KeyNeeded { epoch },
            (OpenError::WrongKey, Some(head)) => Unopened::WrongKey { epoch: head.epoch },
            // What has our mark and is cut short was not sealed so.
            (OpenError::Tampered | OpenError::Malformed, Some(_)) => Unopened::Tampered,
            _ => Unopened::Unknown,
        })
    }

    fn sealed(&self, context: &SealContext, plain: &Payload, epoch: u32, env: &Env) -> Result<Payload, Unsealed> {
        seal_under(&self.read(), epoch, context, plain, env).map_err(|why| match why {
            SealError::NoKey | SealError::UnknownEpoch(_) => Unsealed::KeyNeeded { epoch },
            other => Unsealed::Refused(other.to_string()),
        })
    }
}

impl Sealer for SharedKeyring {
    fn newest(&self) -> Option<u32> {
        self.read().newest()
    }

    fn has(&self, epoch: u32) -> bool {
        self.read().epochs().any(|known| known == epoch)
    }

    fn seal(&self, log: LogKey, draft: &Draft, epoch: u32, env: &Env) -> Result<Payload, Unsealed> {
        self.sealed(&SealContext::of_draft(log, draft), &draft.payload, epoch, env)
    }

    fn open(&self, log: LogKey, op: &Op) -> Result<Payload, Unopened> {
        self.opened(&SealContext::of_op(log, op), op.payload())
    }

    fn seal_snapshot(&self, log: LogKey, snapshot: &Snapshot, epoch: u32, env: &Env) -> Result<Payload, Unsealed> {
        self.sealed(&SealContext::of_kept(log, snapshot), &snapshot.payload, epoch, env)
    }

    fn open_snapshot(&self, log: LogKey, snapshot: &Snapshot) -> Result<Payload, Unopened> {
        self.opened(&SealContext::of_kept(log, snapshot), &snapshot.payload)
    }
}

//! A bounded set of connections, with a typed "busy".
//!
//! What must hold: a connection comes back only from a caller that finished with it; one dropped on the way (an error,
//! a cancelled call) is closed, and the server undoes what it had begun. So no state ever leaks into the next call.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};
use syncline::store::{StoreError, StoreErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::PostgresOptions;
use crate::error::{Failure, Phase, classify, new};

#[derive(Debug)]
pub(crate) struct Pool {
    connect: PgConnectOptions,
    wait: Duration,
    prepared: bool,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<VecDeque<PgConnection>>>,
    statements: Arc<AtomicU64>,
}

/// A connection on loan. [`Lease::give_back`] returns it; dropping it closes it.
#[derive(Debug)]
pub(crate) struct Lease {
    connection: PgConnection,
    idle: Arc<Mutex<VecDeque<PgConnection>>>,
    statements: Arc<AtomicU64>,
    prepared: bool,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(crate) fn new(options: &PostgresOptions) -> Result<Self, StoreError> {
        Ok(Self {
            connect: options.connect_options()?,
            wait: options.wait,
            prepared: options.statement_cache,
            permits: Arc::new(Semaphore::new(options.connections.max(1))),
            idle: Arc::default(),
            statements: Arc::default(),
        })
    }

    /// Round trips so far.
    pub(crate) fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    pub(crate) async fn take(&self, operation: &'static str) -> Result<Lease, Failure> {
        let permit = timeout(self.wait, Arc::clone(&self.permits).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            let error: StoreError = new(StoreErrorKind::Busy, operation).because("every connection is in use");
            return Err(error.into());
        };
        // The one used last is the one most likely to be alive.
        let idle = lock(&self.idle).pop_back();
        let connection = match idle {
            Some(connection) => connection,
            None => self.open(operation).await?,
        };
        Ok(Lease {
            connection,
            idle: Arc::clone(&self.idle),
            statements: Arc::clone(&self.statements),
            prepared: self.prepared,
            _permit: permit,
        })
    }

    /// Forgets the connections that wait: where one was found dead, the others are likely to be.
    pub(crate) fn forget_idle(&self) {
        lock(&self.idle).clear();
    }

    async fn open(&self, operation: &'static str) -> Result<PgConnection, Failure> {
        match timeout(self.wait, self.connect.connect()).await {
            Ok(Ok(connection)) => Ok(connection),
            // Asking at once again would meet the same closed door.
            Ok(Err(error)) => Err(Failure::Fatal(classify(operation, Phase::Work, error).into_error())),
            Err(_) => Err(new(StoreErrorKind::Unavailable, operation).because("no connection in time").into()),
        }
    }
}

impl Lease {
    pub(crate) fn give_back(self) {
        lock(&self.idle).push_back(self.connection);
    }

    /// Whether statements may be kept prepared. A name given on one backend would collide on the next.
    pub(crate) const fn prepared(&self) -> bool {
        self.prepared
    }

    /// The connection for one more round trip.
    pub(crate) fn counted(&mut self) -> &mut PgConnection {
        self.statements.fetch_add(1, Ordering::Relaxed);
        &mut self.connection
    }
}

/// The list is whole after every step, so a panic elsewhere says nothing about it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! SuperSync: the wire protocol of Super Productivity's own client, so that it syncs against this engine unchanged.
//!
//! One account is one log; each of its ops carries their JSON as it was accepted, so that a download gives it back
//! field for field. What must always hold: bodies, status codes and error codes are theirs, never problem documents;
//! an op that cannot be taken is a rejection of that op and not of its batch; an unset field is absent, never null.
//!
//! Next: [`Settings`] says what an operator can choose, the accounts who asks, the sync routes carry the ops.

mod accounts;
mod answer;
mod body;
mod build;
mod commuting;
mod devices;
mod download;
mod edge;
mod limits;
mod log;
mod memory;
mod names;
mod notify;
mod op;
mod presence;
mod query;
mod quota;
mod replay;
mod retention;
mod routes;
mod settings;
mod snapshot;
mod sockets;
mod status;
mod tether;
mod upload;
mod validate;
mod verdict;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use syncline::id::BucketId;
use syncline::oplog::{Change, ConflictPolicy, Counters, ReduceError, Reducer, Rules, Schema};
use syncline::server::Server;
use syncline::store::{Fanout, Store};

pub use accounts::{Letter, LogMailer, MailError, Mailer, PasswordCost, SmtpMailer};
pub use settings::{Settings, SettingsError};

use crate::server::Authenticator;
use accounts::Accounts;
use answer::Refused;
use limits::Limits;
use memory::Memory;
use notify::Notifier;

/// The dialect over a store: its own rules, one bucket. Clones are the same one.
#[derive(Debug, Clone)]
pub struct SuperProductivity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    server: Server,
    bucket: BucketId,
    settings: Settings,
    accounts: Accounts,
    limits: Limits,
    memory: Memory,
    notifier: Arc<Notifier>,
}

impl SuperProductivity {
    /// Serves accounts whose logs live in `bucket` of this store.
    ///
    /// # Errors
    /// When a setting cannot be: a secret below 32 characters, for one.
    pub fn new(
        store: Arc<dyn Store>,
        fanout: Arc<dyn Fanout>,
        bucket: BucketId,
        settings: Settings,
    ) -> Result<Self, SettingsError> {
        // Their clients skip counters, and every collection of theirs follows one rule. What their operations add up to
        // is this dialect's to say, not the engine's.
        let rules = Rules { policy: ConflictPolicy::Causal, reducer: Arc::new(Theirs) };
        let schema = Schema::new(rules).counters_held(Counters::Open);
        let server = Server::new(store, Arc::clone(&fanout), schema);
        let accounts = Accounts::new(server.clone(), bucket, &settings)?;
        let limits = Limits::new(!settings.test_routes, settings.trusted_proxies);
        let (memory, notifier) = (Memory::new(), Arc::new(Notifier::new(fanout)));
        Ok(Self(Arc::new(Inner { server, bucket, settings, accounts, limits, memory, notifier })))
    }

    /// Its routes, for whoever serves them alone or beside others.
    pub fn router(&self) -> Router {
        let mut router = Router::new().merge(accounts::router()).merge(routes::router());
        if self.settings().test_routes {
            router = router.merge(accounts::test_routes::router());
        }
        router
            .merge(routes::nowhere())
            .method_not_allowed_fallback(routes::not_found)
            .layer(from_fn(tether::run_to_end))
            .layer(from_fn_with_state(self.clone(), limits::guard))
            .layer(from_fn_with_state(self.clone(), edge::guard))
            .with_state(self.clone())
    }

    /// Routes to make, list and delete accounts, for whom the authenticator knows as this bucket's operator.
    pub fn operator_router(&self, authenticator: Arc<dyn Authenticator>) -> Router {
        accounts::admin::router(self, authenticator).with_state(self.clone())
    }

    /// The engine with the dialect's rules.
    pub(crate) fn server(&self) -> &Server {
        &self.0.server
    }

    /// Where its accounts and their logs live.
    pub(crate) fn bucket(&self) -> BucketId {
        self.0.bucket
    }

    /// Who asks.
    pub(crate) fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    /// How often who may ask.
    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// What the operator chose.
    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// What this process remembers.
    fn memory(&self) -> &Memory {
        &self.0.memory
    }

    /// Who listens.
    fn notify(&self) -> &Arc<Notifier> {
        &self.0.notifier
    }

    /// Counts an upload of an account, or refuses it.
    fn admit_upload(&self, account: &accounts::Account) -> Result<(), Refused> {
        if self.limits().may_upload(account.id, crate::server::env::now()) {
            return Ok(());
        }
        let body = serde_json::json!({ "error": "Rate limited", "errorCode": "RATE_LIMITED" });
        Err(Refused::new(axum::http::StatusCode::TOO_MANY_REQUESTS, body))
    }
}

/// How the engine replays their operations: not at all.
#[derive(Debug)]
struct Theirs;

impl Reducer for Theirs {
    fn reduce(&self, _: &mut Option<Vec<u8>>, _: &Change<'_>) -> Result<(), ReduceError> {
        Err(ReduceError::Unfit("of a dialect that the engine replays"))
    }
}

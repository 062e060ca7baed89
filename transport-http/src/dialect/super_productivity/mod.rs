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
mod edge;
mod limits;
mod settings;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use syncline::id::BucketId;
use syncline::oplog::{ConflictPolicy, Counters, Rules, Schema};
use syncline::server::Server;
use syncline::store::{Fanout, Store};

pub use accounts::{Letter, LogMailer, MailError, Mailer, PasswordCost, SmtpMailer};
pub use settings::{Settings, SettingsError};

use crate::server::Authenticator;
use accounts::Accounts;
use limits::Limits;

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
        // Their clients skip counters, and every collection of theirs follows one rule.
        let schema = Schema::new(Rules::of(ConflictPolicy::Causal)).counters_held(Counters::Open);
        let server = Server::new(store, fanout, schema);
        let accounts = Accounts::new(server.clone(), bucket, &settings)?;
        let limits = Limits::new(!settings.test_routes, settings.trusted_proxies);
        Ok(Self(Arc::new(Inner { server, bucket, settings, accounts, limits })))
    }

    /// Its routes, for whoever serves them alone or beside others.
    pub fn router(&self) -> Router {
        let mut router = Router::new().merge(accounts::router());
        if self.settings().test_routes {
            router = router.merge(accounts::test_routes::router());
        }
        router
            .layer(from_fn_with_state(self.clone(), limits::guard))
            .layer(from_fn_with_state(self.clone(), edge::guard))
            .with_state(self.clone())
    }

    /// Routes to make, list and delete accounts, for whom the authenticator knows as this bucket's operator.
    pub fn operator_router(&self, authenticator: Arc<dyn Authenticator>) -> Router {
        accounts::admin::router(self, authenticator).with_state(self.clone())
    }

    /// The engine with the dialect's rules.
    #[allow(dead_code, reason = "the routes come with the next commits")]
    pub(crate) fn server(&self) -> &Server {
        &self.0.server
    }

    /// Where its accounts and their logs live.
    #[allow(dead_code, reason = "the routes come with the next commits")]
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
    #[allow(dead_code, reason = "the routes come with the next commits")]
    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }
}

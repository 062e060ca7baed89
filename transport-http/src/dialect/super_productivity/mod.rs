//! SuperSync: the wire protocol of Super Productivity's own client, so that it syncs against this engine unchanged.
//!
//! One account is one log; each of its ops carries their JSON as it was accepted, so that a download gives it back
//! field for field. What must always hold: bodies, status codes and error codes are theirs, never problem documents;
//! an op that cannot be taken is a rejection of that op and not of its batch; an unset field is absent, never null.
//!
//! Next: [`Settings`] says what an operator can choose, the accounts who asks, the sync routes carry the ops.

mod settings;

use std::sync::Arc;

use axum::Router;
use syncline::id::BucketId;
use syncline::oplog::{ConflictPolicy, Counters, Rules, Schema};
use syncline::server::Server;
use syncline::store::{Fanout, Store};

pub use settings::Settings;

/// The dialect over a store: its own rules, one bucket. Clones are the same one.
#[derive(Debug, Clone)]
pub struct SuperProductivity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    server: Server,
    bucket: BucketId,
    settings: Settings,
}

impl SuperProductivity {
    /// Serves accounts whose logs live in `bucket` of this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, fanout: Arc<dyn Fanout>, bucket: BucketId, settings: Settings) -> Self {
        // Their clients skip counters, and every collection of theirs follows one rule.
        let schema = Schema::new(Rules::of(ConflictPolicy::Causal)).counters_held(Counters::Open);
        Self(Arc::new(Inner { server: Server::new(store, fanout, schema), bucket, settings }))
    }

    /// Its routes, for whoever serves them alone or beside others.
    pub fn router(&self) -> Router {
        Router::new().with_state(self.clone())
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

    /// What the operator chose.
    #[allow(dead_code, reason = "the routes come with the next commits")]
    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }
}

//! Keeping folder and server alike from now on: when to sync next.
//!
//! A sync is due when something in the folder has become quiet, when the server wakes us, after a while in any case, and after
//! a failure, later with each. What must hold: nothing that was heard or told is waited for; whoever hears nothing at all is
//! behind for no longer than a quarter more than [`Follow::poll_ms`](Follow::with_poll_ms).

use std::sync::Arc;

use syncline::client::backoff_ms;
use syncline::limits::CLIENT_POLL_MS;
use syncline::store::SignalSource;
use syncline::time::EnvSource;

use crate::ear::Ear;
use crate::engine::{EngineError, Synced};
use crate::mounts::Mounts;
use crate::watch::Watch;

/// When a file that was being written while it was read is looked at again.
const BUSY_MS: u64 = 1_000;

/// A device that follows its server.
pub struct Follow {
    mounts: Mounts,
    env: Arc<dyn EnvSource>,
    poll_ms: u64,
    confirm: bool,
    begun: bool,
    wakes: Option<Box<dyn SignalSource>>,
    failures: u32,
    poll_at_ms: u64,
}

impl std::fmt::Debug for Follow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follow")
            .field("mounts", &self.mounts)
            .field("poll_at_ms", &self.poll_at_ms)
            .finish_non_exhaustive()
    }
}

impl Follow {
    /// Has a device follow the server's trees, hearing of its folder through a watch where there is one. `confirmed`: what
    /// looks like an accident is meant, at the first sync that comes so far.
    #[must_use]
    pub fn new(mounts: impl Into<Mounts>, watch: Option<Watch>, env: Arc<dyn EnvSource>, confirmed: bool) -> Self {
        let mut mounts = mounts.into();
        mounts.listen(Ear::new(watch));
        Self {
            mounts,
            env,
            poll_ms: CLIENT_POLL_MS,
            confirm: confirmed,
            begun: false,
            wakes: None,
            failures: 0,
            poll_at_ms: 0,
        }
    }

    /// How long to go without a look when nothing is heard, in ms, on average; [`CLIENT_POLL_MS`] if nobody says.
    #[must_use]
    pub const fn with_poll_ms(mut self, poll_ms: u64) -> Self {
        self.poll_ms = poll_ms;
        self
    }

    /// The device.
    #[must_use]
    pub const fn mounts(&self) -> &Mounts {
        &self.mounts
    }

    /// Waits until the next sync is due. Nothing is lost when it is dropped.
    pub async fn wait(&mut self) {
        let asked = self.mounts.asked();
        let Some(ear) = self.mounts.ear() else { return };
        // What is due since before a failure is no reason to fail again at once.
        let from_ms = if self.failures > 0 { self.poll_at_ms } else { 0 };
        tokio::select! {
            biased;
            () = woken(&mut self.wakes) => {}
            () = asked, if self.failures == 0 => {}
            () = ear.wait(from_ms, self.poll_at_ms) => {}
        }
    }

    /// Syncs, and works out when to do that again.
    ///
    /// # Errors
    /// Why it stopped. The next one goes on.
    pub async fn sync(&mut self) -> Result<Synced, EngineError> {
        let synced = self.try_sync().await;
        let after_ms = match &synced {
            Ok(synced) => {
                self.failures = 0;
                if self.wakes.is_none() || self.mounts.is_changed() {
                    self.wakes = self.mounts.wakes().await;
                }
                if synced.busy > 0 || self.mounts.is_unsettled() { BUSY_MS } else { self.spread(self.poll_ms) }
            }
            Err(_) => {
                self.wakes = None;
                let after_ms = backoff_ms(self.failures, None, &self.env.env()).max(BUSY_MS);
                self.failures = self.failures.saturating_add(1);
                after_ms
            }
        };
        let now_ms = self.mounts.ear().map_or(0, |ear| ear.now_ms());
        self.poll_at_ms = now_ms.saturating_add(after_ms);
        synced
    }

    async fn try_sync(&mut self) -> Result<Synced, EngineError> {
        if !self.begun {
            self.mounts.begin().await?;
            self.begun = true;
        }
        self.mounts.sync(std::mem::take(&mut self.confirm)).await
    }

    /// A quarter less to a quarter more, so that not all devices ask at once.
    fn spread(&self, ms: u64) -> u64 {
        let [a, b, c, d, ..] = self.env.env().bytes16("the next poll");
        ms - ms / 4 + u64::from(u32::from_be_bytes([a, b, c, d])) % (ms / 2 + 1)
    }
}

async fn woken(wakes: &mut Option<Box<dyn SignalSource>>) {
    let Some(source) = wakes else { return std::future::pending().await };
    if source.next().await.is_none() {
        // It is asked for again with the next sync.
        *wakes = None;
    }
}

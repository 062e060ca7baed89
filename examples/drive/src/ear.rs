//! What is heard of the folder, when to look because of it, and who is left alone then.
//!
//! A [`Watch`] hears, core's [`Debounce`] says what follows from it, and this is the clock between them. What must hold: whoever
//! has an ear knows at each look everything that was heard before it.

use std::time::Duration;

use syncline::EntityId;
use syncline::files::{Base, Debounce, Local, Scan};
use tokio::time::Instant;

use crate::watch::{Noise, Watch};

/// Listens to a folder.
#[derive(Debug)]
pub struct Ear {
    /// `None`: the system does not tell; then it is looked at now and then.
    watch: Option<Watch>,
    debounce: Debounce,
    since: Instant,
    /// When the last look began.
    look_ms: u64,
}

impl Ear {
    /// Listens through a watch, if there is one. The first look is due at once.
    #[must_use]
    pub fn new(watch: Option<Watch>) -> Self {
        Self { watch, debounce: Debounce::new(0), since: Instant::now(), look_ms: 0 }
    }

    /// How long it has listened, in ms.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits until a look is due, from `from_ms` to `at_ms`; goes on where it was when it is asked again.
    pub async fn wait(&mut self, from_ms: u64, at_ms: u64) {
        loop {
            let due = self.debounce.next_ms().max(from_ms).min(at_ms);
            // Where it is never quiet, too.
            if self.now_ms() >= due {
                return;
            }
            let noise = async {
                match &mut self.watch {
                    Some(watch) => watch.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                noise = noise => self.hear(noise),
                () = tokio::time::sleep_until(self.since + Duration::from_millis(due)) => return,
            }
        }
    }

    fn hear(&mut self, noise: Option<Noise>) {
        match noise {
            Some(noise) => self.debounce.hear(&noise.heard(), self.now_ms()),
            None => self.watch = None,
        }
    }

    /// A look at the folder begins. `random` spreads the next full one.
    pub(crate) fn look(&mut self, random: u64) {
        while let Some(noise) = self.watch.as_mut().and_then(Watch::heard) {
            self.hear(Some(noise));
        }
        self.look_ms = self.now_ms();
        self.debounce.looked(self.look_ms, random);
    }

    /// The nodes of which what the last look found does not count yet.
    pub(crate) fn unsettled(&self, scan: &Scan, local: &Local, base: &Base) -> std::collections::HashSet<EntityId> {
        self.debounce.unsettled(scan, local, base, self.look_ms)
    }

    /// The server was told of a path.
    pub(crate) fn told(&mut self, path: &str) {
        let now_ms = self.now_ms();
        self.debounce.told(path, now_ms);
    }
}

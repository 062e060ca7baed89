//! Syncing in the background: the one task that drives a conversation, with a timer and wakes.
//!
//! What must hold: it is never cut off while it changes the local store, or the replica would go on with a memory that is
//! older than its store, and tell nobody what became of writes. Only waiting and calls are left in the middle.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use syncline::LogKey;
use syncline::call::{Call, Reply};
use syncline::client::{CallError, Input, Replica, Transport};
use syncline::store::{Signal, SignalSource};
use syncline::time::{EnvSource, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a broken wake socket is left alone before it is tried again; asking goes on meanwhile.
const LISTEN_AGAIN: Duration = Duration::from_secs(10);
/// How long a failure of the local store is left alone.
const STORE_AGAIN: Duration = Duration::from_secs(5);

/// A replica that is kept in step while this lives. Dropping it ends that, once what is under way in the local store is
/// done; [`Background::stop`] waits for it.
#[derive(Debug)]
pub struct Background {
    network: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Background {
    /// Keeps `replica` in step with the server behind `transport` until it is dropped: uploads what is written, listens
    /// for news, asks from time to time where it cannot listen, and backs off when the server is away. How it stands is
    /// in [`Replica::status`]. Runs on the tokio runtime it is called in.
    #[must_use]
    pub fn start(replica: Replica, transport: Arc<dyn Transport>, env: Arc<dyn EnvSource>) -> Self {
        let (network, online) = watch::channel(true);
        let task = tokio::spawn(run(replica, transport, env, online));
        Self { network, task }
    }

    /// Ends it, and comes back when nothing of it holds the replica's store any more. A call under way is given up, and
    /// asked again the next time.
    pub async fn stop(self) {
        drop(self.network);
        // It ends by itself, or has failed and is over all the same.
        let _ = self.task.await;
    }

    /// Says whether there is a network. Coming back ends every backoff and every halt at once.
    pub fn set_online(&self, online: bool) {
        // Nobody listening means that the task is gone, and with it the network's use.
        let _ = self.network.send(online);
    }
}

/// The way to a server for as long as anybody wants to sync: then calls end, and what was done with answers does not.
#[derive(Debug)]
struct Leash {
    way: Arc<dyn Transport>,
    online: watch::Receiver<bool>,
}

#[async_trait]
impl Transport for Leash {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        tokio::select! {
            biased;
            () = over(self.online.clone()) => Err(CallError::Interrupted("syncing was stopped".into())),
            answer = self.way.call(call) => answer,
        }
    }

    async fn wakes(&self, log: LogKey) -> Result<Option<Box<dyn SignalSource>>, CallError> {
        tokio::select! {
            biased;
            () = over(self.online.clone()) => Ok(None),
            wakes = self.way.wakes(log) => wakes,
        }
    }
}

/// Waits until nobody wants to sync any more.
async fn over(mut online: watch::Receiver<bool>) {
    while online.changed().await.is_ok() {}
}

async fn run(
    replica: Replica,
    transport: Arc<dyn Transport>,
    env: Arc<dyn EnvSource>,
    mut online: watch::Receiver<bool>,
) {
    let leash = Leash { way: transport, online: online.clone() };
    while online.has_changed().is_ok() {
        // Only the local store can end a conversation; then it begins again from what is stored.
        let _ = converse(&replica, &leash, &env, &mut online).await;
        tokio::select! {
            () = over(online.clone()) => break,
            () = tokio::time::sleep(STORE_AGAIN) => {}
        }
    }
    replica.left_alone();
}

async fn converse(
    replica: &Replica,
    transport: &Leash,
    env: &Arc<dyn EnvSource>,
    online: &mut watch::Receiver<bool>,
) -> Result<(), syncline::client::ReplicaError> {
    let mut session = replica.session().await?;
    // Edits are counted on only where one is handed in: whatever else happens at the same moment must not hide it.
    let mut edits = replica.edits();
    session.handle(Input::Online, env.env());
    let mut wakes: Option<Box<dyn SignalSource>> = None;
    let mut listen_at = tokio::time::Instant::now();
    loop {
        let until = replica.advance(&mut session, transport).await?;
        if wakes.is_none() && tokio::time::Instant::now() >= listen_at {
            wakes = transport.wakes(replica.log()).await.ok().flatten();
            listen_at = tokio::time::Instant::now() + LISTEN_AGAIN;
        }
        let input = tokio::select! {
            () = replica.edited_since(edits) => {
                edits = replica.edits();
                Input::Edited
            }
            signal = next(&mut wakes) => match signal {
                Some(Signal::Wake { seq, .. }) => Input::Wake(seq),
                Some(_) => continue,
                None => {
                    // What was said while nobody listened is not repeated, so ask.
                    wakes = None;
                    Input::Tick
                }
            },
            changed = online.changed() => match (changed, *online.borrow_and_update()) {
                (Err(_), _) => return Ok(()),
                (Ok(()), true) => Input::Online,
                (Ok(()), false) => Input::Offline,
            },
            () = sleep_until(until, env.env().now) => Input::Tick,
        };
        session.handle(input, env.env());
    }
}

async fn next(wakes: &mut Option<Box<dyn SignalSource>>) -> Option<Signal> {
    match wakes {
        Some(wakes) => wakes.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(until: Option<Timestamp>, now: Timestamp) {
    match until {
        Some(until) => tokio::time::sleep(wait(until, now)).await,
        None => std::future::pending().await,
    }
}

/// How long to wait. A clock that was set back makes no wait longer than a poll: the conversation knows then whether its time
/// has come. Found by the simulator.
fn wait(until: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(until.ms().saturating_sub(now.ms()).min(syncline::limits::CLIENT_POLL_MS))
}

#[cfg(test)]
mod tests {
    use syncline::access::Caller;
    use syncline::client::{ReplicaOptions, Tier};
    use syncline::oplog::Schema;
    use syncline::server::Server;
    use syncline::store::{MemoryFanout, MemoryStore};
    use syncline::{BucketId, LogId, Seq};

    use super::*;
    use crate::client::SystemEnv;

    const LOG: LogKey = LogKey { bucket: BucketId::from_bytes([1; 16]), log: LogId::from_bytes([2; 16]) };

    /// A server in this process that wakes its listeners all the time.
    #[derive(Debug)]
    struct Restless(Server, Arc<SystemEnv>);

    #[derive(Debug)]
    struct Always;

    #[async_trait]
    impl Transport for Restless {
        async fn call(&self, call: Call) -> Result<Reply, CallError> {
            Ok(self.0.handle(&Caller::operator(LOG.bucket), call, self.1.env()).await?)
        }

        async fn wakes(&self, _: LogKey) -> Result<Option<Box<dyn SignalSource>>, CallError> {
            Ok(Some(Box::new(Always)))
        }
    }

    #[async_trait]
    impl SignalSource for Always {
        async fn next(&mut self) -> Option<Signal> {
            tokio::task::yield_now().await;
            Some(Signal::Wake { log: LOG, seq: Seq::ZERO })
        }
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_waiting_for_longer_than_a_poll() {
        let at = |ms| Timestamp::from_ms(ms).unwrap();
        let year = 365 * 24 * 3_600_000;
        for (until, now, waits) in
            [(5_000, 2_000, 3_000), (5_000, 5_000, 0), (5_000, 9_000, 0), (2 * year, year, 30_000)]
        {
            assert_eq!(wait(at(until), at(now)), Duration::from_millis(waits));
        }
    }

    #[tokio::test]
    async fn an_edit_is_sent_at_once_whatever_else_happens_at_the_same_moment() {
        // Less than the time after which a client asks by itself, and far more than any of it takes.
        let patience = Duration::from_millis(syncline::limits::CLIENT_POLL_MS / 2);
        let env = Arc::new(SystemEnv::new().unwrap());
        let server = Server::new(Arc::new(MemoryStore::new()), Arc::new(MemoryFanout::new()), Schema::default());
        let way = Arc::new(Restless(server, Arc::clone(&env)));
        let local = Arc::new(MemoryStore::new());
        let replica = Replica::open(local, LOG, env.clone(), ReplicaOptions::default()).await.unwrap();
        let sync = Background::start(replica.clone(), way, env);
        let map = replica.collection("tasks").unwrap().named("1");
        for number in 0..50 {
            let receipt = map.set("n", &number).await.unwrap();
            let reached = tokio::time::timeout(patience, receipt.reached(Tier::Server)).await;
            reached.unwrap_or_else(|_| panic!("edit {number} was not sent: {:?}", replica.status())).unwrap();
        }
        sync.stop().await;
    }
}

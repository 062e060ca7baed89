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
    session.handle(Input::Online, env.env());
    let mut wakes: Option<Box<dyn SignalSource>> = None;
    let mut listen_at = tokio::time::Instant::now();
    loop {
        let edits = replica.edits();
        let until = replica.advance(&mut session, transport).await?;
        if wakes.is_none() && tokio::time::Instant::now() >= listen_at {
            wakes = transport.wakes(replica.log()).await.ok().flatten();
            listen_at = tokio::time::Instant::now() + LISTEN_AGAIN;
        }
        let input = tokio::select! {
            () = replica.edited_since(edits) => Input::Edited,
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
        Some(until) => tokio::time::sleep(Duration::from_millis(until.ms().saturating_sub(now.ms()))).await,
        None => std::future::pending().await,
    }
}

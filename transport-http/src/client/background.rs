//! Syncing in the background: the one task that drives a conversation, with a timer and wakes.

use std::sync::Arc;
use std::time::Duration;

use syncline::client::{Input, Replica, Transport};
use syncline::store::{Signal, SignalSource};
use syncline::time::{EnvSource, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a broken wake socket is left alone before it is tried again; asking goes on meanwhile.
const LISTEN_AGAIN: Duration = Duration::from_secs(10);
/// How long a failure of the local store is left alone.
const STORE_AGAIN: Duration = Duration::from_secs(5);

/// A replica that is kept in step while this lives.
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

    /// Ends it, and comes back when nothing of it holds the replica's store any more. What was under way is asked for again
    /// the next time.
    pub async fn stop(mut self) {
        self.task.abort();
        // That it was cut off is what was asked for.
        let _ = (&mut self.task).await;
    }

    /// Says whether there is a network. Coming back ends every backoff and every halt at once.
    pub fn set_online(&self, online: bool) {
        // Nobody listening means that the task is gone, and with it the network's use.
        let _ = self.network.send(online);
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    replica: Replica,
    transport: Arc<dyn Transport>,
    env: Arc<dyn EnvSource>,
    mut online: watch::Receiver<bool>,
) {
    loop {
        // Only the local store can end a conversation; then it begins again from what is stored.
        let _ = converse(&replica, &transport, &env, &mut online).await;
        tokio::time::sleep(STORE_AGAIN).await;
    }
}

async fn converse(
    replica: &Replica,
    transport: &Arc<dyn Transport>,
    env: &Arc<dyn EnvSource>,
    online: &mut watch::Receiver<bool>,
) -> Result<(), syncline::client::ReplicaError> {
    let mut session = replica.session().await?;
    session.handle(Input::Online, env.env());
    let mut wakes: Option<Box<dyn SignalSource>> = None;
    let mut listen_at = tokio::time::Instant::now();
    loop {
        let edits = replica.edits();
        let until = replica.advance(&mut session, &**transport).await?;
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

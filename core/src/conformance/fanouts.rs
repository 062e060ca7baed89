//! What every [`Fanout`] must do while its bus is up.

use std::sync::Arc;

use super::support::log;
use crate::id::ReplicaId;
use crate::seq::Seq;
use crate::store::{Fanout, Interest, Signal, SignalSource};

fn wake(number: u8, seq: u64) -> Signal {
    Signal::Wake { log: log(number), seq: Seq::new(seq).expect("in range") }
}

async fn listen(fanout: &dyn Fanout, interest: Interest) -> Box<dyn SignalSource> {
    fanout.subscribe(interest).await.expect("the bus is up")
}

/// To those who asked, and to all of them.
pub async fn a_wake_reaches_everyone_interested(fanout: Arc<dyn Fanout>) {
    let mut one = listen(&*fanout, Interest::Logs(vec![log(1), log(2)])).await;
    let mut all = listen(&*fanout, Interest::Everything).await;
    fanout.publish(wake(1, 5)).await.expect("published");
    assert_eq!(one.next().await, Some(wake(1, 5)));
    assert_eq!(all.next().await, Some(wake(1, 5)));
}

/// Not to others: the next thing heard is one's own.
pub async fn a_wake_of_another_log_is_not_heard(fanout: Arc<dyn Fanout>) {
    let mut one = listen(&*fanout, Interest::Logs(vec![log(1)])).await;
    fanout.publish(wake(2, 5)).await.expect("published");
    fanout.publish(wake(1, 6)).await.expect("published");
    assert_eq!(one.next().await, Some(wake(1, 6)));
}

/// Whoever comes late hears the newest, never an older one after it.
pub async fn waiting_wakes_end_with_the_newest(fanout: Arc<dyn Fanout>) {
    let mut one = listen(&*fanout, Interest::Logs(vec![log(1)])).await;
    for seq in 1..=100 {
        fanout.publish(wake(1, seq)).await.expect("published");
    }
    let mut last = 0;
    while last < 100 {
        let Some(Signal::Wake { seq, .. }) = one.next().await else { unreachable!("the bus is up") };
        assert!(seq.get() > last, "wakes go forward");
        last = seq.get();
    }
}

/// A payload is passed on as it is.
pub async fn an_ephemeral_is_relayed_as_it_is(fanout: Arc<dyn Fanout>) {
    let mut one = listen(&*fanout, Interest::Logs(vec![log(1)])).await;
    let payload: Vec<u8> = (0..=255).collect();
    let signal = Signal::Ephemeral { log: log(1), from: ReplicaId::from_bytes([3; 16]), payload: payload.into() };
    fanout.publish(signal.clone()).await.expect("published");
    assert_eq!(one.next().await, Some(signal));
}

/// A subscriber that went away stops nobody.
pub async fn a_dropped_subscription_harms_nobody(fanout: Arc<dyn Fanout>) {
    drop(listen(&*fanout, Interest::Everything).await);
    let mut one = listen(&*fanout, Interest::Everything).await;
    fanout.publish(wake(1, 1)).await.expect("published");
    assert_eq!(one.next().await, Some(wake(1, 1)));
}

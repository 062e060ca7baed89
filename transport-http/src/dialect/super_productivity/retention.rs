//! The daily clean-up: operations that a full state stands in for go when they are 45 days old, devices when they were
//! not seen for as long.
//!
//! What must hold: the newest full state and everything after it stay, whatever their age, so a device that comes new
//! gets everything; numbers are never given out again. An account without a full state keeps all it has.

use std::time::Duration;

use syncline::call::{ErrorCode, Refusal};
use syncline::seq::Seq;
use syncline::time::Timestamp;
use tokio::time::sleep;

use super::log::Log;
use super::{SuperProductivity, devices};
use crate::server::env;

/// How long operations are kept that nobody needs any more.
const KEPT_MS: u64 = 45 * 24 * 60 * 60 * 1_000;
/// Pause before the first clean-up, and between two.
const FIRST: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Accounts looked up at once.
const PAGE: usize = 100;

impl SuperProductivity {
    /// Cleans up every day until it is dropped. Any number of servers may do so at once.
    pub async fn clean_up_daily(&self) {
        sleep(FIRST).await;
        loop {
            match self.clean_up(env::now()).await {
                Ok(ops) => tracing::info!(ops, "cleaned up"),
                Err(refusal) => tracing::warn!(%refusal, "the clean-up is not finished and goes on tomorrow"),
            }
            sleep(DAY).await;
        }
    }

    /// Cleans up once, as of `now`. How many operations went.
    ///
    /// # Errors
    /// The store's failure; what went until then is gone.
    pub async fn clean_up(&self, now: Timestamp) -> Result<u64, Refusal> {
        let cutoff = Timestamp::from_ms(now.ms().saturating_sub(KEPT_MS)).unwrap_or_default();
        #[cfg(feature = "passkeys")]
        self.accounts().sweep_challenges(now).await?;
        let (mut after, mut gone) = (0, 0);
        loop {
            let accounts = self.accounts().listed(after, PAGE).await?;
            let Some(last) = accounts.last() else { return Ok(gone) };
            after = last.id;
            for account in &accounts {
                let log = Log::new(self, account);
                gone += clean_up_one(&log, cutoff).await?;
                devices::forget_gone(&log, now).await?;
            }
        }
    }
}

async fn clean_up_one(log: &Log<'_>, cutoff: Timestamp) -> Result<u64, Refusal> {
    let Some(bounds) = log.bounds().await? else { return Ok(0) };
    let Some(full) = bounds.full_state.as_ref().map(|mark| mark.seq) else { return Ok(0) };
    // The first op that stays: everything before it is older than the cutoff. Times rise with seqs, so halving finds it.
    let (mut low, mut high) = (bounds.first.get(), full.get());
    while low < high {
        let middle = low + (high - low) / 2;
        let op = log.op_at(Seq::new(middle).unwrap_or(Seq::MAX)).await?;
        if op.is_some_and(|op| op.accepted_at < cutoff) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let before = Seq::new(low).unwrap_or(Seq::MAX);
    if before <= bounds.first {
        return Ok(0);
    }
    match log.server().prune(log.key, before).await {
        Ok(pruned) => Ok(pruned.ops),
        // Somebody else was first.
        Err(refusal) if refusal.code == ErrorCode::LogMoved => Ok(0),
        Err(refusal) => Err(refusal),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use syncline::access::Caller;
    use syncline::call::{Call, Push};
    use syncline::store::{MemoryFanout, MemoryStore};
    use syncline::time::Env;

    use super::super::Settings;
    use super::super::op::tests::wire;
    use super::*;

    const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

    fn day(number: u64) -> Timestamp {
        Timestamp::from_ms(1_700_000_000_000 + number * DAY_MS).expect("a time")
    }

    fn dialect() -> SuperProductivity {
        let settings = Settings { token_secret: "s".repeat(32), ..Settings::default() };
        let (store, fanout) = (Arc::new(MemoryStore::new()), Arc::new(MemoryFanout::new()));
        let bucket = syncline::BucketId::from_bytes([1; 16]);
        SuperProductivity::new(store, fanout, bucket, settings).expect("settings that can be")
    }

    #[tokio::test]
    async fn old_operations_go_only_as_far_as_a_full_state_stands_in() {
        let sp = dialect();
        let key = sp.accounts().made_for_test(day(0)).await;
        let write = async |id: &str, kind: &str, at: u64| {
            let op = wire(json!({"id": id, "opType": kind, "entityId": id, "vectorClock": {"devA": at + 1}}));
            let op = op.seal(false).expect("an op");
            let push = Push { log: key.log, request: None, cursor: None, atomic: false, ops: vec![op] };
            let env = Env { now: day(at), entropy: [7; 32] };
            sp.server().handle(&Caller::operator(sp.bucket()), Call::Push(push), env).await.expect("stored");
        };
        let first = async || match sp
            .server()
            .handle(&Caller::operator(sp.bucket()), Call::Status(key.log), Env { now: day(0), entropy: [7; 32] })
            .await
        {
            Ok(syncline::call::Reply::Log { bounds, .. }) => bounds.first.get(),
            other => panic!("{other:?}"),
        };
        write("1", "UPD", 0).await;
        write("2", "UPD", 10).await;
        assert_eq!(sp.clean_up(day(100)).await.expect("cleaned"), 0, "nothing stands in");
        write("3", "SYNC_IMPORT", 20).await;
        write("4", "UPD", 30).await;
        assert_eq!(sp.clean_up(day(45)).await.expect("cleaned"), 0, "45 days to the millisecond are kept");
        assert_eq!(sp.clean_up(day(46)).await.expect("cleaned"), 1);
        assert_eq!(first().await, 2);
        assert_eq!(sp.clean_up(day(1_000)).await.expect("cleaned"), 1);
        assert_eq!(first().await, 3, "the newest full state and what follows it stay");
    }

    #[tokio::test]
    async fn a_device_is_gone_when_it_was_not_seen_for_45_days() {
        let sp = dialect();
        sp.accounts().made_for_test(day(0)).await;
        let account = sp.accounts().listed(0, 1).await.expect("accounts").remove(0);
        let log = Log::new(&sp, &account);
        let op = wire(json!({"id": "1", "entityId": "1"})).seal(false).expect("an op");
        log.push(vec![op], None).await.expect("stored");
        for (client, seen) in [("devA", 0), ("devB", 10)] {
            devices::touch(&log, client, day(seen)).await;
        }
        let seen = async |ms: u64| {
            let devices = devices::seen(&log, Timestamp::from_ms(ms).expect("a time")).await;
            devices.expect("devices").into_iter().map(|device| device.client_id).collect::<Vec<_>>()
        };
        assert_eq!(seen(day(45).ms() - 1).await, ["devB", "devA"]);
        assert_eq!(seen(day(45).ms()).await, ["devB"]);
        assert_eq!(seen(day(55).ms()).await, [""; 0]);
        // Seen as of the first day, only what is not kept any more is missing.
        for (cleaned, kept) in [(day(45).ms() - 1, vec!["devB", "devA"]), (day(45).ms(), vec!["devB"])] {
            sp.clean_up(Timestamp::from_ms(cleaned).expect("a time")).await.expect("cleaned");
            assert_eq!(seen(day(0).ms()).await, kept);
        }
    }
}

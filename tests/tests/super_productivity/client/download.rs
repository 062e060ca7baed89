//! The second half of a cycle: pages from the cursor, gaps, and a server that knows nothing.

use serde_json::Value;

use super::super::clock::Clock;
use super::Device;

const PAGE: u64 = 500;

impl Device {
    /// Reads on until there is no more, and applies it. How many ops were new.
    pub(crate) async fn download(&mut self) -> usize {
        match self.try_download().await {
            Ok(count) => count,
            Err(why) => panic!("{}: {why}", self.id),
        }
    }

    /// As [`Device::download`], where the password may be wrong: then nothing moves.
    pub(crate) async fn try_download(&mut self) -> Result<usize, String> {
        let (mut since, mut restarted) = (self.cursor, false);
        let mut collected: Vec<Value> = Vec::new();
        loop {
            let page = self.api.page(since, PAGE).await;
            let latest = page["latestSeq"].as_u64().expect("latestSeq");
            let ops = page["ops"].as_array().expect("ops");
            if page["gapDetected"] == true && !restarted {
                if latest == 0 && ops.is_empty() {
                    // The server lost everything, or is another one.
                    self.cursor = 0;
                    self.migrate();
                    return Ok(0);
                }
                (since, restarted) = (0, true);
                self.gaps += 1;
                collected.clear();
                continue;
            }
            let Some(last) = ops.last() else {
                since = since.max(latest);
                break;
            };
            let mut before = since;
            for envelope in ops {
                let seq = envelope["serverSeq"].as_u64().expect("serverSeq");
                assert!(seq > before, "ascending: {seq} after {before}");
                before = seq;
            }
            since = last["serverSeq"].as_u64().expect("serverSeq");
            collected.extend(ops.iter().map(|envelope| envelope["op"].clone()));
            if page["hasMore"] != true {
                break;
            }
        }
        collected.retain(|op| !self.knows(op));
        if self.is_fresh() && !collected.is_empty() && !self.confirms {
            return Ok(0);
        }
        let opened = collected.into_iter().map(|op| self.opened(op)).collect::<Result<Vec<_>, _>>()?;
        let count = opened.len();
        self.receive(opened);
        // Only now: what it covers is kept here.
        self.cursor = since;
        Ok(count)
    }

    /// The clocks of everything the server has, hidden or not; `None` when it has nothing.
    pub(super) async fn all_clocks(&self) -> Option<Clock> {
        let (mut since, mut all, mut any) = (0, Clock::default(), false);
        loop {
            let page = self.api.page(since, PAGE).await;
            if let Some(hidden) = page.get("snapshotVectorClock") {
                all.merge(&Clock::of(hidden));
                any = true;
            }
            for envelope in page["ops"].as_array().expect("ops") {
                all.merge(&Clock::of(&envelope["op"]["vectorClock"]));
                since = envelope["serverSeq"].as_u64().expect("serverSeq");
                any = true;
            }
            if page["hasMore"] != true {
                return any.then_some(all);
            }
        }
    }
}

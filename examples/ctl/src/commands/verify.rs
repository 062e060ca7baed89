//! Read a whole log and recompute what it claims.
//!
//! What must hold: a log is called sound only when every op up to the end its status gave was read, each at its seq,
//! and the running hash over all of them is that end's anchor. A fault is narrowed down to one seq.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;

use serde_json::json;
use syncline::call::{ErrorCode, Page};
use syncline::client::CallError;
use syncline::oplog::LogBounds;
use syncline::{Anchor, Cursor, LogId, OpId, ReplicaId, Seq, VectorClock, limits};
use syncline_desk::Fault;

use super::{Outcome, kind_name, write_line};
use crate::progress::Progress;
use crate::session::{PageFault, Session, ops_between, page_limit};

const PAGE: u64 = limits::PAGE_OPS_DEFAULT as u64;

/// Runs the command.
///
/// # Errors
/// The first fault with its seq, or why the log could not be read.
pub(super) async fn run(session: &Session, log: LogId, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let bounds = session.status(log).await?;
    let mut cursor = Cursor { seq: bounds.first.before(), anchor: Some(bounds.base) };
    if cursor.seq == Seq::ZERO && bounds.base != Anchor::genesis(session.key(log), bounds.base.origin) {
        let bucket = session.bucket;
        return Err(Fault::new(format!("seq 0: the log does not begin as a log of this name in bucket {bucket} does")));
    }
    let mut counts = Counts::default();
    let mut progress = Progress::start("verified", ops_between(cursor.seq, bounds.last));
    let mut narrow = Narrow { most: PAGE, until: Seq::ZERO };
    while cursor.seq < bounds.last {
        let most = narrow.most.min(ops_between(cursor.seq, bounds.last));
        match session.page(log, cursor, page_limit(most)).await {
            Ok(page) if page.ops.is_empty() => return Err(at(cursor, "is missing")),
            Ok(page) => {
                counts.add(&page)?;
                cursor = page.next;
                narrow.read_to(cursor.seq);
                progress.at(counts.ops);
            }
            Err(error) if blames_the_log(&error) && most > 1 => narrow.within(cursor.seq, most),
            Err(error) if blames_the_log(&error) => return Err(at(cursor, &Fault::from(error).to_string())),
            Err(error) => return Err(error.into()),
        }
    }
    progress.finish();
    counts.check(cursor, &bounds)?;
    let (first, end) = (bounds.first, bounds.end());
    write_line(
        out,
        &json!({
            "log": log, "sound": true, "first": first, "end": end, "ops": counts.ops, "bytes": counts.bytes,
            "kinds": counts.kinds, "authors": counts.authors.len(), "unread": counts.unread,
        }),
    )?;
    eprintln!("sound: {} ops from seq {first} to {}, every one in the running hash", counts.ops, end.seq);
    Ok(Outcome::Done)
}

/// Where the fault is: in a page, then in half of it, until the page has one op.
struct Narrow {
    most: u64,
    until: Seq,
}

impl Narrow {
    fn within(&mut self, after: Seq, most: u64) {
        self.until = self.until.max(Seq::new(after.get().saturating_add(most)).unwrap_or(Seq::MAX));
        self.most = most / 2;
    }

    fn read_to(&mut self, seq: Seq) {
        if seq >= self.until {
            self.most = PAGE;
        }
    }
}

fn blames_the_log(fault: &PageFault) -> bool {
    use ErrorCode::{GapDiverged, GapForeignLog, GapHole, LogDamaged};
    match fault {
        PageFault::Broken(_) | PageFault::Call(CallError::Protocol(_)) => true,
        PageFault::Call(CallError::Refused(refusal)) => {
            matches!(refusal.code, LogDamaged | GapHole | GapDiverged | GapForeignLog)
        }
        _ => false,
    }
}

fn at(cursor: Cursor, why: &str) -> Fault {
    Fault::new(format!("seq {}: {why}", cursor.seq.get() + 1))
}

#[derive(Default)]
struct Counts {
    ops: u64,
    bytes: u64,
    unread: u64,
    kinds: BTreeMap<&'static str, u64>,
    authors: HashSet<ReplicaId>,
    ids: HashSet<OpId>,
    seen: VectorClock,
}

impl Counts {
    fn add(&mut self, page: &Page) -> Result<(), Fault> {
        for page_op in &page.ops {
            self.ops += 1;
            self.bytes += page_op.op.bytes().len() as u64;
            if !self.ids.insert(page_op.op.id()) {
                return Err(Fault::new(format!("seq {}: op {} is in the log twice", page_op.seq, page_op.op.id())));
            }
            let Ok(op) = page_op.op.read() else {
                // A newer format: in the running hash, but not looked into.
                self.unread += 1;
                continue;
            };
            *self.kinds.entry(kind_name(op.kind())).or_default() += 1;
            self.authors.insert(op.replica());
            self.seen.join(op.clock()).map_err(|error| Fault::new(format!("seq {}: {error}", page_op.seq)))?;
        }
        Ok(())
    }

    /// What the ops add up to is what the status says.
    fn check(&self, cursor: Cursor, bounds: &LogBounds) -> Result<(), Fault> {
        let last = bounds.last;
        let wrong = |why: &str| Err(Fault::new(format!("seq {last}: {why}")));
        if cursor != bounds.end() {
            return wrong("the ops do not lead to the anchor that the status gives");
        }
        if self.bytes != bounds.bytes {
            return wrong(&format!("the ops have {} bytes, the status says {}", self.bytes, bounds.bytes));
        }
        if !bounds.clock.covers(&self.seen) {
            return wrong("the ops have seen more than the status says the log has");
        }
        if bounds.damaged {
            return wrong("everything fits, but the server has marked the log as damaged");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use syncline::call::{Call, Page, Refusal, Reply};
    use syncline::client::CallError;

    use super::*;
    use crate::testing::{Rig, lines_of, op_with};

    const OPS: u64 = 700;

    async fn sound() -> (Rig, String) {
        let rig = Rig::new();
        let log = rig.log().await;
        let ops: Vec<_> = (1..=OPS).map(|counter| op_with(1, counter, "{}")).collect();
        rig.run_with(&["push", &log], &lines_of(&ops)).await.done();
        (rig, log)
    }

    fn tamper(rig: &Rig, change: impl Fn(&mut Page) + Send + 'static) {
        rig.meddle(move |_, mut answer| {
            if let Ok(Reply::Pulled(page)) = &mut answer {
                change(page);
            }
            answer
        });
    }

    #[tokio::test]
    async fn a_sound_log_is_called_sound_with_its_counts() {
        let (rig, log) = sound().await;
        let ran = rig.run(&["verify", &log]).await;
        let line = ran.lines()[0].clone();
        assert_eq!((&line["sound"], &line["ops"], &line["authors"]), (&true.into(), &OPS.into(), &1.into()));
        assert_eq!(line["kinds"], json!({ "update": OPS }));
        ran.done();
        let empty = rig.log().await;
        assert_eq!(rig.run(&["verify", &empty]).await.lines()[0]["ops"], 0);
    }

    #[tokio::test]
    async fn fault_a_broken_chain_is_found_with_its_seq() {
        for broken in [1, 2, 499, 500, 501, OPS] {
            let (rig, log) = sound().await;
            tamper(&rig, move |page| {
                for op in page.ops.iter_mut().filter(|op| op.seq.get() == broken) {
                    op.op = op_with(9, broken, "{\"forged\":true}").raw().clone();
                }
            });
            let ran = rig.run(&["verify", &log]).await;
            assert_eq!(ran.out, "");
            let fault = ran.fault();
            assert!(fault.starts_with(&format!("seq {broken}: ")), "{broken}: {fault}");
        }
    }

    #[tokio::test]
    async fn fault_a_missing_op_is_found_with_its_seq() {
        for missing in [1, 300, OPS] {
            let (rig, log) = sound().await;
            tamper(&rig, move |page| page.ops.retain(|op| op.seq.get() != missing));
            let fault = rig.run(&["verify", &log]).await.fault();
            assert!(fault.starts_with(&format!("seq {missing}: ")), "{missing}: {fault}");
        }
    }

    #[tokio::test]
    async fn fault_a_row_the_server_cannot_read_is_found_with_its_seq() {
        let (rig, log) = sound().await;
        rig.meddle(|_, answer| match answer {
            Ok(Reply::Pulled(page)) if page.ops.iter().any(|op| op.seq.get() == 444) => {
                Err(CallError::Refused(Refusal::new(ErrorCode::LogDamaged, "stored data does not read")))
            }
            answer => answer,
        });
        let fault = rig.run(&["verify", &log]).await.fault();
        assert!(fault.starts_with("seq 444: ") && fault.contains("LOG_DAMAGED"), "{fault}");
    }

    #[tokio::test]
    async fn fault_a_status_that_the_ops_do_not_bear_out_is_found() {
        type Lie = fn(&mut LogBounds);
        let lies: [(Lie, &str); 5] = [
            (|bounds| bounds.tip = bounds.tip.extend(syncline::Digest::of(&[]), bounds.created_at), "seq 700: "),
            (|bounds| bounds.bytes += 1, "bytes"),
            (|bounds| bounds.clock = VectorClock::new(), "seen more"),
            (|bounds| bounds.damaged = true, "marked"),
            (|bounds| bounds.base = bounds.tip, "seq 0: "),
        ];
        for (lie, told) in lies {
            let (rig, log) = sound().await;
            rig.meddle(move |call, mut answer| {
                if let (Call::Status(_), Ok(Reply::Log { bounds, .. })) = (call, &mut answer) {
                    lie(bounds);
                }
                answer
            });
            let fault = rig.run(&["verify", &log]).await.fault();
            assert!(fault.contains(told), "{told}: {fault}");
        }
    }
}

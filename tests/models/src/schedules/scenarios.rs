//! What threads do with the shipped files, and what must be true of it.

use std::collections::BTreeSet;
use std::time::Instant;

use shuttle::future::block_on;
use shuttle::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use shuttle::sync::mpsc::{SyncSender, sync_channel};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;
use syncline::decide::{Decision, LogWrites, Reads, Scope, Step, View};
use syncline::oplog::LogBounds;
use syncline::store::StoreErrorKind;
use syncline::{BucketId, LogId, LogKey, Origin, Seq, Timestamp};

use super::db::{Db, Source};
use super::fanout::{Interest, MemoryFanout, Signal};
use super::gate::{Bell, Gate};
use super::queue::queue;
use super::reply;
use super::transact::{Job, Writer};

/// The log that stands for a row.
pub(super) fn log(row: u8) -> LogKey {
    LogKey { bucket: BucketId::from_bytes([1; 16]), log: LogId::from_bytes([row; 16]) }
}

/// The bounds of one that is there.
pub(super) fn bounds(log: LogKey) -> LogBounds {
    LogBounds::new(log, Origin([0; 16]), Timestamp::default())
}

/// Rows that are asked for in one decision.
const ROWS: u8 = 6;

/// Asks the writer and waits.
fn ask(jobs: &SyncSender<Job>, row: u8, decision: Decision) -> Result<bool, StoreErrorKind> {
    let (answer, reply) = reply::pair();
    let scope = Scope::log(log(row), Reads::default());
    jobs.send(Job { scope, decision, since: Instant::now(), answer }).expect("the writer runs");
    let answer = block_on(reply).expect("the writer answers");
    answer.map_err(|error| error.kind())
}

/// Three threads write rows and look at what is there. Nobody is told of a row that is not durable.
pub(in super::super) fn group_commit() {
    let source = Arc::new(Source::default());
    let durable = Arc::clone(&source.durable);
    let (jobs, queue) = sync_channel(16);
    let db = Db::writer(&source).expect("opened");
    let writer = Writer::new(source, queue, db);
    let writer = thread::spawn(move || writer.run());
    let write = |rows: [u8; 2]| {
        let (jobs, durable) = (jobs.clone(), Arc::clone(&durable));
        thread::spawn(move || {
            for row in rows {
                let decision: Decision =
                    Arc::new(move |_: &View| Step::Commit(LogWrites::new(log(row), bounds(log(row))).alone()));
                let told = ask(&jobs, row, decision);
                let there = durable.lock().unwrap().contains(&row);
                match told {
                    Ok(written) => assert!(written && there, "a row was acknowledged and is not durable"),
                    Err(StoreErrorKind::OutcomeUnknown) => {}
                    Err(kind) => assert!(!there, "a row is durable of which it was said that nothing came: {kind:?}"),
                }
            }
        })
    };
    let look = || {
        let (jobs, durable) = (jobs.clone(), Arc::clone(&durable));
        thread::spawn(move || {
            for _ in 0..2 {
                let seen: Arc<Mutex<BTreeSet<u8>>> = Arc::default();
                let found = Arc::clone(&seen);
                let decision: Decision = Arc::new(move |view: &View| {
                    let there = (1..=ROWS).filter(|row| view.log(log(*row)).bounds.is_some());
                    *found.lock().unwrap() = there.collect();
                    Step::Abort
                });
                if let Ok(written) = ask(&jobs, 0, decision) {
                    assert!(!written);
                    let durable = durable.lock().unwrap();
                    assert!(seen.lock().unwrap().is_subset(&durable), "what was seen is not durable");
                }
            }
        })
    };
    let threads = [write([1, 2]), write([3, 4]), look()];
    drop(jobs);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    writer.join().unwrap();
}

/// Two workers, three jobs, each of which somebody waits for before the next, and an end.
pub(in super::super) fn jobs() {
    let (jobs, workers) = queue::<(u8, reply::Answer<u8>)>(2);
    let work = |worker: super::queue::Worker<(u8, reply::Answer<u8>)>| {
        thread::spawn(move || {
            while let Some((job, answer)) = worker.next() {
                answer.send(job);
            }
        })
    };
    let threads: Vec<_> = workers.into_iter().map(work).collect();
    for job in 0..3 {
        let (answer, reply) = reply::pair();
        jobs.send((job, answer));
        assert_eq!(block_on(reply), Some(job), "a job was not run");
    }
    drop(jobs);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Two that want to be alone, and two that follow and fly.
pub(in super::super) fn gate() {
    let gate = Arc::new(Gate::default());
    let (held, flying) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let alone = || {
        let (gate, held, flying) = (Arc::clone(&gate), Arc::clone(&held), Arc::clone(&flying));
        thread::spawn(move || {
            let pass = block_on(gate.enter());
            assert!(!held.swap(true, Ordering::SeqCst), "two hold the gate");
            assert_eq!(flying.load(Ordering::SeqCst), 0, "something is under way beside one that is alone");
            thread::yield_now();
            assert_eq!(flying.load(Ordering::SeqCst), 0, "something began beside one that is alone");
            assert!(held.swap(false, Ordering::SeqCst));
            drop(pass);
        })
    };
    let follow = || {
        let (gate, held, flying) = (Arc::clone(&gate), Arc::clone(&held), Arc::clone(&flying));
        thread::spawn(move || {
            let pass = block_on(gate.follow());
            assert!(!held.swap(true, Ordering::SeqCst), "two hold the gate");
            flying.fetch_add(1, Ordering::SeqCst);
            assert!(held.swap(false, Ordering::SeqCst));
            let flight = pass.fly();
            thread::yield_now();
            flying.fetch_sub(1, Ordering::SeqCst);
            drop(flight);
        })
    };
    let threads = [alone(), follow(), alone(), follow()];
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// One rings, two listen until they have seen the last.
pub(in super::super) fn bell() {
    let (bell, value) = (Arc::new(Bell::default()), Arc::new(AtomicU64::new(0)));
    let listen = || {
        let (bell, value) = (Arc::clone(&bell), Arc::clone(&value));
        thread::spawn(move || {
            loop {
                let times = bell.times();
                if value.load(Ordering::SeqCst) == 2 {
                    return;
                }
                block_on(bell.rung_since(times));
            }
        })
    };
    let threads = [listen(), listen()];
    for _ in 0..2 {
        value.fetch_add(1, Ordering::SeqCst);
        bell.ring();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Two publish, one listens until it has heard of the newest.
pub(in super::super) fn fanout() {
    let bus = MemoryFanout::new();
    let mut source = bus.listen(Interest::Everything);
    let publish = |seqs: [u64; 2]| {
        let bus = bus.clone();
        thread::spawn(move || {
            for seq in seqs {
                bus.send(&Signal::Wake { log: log(1), seq: Seq::new(seq).unwrap() });
            }
        })
    };
    let threads = [publish([1, 4]), publish([2, 3])];
    let mut newest = 0;
    while newest < 4 {
        match block_on(source.next()) {
            Some(Signal::Wake { seq, .. }) => newest = newest.max(seq.get()),
            other => panic!("not a wake: {other:?}"),
        }
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

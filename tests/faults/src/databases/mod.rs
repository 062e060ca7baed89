//! Postgres that fails in every way: scenarios over real clusters.
//!
//! What must hold: a writer here does what a client does: it keeps a batch and repeats it, ids and all, until it has an
//! answer. What it was told is stored must be stored; what it repeated must be stored once.
//!
//! Next: [`failover`] promotes a standby that is behind; [`space`] fills a cluster's disk.

pub mod failover;
pub mod space;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use syncline::OpId;
use syncline::conformance::author::Author;
use syncline::conformance::support::{all_ops, env, log, plain, push, try_upload, verdicts};
use syncline::oplog::{Op, OpKind, Verdict};
use syncline::store::{Store, StoreError, StoreErrorKind};
use syncline_storage_postgres::{PostgresOptions, PostgresStore};
use syncline_tests::rig::bouncer::Bouncer;
use syncline_tests::rig::postgres::{Cluster, Durability, fresh_schema_url};
use syncline_tests::rig::proxy::{Cut, Proxy};

/// A store at this address.
///
/// # Panics
/// When there is none.
pub async fn open(url: &str) -> PostgresStore {
    PostgresStore::connect(&PostgresOptions::new(url)).await.expect("it works")
}

/// The next ops of an author, on entities that others write too.
#[must_use]
pub fn ops(author: &mut Author, count: u8) -> Vec<Op> {
    (0..count).map(|entity| author.op(OpKind::Update, "merge", entity, "content")).collect()
}

/// One try.
///
/// # Errors
/// The store's.
pub async fn attempt(store: &dyn Store, ops: &[Op]) -> Result<Vec<Verdict>, StoreError> {
    try_upload(store, plain(log(1), ops), env(7)).await.map(verdicts)
}

/// What passes.
pub const TRANSIENT: &[StoreErrorKind] =
    &[StoreErrorKind::OutcomeUnknown, StoreErrorKind::Unavailable, StoreErrorKind::Busy];

/// What one is told whose time is too short.
const HASTY: &[StoreErrorKind] =
    &[StoreErrorKind::Timeout, StoreErrorKind::OutcomeUnknown, StoreErrorKind::Unavailable];

/// Repeats a batch until it is answered; how often it was told what.
///
/// # Panics
/// When it is refused, or told something that does not pass.
pub async fn insist(store: &dyn Store, ops: &[Op]) -> Vec<StoreErrorKind> {
    insist_while(TRANSIENT, store, ops).await
}

/// As [`insist`], where other things pass.
async fn insist_while(passes: &[StoreErrorKind], store: &dyn Store, ops: &[Op]) -> Vec<StoreErrorKind> {
    let mut told = Vec::new();
    loop {
        match attempt(store, ops).await {
            Ok(verdicts) => {
                assert!(verdicts.iter().all(|verdict| verdict.seq().is_some()), "{verdicts:?}");
                return told;
            }
            Err(error) => {
                assert!(passes.contains(&error.kind()), "{error}: {:?}", std::error::Error::source(&error));
                told.push(error.kind());
                // A server that is away refuses at once; give it a moment to come back.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

/// The log holds exactly these ops, each once, in dense order and with a sound chain of anchors.
///
/// # Panics
/// When it does not.
pub async fn assert_stored_once(store: &dyn Store, expected: &BTreeSet<OpId>) {
    let stored = all_ops(store, log(1)).await;
    let ids: BTreeSet<OpId> = stored.iter().map(|logged| logged.op.id()).collect();
    assert_eq!(stored.len(), expected.len(), "nothing twice");
    assert_eq!(ids, *expected, "nothing lost and nothing else");
    let dense = stored.iter().zip(1..).all(|(logged, seq)| logged.seq.get() == seq);
    assert!(dense, "seqs without a hole");
}

/// Several writers, each with its own batches one after the other; what they wrote, and how often they were told to try again.
///
/// # Panics
/// When one is refused.
pub async fn write_all(stores: &[Arc<PostgresStore>], writers: u8, batches: usize) -> (BTreeSet<OpId>, usize) {
    write_as(stores, 1, writers, batches).await
}

/// [`write_all`] by authors of these numbers.
async fn write_as(stores: &[Arc<PostgresStore>], first: u8, writers: u8, batches: usize) -> (BTreeSet<OpId>, usize) {
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let store = Arc::clone(&stores[usize::from(writer) % stores.len()]);
            tokio::spawn(async move {
                let mut author = Author::new(first + writer);
                let (mut written, mut failures) = (Vec::new(), 0);
                for _ in 0..batches {
                    let batch = ops(&mut author, 3);
                    failures += insist(&*store, &batch).await.len();
                    written.extend(batch.iter().map(Op::id));
                }
                (written, failures)
            })
        })
        .collect();
    let (mut written, mut failures) = (BTreeSet::new(), 0);
    for task in tasks {
        let (ids, failed) = task.await.expect("it works");
        written.extend(ids);
        failures += failed;
    }
    (written, failures)
}

/// P1: backends that work on a transaction are terminated at random, some while they commit; how many were.
///
/// # Panics
/// When something is lost, or stored twice.
pub async fn terminations(at_least: usize) -> usize {
    let url = fresh_schema_url().await;
    let name = url[url.len() - 16..].to_owned();
    let store = Arc::new(open(&format!("{url}&application_name={name}")).await);
    let done = Arc::new(AtomicBool::new(false));
    let kills = Arc::new(AtomicUsize::new(0));
    let (over, killed, assassin_url) = (Arc::clone(&done), Arc::clone(&kills), url.clone());
    let assassin = tokio::spawn(async move {
        let mut connection = PgConnection::connect(&assassin_url).await.expect("connected");
        while !over.load(Ordering::SeqCst) {
            let kill = sqlx::query(
                "SELECT pg_terminate_backend(pid), pg_sleep(0.02 * random()) FROM pg_stat_activity \
                 WHERE application_name = $1 AND state <> 'idle' ORDER BY random() LIMIT 1",
            );
            let ended = kill.bind(&name).fetch_all(&mut connection).await.expect("asked").len();
            killed.fetch_add(ended, Ordering::SeqCst);
        }
    });
    let (mut written, mut first) = (BTreeSet::new(), 1);
    while kills.load(Ordering::SeqCst) < at_least {
        written.extend(write_as(&[Arc::clone(&store)], first, 4, 30).await.0);
        first += 4;
        assert!(first < 240, "backends are not terminated");
    }
    done.store(true, Ordering::SeqCst);
    assassin.await.expect("the assassin ends well");
    assert_stored_once(&open(&url).await, &written).await;
    kills.load(Ordering::SeqCst)
}

/// P2: the connection is cut between COMMIT and its answer, before or after the server saw it, so many times. The writer
/// cannot know which, is told so, and repeats.
///
/// # Panics
/// When something is lost, stored twice, or not told as it is.
pub async fn unknown_outcomes(rounds: usize) {
    let cluster = Cluster::start(Durability::None).expect("a cluster");
    let proxy = Proxy::before(cluster.socket_folder()).expect("a proxy");
    let store = open(&proxy.url()).await;
    let mut author = Author::new(1);
    let mut written = BTreeSet::new();
    push(&store, log(1), &[]).await;
    for round in 0..rounds {
        let batch = ops(&mut author, 2);
        written.extend(batch.iter().map(Op::id));
        let committed = round % 2 == 0;
        proxy.cut_next(if committed { Cut::Answer } else { Cut::Message });
        let error = attempt(&store, &batch).await.expect_err("cut off");
        assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown, "round {round}: {error}");
        let answer = attempt(&store, &batch).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        let repeated = answer.iter().all(|verdict| matches!(verdict, Verdict::Duplicate { .. }));
        assert_eq!(repeated, committed, "round {round}: {answer:?}");
    }
    assert_eq!(proxy.cuts(), rounds);
    assert_stored_once(&store, &written).await;
}

/// P3: the whole server dies as in a crash, so many times, under load.
///
/// # Panics
/// When something is lost, or stored twice.
pub async fn immediate_stops(stops: usize) {
    let cluster = Arc::new(Cluster::start(Durability::Full).expect("a cluster"));
    let store = Arc::new(open(&cluster.url()).await);
    let load = Load::start(&store, 3, TRANSIENT);
    for stop in 1..=stops {
        load.gets_to(stop * 40).await;
        let cluster = Arc::clone(&cluster);
        tokio::task::spawn_blocking(move || cluster.stop_immediate().and_then(|()| cluster.run()))
            .await
            .expect("no panic")
            .expect("stopped and started");
    }
    let written = load.stop().await;
    assert_stored_once(&open(&cluster.url()).await, &written).await;
}

/// P8: a store whose statements may take a millisecond, again and again; how often they took longer.
///
/// # Panics
/// When half a push is there.
pub async fn timeouts(rounds: usize) -> usize {
    let url = fresh_schema_url().await;
    let store = open(&url).await;
    let mut options = PostgresOptions::new(&*url);
    options.timeout = Duration::from_millis(1);
    let mut author = Author::new(1);
    let (mut written, mut told) = (BTreeSet::new(), 0);
    push(&store, log(1), &[]).await;
    // Migrating takes longer than that; connecting again may, too.
    let mut tries = 0;
    let hasty = loop {
        match PostgresStore::connect(&options).await {
            Ok(hasty) => break hasty,
            Err(error) => assert!(HASTY.contains(&error.kind()) && tries < 1_000, "{error}"),
        }
        tries += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    for round in 0..rounds {
        let batch = ops(&mut author, u8::try_from(1 + round % 80).unwrap_or(1));
        if let Err(error) = attempt(&hasty, &batch).await {
            assert!(HASTY.contains(&error.kind()), "round {round}: {error}");
            told += 1;
            assert_stored_or_not(&store, &written, &batch).await;
        }
        insist(&store, &batch).await;
        written.extend(batch.iter().map(Op::id));
    }
    assert_stored_once(&store, &written).await;
    told
}

/// A push that failed is there whole or not at all.
async fn assert_stored_or_not(store: &dyn Store, written: &BTreeSet<OpId>, batch: &[Op]) {
    let there = all_ops(store, log(1)).await.len();
    let extra = there - written.len();
    assert!(extra == 0 || extra == batch.len(), "{extra} of {} ops of a push that failed", batch.len());
}

/// P9: consecutive statements of a client meet different backends; nothing may rest on a session.
///
/// # Panics
/// When something is lost, stored twice or not read.
pub async fn pooled(writers: u8, batches: usize) {
    let cluster = Cluster::start(Durability::None).expect("a cluster");
    let bouncer = Bouncer::before(cluster.socket_folder()).expect("a pooler");
    let mut options = PostgresOptions::new(bouncer.url());
    options.statement_cache = false;
    let connect = async || Arc::new(PostgresStore::connect(&options).await.expect("connected"));
    let stores = [connect().await, connect().await];
    let (written, failures) = write_all(&stores, writers, batches).await;
    assert_eq!(failures, 0);
    assert_stored_once(&*stores[1], &written).await;
    let reads: Vec<_> = (0..16_usize)
        .map(|reader| {
            let store = Arc::clone(&stores[reader % 2]);
            tokio::spawn(async move { all_ops(&*store, log(1)).await.len() })
        })
        .collect();
    for read in reads {
        assert_eq!(read.await.expect("read"), written.len());
    }
}

/// Writers that go on until they are told to stop.
#[derive(Debug)]
pub struct Load {
    answers: Arc<AtomicUsize>,
    done: Arc<AtomicBool>,
    writers: Vec<tokio::task::JoinHandle<BTreeSet<OpId>>>,
}

impl Load {
    /// So many, each with its own batches, which repeat while they are told what passes.
    #[must_use]
    pub fn start(store: &Arc<PostgresStore>, writers: u8, passes: &'static [StoreErrorKind]) -> Self {
        let (answers, done) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let writer = |number| {
            let (store, answers, done) = (Arc::clone(store), Arc::clone(&answers), Arc::clone(&done));
            tokio::spawn(async move {
                let mut author = Author::new(number);
                let mut written = BTreeSet::new();
                while !done.load(Ordering::SeqCst) {
                    let batch = ops(&mut author, 2);
                    insist_while(passes, &*store, &batch).await;
                    answers.fetch_add(1, Ordering::SeqCst);
                    written.extend(batch.iter().map(Op::id));
                }
                written
            })
        };
        let writers = (1..=writers).map(writer).collect();
        Self { answers, done, writers }
    }

    /// How many batches were answered.
    #[must_use]
    pub fn answers(&self) -> usize {
        self.answers.load(Ordering::SeqCst)
    }

    /// Waits for so many answers altogether.
    ///
    /// # Panics
    /// When a writer ended.
    pub async fn gets_to(&self, answers: usize) {
        while self.answers() < answers {
            assert!(self.writers.iter().all(|writer| !writer.is_finished()), "a writer ended early");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Lets them end; what they were told is stored.
    ///
    /// # Panics
    /// When one failed.
    pub async fn stop(self) -> BTreeSet<OpId> {
        self.done.store(true, Ordering::SeqCst);
        let mut written = BTreeSet::new();
        for writer in self.writers {
            written.extend(writer.await.expect("a writer ends well"));
        }
        written
    }
}

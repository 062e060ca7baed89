//! A standby that is behind becomes the primary: acknowledged ops are gone from the server, and its timeline is another.
//!
//! What must hold: whoever has read further than the log now goes is told so, also after the log grew past that point; and
//! nothing that any replica still holds is lost: they offer it again, with the same ids, and everybody ends with the same.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use syncline::call::{Advice, Call};
use syncline::client::{CallError, Replica, ReplicaOptions, Transport};
use syncline::store::MemoryStore;
use syncline::{Cursor, LogKey};
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};
use syncline_tests::rig::device::{BUCKET, Device, landed};
use syncline_tests::rig::folder::Folder;
use syncline_tests::rig::postgres::{Cluster, Durability};
use syncline_tests::rig::server::Process;
use syncline_transport_http::client::{HttpClient, SystemEnv};

use crate::fleet::{PATIENCE, client, insist, log};

const COLLECTION: &str = "tasks";

/// How long a standby may take to catch up.
const CATCHES_UP: Duration = Duration::from_secs(30);

async fn replica(store: Arc<dyn syncline::store::Store>, number: u8) -> Replica {
    let env = Arc::new(SystemEnv::new().expect("randomness"));
    let key = LogKey { bucket: BUCKET, log: log(number) };
    Replica::open(store, key, env, ReplicaOptions::default()).await.expect("opened")
}

async fn set(replica: &Replica, name: u64, value: u64) {
    let map = replica.collection(COLLECTION).expect("a good name").named(&name.to_string());
    map.set("n", &value).await.expect("kept");
}

async fn shown(replica: &Replica, names: u64) -> Vec<Option<u64>> {
    let mut values = Vec::new();
    for name in 0..names {
        let map = replica.collection(COLLECTION).expect("a good name").named(&name.to_string());
        values.push(map.field::<u64>("n").await.expect("read"));
    }
    values
}

async fn sync(replica: &Replica, way: &HttpClient) {
    for _ in 0..PATIENCE {
        if replica.sync_once(way).await.is_ok_and(|status| status.is_safe()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never syncs: {:?}", replica.status());
}

async fn ask(url: &str, question: &'static str) -> String {
    let mut connection = PgConnection::connect(url).await.expect("connected");
    sqlx::query_scalar::<_, String>(question).fetch_one(&mut connection).await.expect("an answer")
}

async fn tell(url: &str, command: &'static str) {
    let mut connection = PgConnection::connect(url).await.expect("connected");
    sqlx::raw_sql(command).execute(&mut connection).await.expect("done");
}

/// Waits until the standby shows what the primary has.
async fn caught_up(primary: &Cluster, standby: &Cluster) {
    let end = ask(&primary.url(), "SELECT pg_current_wal_lsn()::text").await;
    let mut connection = PgConnection::connect(&standby.url()).await.expect("connected");
    let begun = std::time::Instant::now();
    loop {
        let there = sqlx::query_scalar::<_, bool>("SELECT coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false)");
        if there.bind(&end).fetch_one(&mut connection).await.expect("an answer") {
            return;
        }
        assert!(begun.elapsed() < CATCHES_UP, "the standby does not catch up");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// P4: acknowledges ops that the standby never gets, ends the primary, promotes the standby under a server that goes on
/// running; how many acknowledged ops the server lost, all of which some replica brought back.
///
/// # Panics
/// When one is not back, or a client is not told.
pub async fn promotion() -> u64 {
    let primary = Cluster::start(Durability::Full).expect("a cluster");
    let standby = primary.standby().expect("a standby");
    let folder = Folder::new("failover").expect("a folder");
    let server = Process::within(&folder, Some(&format!("postgres:{}", primary.url())), &[]);
    server.run();
    let way = client(&server.url);
    let file = SqliteStore::open(SqliteOptions::device(folder.path().join("phone.db"))).expect("a file");
    let (phone, laptop) = (replica(Arc::new(file), 1).await, replica(Arc::new(MemoryStore::new()), 1).await);
    let names = 30;
    for name in 0..names / 2 {
        set(&phone, name, 1).await;
    }
    sync(&phone, &way).await;
    sync(&laptop, &way).await;
    let mut reader = Device::new(1, log(1), vec![Arc::clone(&way) as Arc<dyn Transport>]);
    let mut author = Device::new(2, log(2), vec![Arc::clone(&way) as Arc<dyn Transport>]);
    push_alone(&mut author, 10).await;
    caught_up(&primary, &standby).await;
    tell(&standby.url(), "ALTER SYSTEM SET primary_conninfo = ''").await;
    tell(&standby.url(), "SELECT pg_reload_conf()").await;
    no_receiver(&standby).await;

    // What the standby will never have: of some the phone knows, of some the laptop, of some both.
    for name in names / 2..names {
        set(if name % 2 == 0 { &phone } else { &laptop }, name, 2).await;
    }
    sync(&phone, &way).await;
    sync(&laptop, &way).await;
    push_alone(&mut author, 5).await;
    while reader.pull(PATIENCE).await.more {}
    let mut alone = Device::new(3, log(2), vec![Arc::clone(&way) as Arc<dyn Transport>]);
    while alone.pull(PATIENCE).await.more {}
    let before = reader.cursor.seq.get();

    primary.stop_immediate().expect("stopped");
    standby.promote().expect("promoted");
    primary.lead_to(&standby).expect("led there");
    let end = end_of(&way, 2).await;
    assert_eq!(end.seq.get(), 10, "the standby was behind");
    told_that_the_log_went_back(&way, 2, alone.cursor).await;
    // The author goes on where it was, and the server misses what it was given before.
    let ahead = author.write(COLLECTION, [1; 16], b"{}".to_vec());
    let verdicts = author.push(vec![ahead], PATIENCE).await.verdicts;
    assert!(verdicts.iter().all(|verdict| verdict.seq().is_none()), "taken as if nothing were missing: {verdicts:?}");
    // The log grows past where the reader was: now only its anchor tells.
    let mut stranger = Device::new(4, log(2), vec![Arc::clone(&way) as Arc<dyn Transport>]);
    push_alone(&mut stranger, 8).await;
    assert!(end_of(&way, 2).await.seq > alone.cursor.seq);
    told_that_the_log_went_back(&way, 2, alone.cursor).await;
    let lost = before - end_of(&way, 1).await.seq.get();
    assert!(lost > 0, "the standby was not behind");

    for _ in 0..2 {
        sync(&laptop, &way).await;
        sync(&phone, &way).await;
    }
    let other = replica(Arc::new(MemoryStore::new()), 1).await;
    sync(&other, &way).await;
    let expected: Vec<Option<u64>> = (0..names).map(|name| Some(if name < names / 2 { 1 } else { 2 })).collect();
    for (who, replica) in [("the phone", &phone), ("the laptop", &laptop), ("a new device", &other)] {
        assert_eq!(shown(replica, names).await, expected, "{who}");
    }
    lost
}

async fn no_receiver(standby: &Cluster) {
    let begun = std::time::Instant::now();
    while ask(&standby.url(), "SELECT count(*)::text FROM pg_stat_wal_receiver").await != "0" {
        assert!(begun.elapsed() < CATCHES_UP, "the standby does not let go of the primary");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Ops of somebody who forgets them once they are acknowledged.
async fn push_alone(author: &mut Device, count: u8) {
    let ops: Vec<_> = (0..count).map(|entity| author.write(COLLECTION, [entity; 16], b"{\"n\":1}".to_vec())).collect();
    assert_eq!(landed(&author.push(ops, PATIENCE).await.verdicts), usize::from(count));
}

async fn end_of(way: &Arc<HttpClient>, number: u8) -> Cursor {
    let mut device = Device::new(9, log(number), vec![Arc::clone(way) as Arc<dyn Transport>]);
    while device.pull(PATIENCE).await.more {}
    device.cursor
}

/// Whoever asks for what comes behind this cursor is refused and told to read anew.
async fn told_that_the_log_went_back(way: &HttpClient, number: u8, cursor: Cursor) {
    let pull = || way.call(Call::Pull { log: log(number), cursor, limit: Default::default() });
    let answer = insist(|| async {
        match pull().await {
            // A refusal that stays is the answer we want.
            Err(CallError::Refused(refusal)) if refusal.code.advice() != Advice::Retry => Ok(Err(refusal)),
            other => other.map(Ok),
        }
    });
    let refusal = answer.await.expect_err("a cursor of ops that are gone leads on without a word");
    assert_eq!(refusal.code.advice(), Advice::Resync, "{refusal}");
}

//! Devices that write to real servers without pause, and what they were told is kept.
//!
//! What must hold: every op that was acknowledged is in its log at the seq that was said, whoever reads it and whenever; the
//! log is dense and each page follows the one before (a device checks that); every blob that was acknowledged reads back as
//! it was.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use syncline::call::{Advice, Call};
use syncline::client::{BlobTransport as _, CallError, Transport};
use syncline::conformance::bodies::content;
use syncline::digest::{BlobId, Digest};
use syncline::oplog::{Op, Sealing};
use syncline::{LogId, OpId};
use syncline_prove::Chance;
use syncline_tests::rig::device::{Device, landed};
use syncline_tests::rig::server::TOKEN;
use syncline_transport_http::client::{ClientOptions, HttpClient};
use tokio::task::JoinHandle;

/// Tries of one call; a server that is killed is back long before.
pub const PATIENCE: u32 = 1_500;
const PIECE: usize = 256 << 10;

/// The log of this number.
#[must_use]
pub const fn log(number: u8) -> LogId {
    LogId::from_bytes([number; 16])
}

/// A way to a server.
///
/// # Panics
/// When there is no client to be had.
#[must_use]
pub fn client(url: &str) -> Arc<HttpClient> {
    let options = ClientOptions::new(url, TOKEN).request_timeout(Duration::from_secs(20));
    Arc::new(HttpClient::new(options).expect("a client"))
}

/// Asks until there is an answer.
///
/// # Panics
/// When the server refuses for good, or is never back.
pub async fn insist<T, F: Future<Output = Result<T, CallError>>>(mut ask: impl FnMut() -> F) -> T {
    let mut last = String::new();
    for _ in 0..PATIENCE {
        match ask().await {
            Ok(answer) => return answer,
            Err(CallError::Refused(refusal)) if refusal.code.advice() != Advice::Retry => panic!("{refusal}"),
            Err(error) => last = error.to_string(),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the server is never back: {last}");
}

/// Reads a whole blob.
///
/// # Errors
/// The call's, and what its source said.
pub async fn read_blob(client: &HttpClient, log: LogId, blob: BlobId) -> Result<Vec<u8>, CallError> {
    let mut brought = client.get_blobs(log, &[blob]).await?;
    Ok(brought.pop().unwrap_or_default().to_vec())
}

/// What was acknowledged.
#[derive(Debug, Default)]
pub struct Acknowledged {
    ops: Mutex<BTreeMap<(LogId, u64), OpId>>,
    blobs: Mutex<BTreeMap<BlobId, (LogId, u64, usize)>>,
    count: AtomicU64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Acknowledged {
    /// A push was answered.
    ///
    /// # Panics
    /// When an op got no seq, or one that another op has.
    pub fn push(&self, log: LogId, ops: &[Op], verdicts: &[syncline::oplog::Verdict]) {
        assert_eq!(landed(verdicts), ops.len());
        for (op, verdict) in ops.iter().zip(verdicts) {
            let seq = verdict.seq().expect("landed").get();
            let before = locked(&self.ops).insert((log, seq), op.id());
            assert!(before.is_none_or(|before| before == op.id()), "seq {seq} was given to two ops");
        }
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// A blob was answered: `content` of this seed and length.
    pub fn blob(&self, log: LogId, blob: BlobId, seed: u64, len: usize) {
        locked(&self.blobs).insert(blob, (log, seed, len));
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// How many answers there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// How many ops and blobs.
    #[must_use]
    pub fn kept(&self) -> (u64, u64) {
        (locked(&self.ops).len() as u64, locked(&self.blobs).len() as u64)
    }

    /// Everything that was acknowledged by now is found by this reader, who reads on from where it is.
    ///
    /// # Panics
    /// When it is not.
    pub async fn check_ops(&self, reader: &mut Reader) {
        let log = reader.device.log;
        let expected: Vec<(u64, OpId)> = locked(&self.ops)
            .iter()
            .filter(|((in_log, _), _)| *in_log == log)
            .map(|((_, seq), id)| (*seq, *id))
            .collect();
        reader.read_on().await;
        for (seq, id) in expected {
            let found = reader.found.get(usize::try_from(seq - 1).unwrap_or(usize::MAX));
            assert_eq!(found, Some(&id), "acknowledged at seq {seq} of {} ops", reader.found.len());
        }
    }

    /// Every blob that was acknowledged by now reads back.
    ///
    /// # Panics
    /// When one does not.
    pub async fn check_blobs(&self, client: &HttpClient) {
        let expected = locked(&self.blobs).clone();
        for (blob, (log, seed, len)) in expected {
            let read = insist(|| read_blob(client, log, blob)).await;
            assert!(read == content(seed, len), "blob {blob} of {len} bytes came back as {} others", read.len());
        }
    }
}

/// Who reads a log to its end, again and again.
#[derive(Debug)]
pub struct Reader {
    device: Device,
    found: Vec<OpId>,
}

impl Reader {
    /// Of a log, from its start.
    #[must_use]
    pub fn new(log: LogId, server: Arc<dyn Transport>) -> Self {
        Self { device: Device::new(200, log, vec![server]), found: Vec::new() }
    }

    /// How many ops it found.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether it found none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    async fn read_on(&mut self) {
        loop {
            let page = self.device.pull(PATIENCE).await;
            for logged in &page.ops {
                self.found.push(logged.op.id());
                assert_eq!(logged.seq.get(), self.found.len() as u64, "seqs are dense");
            }
            if !page.more {
                return;
            }
        }
    }
}

/// Devices at work until they are told to stop.
#[derive(Debug)]
pub struct Fleet {
    /// What they were told.
    pub acknowledged: Arc<Acknowledged>,
    done: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Fleet {
    /// So many devices that write to logs 1 and 2, and one that stores blobs in log 3.
    ///
    /// # Panics
    /// When the logs cannot be made.
    pub async fn start(servers: Vec<Arc<HttpClient>>, devices: u8, seed: u64) -> Self {
        insist(|| servers[0].call(Call::CreateLog { log: log(3), sealing: Sealing::default() })).await;
        let (acknowledged, done) = (Arc::new(Acknowledged::default()), Arc::new(AtomicBool::new(false)));
        let mut tasks = Vec::new();
        for number in 1..=devices {
            let ways = servers.iter().map(|server| Arc::clone(server) as Arc<dyn Transport>).collect();
            let device = Device::new(number, log(1 + number % 2), ways);
            let chance = Chance::new(seed ^ u64::from(number));
            tasks.push(tokio::spawn(write(device, chance, Arc::clone(&acknowledged), Arc::clone(&done))));
        }
        let chance = Chance::new(!seed);
        tasks.push(tokio::spawn(store(servers, chance, Arc::clone(&acknowledged), Arc::clone(&done))));
        Self { acknowledged, done, tasks }
    }

    /// Waits until so many more answers were given than when it is called.
    ///
    /// # Panics
    /// When a device failed.
    pub async fn gets_on(&self, answers: u64) {
        let until = self.acknowledged.count() + answers;
        while self.acknowledged.count() < until {
            assert!(self.tasks.iter().all(|task| !task.is_finished()), "a device ended early: see above");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Lets each device end what it is at.
    ///
    /// # Panics
    /// When one failed.
    pub async fn stop(self) -> Arc<Acknowledged> {
        self.done.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.expect("a device ends well");
        }
        self.acknowledged
    }
}

async fn write(mut device: Device, mut chance: Chance, told: Arc<Acknowledged>, done: Arc<AtomicBool>) {
    let log = device.log;
    while !done.load(Ordering::SeqCst) {
        let count = 1 + chance.below(4);
        let mut one = || {
            let entity = [u8::try_from(1 + chance.below(9)).unwrap_or(1); 16];
            let long = if chance.once_in(8) { 6_000 } else { 40 };
            device.write("tasks", entity, format!(r#"{{"text":"{}"}}"#, "x".repeat(long)).into_bytes())
        };
        let ops: Vec<Op> = (0..count).map(|_| one()).collect();
        let pushed = device.push(ops.clone(), PATIENCE).await;
        told.push(log, &ops, &pushed.verdicts);
    }
}

async fn store(ways: Vec<Arc<HttpClient>>, mut chance: Chance, told: Arc<Acknowledged>, done: Arc<AtomicBool>) {
    let log = log(3);
    let mut turn = 0;
    while !done.load(Ordering::SeqCst) {
        turn += 1;
        let way = &ways[turn % ways.len()];
        match chance.below(3) {
            0 => {
                let some: Vec<(u64, usize, Bytes)> = (0..1 + chance.below(8))
                    .map(|_| {
                        let (seed, len) = (chance.any(), usize::try_from(1 + chance.below(20_000)).unwrap_or(1));
                        (seed, len, content(seed, len).into())
                    })
                    .collect();
                let batch: Vec<_> = some.iter().map(|(_, _, bytes)| (Digest::of(&[bytes]), bytes.clone())).collect();
                insist(|| way.put_blobs(log, batch.clone())).await;
                some.iter().zip(batch).for_each(|((seed, len, _), (blob, _))| told.blob(log, blob, *seed, *len));
            }
            1 => {
                let (seed, len) = (chance.any(), usize::try_from(1 + chance.below(300_000)).unwrap_or(1));
                let bytes = Bytes::from(content(seed, len));
                let blob = Digest::of(&[&bytes]);
                insist(|| way.put_blob(log, blob, bytes.clone())).await;
                told.blob(log, blob, seed, len);
            }
            _ => {
                let (seed, len) = (chance.any(), 2 * PIECE + usize::try_from(chance.below(300_000)).unwrap_or(1));
                let bytes = Bytes::from(content(seed, len));
                let blob = Digest::of(&[&bytes]);
                upload(way, log, blob, &bytes).await;
                told.blob(log, blob, seed, len);
            }
        }
    }
}

/// Piece by piece; how far it is, is asked before each.
async fn upload(way: &HttpClient, log: LogId, blob: BlobId, bytes: &Bytes) {
    let size = bytes.len() as u64;
    loop {
        let at = insist(|| way.upload_at(log, blob, size)).await;
        if at == size {
            return;
        }
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        // Whatever it says: it is asked again.
        let _ = way.append_blob(log, blob, size, at, bytes.slice(from..(from + PIECE).min(bytes.len()))).await;
    }
}

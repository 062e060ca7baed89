//! The server program under `strace`, which makes one of its system calls fail, or kills it there.
//!
//! What must hold at every point: the server answers, refuses or dies, within its time; one that lives on after a call that
//! failed once takes writes again; what it acknowledged is there when it is started again without faults; what got no answer
//! can be repeated with the same ids and is done once.
//!
//! Next: [`order`] reads the order of the calls from a log of them.

pub mod order;

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use syncline::call::{Call, ErrorCode, Push, Reply};
use syncline::client::{BlobTransport as _, CallError, Transport as _};
use syncline::conformance::bodies::content;
use syncline::digest::Digest;
use syncline::oplog::{Op, Sealing};
use syncline::{Cursor, RequestId};
use syncline_tests::rig::device::Device;
use syncline_tests::rig::folder::Folder;
use syncline_tests::rig::server::Process;
use syncline_transport_http::client::HttpClient;

use crate::fleet::{Acknowledged, Reader, client, insist, log};
use crate::part::{Counts, count};

/// What happens at the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the faults there are")]
pub enum Fault {
    /// `ENOSPC`.
    Full,
    /// `EIO`.
    Io,
    /// `ENOSPC` from there on.
    StaysFull,
    /// The process is killed.
    Kill,
}

impl Fault {
    const fn words(self) -> &'static str {
        match self {
            Self::Full | Self::StaysFull => "error=ENOSPC",
            Self::Io => "error=EIO",
            Self::Kill => "signal=SIGKILL",
        }
    }

    const fn counted(self) -> &'static str {
        match self {
            Self::Full => "points ENOSPC",
            Self::StaysFull => "points ENOSPC from there on",
            Self::Io => "points EIO",
            Self::Kill => "points SIGKILL",
        }
    }
}

/// The calls that touch files, and how they may fail. Some are limited to the server's own files: `write` also wakes threads, and
/// the first to open and read files is who loads the program.
pub const CALLS: &[(&str, &[Fault])] = &[
    ("pwrite64", &[Fault::Full, Fault::Io, Fault::StaysFull, Fault::Kill]),
    ("fdatasync", &[Fault::Io, Fault::Kill]),
    ("fsync", &[Fault::Io, Fault::Full, Fault::Kill]),
    ("write", &[Fault::Full, Fault::Io, Fault::Kill]),
    ("rename", &[Fault::Io, Fault::Full, Fault::Kill]),
    ("openat", &[Fault::Io, Fault::Full, Fault::Kill]),
    ("ftruncate", &[Fault::Io, Fault::Full, Fault::Kill]),
    ("mkdir", &[Fault::Full, Fault::Kill]),
    ("unlink", &[Fault::Io, Fault::Kill]),
    ("unlinkat", &[Fault::Io, Fault::Kill]),
    ("pread64", &[Fault::Io, Fault::Kill]),
];

/// A call, its number in its thread, and what happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The call's name.
    pub call: &'static str,
    /// The first is 1, and strace counts to 65535; each thread counts its own.
    pub number: u64,
    /// What happens.
    pub fault: Fault,
}

/// How a point went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "it was reached or it was not")]
pub enum Met {
    /// The call came, and failed.
    Reached,
    /// No thread made so many.
    Beyond,
}

/// The points in the order of their numbers: every call's first, then every second. After those that were not reached
/// there is nothing to find.
#[derive(Debug)]
pub struct Sweep {
    waiting: Vec<Point>,
    next: Vec<Point>,
    step: u64,
}

impl Sweep {
    /// Of these calls, from a number on, in steps.
    #[must_use]
    pub fn of(calls: &'static [(&'static str, &'static [Fault])], first: u64, step: u64) -> Self {
        let of_call = |&(call, faults): &(&'static str, &'static [Fault])| {
            faults.iter().map(move |&fault| Point { call, number: first.max(1), fault })
        };
        let mut waiting: Vec<Point> = calls.iter().flat_map(of_call).collect();
        waiting.reverse();
        Self { waiting, next: Vec::new(), step: step.max(1) }
    }

    /// The next point; `None` when all were met.
    pub fn take(&mut self) -> Option<Point> {
        if self.waiting.is_empty() {
            self.waiting = std::mem::take(&mut self.next);
            self.waiting.reverse();
        }
        self.waiting.pop()
    }

    /// Says how it went.
    pub fn met(&mut self, point: Point, met: Met) {
        if met == Met::Reached {
            self.next.push(Point { number: point.number + self.step, ..point });
        }
    }
}

/// Runs the server once with this fault and once without.
///
/// # Panics
/// When a promise is broken.
pub fn meet(point: Point) -> (Met, Counts) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(meet_it(point))
}

async fn meet_it(point: Point) -> (Met, Counts) {
    let mut counts = Counts::new();
    let folder = Folder::new("syscalls").expect("a folder");
    let server = Process::within(&folder, None, &[]);
    let trace = folder.path().join("trace");
    let data = folder.path().join("data");
    server.start_through(&words(point, &trace, Some(&data.join("syncline.db")), &data.join("blobs/.temp/$$-0")));
    let mut work = Work::new(point);
    let ended;
    match server.try_run() {
        Ok(()) => {
            let way = client(&server.url);
            let patience = Duration::from_secs(60);
            tokio::time::timeout(patience, work.go(&way)).await.unwrap_or_else(|_| panic!("{point:?}: it hangs"));
            let end = server.ended_within(if point.fault == Fault::Kill { LINGERS } else { Duration::ZERO });
            ended = end.is_some();
            if let Some(end) = end {
                let killed = point.fault == Fault::Kill && end.signal() == Some(9);
                assert!(killed || !end.success(), "{point:?}: it ends as if all were well");
                assert!(killed || end.signal().is_none(), "{point:?}: it is not killed and ends by {end}");
            }
            let once = matches!(point.fault, Fault::Full | Fault::Io);
            if once && !ended {
                let went_on = work.goes_on(&way).await;
                assert!(went_on, "{point:?}: it lives and takes nothing any more");
                count(&mut counts, "servers that went on", 1);
            }
        }
        Err(said) => {
            ended = true;
            count(&mut counts, "starts refused", 1);
            assert!(!said.contains("panicked"), "{point:?}: it panics instead of saying what is wrong: {said}");
            assert!(!said.contains("strace: "), "{point:?}: it was never started: {said}");
        }
    }
    server.kill();
    // That it was killed is said of our own SIGKILL just before, too.
    let came = if point.fault == Fault::Kill { ended } else { injected(&trace) };
    let met = if came { Met::Reached } else { Met::Beyond };
    assert!(came || !ended, "{point:?}: it ends, and nothing failed");
    assert!(came || work.refused + work.unanswered == 0, "{point:?}: it refuses, and nothing failed");
    count(&mut counts, point.fault.counted(), u64::from(met == Met::Reached));
    server.start_through(&[]);
    server.try_run().unwrap_or_else(|said| panic!("{point:?}: it does not start again: {said}"));
    let way = client(&server.url);
    let checked = crate::part::attempt_async(work.check(&way)).await;
    checked.unwrap_or_else(|said| panic!("{point:?}: {said}"));
    count(&mut counts, "answers under faults", work.told.count());
    count(&mut counts, "refusals under faults", work.refused);
    (met, counts)
}

/// What a program is started through, for a shell that expands `$$` to its number. Of `write` only those to files in
/// `unfinished` fail, which are called by their numbers; of what opens and reads, only what is about `database`, or where
/// there is none, about the unfinished ones.
#[must_use]
pub fn words(point: Point, trace: &Path, database: Option<&Path>, unfinished: &Path) -> Vec<String> {
    let Point { call, number, fault } = point;
    let lasting = if fault == Fault::StaysFull { "+" } else { "" };
    let mut words: Vec<String> = ["strace", "-D", "-f", "-q", "-o"].map(str::to_owned).into();
    words.push(trace.display().to_string());
    let files = match (call, database) {
        ("openat" | "pread64", Some(database)) => {
            ["", "-wal", "-shm"].map(|end| format!("{}{end}", database.display())).to_vec()
        }
        ("write" | "openat" | "pread64", _) => (0..40).map(|file| format!("{}/{file}", unfinished.display())).collect(),
        _ => Vec::new(),
    };
    // A signal at a call of certain files never comes with it.
    if files.is_empty() || fault != Fault::Kill {
        words.push("--seccomp-bpf".to_owned());
    }
    words.extend(["-e".to_owned(), format!("trace={call}")]);
    words.extend(["-e".to_owned(), format!("inject={call}:{}:when={number}{lasting}", fault.words())]);
    words.extend(files.into_iter().flat_map(|file| ["-P".to_owned(), file]));
    words
}

/// Whether the trace of a process that has ended shows that a call was made to fail. A kill shows no such thing: whether that
/// came says how the process ended.
///
/// # Panics
/// When the trace has no end.
#[must_use]
pub fn injected(trace: &Path) -> bool {
    let begun = Instant::now();
    loop {
        let text = fs::read_to_string(trace).unwrap_or_default();
        // The last line says how the last thread ended; what writes it may be a moment behind.
        if text.trim_end().ends_with(" +++") {
            return text.contains("(INJECTED)");
        }
        assert!(begun.elapsed() < LINGERS, "a trace without an end: {text}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What one client does: makes logs, pushes, stores blobs in all three ways; everything once.
struct Work {
    device: Device,
    /// Every batch, and how many of them were acknowledged: they are, one after the other.
    batches: Vec<Vec<Op>>,
    acknowledged: usize,
    told: Acknowledged,
    refused: u64,
    /// Calls that ended without an answer.
    unanswered: u64,
    /// Whether the log of the blobs was acknowledged.
    has_log: bool,
    /// Whether a read is to fail: of what the disk says it cannot read, nobody knows that it is not damaged.
    unreadable: bool,
}

/// A process that was killed ends within that, and what traces it with it.
const LINGERS: Duration = Duration::from_secs(2);
const PUSHES: u64 = 12;
/// How often a server that lives is asked to go on.
const TRIES: u32 = 500;
const BLOBS: u64 = 6;

impl Work {
    fn new(point: Point) -> Self {
        let device = Device::new(1, log(1), Vec::new());
        Self {
            device,
            batches: Vec::new(),
            acknowledged: 0,
            told: Acknowledged::default(),
            refused: 0,
            unanswered: 0,
            has_log: false,
            unreadable: point.call == "pread64" && point.fault == Fault::Io,
        }
    }

    async fn go(&mut self, way: &Arc<HttpClient>) {
        for turn in 0..PUSHES {
            let mut one = || self.device.write("tasks", [1; 16], format!(r#"{{"n":"{}"}}"#, "x".repeat(700)).into());
            let ops: Vec<Op> = (0..1 + turn % 3).map(|_| one()).collect();
            self.batches.push(ops);
            // What got no answer is sent again before anything newer.
            let ops = self.batches[self.acknowledged].clone();
            let told = way.call(push(&ops)).await;
            if let Some(Reply::Pushed(pushed)) = self.saw(told) {
                self.told.push(log(1), &ops, &pushed.verdicts);
                self.acknowledged += 1;
            }
            if turn == 1 {
                let made = way.call(Call::CreateLog { log: log(3), sealing: Sealing::default() }).await;
                self.has_log = self.saw(made).is_some();
            }
            if turn > 1 && turn < 2 + BLOBS {
                self.store(way, turn).await;
            }
            let read = way.call(Call::Pull { log: log(1), cursor: Cursor::START, limit: Default::default() }).await;
            self.saw(read);
        }
    }

    /// Whether all that is waiting is taken, sooner or later.
    async fn goes_on(&mut self, way: &Arc<HttpClient>) -> bool {
        for _ in 0..TRIES {
            let Some(ops) = self.batches.get(self.acknowledged).cloned() else { return true };
            let told = way.call(push(&ops)).await;
            if let Some(Reply::Pushed(pushed)) = self.saw(told) {
                self.told.push(log(1), &ops, &pushed.verdicts);
                self.acknowledged += 1;
            } else {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        false
    }

    /// What was answered, if it was. Of a call that failed a refusal says that for now it does not go: not that data is
    /// damaged, unless that was not to be read, and not that the client is wrong, but for a log that could not be made.
    fn saw<T>(&mut self, outcome: Result<T, CallError>) -> Option<T> {
        match outcome {
            Ok(answer) => return Some(answer),
            Err(CallError::Refused(refusal)) => {
                let no_log = refusal.code == ErrorCode::LogNotFound && !self.has_log;
                let unreadable = refusal.code == ErrorCode::LogDamaged && self.unreadable;
                assert!(no_log || unreadable || is_for_now(refusal.code), "one call failed, and it says {refusal}");
                self.refused += 1;
            }
            Err(CallError::Protocol(said)) => panic!("an answer that does not read: {said}"),
            Err(_) => self.unanswered += 1,
        }
        None
    }

    async fn store(&mut self, way: &HttpClient, turn: u64) {
        let len = usize::try_from(3_000 + turn * 1_000).expect("small");
        let bytes = Bytes::from(content(turn, len));
        let blob = Digest::of(&[&bytes]);
        let stored = match turn % 3 {
            0 => way.put_blob(log(3), blob, bytes).await.map(|_| true),
            1 => way.put_blobs(log(3), vec![(blob, bytes)]).await.map(|_| true),
            _ => upload(way, blob, &bytes).await,
        };
        if self.saw(stored) == Some(true) {
            self.told.blob(log(3), blob, turn, len);
        }
    }

    async fn check(&self, way: &Arc<HttpClient>) {
        let mut reader = Reader::new(log(1), Arc::clone(way) as Arc<dyn syncline::client::Transport>);
        self.told.check_ops(&mut reader).await;
        self.told.check_blobs(way).await;
        // What got no answer is repeated with the same ids, after which everything is there once.
        let repeated = Acknowledged::default();
        for ops in &self.batches {
            match insist(|| way.call(push(ops))).await {
                Reply::Pushed(pushed) => repeated.push(log(1), ops, &pushed.verdicts),
                other => panic!("not an answer to a push: {other:?}"),
            }
        }
        repeated.check_ops(&mut reader).await;
        let all: usize = self.batches.iter().map(Vec::len).sum();
        assert_eq!(reader.len(), all, "each op once");
        insist(|| way.call(Call::CreateLog { log: log(3), sealing: Sealing::default() })).await;
        for turn in 2..2 + BLOBS {
            let len = usize::try_from(3_000 + turn * 1_000).expect("small");
            let bytes = Bytes::from(content(turn, len));
            let blob = Digest::of(&[&bytes]);
            insist(|| way.put_blob(log(3), blob, bytes.clone())).await;
            repeated.blob(log(3), blob, turn, len);
        }
        repeated.check_blobs(way).await;
    }
}

/// Whether a refusal says nothing of what is stored, and nothing of what was asked.
const fn is_for_now(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::Busy
            | ErrorCode::Unavailable
            | ErrorCode::Timeout
            | ErrorCode::OutcomeUnknown
            | ErrorCode::StorageFull
    )
}

fn push(ops: &[Op]) -> Call {
    let mut request = *ops[0].id().as_bytes();
    request[0] ^= 0xff;
    let request = Some(RequestId::from_bytes(request));
    Call::Push(Push { log: log(1), request, cursor: None, atomic: false, ops: ops.to_vec() })
}

/// In two pieces; whether it is there.
async fn upload(way: &HttpClient, blob: Digest, bytes: &Bytes) -> Result<bool, CallError> {
    let size = bytes.len() as u64;
    let at = way.upload_at(log(3), blob, size).await?;
    let from = usize::try_from(at).expect("small");
    let half = (from + bytes.len()) / 2;
    let at = way.append_blob(log(3), blob, size, at, bytes.slice(from..half)).await?;
    let from = usize::try_from(at).expect("small");
    Ok(way.append_blob(log(3), blob, size, at, bytes.slice(from..)).await? == size)
}

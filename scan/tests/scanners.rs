//! Both scanners against what they speak with: a real program, and a server that speaks clamd's protocol over a real socket.
//! The test virus is EICAR's, the 68 harmless bytes that every engine calls one; it is put together here, so that no scanner
//! takes this file for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use syncline::access::Caller;
use syncline::blob::{Engine, Finding, ScanPolicy, ScanState};
use syncline::call::{Call, ErrorCode, Reply};
use syncline::digest::{BlobId, Digest};
use syncline::oplog::{ConflictPolicy, Rules, Schema, Sealing};
use syncline::server::Server;
use syncline::store::{
    BlobError, BlobSource, ByteRange, BytesSource, MemoryBlobs, MemoryFanout, MemoryStore, ScanError, Scanner,
};
use syncline::time::{Env, Timestamp};
use syncline::{BucketId, LogId, LogKey};
use syncline_scan::{ClamdScanner, ProcessScanner};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

fn eicar() -> Bytes {
    [r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*"].concat().into()
}

/// Reads all of its input and knows one virus, as the exit codes of clamscan have it.
const PROGRAM: &str = r#"if grep -aqF "EICAR-STANDARD-"; then echo "Eicar-Test-Signature"; exit 1; fi; exit 0"#;

async fn say(scanner: &dyn Scanner, bytes: &Bytes) -> Result<Finding, ScanError> {
    scanner.scan(bytes.len() as u64, &mut BytesSource::new(bytes.clone())).await
}

fn found(name: &str) -> Finding {
    Finding::Found(name.to_owned())
}

#[tokio::test]
async fn a_program_hears_every_byte_and_its_exit_code_is_the_verdict() {
    let scanner = ProcessScanner::new(PROGRAM);
    let large: Bytes = vec![7; 3 << 20].into();
    assert_eq!(say(&scanner, &large).await.unwrap(), Finding::Clean);
    assert_eq!(say(&scanner, &Bytes::new()).await.unwrap(), Finding::Clean);
    assert_eq!(say(&scanner, &eicar()).await.unwrap(), found("Eicar-Test-Signature"));
    // Behind megabytes it is found, too, and by a program that stops listening once it has.
    let behind: Bytes = [&large[..], &eicar()].concat().into();
    assert_eq!(say(&scanner, &behind).await.unwrap(), found("Eicar-Test-Signature"));
    let early = ProcessScanner::new("head -c 1 >/dev/null; echo first; exit 1");
    assert_eq!(say(&early, &large).await.unwrap(), found("first"));
    let count = ProcessScanner::new("test $(wc -c) = 3145728");
    assert_eq!(say(&count, &large).await.unwrap(), Finding::Clean, "all of it");
    let unfit = ProcessScanner::new("cat >/dev/null; echo 'too odd'; echo more; exit 3");
    assert_eq!(say(&unfit, &large).await.unwrap(), Finding::Unfit("too odd".to_owned()));
    // One that talks without end is heard to its end, and held to what is kept.
    let chatty = ProcessScanner::new("cat >/dev/null; yes | head -c 1000000; exit 1");
    assert_eq!(say(&chatty, &large).await.unwrap(), found("y"));
}

#[tokio::test]
async fn fault_m10_whatever_goes_wrong_with_a_program_is_no_verdict() {
    let large: Bytes = vec![7; 3 << 20].into();
    for command in [
        "exit 2",
        "cat >/dev/null; exit 9",
        "kill -9 $$",
        "/nowhere/to/be/found",
        // Clean without having heard it all.
        "head -c 1 >/dev/null; exit 0",
    ] {
        let said = say(&ProcessScanner::new(command), &large).await;
        assert!(matches!(said, Err(ScanError::Down(_))), "{command}: {said:?}");
    }
    let slow = ProcessScanner::new("cat >/dev/null; sleep 1000").patience(Duration::from_millis(200));
    assert!(matches!(say(&slow, &large).await, Err(ScanError::Timeout)));
    // Nor does what it started outlive the question.
    let folder = tempfile::tempdir().unwrap();
    let number = folder.path().join("pid");
    let command = format!("sleep 1000 & echo $! >{}; cat >/dev/null; wait", number.display());
    let patient = ProcessScanner::new(command).patience(Duration::from_secs(2));
    assert!(matches!(say(&patient, &large).await, Err(ScanError::Timeout)));
    let started = std::fs::read_to_string(&number).unwrap();
    let state = format!("/proc/{}/stat", started.trim());
    let ended = || !std::fs::read_to_string(&state).is_ok_and(|stat| !stat.contains(") Z "));
    let mut looks = 0;
    while !ended() {
        looks += 1;
        assert!(looks < 1_000, "the program's child runs on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let version = ProcessScanner::new(PROGRAM).version("echo unknown");
    assert!(matches!(version.engine().await, Err(ScanError::Down(_))));
    let version = ProcessScanner::new(PROGRAM).version("echo 17");
    assert_eq!(version.engine().await.unwrap().version, 17);
    assert_eq!(ProcessScanner::new(PROGRAM).engine().await.unwrap().version, 0);
}

struct Broken;

#[async_trait::async_trait]
impl BlobSource for Broken {
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        Err(BlobError::NotFound)
    }
}

#[tokio::test]
async fn fault_m10_bytes_that_cannot_be_read_are_no_verdict() {
    let clamd = Clamd::start(27_000).await;
    let scanners: [&dyn Scanner; 2] = [&ProcessScanner::new(PROGRAM), &clamd.scanner()];
    for scanner in scanners {
        let said = scanner.scan(9, &mut Broken).await;
        assert!(matches!(said, Err(ScanError::Bytes(BlobError::NotFound))), "{said:?}");
    }
}

/// A server that speaks clamd's protocol, word for word, and knows one virus from version 27,000 on.
struct Clamd {
    address: String,
    version: Arc<AtomicU64>,
    mood: Arc<Mutex<Mood>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Well,
    /// Hangs up without an answer.
    Curt,
    /// Answers what is no answer.
    Mumbling,
    /// Never answers.
    Silent,
}

/// What this clamd takes; the real one's default is 25 MiB.
const STREAM_BYTES_MAX: usize = 2 << 20;

impl Clamd {
    async fn start(version: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let clamd = Self {
            address: listener.local_addr().unwrap().to_string(),
            version: Arc::new(version.into()),
            mood: Arc::new(Mutex::new(Mood::Well)),
        };
        let (version, mood) = (Arc::clone(&clamd.version), Arc::clone(&clamd.mood));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (version, mood) = (version.load(Ordering::SeqCst), *mood.lock().unwrap());
                tokio::spawn(serve(stream, version, mood));
            }
        });
        clamd
    }

    fn scanner(&self) -> ClamdScanner {
        ClamdScanner::new(&self.address)
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

async fn serve(mut stream: TcpStream, version: u64, mood: Mood) -> Option<()> {
    let mut command = Vec::new();
    loop {
        match stream.read_u8().await.ok()? {
            0 => break,
            byte => command.push(byte),
        }
    }
    let said = match (mood, command.as_slice()) {
        (Mood::Curt, _) => return None,
        (Mood::Silent, _) => return std::future::pending().await,
        (Mood::Mumbling, _) => "hm\0".to_owned(),
        (Mood::Well, b"zVERSION") => format!("ClamAV 1.4.3/{version}/Sun Nov 16 09:00:00 2025\0"),
        (Mood::Well, b"zINSTREAM") => {
            let mut held = Vec::new();
            loop {
                let length = usize::try_from(stream.read_u32().await.ok()?).unwrap();
                if length == 0 {
                    break;
                }
                let from = held.len();
                if from + length > STREAM_BYTES_MAX {
                    stream.write_all(b"INSTREAM size limit exceeded. ERROR\0").await.ok()?;
                    // What was sent and not read would take the answer away with it.
                    stream.shutdown().await.ok()?;
                    while stream.read(&mut [0; 65_536]).await.ok()? > 0 {}
                    return None;
                }
                held.resize(from + length, 0);
                stream.read_exact(&mut held[from..]).await.ok()?;
            }
            let eicar = held.windows(68).any(|window| window == eicar());
            let knows = version >= 27_000;
            if eicar && knows { "stream: Win.Test.EICAR_HDB-1 FOUND\0" } else { "stream: OK\0" }.to_owned()
        }
        _ => "UNKNOWN COMMAND\0".to_owned(),
    };
    stream.write_all(said.as_bytes()).await.ok()
}

#[tokio::test]
async fn clamd_hears_every_byte_and_says_what_it_found() {
    let clamd = Clamd::start(27_000).await;
    let scanner = clamd.scanner();
    assert_eq!(scanner.engine().await.unwrap(), Engine::new("ClamAV", 27_000));
    for len in [0, 1, 1_000, STREAM_BYTES_MAX - 1, STREAM_BYTES_MAX] {
        assert_eq!(say(&scanner, &vec![7; len].into()).await.unwrap(), Finding::Clean, "{len} bytes");
    }
    let behind: Bytes = [&vec![7; 1_500_000][..], &eicar()].concat().into();
    for bytes in [eicar(), behind] {
        assert_eq!(say(&scanner, &bytes).await.unwrap(), found("Win.Test.EICAR_HDB-1"));
    }
    for len in [STREAM_BYTES_MAX + 1, 20 << 20] {
        let said = say(&scanner, &vec![7; len].into()).await.unwrap();
        assert_eq!(said, Finding::Unfit("larger than the scanner takes".to_owned()), "{len} bytes");
    }
}

#[tokio::test]
async fn fault_m10_whatever_goes_wrong_with_clamd_is_no_verdict() {
    let clamd = Clamd::start(27_000).await;
    for mood in [Mood::Curt, Mood::Mumbling] {
        clamd.is(mood);
        assert!(matches!(clamd.scanner().engine().await, Err(ScanError::Down(_))));
        for bytes in [eicar(), vec![7; 5 << 20].into(), Bytes::new()] {
            let said = say(&clamd.scanner(), &bytes).await;
            assert!(matches!(said, Err(ScanError::Down(_))), "{said:?}");
        }
    }
    clamd.is(Mood::Silent);
    let hasty = clamd.scanner().patience(Duration::from_millis(200));
    assert!(matches!(hasty.engine().await, Err(ScanError::Timeout)));
    assert!(matches!(say(&hasty, &eicar()).await, Err(ScanError::Timeout)));
    let nobody = ClamdScanner::new("127.0.0.1:1");
    assert!(matches!(nobody.engine().await, Err(ScanError::Down(_))));
}

const LOG: LogKey = LogKey { bucket: BucketId::from_bytes([1; 16]), log: LogId::from_bytes([2; 16]) };

fn env() -> Env {
    static NOW: AtomicU64 = AtomicU64::new(1_800_000_000_000);
    let now = Timestamp::from_ms(NOW.fetch_add(1, Ordering::SeqCst)).unwrap();
    Env { now, entropy: *Digest::of(&[&now.ms().to_be_bytes()]).as_bytes() }
}

async fn server(contents: &[Bytes]) -> (Server, Vec<BlobId>) {
    let schema = Schema::new(Rules::of(ConflictPolicy::Merge));
    let server = Server::new(Arc::new(MemoryStore::new()), Arc::new(MemoryFanout::new()), schema)
        .with_blobs(Arc::new(MemoryBlobs::new()));
    let operator = Caller::operator(LOG.bucket);
    let log = LOG.log;
    server.handle(&operator, Call::CreateLog { log, sealing: Sealing::default() }, env()).await.unwrap();
    server.handle(&operator, Call::SetScanning { log, policy: ScanPolicy::UntilClean }, env()).await.unwrap();
    let mut blobs = Vec::new();
    for bytes in contents {
        let blob = Digest::of(&[bytes]);
        let mut body = BytesSource::new(bytes.clone());
        server.put_blob(&operator, log, (blob, bytes.len() as u64), &mut body, env()).await.unwrap();
        blobs.push(blob);
    }
    (server, blobs)
}

async fn read(server: &Server, blob: BlobId) -> Result<(), ErrorCode> {
    let opened = server.open_blob(&Caller::operator(LOG.bucket), LOG.log, blob, ByteRange::default()).await;
    opened.map(drop).map_err(|refusal| refusal.code)
}

#[tokio::test]
async fn the_test_virus_is_quarantined_through_a_program_and_through_clamd_as_soon_as_it_is_known() {
    let contents = [Bytes::from_static(b"a letter"), eicar()];
    let (by_program, blobs) = server(&contents).await;
    let (done, _) = by_program.scan_blobs(LOG, &ProcessScanner::new(PROGRAM), None, 10, env()).await.unwrap();
    assert_eq!((done.judged, done.failed), (2, 0));
    assert_eq!(
        (read(&by_program, blobs[0]).await, read(&by_program, blobs[1]).await),
        (Ok(()), Err(ErrorCode::Quarantined))
    );

    // Signatures that do not know it yet, a scanner that is away, and newer signatures.
    let clamd = Clamd::start(26_999).await;
    let (by_clamd, blobs) = server(&contents).await;
    let step = async || by_clamd.scan_blobs(LOG, &clamd.scanner(), None, 10, env()).await;
    clamd.is(Mood::Curt);
    assert_eq!(step().await.unwrap_err().code, ErrorCode::Unavailable);
    assert_eq!(read(&by_clamd, blobs[0]).await, Err(ErrorCode::ScanPending));
    clamd.is(Mood::Well);
    assert_eq!(step().await.unwrap().0.judged, 2);
    assert_eq!((read(&by_clamd, blobs[0]).await, read(&by_clamd, blobs[1]).await), (Ok(()), Ok(())));
    clamd.version.store(27_001, Ordering::SeqCst);
    assert_eq!(step().await.unwrap().0.judged, 2);
    assert_eq!(
        (read(&by_clamd, blobs[0]).await, read(&by_clamd, blobs[1]).await),
        (Ok(()), Err(ErrorCode::Quarantined))
    );
    let call = Call::Scans { log: LOG.log, after: None, limit: 10 };
    let Ok(Reply::Scans { scans, .. }) = by_clamd.handle(&Caller::operator(LOG.bucket), call, env()).await else {
        panic!("no list");
    };
    let held: Vec<_> = scans.iter().filter(|scan| scan.state == ScanState::Quarantined).collect();
    assert_eq!((held.len(), held[0].why.as_str()), (1, "Win.Test.EICAR_HDB-1"));
    assert_eq!(held[0].engine, Engine::new("ClamAV", 27_001));
}

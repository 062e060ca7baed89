//! A middlebox before an HTTP server that fails in all the ways an object store is known to fail.
//!
//! What must hold: one request a connection, so that what is lost is one answer; a fault is done as often as it was
//! asked for and counted; everything else passes as it is, signatures and all.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "the faults there are")]
pub enum Fault {
    /// 503 and please slow down; the server never sees it.
    SlowDown,
    /// The connection breaks; the server never sees it.
    Reset,
    /// The server does it, and the answer is lost.
    LoseAnswer,
    /// Nobody answers.
    Hang,
    /// The connection breaks in the middle of the answer.
    CutAnswer,
    /// The answer's second half is missing, and its length says so, too.
    ShortAnswer,
    /// One bit of the answer's body is another.
    FlipAnswer,
    /// The request's second half is missing, and its length says so, too.
    CutRequest,
    /// 200, and an error in the body; the server never sees it.
    ErrorIn200,
    /// 404, for there is no such bucket; the server never sees it.
    NoBucket,
    /// 200 and an ETag; the server never sees it.
    Pretend,
    /// The answer that the same request was given first.
    Stale,
}

type Matches = Box<dyn Fn(&str, &str) -> bool + Send>;

struct Rule {
    matches: Matches,
    fault: Fault,
    left: usize,
}

#[derive(Default)]
struct Plan {
    rules: Vec<Rule>,
    chance: Option<(u64, u64, &'static [Fault])>,
    remembered: HashMap<String, Vec<u8>>,
    done: usize,
}

/// The middlebox. Dropping it ends it; what is on its way breaks off.
#[derive(Debug)]
pub struct FaultyS3 {
    /// Where it answers, without a slash at the end.
    pub url: String,
    plan: Shared,
    task: JoinHandle<()>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Plan>>);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Plan")
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultyS3 {
    /// Stands before the server at `url`.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn before(url: &str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let own = format!("http://{}", listener.local_addr()?);
        let server: Arc<str> = url.trim_start_matches("http://").into();
        let plan = Shared::default();
        let shared = plan.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, Arc::clone(&server), shared.clone()));
            }
        });
        Ok(Self { url: own, plan, task })
    }

    /// The next `times` requests whose method and target match fail so.
    pub fn fail(&self, fault: Fault, times: usize, matches: impl Fn(&str, &str) -> bool + Send + 'static) {
        self.plan.lock().rules.push(Rule { matches: Box::new(matches), fault, left: times });
    }

    /// From now on each request fails with this chance in a hundred, in one of these ways; none with no ways.
    pub fn fail_by_chance(&self, seed: u64, percent: u64, faults: &'static [Fault]) {
        self.plan.lock().chance = (!faults.is_empty()).then_some((seed | 1, percent, faults));
    }

    /// How often it made something fail.
    #[must_use]
    pub fn done(&self) -> usize {
        self.plan.lock().done
    }
}

impl Drop for FaultyS3 {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Plan {
    fn take(&mut self, method: &str, target: &str) -> Option<Fault> {
        let rule = self.rules.iter_mut().find(|rule| rule.left > 0 && (rule.matches)(method, target));
        let fault = match rule {
            Some(rule) => {
                rule.left -= 1;
                Some(rule.fault)
            }
            None => self.draw(),
        };
        self.done += usize::from(fault.is_some());
        fault
    }

    fn draw(&mut self) -> Option<Fault> {
        let (state, percent, faults) = self.chance.as_mut()?;
        for shift in [13_i32, -7, 17] {
            *state ^= if shift < 0 { *state >> 7 } else { *state << shift };
        }
        let which = usize::try_from(*state >> 33).unwrap_or(0) % faults.len();
        (*state % 100 < *percent).then(|| faults.get(which).copied()).flatten()
    }
}

/// A message: its head with the empty line, and its body.
struct Message {
    head: String,
    body: Vec<u8>,
}

impl Message {
    fn bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), &self.body].concat()
    }

    /// With another body, whose length is said.
    fn with_body(&self, body: Vec<u8>) -> Self {
        let lines =
            self.head.trim_end().lines().filter(|line| !is(line, "content-length") && !is(line, "transfer-encoding"));
        let head: Vec<&str> = lines.collect();
        Self { head: format!("{}\r\nContent-Length: {}\r\n\r\n", head.join("\r\n"), body.len()), body }
    }
}

fn is(line: &str, header: &str) -> bool {
    line.split_once(':').is_some_and(|(name, _)| name.eq_ignore_ascii_case(header))
}

async fn head_of(from: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(from.read_u8().await?);
    }
    String::from_utf8(head).map_err(io::Error::other)
}

fn length(head: &str) -> usize {
    let line = head.lines().find(|line| is(line, "content-length"));
    line.and_then(|line| line.split_once(':')?.1.trim().parse().ok()).unwrap_or(0)
}

async fn relay(mut client: TcpStream, server: Arc<str>, plan: Shared) {
    // Whatever goes wrong, both connections end here.
    let _ = serve(&mut client, &server, &plan).await;
}

async fn serve(client: &mut TcpStream, server: &str, plan: &Shared) -> io::Result<()> {
    let head = head_of(client).await?;
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let fault = plan.lock().take(&method, &target);
    if fault == Some(Fault::Reset) {
        // With the body unread, the system says that it was reset.
        return Ok(());
    }
    let mut body = vec![0; length(&head)];
    client.read_exact(&mut body).await?;
    let lines = head.trim_end().lines().filter(|line| !is(line, "connection"));
    let head = format!("{}\r\nConnection: close\r\n\r\n", lines.collect::<Vec<_>>().join("\r\n"));
    let mut request = Message { head, body };
    match fault {
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::SlowDown) => return client.write_all(document("503 Slow Down", "SlowDown").as_bytes()).await,
        Some(Fault::ErrorIn200) => return client.write_all(document("200 OK", "AccessDenied").as_bytes()).await,
        Some(Fault::NoBucket) => return client.write_all(document("404 Not Found", "NoSuchBucket").as_bytes()).await,
        Some(Fault::Pretend) => {
            return client
                .write_all(b"HTTP/1.1 200 OK\r\nETag: \"0\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .await;
        }
        Some(Fault::CutRequest) => request = request.with_body(request.body[..request.body.len() / 2].to_vec()),
        _ => {}
    }
    let mut to = TcpStream::connect(server).await?;
    to.write_all(&request.bytes()).await?;
    let mut answer = answer_of(&mut to, &method).await?;
    let half = answer.body.len() / 2;
    match fault {
        Some(Fault::LoseAnswer) => return Ok(()),
        Some(Fault::CutAnswer) => {
            let bytes = answer.bytes();
            return client.write_all(&bytes[..bytes.len() - answer.body.len().div_ceil(2)]).await;
        }
        Some(Fault::ShortAnswer) => answer = answer.with_body(answer.body[..half].to_vec()),
        Some(Fault::FlipAnswer) => {
            if let Some(byte) = answer.body.get_mut(half) {
                *byte ^= 1;
            }
        }
        _ => {}
    }
    let mut bytes = answer.bytes();
    {
        let mut plan = plan.lock();
        let first = plan.remembered.entry(format!("{method} {target}")).or_insert_with(|| bytes.clone());
        if fault == Some(Fault::Stale) {
            bytes.clone_from(first);
        }
    }
    client.write_all(&bytes).await
}

/// All of it: the server closes behind it, as it was asked to. An answer to HEAD names a length and has no body.
async fn answer_of(from: &mut TcpStream, method: &str) -> io::Result<Message> {
    let head = head_of(from).await?;
    let mut body = Vec::new();
    if method != "HEAD" {
        from.read_to_end(&mut body).await?;
    }
    Ok(Message { head, body })
}

fn document(status: &str, code: &str) -> String {
    let body =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>no</Message></Error>");
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

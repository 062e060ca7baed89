//! A byte proxy before a Postgres socket that can lose a commit: the message itself, or the answer to it.
//!
//! Whoever commits through it cannot tell which; that is the point.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::folder::Folder;

/// `SSLRequest` and `GSSENCRequest` of the frontend protocol.
const ENCRYPTION_REQUESTS: [[u8; 4]; 2] = [80_877_103_u32.to_be_bytes(), 80_877_104_u32.to_be_bytes()];

/// What happens to the next commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the three places to be cut at")]
pub enum Cut {
    /// Nothing.
    None,
    /// The connection ends before the server sees it: nothing is committed.
    Message,
    /// The server commits, and its answer is lost.
    Answer,
}

/// A proxy that listens on a socket of its own. Dropping it ends it and its connections.
#[derive(Debug)]
pub struct Proxy {
    folder: Folder,
    plan: Arc<Plan>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Plan {
    next: AtomicU8,
    cuts: AtomicUsize,
}

impl Proxy {
    /// Stands before the server whose socket is in `server`.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn before(server: &Path) -> io::Result<Self> {
        let folder = Folder::new("proxy").map_err(io::Error::other)?;
        let listener = UnixListener::bind(socket(folder.path()))?;
        let plan = Arc::new(Plan::default());
        let task = tokio::spawn(accept(listener, socket(server), Arc::clone(&plan)));
        Ok(Self { folder, plan, task })
    }

    /// How to connect through it.
    #[must_use]
    pub fn url(&self) -> String {
        super::postgres::url_at(self.folder.path(), None)
    }

    /// Decides about the next commit; the ones after it pass.
    pub fn cut_next(&self, cut: Cut) {
        self.plan.next.store(cut as u8, Ordering::SeqCst);
    }

    /// How many commits were cut.
    #[must_use]
    pub fn cuts(&self) -> usize {
        self.plan.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Plan {
    fn take(&self) -> Cut {
        let cut = match self.next.swap(Cut::None as u8, Ordering::SeqCst) {
            cut if cut == Cut::Message as u8 => Cut::Message,
            cut if cut == Cut::Answer as u8 => Cut::Answer,
            _ => return Cut::None,
        };
        self.cuts.fetch_add(1, Ordering::SeqCst);
        cut
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join(".s.PGSQL.5432")
}

async fn accept(listener: UnixListener, server: PathBuf, plan: Arc<Plan>) {
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = UnixStream::connect(&server).await else {
            continue;
        };
        let plan = Arc::clone(&plan);
        tokio::spawn(async move {
            let swallow = AtomicBool::new(false);
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            // Whichever direction ends, both sockets close.
            tokio::select! {
                _ = questions(from_client, to_server, &plan, &swallow) => {}
                _ = answers(from_server, to_client, &swallow) => {}
            }
        });
    }
}

/// Frames of the frontend: after the startup frame, which has no type byte, each is a type, a length and a body.
async fn questions(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    plan: &Plan,
    swallow: &AtomicBool,
) -> io::Result<()> {
    let mut typed = false;
    loop {
        let mut frame = Vec::new();
        if typed {
            frame.push(from.read_u8().await?);
        }
        let len = from.read_u32().await?;
        frame.extend_from_slice(&len.to_be_bytes());
        let start = frame.len();
        let body = usize::try_from(len).unwrap_or(usize::MAX).saturating_sub(4);
        frame.resize(start + body, 0);
        from.read_exact(&mut frame[start..]).await?;
        if typed && frame[0] == b'Q' && frame[start..].starts_with(b"COMMIT") {
            match plan.take() {
                Cut::None => {}
                Cut::Message => return Ok(()),
                Cut::Answer => swallow.store(true, Ordering::SeqCst),
            }
        }
        // A question about encryption comes before the startup frame and has no type byte either.
        typed = typed || !ENCRYPTION_REQUESTS.iter().any(|request| frame[start..] == request[..]);
        to.write_all(&frame).await?;
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, swallow: &AtomicBool) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let len = from.read(&mut buffer).await?;
        if len == 0 || swallow.load(Ordering::SeqCst) {
            return Ok(());
        }
        to.write_all(&buffer[..len]).await?;
    }
}

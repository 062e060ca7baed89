//! A program of the operator's: the blob is its standard input, its exit code is the verdict.
//!
//! | exit code | verdict |
//! |---|---|
//! | 0 | clean |
//! | 1 | something was found; the first line of standard output says what |
//! | 3 | the program cannot judge it; the first line says why |
//! | others, a signal | none: the blob waits |
//!
//! `clamscan --no-summary -` and `clamdscan --no-summary -` speak so. What must hold: the program hears the blob's bytes and
//! nothing that a client chose besides; it does not outlive the question.

use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use syncline::blob::{Engine, Finding};
use syncline::store::{BlobSource, ScanError, Scanner};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::{ANSWER_BYTES_MAX, PATIENCE, down, within};

/// What a program says.
#[derive(Debug, Clone)]
pub struct ProcessScanner {
    command: String,
    version: Option<String>,
    patience: Duration,
}

impl ProcessScanner {
    /// This command, run by `sh -c` for each blob.
    #[must_use]
    pub fn new(command: impl Into<String>) -> Self {
        Self { command: command.into(), version: None, patience: PATIENCE }
    }

    /// This command prints a number that grows with what the program knows. Without one it always knows the same.
    #[must_use]
    pub fn version(mut self, command: impl Into<String>) -> Self {
        self.version = Some(command.into());
        self
    }

    /// How long a question may take.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    async fn ask(&self, bytes: &mut dyn BlobSource) -> Result<Finding, ScanError> {
        let mut group = Group::start(&self.command)?;
        let (stdin, stdout) = (group.0.stdin.take(), group.0.stdout.take());
        let feed = async move {
            let Some(mut stdin) = stdin else { return Ok(true) };
            while let Some(chunk) = bytes.next().await? {
                // A program that has heard enough may stop listening.
                if stdin.write_all(&chunk).await.is_err() {
                    return Ok(false);
                }
            }
            Ok::<_, ScanError>(stdin.shutdown().await.is_ok())
        };
        let (whole, said) = tokio::join!(feed, first_line(stdout));
        let status = group.0.wait().await.map_err(down)?;
        // Bytes that could not be read come before what the program made of those that could.
        let whole = whole?;
        match status.code() {
            Some(0) if whole => Ok(Finding::Clean),
            Some(0) => Err(down("the program calls clean what it did not read to the end")),
            Some(1) => Ok(Finding::Found(said)),
            Some(3) => Ok(Finding::Unfit(said)),
            _ => Err(down(format!("the program ended with {status}"))),
        }
    }

    async fn ask_version(&self) -> Result<u64, ScanError> {
        let Some(command) = &self.version else { return Ok(0) };
        let mut group = Group::start(command)?;
        drop(group.0.stdin.take());
        let said = first_line(group.0.stdout.take()).await;
        let status = group.0.wait().await.map_err(down)?;
        let number = said.trim().parse().ok().filter(|_| status.success());
        number.ok_or_else(|| down(format!("its version is no number: {said:?}, {status}")))
    }
}

/// A shell and what it started, which all end with the question.
struct Group(Child);

impl Group {
    fn start(command: &str) -> Result<Self, ScanError> {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(command).kill_on_drop(true).process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        shell.spawn().map(Self).map_err(down)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A shell that was waited for has no number any more, and its number may be another's.
        let number = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = number {
            // It may have ended in this very moment, which is as good.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// What is said first; the rest is heard and forgotten, so that the program can end.
async fn first_line(out: Option<impl AsyncRead + Unpin>) -> String {
    let (mut held, mut chunk) = (Vec::new(), [0; 1_024]);
    if let Some(mut out) = out {
        while let Ok(count @ 1..) = out.read(&mut chunk).await {
            held.extend(chunk.iter().take(count).take(ANSWER_BYTES_MAX.saturating_sub(held.len())));
        }
    }
    let text = String::from_utf8_lossy(&held);
    text.lines().next().unwrap_or_default().trim().to_owned()
}

#[async_trait]
impl Scanner for ProcessScanner {
    async fn engine(&self) -> Result<Engine, ScanError> {
        let version = within(self.patience, self.ask_version()).await?;
        Ok(Engine::new(&format!("process {}", self.command), version))
    }

    async fn scan(&self, _: u64, bytes: &mut dyn BlobSource) -> Result<Finding, ScanError> {
        within(self.patience, self.ask(bytes)).await
    }
}

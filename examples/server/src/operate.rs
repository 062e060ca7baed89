//! What an operator needs around the server: a token that cannot be guessed, a log, and a way to stop.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use syncline::access::Caller;
use syncline::call::{Call, ErrorCode, Refusal, Reply};
use syncline::id::{BucketId, LogKey};
use syncline::limits;
use syncline::server::Server;
use syncline::time::{Env, EnvSource as _};
use syncline_transport_http::client::SystemEnv;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// How often blobs are swept.
const HOUR: Duration = Duration::from_secs(3_600);

/// Characters of an operator's token at least.
const TOKEN_CHARS_MIN: usize = 32;
/// Different characters of an operator's token at least.
const TOKEN_DISTINCT_MIN: usize = 10;

/// The operator's token: the one that was set, or, where only this machine can reach the server, one made for it.
pub(crate) fn admin_token(config: &Config) -> anyhow::Result<String> {
    let public = !config.listen.ip().is_loopback();
    match &config.admin_token {
        Some(token) if is_strong(token) => Ok(token.clone()),
        Some(token) if public || token.is_empty() => bail!(
            "the admin token is too weak for {}: it needs at least {TOKEN_CHARS_MIN} characters, \
             {TOKEN_DISTINCT_MIN} of them different",
            config.listen
        ),
        Some(token) => {
            tracing::warn!("the admin token is weak; it is taken because only this machine can reach the server");
            Ok(token.clone())
        }
        None if public => bail!(
            "{} can be reached from other machines: set an admin token of at least {TOKEN_CHARS_MIN} characters \
             (SYNCLINE_ADMIN_TOKEN)",
            config.listen
        ),
        None if config.store.starts_with("sqlite:") => kept_token(&config.data.join("admin-token"), &config.data),
        None => {
            let token = fresh_token()?;
            eprintln!("admin token (until the server stops): {token}");
            Ok(token)
        }
    }
}

/// The token in the data folder, made when it is not there.
fn kept_token(path: &Path, folder: &Path) -> anyhow::Result<String> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    match fs::read_to_string(path) {
        Ok(text) if is_strong(text.trim()) => {
            eprintln!("admin token: in {}", path.display());
            return Ok(text.trim().to_owned());
        }
        Ok(_) => bail!("the admin token in {} is weak; remove the file to get a new one", path.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let token = fresh_token()?;
    // Written beside and renamed, so that a crash never leaves half a token.
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    fs::rename(&temporary, path).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("admin token (kept in {}): {token}", path.display());
    Ok(token)
}

fn fresh_token() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).context("the operating system has no randomness")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn is_strong(token: &str) -> bool {
    token.chars().count() >= TOKEN_CHARS_MIN && token.chars().collect::<BTreeSet<_>>().len() >= TOKEN_DISTINCT_MIN
}

/// Logs to standard error; standard output is for the ready line.
pub(crate) fn start_logging(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log).with_context(|| format!("cannot log {:?}", config.log))?;
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match config.log_format {
        LogFormat::Text => logger.try_init(),
        LogFormat::Json => logger.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot log: {error}"))
}

/// Looks every hour, and once at the start, for blobs of the operator's bucket that nothing needs any more; reads large files
/// that came since; and goes over what the trees keep of the past.
pub(crate) async fn sweep_hourly(server: &Server, bucket: BucketId) {
    let mut hours = tokio::time::interval(HOUR);
    loop {
        hours.tick().await;
        if let Err(refusal) = sweep(server, bucket).await {
            tracing::warn!(%refusal, "blobs were not swept; the next hour goes on");
        }
    }
}

async fn sweep(server: &Server, bucket: BucketId) -> Result<(), Refusal> {
    let operator = Caller::operator(bucket);
    let (mut after, mut deleted) = (None, 0);
    loop {
        let call = Call::Logs { after, limit: limits::LIST_ITEMS_MAX };
        let Reply::Logs(logs) = server.handle(&operator, call, env()?).await? else { return Ok(()) };
        for log in &logs {
            let log = LogKey { bucket, log: log.log };
            let mut from = None;
            loop {
                let (_, next) = server.adopt_blobs(log, from, limits::LIST_ITEMS_MAX, env()?).await?;
                from = next;
                if from.is_none() {
                    break;
                }
            }
            loop {
                let (swept, next) = server.sweep_blobs(log, from, limits::LIST_ITEMS_MAX, env()?).await?;
                deleted += swept.deleted;
                if swept.stuck > 0 {
                    tracing::error!(log = %log.log, manifests = swept.stuck, "what manifests list cannot be read; their pieces stay");
                }
                from = next;
                if from.is_none() {
                    break;
                }
            }
            judge(server, log).await?;
            retain(server, log).await?;
        }
        after = logs.last().map(|log| log.log);
        if logs.len() < limits::LIST_ITEMS_MAX {
            if deleted > 0 {
                tracing::info!(deleted, "blobs that nothing needed were deleted");
            }
            return Ok(());
        }
    }
}

/// Reads the large files of a log that nobody has read since they came.
async fn judge(server: &Server, log: LogKey) -> Result<(), Refusal> {
    let mut from = None;
    loop {
        let (judged, next) = server.judge_manifests(log, from, limits::LIST_ITEMS_MAX).await?;
        if judged.wrong + judged.unread > 0 {
            let (wrong, unread) = (judged.wrong, judged.unread);
            tracing::error!(log = %log.log, wrong, unread, "pieces do not make their file, or cannot be read");
        }
        from = next;
        if from.is_none() {
            return Ok(());
        }
    }
}

/// Thins the histories of a log's files and ends what was deleted long ago.
async fn retain(server: &Server, log: LogKey) -> Result<(), Refusal> {
    let (mut from, mut purged) = (None, 0);
    loop {
        let (done, next) = server.retain_tree(log, from, limits::LIST_ITEMS_MAX, env()?).await?;
        purged += done.purged;
        from = next;
        if from.is_none() {
            if purged > 0 {
                tracing::info!(log = %log.log, purged, "what was deleted long ago is gone");
            }
            return Ok(());
        }
    }
}

pub(crate) fn env() -> Result<Env, Refusal> {
    let no_randomness = |_| Refusal::new(ErrorCode::Internal, "the operating system has no randomness");
    SystemEnv::new().map(|env| env.env()).map_err(no_randomness)
}

/// Resolves when the process is asked to stop.
pub(crate) fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

//! Bringing folder and server together: once, or from now on.

use std::time::Duration;

use serde_json::json;
use syncline::files::Debounce;
use syncline::limits::CLIENT_POLL_MS;
use syncline::store::SignalSource;
use syncline::time::EnvSource as _;
use syncline_desk::{Fault, Out, Said};
use syncline_drive::engine::Synced;
use syncline_drive::mounts::Mounts;
use syncline_drive::watch::Watch;
use syncline_transport_http::client::SystemEnv;
use tokio::time::Instant;

use super::device::{Device, fault, stopped};

/// Once.
///
/// # Errors
/// Why it stopped; what was done until then stays done, and the next sync goes on.
pub(super) async fn once(device: &Device, confirm: bool) -> Result<Said, Fault> {
    let mut engine = device.mounts()?;
    begin(device, &engine).await?;
    let aside = engine.own().aside().map(|path| path.display().to_string());
    let synced = engine.sync(confirm).await.map_err(stopped)?;
    let mut said = told(&engine, &synced);
    if let Some(aside) = aside {
        said.text
            .push_str(&format!("\nWhat the device remembered did not read; it lies in {aside}, and nothing was lost."));
    }
    Ok(said)
}

/// Makes the log of a device's own files, if it is not there.
async fn begin(device: &Device, engine: &Mounts) -> Result<(), Fault> {
    if device.is_own() { engine.own().begin().await.map_err(stopped) } else { Ok(()) }
}

fn told(engine: &Mounts, synced: &Synced) -> Said {
    let troubles: Vec<_> = synced.troubles.iter().map(|(path, why)| json!({ "path": path, "why": why })).collect();
    let notices: Vec<String> = synced.notices.iter().map(|notice| format!("{notice:?}")).collect();
    let json = json!({
        "reply": "synced", "told": synced.told, "done": synced.done, "busy": synced.busy, "united": synced.united,
        "held": engine.own().base().len(), "troubles": troubles, "notices": notices,
    });
    let mut lines = vec![format!("{} changes told, {} done here.", synced.told, synced.done)];
    lines.extend(synced.troubles.iter().map(|(path, why)| format!("! {path}: {why}")));
    lines.extend((synced.busy > 0).then(|| format!("{} files are being written; they come later.", synced.busy)));
    lines.extend(
        synced.united.then(|| "The server's history is another one; folder and server were united.".to_owned()),
    );
    Said::new(json, lines.join("\n"))
}

/// From now on, until the process is told to end.
///
/// # Errors
/// When the device does not open, or nobody reads the answers.
pub(super) async fn run(device: &Device, confirm: bool, out: Out) -> Result<(), Fault> {
    let mut engine = device.mounts()?;
    let env = SystemEnv::new().map_err(|error| fault(&error))?;
    let mut watch = match Watch::begin(device.folder()) {
        Ok(watch) => Some(watch),
        Err(error) => {
            let why = error.to_string();
            out.say(&Said::new(
                json!({ "event": "unwatched", "why": why }),
                format!("! {why}; it is looked at now and then."),
            ))?;
            None
        }
    };
    let start = Instant::now();
    let now_ms = || u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (mut debounce, mut confirm, mut wakes, mut failures) = (Debounce::new(0), confirm, None, 0_u32);
    let mut stop = std::pin::pin!(stopped_by_user());
    let (mut poll_at, mut begun) = (0, false);
    loop {
        let due = debounce.next_ms().min(poll_at);
        tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            noise = heard(&mut watch) => {
                match noise {
                    Some(noise) => debounce.hear(&noise.heard(), now_ms()),
                    None => watch = None,
                }
                continue;
            }
            () = woken(&mut wakes) => {}
            () = tokio::time::sleep_until(start + Duration::from_millis(due)) => {}
        }
        let began = now_ms();
        let synced = sync(device, &mut engine, &mut begun, &mut confirm).await;
        let [a, b, c, d, ..] = env.env().bytes16("the next full look");
        debounce.looked(began, u32::from_be_bytes([a, b, c, d]).into());
        match synced {
            Ok(synced) => {
                failures = 0;
                poll_at = now_ms() + if synced.busy > 0 { BUSY_MS } else { CLIENT_POLL_MS };
                if synced.told + synced.done > 0 || !synced.troubles.is_empty() {
                    out.say(&told(&engine, &synced))?;
                }
                if wakes.is_none() || engine.is_changed() {
                    wakes = engine.wakes().await;
                }
            }
            Err(error) => {
                wakes = None;
                poll_at = now_ms() + syncline::client::backoff_ms(failures, None, &env.env()).max(BUSY_MS);
                failures = failures.saturating_add(1);
                out.say(&Said::not_synced(&error))?;
            }
        }
    }
}

/// When a file that was being written is looked at again.
const BUSY_MS: u64 = 1_000;

async fn sync(device: &Device, engine: &mut Mounts, begun: &mut bool, confirm: &mut bool) -> Result<Synced, Fault> {
    if !*begun {
        begin(device, engine).await?;
        *begun = true;
    }
    engine.sync(std::mem::take(confirm)).await.map_err(stopped)
}

async fn heard(watch: &mut Option<Watch>) -> Option<syncline_drive::watch::Noise> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

async fn woken(wakes: &mut Option<Box<dyn SignalSource>>) {
    let Some(source) = wakes else { return std::future::pending().await };
    if source.next().await.is_none() {
        // It is asked for again with the next sync.
        *wakes = None;
    }
}

async fn stopped_by_user() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).ok();
    let asked = async {
        match &mut terminate {
            Some(terminate) => {
                terminate.recv().await;
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = asked => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

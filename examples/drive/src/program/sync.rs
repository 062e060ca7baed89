//! Bringing folder and server together: once, or from now on.

use std::sync::Arc;

use serde_json::json;
use syncline_desk::{Fault, Out, Said};
use syncline_drive::engine::Synced;
use syncline_drive::follow::Follow;
use syncline_drive::mounts::Mounts;
use syncline_drive::watch::Watch;
use syncline_transport_http::client::SystemEnv;

use super::device::{Device, fault, stopped};

/// Once.
///
/// # Errors
/// Why it stopped; what was done until then stays done, and the next sync goes on.
pub(super) async fn once(device: &Device, confirm: bool) -> Result<Said, Fault> {
    let mut engine = device.mounts()?;
    engine.begin().await.map_err(stopped)?;
    let aside = engine.own().aside().map(|path| path.display().to_string());
    let synced = engine.sync(confirm).await.map_err(stopped)?;
    let mut said = told(&engine, &synced);
    if let Some(aside) = aside {
        said.text
            .push_str(&format!("\nWhat the device remembered did not read; it lies in {aside}, and nothing was lost."));
    }
    Ok(said)
}

fn told(engine: &Mounts, synced: &Synced) -> Said {
    let troubles: Vec<_> = synced.troubles.iter().map(|(path, why)| json!({ "path": path, "why": why })).collect();
    let notices: Vec<String> = synced.notices.iter().map(|notice| format!("{notice:?}")).collect();
    let json = json!({
        "reply": "synced", "told": synced.told, "done": synced.done, "busy": synced.busy, "united": synced.united,
        "held": engine.own().base().len(), "put_off": synced.put_off, "troubles": troubles, "notices": notices,
    });
    let mut lines = vec![format!("{} changes told, {} done here.", synced.told, synced.done)];
    lines.extend(synced.troubles.iter().map(|(path, why)| format!("! {path}: {why}")));
    lines.extend(
        (synced.put_off > 0).then(|| format!("{} files did not come; they are asked for again.", synced.put_off)),
    );
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
    let mut mounts = device.mounts()?;
    let _shown = device.show(&mut mounts)?;
    let env = Arc::new(SystemEnv::new().map_err(|error| fault(&error))?);
    let watch = match Watch::begin(&device.kept_in()) {
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
    let mut follow = Follow::new(mounts, watch, env, confirm);
    let mut stop = std::pin::pin!(stopped_by_user());
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            () = follow.wait() => {}
        }
        match follow.sync().await {
            Ok(synced) if synced.told + synced.done > 0 || !synced.troubles.is_empty() => {
                out.say(&told(follow.mounts(), &synced))?;
            }
            Ok(_) => {}
            Err(error) => out.say(&Said::not_synced(&stopped(error)))?,
        }
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

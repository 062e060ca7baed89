//! Verbs that only look.

use serde_json::json;
use syncline::call::{Call, Reply};
use syncline::client::Transport as _;
use syncline::decide::TREE_ROOT;
use syncline::files::{About, Base, Body};
use syncline::tree::Refusal;
use syncline::{EntityId, Timestamp};
use syncline_desk::{Fault, Said};
use syncline_drive::engine::{mounts, state_of};
use syncline_drive::journal::Journal;

use super::device::{Device, fault};
use super::paths::Paths;

/// How folder and server stand.
///
/// # Errors
/// When the journal does not read; so with all of these.
pub(super) fn status(device: &Device) -> Result<Said, Fault> {
    let journal = device.journal()?;
    let error = |error| fault(&error);
    let (status, base) = (journal.status().map_err(error)?, journal.base(TREE_ROOT).map_err(error)?);
    let (waiting, issues) = (journal.waiting().map_err(error)?.len(), journal.issues().map_err(error)?);
    let (mut here, mut elsewhere, mut bytes) = (0_u64, 0_u64, 0_u64);
    for (_, held) in base.iter() {
        match (held.body, held.content) {
            (Body::Here, Some(content)) => (here, bytes) = (here + 1, bytes + content.bytes),
            (Body::Elsewhere, Some(_)) => elsewhere += 1,
            _ => {}
        }
    }
    let issues = issues.iter().count();
    let (mounts, mounted) = mounted(device, &base);
    let ms = |time: Option<Timestamp>| time.map(Timestamp::ms);
    let json = json!({
        "reply": "status", "folder": device.folder(), "alike_at_ms": ms(status.alike_at), "tried_at_ms": ms(status.tried_at),
        "fault": status.fault, "halt": status.halt, "files_here": here, "bytes_here": bytes, "files_elsewhere": elsewhere,
        "commits_waiting": waiting, "issues": issues, "mounts": mounts,
    });
    let mut lines = vec![format!("{here} files are here ({bytes} bytes), {elsewhere} at the server only.")];
    lines.push(match status.alike_at {
        Some(at) => format!("Folder and server were alike at {} ms since 1970.", at.ms()),
        None => "Folder and server were never alike yet.".to_owned(),
    });
    lines.extend((waiting > 0).then(|| "What was sent last was not answered yet; it is sent again.".to_owned()));
    lines.extend((issues > 0).then(|| format!("{issues} cannot be synced: see `issues`.")));
    lines.extend(status.halt.map(|halt| format!("Stopped: {halt}. If that is meant, say `sync-once --confirm`.")));
    lines.extend(status.fault.map(|fault| format!("What went wrong last: {fault}")));
    lines.extend(mounted);
    Ok(Said::new(json, lines.join("\n")))
}

/// How the shared folders in the folder stand.
fn mounted(device: &Device, base: &Base) -> (Vec<serde_json::Value>, Vec<String>) {
    let (mut listed, mut lines) = (Vec::new(), Vec::new());
    for mount in mounts(base, |_| true) {
        let journal = Journal::beside(&state_of(device.state(), mount.id).join("journal.db"));
        let status = journal.and_then(|journal| journal.status()).unwrap_or_default();
        let (path, alike_at) = (mount.path.display().to_string(), status.alike_at.map(Timestamp::ms));
        let wrong = status.fault.or(status.halt);
        lines.push(match (&wrong, alike_at) {
            (Some(wrong), _) => format!("{path} is shared: {wrong}"),
            (None, Some(at)) => format!("{path} is shared; it was alike at {at} ms since 1970."),
            (None, None) => format!("{path} is shared; it was never alike yet."),
        });
        listed.push(json!({ "path": path, "log": mount.log, "alike_at_ms": alike_at, "wrong": wrong }));
    }
    (listed, lines)
}

/// What cannot be synced, and why.
pub(super) fn issues(device: &Device) -> Result<Said, Fault> {
    let journal = device.journal()?;
    let error = |error| fault(&error);
    let (issues, base) = (journal.issues().map_err(error)?, journal.base(TREE_ROOT).map_err(error)?);
    let (mut listed, mut lines) = (Vec::new(), Vec::new());
    for (folder, name, about, issue) in issues.iter() {
        let above = base.path(folder).map(|path| path.join("/")).unwrap_or_default();
        let path = if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") };
        let what = match about {
            About::Make => "new",
            About::Move => "moved",
            About::Fill => "changed",
        };
        let (why, suggested) = why(&issue.refusal);
        lines.push(format!("{path}: {why}"));
        listed.push(json!({ "path": path, "what": what, "why": why, "suggested_name": suggested }));
    }
    let text = if lines.is_empty() { "Everything can be synced.".to_owned() } else { lines.join("\n") };
    Ok(Said::new(json!({ "reply": "issues", "issues": listed }), text))
}

fn why(refusal: &Refusal) -> (String, Option<String>) {
    let plain = |text: &str| (text.to_owned(), None);
    match refusal {
        Refusal::Name(error) => (error.to_string(), Some(error.suggested.as_str().to_owned())),
        Refusal::TooDeep => plain("it is too many folders down"),
        Refusal::PathTooLong(bytes) => (format!("its path is too long, {bytes} bytes"), None),
        Refusal::TooLarge => plain("the file is too large for the server"),
        Refusal::QuotaExceeded => plain("the server has no room for it"),
        Refusal::ParentNotFolder => plain("what it is in is no folder at the server"),
        other => (format!("the server refused it: {other:?}"), None),
    }
}

/// Files beside others that came of two edits at once.
pub(super) fn conflicts(device: &Device) -> Result<Said, Fault> {
    let nodes = device.journal()?.remote().map_err(|error| fault(&error))?;
    let paths = Paths::of(&nodes);
    let pair = |(id, node): &(EntityId, _)| conflict(&paths, *id, node);
    let mut pairs: Vec<(String, String)> = nodes.iter().filter_map(pair).collect();
    pairs.sort();
    let listed: Vec<_> = pairs.iter().map(|(copy, of)| json!({ "path": copy, "of": of })).collect();
    let lines: Vec<_> = pairs.iter().map(|(copy, of)| format!("{copy}\n  beside {of}")).collect();
    let text = if lines.is_empty() { "There are no conflicts.".to_owned() } else { lines.join("\n") };
    Ok(Said::new(json!({ "reply": "conflicts", "conflicts": listed }), text))
}

/// A live conflict copy of a live file: both paths.
fn conflict(paths: &Paths<'_>, id: EntityId, node: &syncline::tree::Node) -> Option<(String, String)> {
    Some((paths.path(id)?, paths.path(node.conflict_of?)?))
}

/// The devices that the server knows to hold the files.
pub(super) async fn devices(device: &Device) -> Result<Said, Fault> {
    let holders = match device.way()?.client()?.call(Call::Devices(device.log().log)).await? {
        Reply::Devices(holders) => holders,
        _ => return Err(Fault::new("the server answered something else than was asked")),
    };
    let own = device.replica();
    let row = |(replica, holder): (_, syncline::oplog::Holder)| json!({ "replica": replica, "own": replica == own, "seq": holder.seq, "heard_at_ms": holder.heard_at.ms() });
    let listed: Vec<_> = holders.iter().map(row).collect();
    let line = |(replica, holder): (_, syncline::oplog::Holder)| {
        let mark = if replica == own { " (this device)" } else { "" };
        format!("{replica}{mark} holds everything up to {}", holder.seq)
    };
    let lines: Vec<_> = holders.iter().map(line).collect();
    let text = if lines.is_empty() { "No device has said yet what it holds.".to_owned() } else { lines.join("\n") };
    Ok(Said::new(json!({ "reply": "devices", "devices": listed }), text))
}

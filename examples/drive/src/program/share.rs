//! Sharing a folder of this device, and showing one that somebody else shared.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use syncline::call::{Call, Commit, Committed, Reply, Share, Shared};
use syncline::client::Transport as _;
use syncline::decide::TREE_ROOT;
use syncline::time::EnvSource as _;
use syncline::tree::{self, Kind, TreeOp, TreeVerdict};
use syncline::{EntityId, LogId, OpId};
use syncline_desk::{Fault, Said};
use syncline_transport_http::client::SystemEnv;

use super::device::{Device, fault};
use super::paths;

/// Shares a folder; its bytes are copied at the server in as many calls as it takes.
///
/// # Errors
/// Why not.
pub(super) async fn share(device: &Device, path: &Path) -> Result<Said, Fault> {
    let base = device.journal()?.base(TREE_ROOT).map_err(|error| fault(&error))?;
    let env = SystemEnv::new().map_err(|error| fault(&error))?.env();
    let share = Share {
        log: device.log().log,
        id: OpId::from_bytes(env.uuid7("share")),
        replica: device.replica(),
        folder: paths::node(device, &base, path)?,
        to: LogId::from_bytes(env.uuid7("shared log")),
        mount: EntityId::from_bytes(env.uuid7("mount")),
    };
    let way = device.way()?.client()?;
    loop {
        match way.call(Call::ShareFolder(share)).await? {
            Reply::Shared(Shared::Done { .. }) => break,
            Reply::Shared(Shared::Copying { left }) => eprintln!("{left} files are still to be copied"),
            _ => return Err(Fault::new("the server answered something else than was asked")),
        }
    }
    let text =
        format!("{} is shared; its log is {}. Let others in there, and they `accept` it.", path.display(), share.to);
    Ok(Said::new(json!({ "reply": "shared", "path": path, "log": share.to }), text))
}

/// Makes a mount; the next sync brings what is in it.
///
/// # Errors
/// Why not.
pub(super) async fn accept(device: &Device, log: LogId, path: &Path) -> Result<Said, Fault> {
    let base = device.journal()?.base(TREE_ROOT).map_err(|error| fault(&error))?;
    let name = path.file_name().and_then(OsStr::to_str);
    let name = name.ok_or_else(|| Fault::new(format!("{} is no name for a folder", path.display())))?;
    let parent = paths::node(device, &base, path.parent().unwrap_or_else(|| Path::new("")))?;
    let taken = std::fs::symlink_metadata(device.folder().join(path)).is_ok() || base.at(parent, name).is_some();
    if taken {
        return Err(Fault::new(format!("{} is there already; give the shared folder another name", path.display())));
    }
    let env = SystemEnv::new().map_err(|error| fault(&error))?.env();
    let node = EntityId::from_bytes(env.uuid7("mount"));
    let mount = TreeOp::Create { node, parent, name: name.to_owned(), kind: Kind::Mount(log), content: None };
    let commit = Commit {
        log: device.log().log,
        id: OpId::from_bytes(env.uuid7("accept")),
        replica: device.replica(),
        label: device.label()?,
        ops: Arc::new(tree::Commit::new(vec![mount]).map_err(|error| fault(&error))?),
    };
    let answers = match device.way()?.client()?.call(Call::Commit(commit)).await? {
        Reply::Committed(Committed::Done { answers, .. }) => answers,
        _ => return Err(Fault::new("the server answered something else than was asked")),
    };
    match answers.first().map(|answer| &answer.verdict) {
        Some(TreeVerdict::Done) => {
            let text = format!("{} will show it; the next sync brings what is in it.", path.display());
            Ok(Said::new(json!({ "reply": "accepted", "path": path, "log": log }), text))
        }
        other => Err(Fault::new(format!("the server did not take it: {other:?}"))),
    }
}

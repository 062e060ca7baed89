//! What is wanted of files: here, or at the server only. The next sync does it.

use std::path::Path;

use serde_json::json;
use syncline::decide::TREE_ROOT;
use syncline_desk::{Fault, Said};
use syncline_drive::journal::Pin;

use super::device::{Device, fault};
use super::paths::node;

/// Here, always.
///
/// # Errors
/// When nothing is held there; so with all of these.
pub(super) fn pin(device: &Device, path: &Path) -> Result<Said, Fault> {
    note(device, path, Some(Pin::Pinned), "stays on this device")
}

/// At the server only.
pub(super) fn evict(device: &Device, path: &Path) -> Result<Said, Fault> {
    note(device, path, Some(Pin::OnlineOnly), "stays at the server only")
}

/// As its folder says.
pub(super) fn unpin(device: &Device, path: &Path) -> Result<Said, Fault> {
    note(device, path, None, "is kept as its folder is")
}

fn note(device: &Device, path: &Path, pin: Option<Pin>, what: &str) -> Result<Said, Fault> {
    let mut journal = device.journal()?;
    let base = journal.base(TREE_ROOT).map_err(|error| fault(&error))?;
    let id = node(device, &base, path)?;
    journal.write(|batch| batch.pin(id, pin)).map_err(|error| fault(&error))?;
    let json = json!({ "reply": "wanted", "path": path, "node": id, "pin": pin.map(Pin::name) });
    Ok(Said::new(json, format!("{} {what} from the next sync on.", path.display())))
}

//! Deciding between a file and the file beside it, in the folder; the next sync tells the others.
//!
//! What must hold: both are as they were synced last, so that whichever goes is at the server, and in its trash.

use std::collections::HashSet;
use std::path::Path;

use serde_json::json;
use syncline::EntityId;
use syncline::decide::TREE_ROOT;
use syncline::files::{Base, Scan, Step};
use syncline::tree::{Kind, NameKey, Node, kept_name};
use syncline_desk::{Fault, Said};
use syncline_drive::folder::Folder;
use syncline_drive::rules::Rules;
use syncline_drive::steps::{Later, On, Outcome, Sink, carry_out};

use super::cli::Keep;
use super::device::{Device, fault};
use super::paths::node;

/// How many names are tried for a copy that stays.
const NAMES_TRIED: u32 = 1_000;
/// Bytes that are copied at once.
const COPIED_BYTES: usize = 1 << 20;

/// Decides a conflict.
///
/// # Errors
/// When it is none, one of the two is not here or was changed since, or the folder does not let us.
pub(super) fn resolve(device: &Device, path: &Path, keep: Keep) -> Result<Said, Fault> {
    let journal = device.journal()?;
    let base = journal.base(TREE_ROOT).map_err(|error| fault(&error))?;
    let copy = node(device, &base, path)?;
    let nodes = journal.remote().map_err(|error| fault(&error))?;
    let of = nodes.iter().find(|(id, _)| *id == copy).and_then(|(_, node)| node.conflict_of);
    let of = of.filter(|of| base.get(*of).is_some());
    let of = of.ok_or_else(|| Fault::new(format!("{} is beside no other file", path.display())))?;
    let kept = device.kept_in();
    let opened = Folder::open(&kept).map_err(|error| Fault::file("cannot open", &kept, &error))?;
    let folder = opened.map_err(|_| Fault::new(format!("{} is not there", kept.display())))?;
    let (rules, _) = Rules::of("");
    let on = On { folder: &folder, base: &base, scan: &Scan::default(), rules: &rules };
    let clean = |id| is_clean(&folder, &base, id);
    if !(clean(copy) && clean(of)) {
        return Err(Fault::new("one of the two is not here, or was changed since the last sync: sync first"));
    }
    if keep == Keep::Both {
        return both(on, &nodes, copy);
    }
    if keep == Keep::Copy {
        overwrite(on, copy, of)?;
    }
    carried(carry_out(on, &Step::Remove { node: copy }, None))?;
    let stays = base.path(of).map(|path| path.join("/")).unwrap_or_default();
    let text = format!("{stays} is the one that stays; the next sync tells the others.");
    Ok(Said::new(json!({ "reply": "resolved", "path": stays }), text))
}

/// Gives the copy a name of its own: with that it is a file like any other, for everybody.
fn both(on: On<'_>, nodes: &[(EntityId, Node)], copy: EntityId) -> Result<Said, Fault> {
    let none = || Fault::new("it is not here");
    let held = on.base.get(copy).ok_or_else(none)?;
    let beside =
        nodes.iter().filter(|(id, node)| *id != copy && node.dead.is_none() && node.parent == Some(held.parent));
    let taken: HashSet<NameKey> = beside.map(|(_, node)| node.name.key()).collect();
    for name in (1..NAMES_TRIED).map(|number| kept_name(&held.name, number)).filter(|name| !taken.contains(&name.key()))
    {
        let step = Step::Move { node: copy, parent: held.parent, at: name.as_str().to_owned() };
        match carry_out(on, &step, None) {
            Outcome::Later(Later::Taken) => {}
            outcome => {
                carried(outcome)?;
                let mut path = on.base.path(copy).unwrap_or_default();
                path.pop();
                path.push(name.as_str());
                let path = path.join("/");
                let text = format!("Both stay; the copy is {path} now. The next sync tells the others.");
                return Ok(Said::new(json!({ "reply": "resolved", "path": path }), text));
            }
        }
    }
    Err(Fault::new("every name for it is taken; rename it by hand"))
}

fn is_clean(folder: &Folder, base: &Base, id: EntityId) -> bool {
    let print = base.get(id).and_then(|held| held.print);
    let looks = base.path(id).and_then(|path| folder.looks(&path).ok().flatten());
    print.is_some() && print == looks.map(|looks| looks.print)
}

/// Gives a file the content of another.
fn overwrite(on: On<'_>, copy: EntityId, of: EntityId) -> Result<(), Fault> {
    let held = on.base.get(of).zip(on.base.get(copy).and_then(|copy| copy.content));
    let (held, content) = held.ok_or_else(|| Fault::new("only files have a content"))?;
    let step = Step::Write { node: of, parent: held.parent, at: held.at.clone(), content, replaces: true };
    let path = on.base.path(copy).unwrap_or_default();
    let copying = || {
        let (mut file, _) = on.folder.file(&path).map_err(|error| fault(&error))?;
        let mut sink = match Sink::begin(on, &step, Kind::File) {
            Ok(sink) => sink,
            Err(outcome) => return carried(outcome).map(|()| None),
        };
        let mut buffer = vec![0; COPIED_BYTES];
        loop {
            let len = std::io::Read::read(&mut file, &mut buffer).map_err(|error| fault(&error))?;
            if len == 0 {
                return Ok(Some(sink));
            }
            sink.write(buffer.get(..len).unwrap_or_default()).map_err(|error| fault(&error))?;
        }
    };
    let sink = copying()?;
    carried(carry_out(on, &step, sink))
}

fn carried(outcome: Outcome) -> Result<(), Fault> {
    match outcome {
        Outcome::Done(_) => Ok(()),
        Outcome::Later(why) => Err(fault(&why)),
        Outcome::Failed(why) => Err(fault(&why)),
    }
}

//! What is taken away: files that the server no longer shows here, and folders with nothing in them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, unlinkat};
use syncline::EntityId;
use syncline::files::{Body, Fingerprint, What};
use syncline::tree::Kind;

use super::names::{Entry, keep, rename};
use super::{Did, Later, Not, On, is_as_it_was};
use crate::folder::child;
use crate::looks;
use crate::temp::{UNFINISHED, fresh_name};
use crate::uses::Whom;
use crate::walk::Walk;

pub(super) fn remove(on: On<'_>, node: EntityId, free_of: Whom) -> Did {
    let print = on.base.get(node).and_then(|held| held.print).ok_or(Later::Gone)?;
    let path = on.base.path(node).ok_or(Later::Gone)?;
    remove_as(on, &path, &print, free_of)
}

pub(super) fn remove_double(on: On<'_>, entry: usize, of: EntityId) -> Did {
    let found = on.scan.found.get(entry).ok_or(Later::Gone)?;
    // The one that stays is looked at as well: it must be there and as it was agreed on.
    let stays = on.base.path(of).ok_or(Later::Gone)?;
    let looks = on.folder.looks(&stays)?.ok_or(Later::Gone)?;
    let path = on.scan.path(entry);
    if on.base.get(of).and_then(|held| held.print) != Some(looks.print) || path == stays {
        return Err(Later::Changed.into());
    }
    remove_as(on, &path, &found.print, Whom::Writers)
}

/// Removes what looks like this. It gets a name of ours first, and is looked at again then: an edit in between survives.
fn remove_as(on: On<'_>, path: &[&str], print: &Fingerprint, free_of: Whom) -> Did {
    let (folder, name) = on.folder.around(path)?;
    let looks = looks::entry(&folder, name)?.ok_or(Later::Gone)?;
    if looks.print != *print || looks.what == Some(What::Folder) {
        return Err(Later::Changed.into());
    }
    let _claim = on.folder.uses().claim(print.identity, free_of).ok_or(Later::Open)?;
    let ours = fresh_name()?;
    let (there, aside) = (Entry::new(&folder, name), Entry::new(&folder, &ours));
    rename(there, aside)?;
    let was = looks::entry(&folder, &ours)?.ok_or(Later::Gone)?;
    if !is_as_it_was(print, &was.print) {
        if rename(aside, there).is_err() {
            // Somebody was quick: both stay, this one under a name that is nobody's and not ours.
            let kept = format!("{}-{name}", ours.trim_start_matches(UNFINISHED));
            rename(aside, Entry::new(&folder, &kept))?;
        }
        return Err(Later::Changed.into());
    }
    unlinkat(&folder, &ours, AtFlags::empty()).map_err(io::Error::from)?;
    keep(&folder)?;
    Ok(None)
}

pub(super) fn remove_folder(on: On<'_>, node: EntityId) -> Did {
    let path = on.base.path(node).ok_or(Later::Gone)?;
    let (above, name) = on.folder.around(&path)?;
    let held = on.base.get(node).ok_or(Later::Gone)?;
    let folder = child(&above, name)?;
    if held.print.is_some_and(|print| looks::open(&folder).is_ok_and(|looks| looks.print != print)) {
        return Err(Later::Changed.into());
    }
    if on.base.inside(node).any(|(_, id)| on.base.get(id).is_some_and(|held| held.body == Body::Here)) {
        return Err(Later::NotEmpty.into());
    }
    let at: PathBuf = path.iter().collect();
    let left = entries(&folder)?;
    // What is in a mount is another tree's, which has rules of its own.
    let is_mount = matches!(held.kind, Kind::Mount(_));
    for entry in &left {
        if is_mount || !is_left_out(on, &at, entry) || is_kept(on, &folder, &at, entry)? {
            return Err(Later::NotEmpty.into());
        }
    }
    for entry in &left {
        remove_all(&folder, entry)?;
    }
    unlinkat(&above, name, AtFlags::REMOVEDIR).map_err(io::Error::from)?;
    keep(&above)?;
    Ok(None)
}

/// An entry of a folder: its name, and whether it is a folder; `None`: neither file, folder nor link.
type Named = (std::ffi::CString, Option<What>);

fn entries(folder: &OwnedFd) -> io::Result<Vec<Named>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_owned();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if let Some(looks) = looks::entry(folder, name.as_c_str())? {
            found.push((name, looks.what));
        }
    }
    Ok(found)
}

fn is_left_out(on: On<'_>, at: &Path, (name, what): &Named) -> bool {
    let (Ok(name), Some(what)) = (name.to_str(), what) else { return false };
    name.starts_with(UNFINISHED) || on.rules.leave_out(&at.join(name), *what == What::Folder)
}

/// Whether a rule keeps an entry, or something in it.
fn is_kept(on: On<'_>, folder: &OwnedFd, at: &Path, (name, what): &Named) -> io::Result<bool> {
    let Ok(text) = name.to_str() else { return Ok(false) };
    if on.rules.keep_nothing() || text.starts_with(UNFINISHED) {
        return Ok(false);
    }
    let (is_folder, at) = (*what == Some(What::Folder), at.join(text));
    if on.rules.keep(&at, is_folder) || !is_folder {
        return Ok(on.rules.keep(&at, is_folder));
    }
    let inside = child(folder, name.as_c_str())?;
    for entry in entries(&inside)? {
        if is_kept(on, &inside, &at, &entry)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes an entry with everything in it; no link is followed.
fn remove_all(folder: &OwnedFd, (name, what): &Named) -> Result<(), Not> {
    if *what != Some(What::Folder) {
        return Ok(unlinkat(folder, name.as_c_str(), AtFlags::empty()).map_err(io::Error::from)?);
    }
    let inside = child(folder, name.as_c_str())?;
    for entry in entries(&inside)? {
        remove_all(&inside, &entry)?;
    }
    Ok(unlinkat(folder, name.as_c_str(), AtFlags::REMOVEDIR).map_err(io::Error::from)?)
}

/// Takes away what somebody did not finish writing. Nobody may be writing in the folder. Says how many there were.
///
/// # Errors
/// What the system says.
pub fn take_unfinished_away(folder: &crate::folder::Folder, walk: &Walk) -> io::Result<usize> {
    let mut gone = 0;
    for (number, name) in walk.unfinished.iter().filter(|(_, name)| name.starts_with(UNFINISHED)) {
        let path = number.map(|number| walk.scan.path(number)).unwrap_or_default();
        let within = folder.inside(&path)?;
        match unlinkat(within.as_fd(), name, AtFlags::empty()) {
            Ok(()) => gone += 1,
            Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use syncline::files::Step;

    use crate::rules::Rules;

    use super::super::Later;
    use super::super::testing::{Disk, ROOT, done, later};
    use super::*;
    use crate::walk::walk;

    #[test]
    fn only_what_looks_as_agreed_on_is_taken_away() {
        let mut disk = Disk::new();
        let (a, b) = (disk.write_new("a", b"one"), disk.write_new("b", b"two"));
        for step in [Step::Remove { node: a }, Step::Evict { node: a }] {
            fs::write(disk.at("a"), b"edited").unwrap();
            assert_eq!(later(disk.carry_out(&step, b"", Kind::File)), Later::Changed, "E32");
        }
        assert_eq!(done(disk.carry_out(&Step::Remove { node: b }, b"", Kind::File)), None);
        assert_eq!((disk.names(""), disk.bytes("a")), (vec!["a".to_owned()], b"edited".to_vec()));
        disk.look_again(a);
        assert_eq!(done(disk.carry_out(&Step::Evict { node: a }, b"", Kind::File)), None);
        assert!(disk.names("").is_empty());
        assert_eq!(later(disk.carry_out(&Step::Remove { node: a }, b"", Kind::File)), Later::Gone);
    }

    #[test]
    fn a_folder_goes_with_what_is_left_out_and_stays_with_anything_else() {
        let mut disk = Disk::new();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("safe"), b"").unwrap();
        let d = disk.make_folder("d");
        fs::create_dir_all(disk.at("d/build/deep")).unwrap();
        fs::write(disk.at("d/build/deep/x"), b"").unwrap();
        fs::write(disk.at("d/.DS_Store"), b"").unwrap();
        symlink(outside.path(), disk.at("d/build/out")).unwrap();
        let step = Step::RemoveFolder { node: d };
        fs::write(disk.at("d/mine"), b"").unwrap();
        assert_eq!(later(disk.carry_out(&step, b"", Kind::Folder)), Later::NotEmpty);
        assert_eq!(disk.names("d"), [".DS_Store", "build", "mine"], "nothing is taken away before all is known");
        fs::remove_file(disk.at("d/mine")).unwrap();
        assert_eq!(done(disk.carry_out(&step, b"", Kind::Folder)), None);
        assert!(disk.names("").is_empty() && outside.path().join("safe").exists());
    }

    #[test]
    fn a_folder_stays_with_what_a_rule_keeps_however_deep_that_is() {
        let mut disk = Disk::new();
        disk.rules = Rules::of("build/\n(?keep)*.key\n").0;
        let d = disk.make_folder("d");
        fs::create_dir_all(disk.at("d/build/deep")).unwrap();
        fs::write(disk.at("d/build/deep/own.key"), b"").unwrap();
        fs::write(disk.at("d/build/deep/x"), b"").unwrap();
        let step = Step::RemoveFolder { node: d };
        assert_eq!(later(disk.carry_out(&step, b"", Kind::Folder)), Later::NotEmpty);
        assert_eq!(disk.names("d/build/deep"), ["own.key", "x"], "nothing is taken away before all is known");
        fs::rename(disk.at("d/build/deep/own.key"), disk.at("d/own.key")).unwrap();
        assert_eq!(later(disk.carry_out(&step, b"", Kind::Folder)), Later::NotEmpty);
        fs::remove_file(disk.at("d/own.key")).unwrap();
        assert_eq!(done(disk.carry_out(&step, b"", Kind::Folder)), None);
        assert!(disk.names("").is_empty());
    }

    #[test]
    fn a_folder_stays_while_something_in_it_is_held_or_another_is_in_its_place() {
        let mut disk = Disk::new();
        let d = disk.make_folder("d");
        let x = disk.write_new("d/x.tmp", b"held");
        let step = Step::RemoveFolder { node: d };
        assert_eq!(later(disk.carry_out(&step, b"", Kind::Folder)), Later::NotEmpty);
        let gone = Step::Remove { node: x };
        done(disk.carry_out(&gone, b"", Kind::File));
        disk.base.did(&gone, None, None);
        fs::rename(disk.at("d"), disk.at("e")).unwrap();
        fs::create_dir(disk.at("d")).unwrap();
        assert_eq!(later(disk.carry_out(&step, b"", Kind::Folder)), Later::Changed);
    }

    #[test]
    fn a_double_goes_only_while_the_other_one_is_there_as_agreed_on() {
        let mut disk = Disk::new();
        let a = disk.write_new("a", b"same");
        fs::write(disk.at("A"), b"same").unwrap();
        let scan = walk(&disk.folder, &disk.rules, &disk.base).unwrap().scan;
        let entry = scan.found.iter().position(|found| found.name == "A").unwrap();
        let step = Step::RemoveDouble { entry, of: a };
        fs::write(disk.at("a"), b"edited").unwrap();
        assert_eq!(later(disk.carry_out_after(&step, b"", Kind::File, &scan)), Later::Changed);
        disk.look_again(a);
        done(disk.carry_out_after(&step, b"", Kind::File, &scan));
        assert_eq!(disk.names(""), ["a"]);
        let own = scan.found.iter().position(|found| found.name == "a").unwrap();
        let step = Step::RemoveDouble { entry: own, of: a };
        assert_eq!(later(disk.carry_out_after(&step, b"", Kind::File, &scan)), Later::Changed, "itself");
    }

    #[test]
    fn what_a_crash_left_unfinished_is_taken_away() {
        let mut disk = Disk::new();
        disk.make_folder("d");
        let held = disk.write_new("d/.syncline-new-1", b"held");
        fs::write(disk.at("d/.syncline-new-2"), b"half").unwrap();
        fs::write(disk.at(".syncline-tmp-3"), b"moved aside").unwrap();
        let walked = walk(&disk.folder, &disk.rules, &disk.base).unwrap();
        assert_eq!(take_unfinished_away(&disk.folder, &walked).unwrap(), 1);
        assert_eq!(disk.names("d"), [".syncline-new-1"]);
        assert_eq!(disk.names(""), [".syncline-tmp-3", "d"]);
        assert!(disk.base.get(held).is_some_and(|held| held.parent != ROOT));
    }
}

//! Moves, folders, files and links: what comes to where the server shows it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, mkdirat, renameat, symlinkat, unlinkat};
use syncline::files::{Fingerprint, What};
use syncline::tree::Content;
use syncline::{Digest, EntityId};

use super::names::{Entry, exchange, keep, rename};
use super::{Did, Failed, Later, Not, On, is_as_it_was, unsure};
use crate::folder::check;
use crate::looks::{self, Looks};
use crate::temp::{Temp, Whole, fresh_name};
use crate::uses::Whom;

pub(super) fn move_to(on: On<'_>, node: EntityId, parent: EntityId, at: &str) -> Did {
    let held = on.base.get(node).ok_or(Later::Gone)?;
    let from = on.base.path(node).ok_or(Later::Gone)?;
    let (from_folder, from_name) = on.folder.around(&from)?;
    let before = looks::entry(&from_folder, from_name)?.ok_or(Later::Gone)?;
    if held.print.is_some_and(|print| !print.is_same_file(&before.print)) {
        return Err(Later::Changed.into());
    }
    let is_clean = held.print.is_none_or(|print| print == before.print);
    if (held.parent, held.at.as_str()) == (parent, at) {
        return Ok(Some(if is_clean { before.print } else { unsure(before.print) }));
    }
    let to_folder = on.folder.inside(&on.base.path(parent).ok_or(Later::Gone)?)?;
    let (from, to) = (Entry::new(&from_folder, from_name), Entry::new(&to_folder, check(at)?));
    rename(from, to)?;
    keep(&to_folder)?;
    if held.parent != parent {
        keep(&from_folder)?;
    }
    let after = looks::entry(&to_folder, at)?.ok_or(Later::Gone)?;
    // What was edited before stays edited, and what was edited meanwhile is.
    let is_known = is_clean && is_as_it_was(&before.print, &after.print);
    Ok(Some(if is_known { after.print } else { unsure(after.print) }))
}

pub(super) fn make_folder(on: On<'_>, parent: EntityId, at: &str) -> Did {
    let within = on.folder.inside(&on.base.path(parent).ok_or(Later::Gone)?)?;
    mkdirat(&within, check(at)?, Mode::from_raw_mode(0o777)).map_err(std::io::Error::from)?;
    keep(&within)?;
    let looks = looks::entry(&within, at)?.filter(|looks| looks.what == Some(What::Folder)).ok_or(Later::Gone)?;
    Ok(Some(looks.print))
}

pub(super) fn write_file(on: On<'_>, node: EntityId, at: &str, content: &Content, replaces: bool, temp: Temp) -> Did {
    let held = on.base.get(node).and_then(|held| held.print);
    let there = looks::entry(temp.folder(), check(at)?)?;
    let mode = is_expected(there, replaces.then_some(held))?;
    let whole = temp.finish(content, mode)?;
    let _claim = match held.filter(|_| replaces) {
        Some(held) => Some(on.folder.uses().claim(held.identity, Whom::Writers).ok_or(Later::Open)?),
        None => None,
    };
    let put = put(whole.folder(), whole.name(), at, replaces.then_some(held));
    if put.is_err() {
        // It goes away with `whole`.
        return put.map(|()| None);
    }
    let now = whole.looks()?;
    keep(whole.folder())?;
    whole.taken();
    Ok(Some(sure_if_ours(now.print, content)))
}

/// Puts a file with this content that is whole where nothing is; says how it looks there.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`](std::io::ErrorKind::AlreadyExists) when something is there; else what the system says.
pub fn put_new(whole: Whole, content: &Content, into: BorrowedFd<'_>, at: &str) -> std::io::Result<Fingerprint> {
    rename(Entry::new(&whole.folder(), whole.name()), Entry::new(&into, check(at)?))?;
    let now = whole.looks()?;
    whole.taken();
    keep(into)?;
    Ok(sure_if_ours(now.print, content))
}

/// How a file looks that was put in place with this content: somebody may have opened it already and written to it.
fn sure_if_ours(now: Fingerprint, content: &Content) -> Fingerprint {
    let is_ours = now.modified_ns == modified_ns(content) && now.size == content.bytes;
    if is_ours { now } else { unsure(now) }
}

fn modified_ns(content: &Content) -> i64 {
    i64::try_from(content.modified_at.ms()).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

pub(super) fn write_link(
    on: On<'_>,
    (node, parent, at): (EntityId, EntityId, &str),
    content: &Content,
    replaces: bool,
    target: &[u8],
) -> Did {
    if Digest::of(&[target]) != content.blob {
        let other = std::io::Error::new(std::io::ErrorKind::InvalidData, "the target of a link");
        return Err(Not::Failed(Failed::Bytes(other)));
    }
    let path = on.base.path(parent).ok_or(Later::Gone)?;
    let target = inside(target, path.len())?;
    let held = on.base.get(node).and_then(|held| held.print);
    let folder: OwnedFd = on.folder.inside(&path)?;
    is_expected(looks::entry(&folder, check(at)?)?, replaces.then_some(held))?;
    let name = fresh_name()?;
    symlinkat(target, &folder, &name).map_err(std::io::Error::from)?;
    let made = looks::entry(&folder, &name)?.ok_or(Later::Gone)?;
    if let Err(not) = put(&folder, &name, at, replaces.then_some(held)) {
        // Whatever stays is taken away when it is found.
        let _ = unlinkat(&folder, &name, AtFlags::empty());
        return Err(not);
    }
    keep(&folder)?;
    let now = looks::entry(&folder, at)?.ok_or(Later::Gone)?;
    Ok(Some(if is_as_it_was(&made.print, &now.print) { now.print } else { unsure(now.print) }))
}

/// The target of a link in a folder so many levels down, if it stays in the root: first up, then down. Another link on its way
/// down stays in the root as well, but what is above where that one leads nobody can say.
fn inside(target: &[u8], depth: usize) -> Result<&str, Not> {
    let leads_out = || Not::Failed(Failed::Link(String::from_utf8_lossy(target).into_owned()));
    let text = std::str::from_utf8(target).map_err(|_| leads_out())?;
    let mut parts = text.split('/').filter(|part| *part != ".").peekable();
    let mut up = 0;
    while parts.next_if_eq(&"..").is_some() {
        up += 1;
    }
    let is_inside = !text.is_empty() && !text.starts_with('/') && !text.contains('\0') && up <= depth;
    if is_inside && parts.all(|part| part != "..") { Ok(text) } else { Err(leads_out()) }
}

/// Whether what is there is what a step says: nothing, or what is held. Gives its permissions.
fn is_expected(there: Option<Looks>, held: Option<Option<Fingerprint>>) -> Result<Option<u16>, Not> {
    match (there, held) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(Later::Taken.into()),
        (None, Some(_)) => Err(Later::Gone.into()),
        (Some(looks), Some(held)) if held == Some(looks.print) => Ok(Some(looks.mode)),
        (Some(_), Some(_)) => Err(Later::Changed.into()),
    }
}

/// Puts something whole under its name: where nothing is, or in place of what is held.
fn put(folder: impl AsFd, name: &str, at: &str, held: Option<Option<Fingerprint>>) -> Result<(), Not> {
    let folder = folder.as_fd();
    let Some(held) = held else {
        return Ok(rename(Entry::new(&folder, name), Entry::new(&folder, at))?);
    };
    is_expected(looks::entry(folder, at)?, Some(held))?;
    swap(folder, name, at, held)
}

/// Puts something in place of what is held, and looks once more at what was there when nobody finds it any longer.
fn swap(folder: BorrowedFd<'_>, name: &str, at: &str, held: Option<Fingerprint>) -> Result<(), Not> {
    if !exchange(folder, name, at)? {
        return Ok(renameat(folder, name, folder, at).map_err(std::io::Error::from)?);
    }
    let was = looks::entry(folder, name)?;
    if was.zip(held).is_some_and(|(was, held)| is_as_it_was(&held, &was.print)) {
        return Ok(unlinkat(folder, name, AtFlags::empty()).map_err(std::io::Error::from)?);
    }
    exchange(folder, name, at)?;
    Err(Later::Changed.into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use syncline::files::Step;
    use syncline::tree::Kind;

    use super::super::testing::{Disk, ROOT, content, done, later};
    use super::super::{Failed, Later, Outcome};
    use crate::temp::Temp;

    #[test]
    fn a_new_file_comes_whole_and_onto_nothing() {
        let mut disk = Disk::new();
        let id = disk.write_new("a", b"hello");
        assert_eq!(disk.bytes("a"), b"hello");
        assert_eq!(disk.looks("a"), disk.base.get(id).unwrap().print);
        assert_eq!(disk.names(""), ["a"]);

        fs::write(disk.at("b"), b"mine").unwrap();
        let step =
            Step::Write { node: disk.id(), parent: ROOT, at: "b".into(), content: content(b"x"), replaces: false };
        assert_eq!(later(disk.carry_out(&step, b"x", Kind::File)), Later::Taken);
        assert_eq!((disk.bytes("b"), disk.names("")), (b"mine".to_vec(), vec!["a".into(), "b".into()]));
    }

    #[test]
    fn what_somebody_wrote_into_a_file_that_just_came_is_not_taken_for_the_servers() {
        let disk = Disk::new();
        for edit in [None, Some(b"HELLO".as_slice()), Some(b"hello and more")] {
            let mut temp = Temp::begin(disk.folder.inside(&[]).unwrap()).unwrap();
            temp.write(b"hello").unwrap();
            let content = content(b"hello");
            let whole = temp.finish(&content, None).unwrap();
            if let Some(edit) = edit {
                fs::write(disk.at(whole.name()), edit).unwrap();
            }
            let print = super::put_new(whole, &content, disk.folder.root(), "a").unwrap();
            assert_eq!(disk.looks("a") == Some(print), edit.is_none(), "{edit:?}");
            fs::remove_file(disk.at("a")).unwrap();
        }
    }

    #[test]
    fn e15_a_file_that_was_edited_here_is_not_written_over() {
        let mut disk = Disk::new();
        let id = disk.write_new("a", b"one");
        let step = Step::Write { node: id, parent: ROOT, at: "a".into(), content: content(b"two"), replaces: true };
        fs::set_permissions(disk.at("a"), fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(later(disk.carry_out(&step, b"two", Kind::File)), Later::Changed);
        disk.look_again(id);
        let print = done(disk.carry_out(&step, b"two", Kind::File));
        assert_eq!((disk.bytes("a"), disk.looks("a")), (b"two".to_vec(), print));
        assert_eq!(fs::metadata(disk.at("a")).unwrap().mode() & 0o777, 0o600, "its permissions stay");

        disk.look_again(id);
        for edit in [b"edited".as_slice(), b"TWO"] {
            fs::write(disk.at("a"), edit).unwrap();
            assert_eq!(later(disk.carry_out(&step, b"two", Kind::File)), Later::Changed);
            assert_eq!((disk.bytes("a"), disk.names("")), (edit.to_vec(), vec!["a".into()]));
        }
        fs::remove_file(disk.at("a")).unwrap();
        assert_eq!(later(disk.carry_out(&step, b"two", Kind::File)), Later::Gone);
        assert!(disk.names("").is_empty());
    }

    #[test]
    fn an_edit_in_the_last_moment_survives() {
        let mut disk = Disk::new();
        let id = disk.write_new("a", b"one");
        let held = disk.base.get(id).unwrap().print;
        let folder = disk.folder.inside(&[]).unwrap();
        for edit in [b"edited".as_slice(), b"EDITED"] {
            fs::write(disk.at("new"), b"two").unwrap();
            // It was looked at, and is edited before the names change.
            fs::write(disk.at("a"), edit).unwrap();
            assert!(super::swap(folder.as_fd(), "new", "a", held).is_err());
            assert_eq!((disk.bytes("a"), disk.bytes("new")), (edit.to_vec(), b"two".to_vec()));
        }
    }

    #[test]
    fn other_bytes_than_announced_never_show() {
        let mut disk = Disk::new();
        let step =
            Step::Write { node: disk.id(), parent: ROOT, at: "a".into(), content: content(b"good"), replaces: false };
        let outcome = disk.carry_out(&step, b"evil", Kind::File);
        assert!(matches!(outcome, Outcome::Failed(Failed::Bytes(_))), "{outcome:?}");
        assert!(disk.names("").is_empty());
    }

    #[test]
    fn a_move_takes_whatever_the_file_contains_by_now_and_an_edit_still_shows() {
        let mut disk = Disk::new();
        let folder = disk.make_folder("d");
        let id = disk.write_new("a", b"one");
        let step = Step::Move { node: id, parent: folder, at: "b".into() };
        let print = done(disk.carry_out(&step, b"", Kind::File)).unwrap();
        assert_eq!((disk.bytes("d/b"), disk.looks("d/b")), (b"one".to_vec(), Some(print)));
        disk.base.did(&step, None, Some(print));

        fs::write(disk.at("d/b"), b"edited").unwrap();
        let back = Step::Move { node: id, parent: ROOT, at: "a".into() };
        let print = done(disk.carry_out(&back, b"", Kind::File)).unwrap();
        assert_eq!(disk.bytes("a"), b"edited");
        assert_ne!(disk.looks("a"), Some(print), "an edit must not pass for what was agreed on");
        assert!(print.is_same_file(&disk.looks("a").unwrap()));
    }

    #[test]
    fn a_move_goes_onto_nothing_and_takes_nobody_else() {
        let mut disk = Disk::new();
        let (id, _other) = (disk.write_new("a", b"one"), disk.write_new("b", b"two"));
        let step = Step::Move { node: id, parent: ROOT, at: "b".into() };
        assert_eq!(later(disk.carry_out(&step, b"", Kind::File)), Later::Taken);
        fs::rename(disk.at("a"), disk.at("kept")).unwrap();
        let step = Step::Move { node: id, parent: ROOT, at: "c".into() };
        assert_eq!(later(disk.carry_out(&step, b"", Kind::File)), Later::Gone);
        fs::write(disk.at("a"), b"another").unwrap();
        assert_eq!(later(disk.carry_out(&step, b"", Kind::File)), Later::Changed);
        fs::hard_link(disk.at("kept"), disk.at("KEPT")).unwrap();
        assert_eq!(disk.names(""), ["KEPT", "a", "b", "kept"]);
    }

    #[test]
    fn a_name_that_is_a_path_and_a_folder_that_is_a_link_lead_nowhere() {
        let mut disk = Disk::new();
        let outside = tempfile::tempdir().unwrap();
        let (id, folder) = (disk.write_new("a", b"one"), disk.make_folder("d"));
        fs::remove_dir(disk.at("d")).unwrap();
        symlink(outside.path(), disk.at("d")).unwrap();
        let content = content(b"x");
        for step in [
            Step::Move { node: id, parent: folder, at: "b".into() },
            Step::MakeFolder { node: id, parent: folder, at: "b".into() },
            Step::Write { node: id, parent: folder, at: "b".into(), content, replaces: false },
        ] {
            assert_eq!(later(disk.carry_out(&step, b"x", Kind::File)), Later::Changed);
        }
        for at in ["", ".", "..", "../b", "/b", "b/c"] {
            for step in [
                Step::Move { node: id, parent: ROOT, at: at.into() },
                Step::MakeFolder { node: id, parent: ROOT, at: at.into() },
                Step::Write { node: id, parent: ROOT, at: at.into(), content, replaces: false },
            ] {
                let outcome = disk.carry_out(&step, b"x", Kind::File);
                assert!(matches!(outcome, Outcome::Failed(Failed::Name(_))), "{at:?}: {outcome:?}");
            }
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        assert_eq!(disk.names(""), ["a", "d"]);
    }

    #[test]
    fn e36_a_name_that_the_device_cannot_hold_is_said_and_nothing_else_happens() {
        let mut disk = Disk::new();
        let step = Step::MakeFolder { node: disk.id(), parent: ROOT, at: "x".repeat(256) };
        let outcome = disk.carry_out(&step, b"", Kind::Folder);
        assert!(matches!(outcome, Outcome::Failed(Failed::Name(_))), "{outcome:?}");
    }

    #[test]
    fn a_link_that_would_lead_out_of_the_folder_is_never_made() {
        let mut disk = Disk::new();
        let folder = disk.make_folder("d");
        let link = |disk: &mut Disk, parent, target: &[u8]| {
            let (node, at) = (disk.id(), format!("l{}", disk.names("").len() + disk.names("d").len()));
            let step = Step::Write { node, parent, at, content: content(target), replaces: false };
            disk.carry_out(&step, target, Kind::Symlink)
        };
        for target in ["/etc/passwd", "..", "../x", "d/../../x", "a/../b", "", "./../x"] {
            let outcome = link(&mut disk, ROOT, target.as_bytes());
            assert!(matches!(outcome, Outcome::Failed(Failed::Link(_))), "{target}: {outcome:?}");
        }
        assert!(matches!(link(&mut disk, folder, b"../../x"), Outcome::Failed(Failed::Link(_))));
        assert_eq!((disk.names(""), disk.names("d").len()), (vec!["d".to_owned()], 0));
        for (parent, target) in [(ROOT, "d/x"), (ROOT, "./x"), (folder, "../x"), (folder, ".."), (ROOT, "not there")] {
            assert!(done(link(&mut disk, parent, target.as_bytes())).is_some(), "{target}");
        }
    }

    #[test]
    fn a_link_takes_the_place_of_a_link() {
        let mut disk = Disk::new();
        let id = disk.write_new_kind("l", b"a", Kind::Symlink);
        assert_eq!(fs::read_link(disk.at("l")).unwrap().to_str(), Some("a"));
        let step = Step::Write { node: id, parent: ROOT, at: "l".into(), content: content(b"b"), replaces: true };
        let print = done(disk.carry_out(&step, b"b", Kind::Symlink));
        assert_eq!(fs::read_link(disk.at("l")).unwrap().to_str(), Some("b"));
        assert_eq!((disk.looks("l"), disk.names("")), (print, vec!["l".to_owned()]));
    }
}

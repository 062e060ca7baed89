//! Twins: two folders whose names count as the same become one.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, unlinkat};
use syncline::EntityId;
use syncline::files::What;

use super::names::{Entry, keep, rename};
use super::{Did, Later, On};
use crate::folder::child;
use crate::looks;

/// How many names are tried for a file whose own is taken.
const NAMES_TRIED: usize = 1_000;

/// Puts what is in one folder into another, and takes it away. Where both have something under one name, folders become one
/// and files get another name: nothing is looked into, and nothing lost.
pub(super) fn merge(on: On<'_>, entry: usize, into: EntityId) -> Did {
    let found = on.scan.found.get(entry).filter(|found| found.what == What::Folder).ok_or(Later::Gone)?;
    let (from, to) = (on.scan.path(entry), on.base.path(into).ok_or(Later::Gone)?);
    let (above, name) = on.folder.around(&from)?;
    let (twin, stays) = (child(&above, name)?, on.folder.inside(&to)?);
    let (twin_is, stays_is) = (looks::open(&twin)?.print.identity, looks::open(&stays)?.print.identity);
    if twin_is != found.print.identity || twin_is == stays_is || to.starts_with(&from) {
        return Err(Later::Changed.into());
    }
    put_into(&twin, &stays)?;
    unlinkat(&above, name, AtFlags::REMOVEDIR).map_err(io::Error::from)?;
    keep(&above)?;
    Ok(None)
}

fn put_into(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let names: Vec<_> = Dir::read_from(from)?.map(|entry| entry.map(|entry| entry.file_name().to_owned())).collect();
    for name in names {
        let name = name?;
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        // The folder stays, and what is in it.
        let name = name.to_str().map_err(|_| io::Error::from(ErrorKind::DirectoryNotEmpty))?;
        let entry = Entry::new(from, name);
        match rename(entry, Entry::new(to, name)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => beside(entry, to)?,
            Err(error) => return Err(error),
        }
    }
    keep(to)
}

fn beside(entry: Entry<'_>, to: &OwnedFd) -> io::Result<()> {
    let is_folder = |looks: Option<looks::Looks>| looks.is_some_and(|looks| looks.what == Some(What::Folder));
    if is_folder(looks::entry(entry.folder, entry.name)?) && is_folder(looks::entry(to, entry.name)?) {
        put_into(&child(entry.folder, entry.name)?, &child(to, entry.name)?)?;
        return Ok(unlinkat(entry.folder, entry.name, AtFlags::REMOVEDIR)?);
    }
    let (stem, extension) = match entry.name.rfind('.') {
        Some(at) if at > 0 => entry.name.split_at(at),
        _ => (entry.name, ""),
    };
    for number in 2..NAMES_TRIED {
        let name = format!("{stem} ({number}){extension}");
        match rename(entry, Entry::new(to, &name)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            done => return done,
        }
    }
    Err(ErrorKind::DirectoryNotEmpty.into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use syncline::files::Step;
    use syncline::tree::Kind;

    use super::super::testing::{Disk, done, later};
    use super::*;
    use crate::walk::walk;

    #[test]
    fn e37_two_folders_become_one_and_every_file_is_still_there() {
        let mut disk = Disk::new();
        let kept = disk.make_folder("Photos");
        disk.write_new("Photos/a.jpg", b"one");
        disk.make_folder("Photos/sub");
        disk.write_new("Photos/sub/x", b"x");
        for (path, bytes) in [("a.jpg", "two"), ("b.jpg", "three"), ("sub/x", "y"), ("sub/z", "z"), ("sub/.env", "e")] {
            let path = disk.at("photos").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let scan = walk(&disk.folder, &disk.rules, &disk.base).unwrap().scan;
        let entry = scan.found.iter().position(|found| found.name == "photos").unwrap();
        let step = Step::Merge { entry, into: kept };
        assert_eq!(done(disk.carry_out_after(&step, b"", Kind::Folder, &scan)), None);
        assert_eq!(disk.names(""), ["Photos"]);
        assert_eq!(disk.names("Photos"), ["a (2).jpg", "a.jpg", "b.jpg", "sub"]);
        assert_eq!(disk.names("Photos/sub"), [".env", "x", "x (2)", "z"]);
        assert_eq!((disk.bytes("Photos/a.jpg"), disk.bytes("Photos/a (2).jpg")), (b"one".to_vec(), b"two".to_vec()));
        assert_eq!(later(disk.carry_out_after(&step, b"", Kind::Folder, &scan)), Later::Gone);
    }

    #[test]
    fn a_folder_is_not_merged_into_itself_or_what_is_in_it() {
        let mut disk = Disk::new();
        let d = disk.make_folder("d");
        let e = disk.make_folder("d/e");
        let scan = walk(&disk.folder, &disk.rules, &disk.base).unwrap().scan;
        let entry = scan.found.iter().position(|found| found.name == "d").unwrap();
        for into in [d, e] {
            let step = Step::Merge { entry, into };
            assert_eq!(later(disk.carry_out_after(&step, b"", Kind::Folder, &scan)), Later::Changed);
        }
        assert_eq!(disk.names("d"), ["e"]);
    }
}

//! What looks like an accident is not taken for a wish.

use syncline::files::{Base, Halt, RootState, Scan, check_root};
use syncline::limits::{FILES_DELETED_MIN, FILES_DELETED_PERCENT};

use crate::device::{Device, Fuse};
use crate::races::NEVER;
use crate::server::{ROOT, Server};

/// Two devices with so many files.
fn stocked(files: usize) -> (Server, [Device; 2]) {
    let mut server = Server::new();
    server.through_reads = false;
    let mut devices = [Device::new(2, "A", &server), Device::new(4, "B", &server)];
    for number in 0..files {
        assert!(devices[0].disk.write(&format!("f{number}"), u64::try_from(number).unwrap() + 1));
    }
    for device in &mut devices {
        device.sync(&mut server, &mut Fuse(NEVER));
    }
    (server, devices)
}

fn remove(device: &mut Device, files: usize) {
    for number in 0..files {
        device.disk.remove(&format!("f{number}"));
    }
}

/// E19, on the device where they were deleted and on the other.
#[test]
fn e19_most_of_many_files_are_not_deleted_without_asking() {
    let half = FILES_DELETED_MIN * FILES_DELETED_PERCENT / 100;
    for (files, gone, halts) in [
        (FILES_DELETED_MIN - 1, FILES_DELETED_MIN - 1, false),
        (FILES_DELETED_MIN, half - 1, false),
        (FILES_DELETED_MIN, half, false),
        (FILES_DELETED_MIN, half + 1, true),
        (FILES_DELETED_MIN + 1, half + 1, true),
    ] {
        let (mut server, [mut a, mut b]) = stocked(files);
        remove(&mut a, gone);
        let here = a.try_plan(false).0;
        assert_eq!(here.as_ref().err(), halts.then_some(&Halt::DeletedHere { gone, of: files }), "{gone} of {files}");
        assert!(a.try_plan(true).0.is_ok(), "it was said to be meant");
        a.sync(&mut server, &mut Fuse(NEVER));
        b.pull(&server);
        let there = b.try_plan(false).0;
        assert_eq!(there.err(), halts.then_some(Halt::DeletedThere { gone, of: files }), "{gone} of {files}");
        assert_eq!(b.disk.files.len(), files, "a plan changed something");
    }
}

/// E17 and E18.
#[test]
fn e17_e18_a_folder_that_is_not_there_or_was_emptied_is_no_wish() {
    let (_, [mut a, _]) = stocked(3);
    let scan = a.disk.scan().0;
    let here = RootState::Folder { volume: 1 };
    let nothing = Scan::default();
    for (root, volume, base, scan, expected) in [
        (RootState::Missing, None, &a.base, &nothing, Err(Halt::RootMissing)),
        (RootState::Other, None, &a.base, &nothing, Err(Halt::RootIsNoFolder)),
        (RootState::Folder { volume: 2 }, Some(1), &a.base, &scan, Err(Halt::OtherVolume)),
        (here, Some(1), &a.base, &nothing, Err(Halt::RootEmptied)),
        (here, Some(1), &a.base, &scan, Ok(())),
        (here, None, &Base::new(ROOT), &nothing, Ok(())),
    ] {
        assert_eq!(check_root(root, volume, base, scan), expected);
    }
    // One file that is gone may have been meant.
    let (_, [one, _]) = stocked(1);
    assert_eq!(check_root(here, Some(1), &one.base, &nothing), Ok(()));
    let unread = Scan { unread: vec![0], ..a.disk.scan().0 };
    assert_eq!(check_root(here, Some(1), &a.base, &unread), Ok(()));
    remove(&mut a, 3);
    assert!(a.disk.files.is_empty());
}

//! What is heard of a folder while it is looked at: what is not over yet is left alone.

use syncline::files::{Debounce, Heard};

use crate::device::{Device, Fuse};
use crate::races::NEVER;
use crate::server::Server;

/// A device with these files, which hears what happens from 0 on.
fn hearing(server: &mut Server, files: &[(&str, u64)]) -> Device {
    let mut device = Device::new(2, "A", server);
    for (path, value) in files {
        for (at, _) in path.match_indices('/') {
            device.disk.make_folder(&path[..at]);
        }
        assert!(device.disk.write(path, *value));
    }
    assert!(device.sync(server, &mut Fuse(NEVER)));
    let mut heard = Debounce::new(0);
    heard.looked(0, 0);
    device.heard = Some((heard, 0));
    device
}

fn hear(device: &mut Device, noise: &Heard<'_>, at_ms: u64) {
    let (heard, now) = device.heard.as_mut().unwrap();
    *now = at_ms;
    heard.hear(noise, at_ms);
}

/// Syncs at a time; says what the server shows then.
fn at(device: &mut Device, server: &mut Server, now_ms: u64) -> Vec<String> {
    device.heard.as_mut().unwrap().1 = now_ms;
    assert!(device.sync(server, &mut Fuse(NEVER)));
    server.show().into_iter().collect()
}

#[test]
fn e12_a_file_that_is_being_written_is_not_told_and_everything_else_is() {
    let mut server = Server::new();
    let mut a = hearing(&mut server, &[("old", 1), ("other", 2)]);
    assert!(a.disk.write("old", 3) && a.disk.write("new", 4) && a.disk.write("other", 5));
    for path in ["old", "new"] {
        hear(&mut a, &Heard::Wrote { path, bytes: 1 }, 1_000);
    }
    let plan = a.plan().0;
    assert_eq!(plan.unread.len(), 1, "half of a file is read");
    assert_eq!(at(&mut a, &mut server, 1_499), ["old=1", "other=5"]);
    assert_eq!(at(&mut a, &mut server, 1_500), ["new=4", "old=3", "other=5"]);
}

#[test]
fn e10_what_vanished_is_not_deleted_before_it_had_time_to_come_back() {
    let mut server = Server::new();
    let mut a = hearing(&mut server, &[("d/e/x", 1), ("d/y", 2), ("z", 3)]);
    assert!(a.disk.remove("d") && a.disk.remove("z"));
    hear(&mut a, &Heard::Vanished("d"), 1_000);
    assert_eq!(at(&mut a, &mut server, 2_999), ["d/e/x=1", "d/y=2"], "what else is gone is deleted");
    assert_eq!(at(&mut a, &mut server, 3_000), [""; 0]);
}

#[test]
fn what_left_a_folder_that_vanished_is_where_it_is_found() {
    let mut server = Server::new();
    let mut a = hearing(&mut server, &[("d/x", 1), ("d/y", 2)]);
    assert!(a.disk.rename("d/x", "x") && a.disk.remove("d"));
    hear(&mut a, &Heard::Vanished("d"), 1_000);
    assert_eq!(at(&mut a, &mut server, 1_000), ["d/y=2", "x=1"]);
    assert_eq!(at(&mut a, &mut server, 3_000), ["x=1"]);
}

/// A folder that goes while something that left it is still being written takes that along only from where it was.
#[test]
fn a_file_that_left_a_folder_and_is_being_written_is_not_deleted_with_it() {
    let mut server = Server::new();
    let mut a = hearing(&mut server, &[("d/x", 1), ("d/y", 2)]);
    assert!(a.disk.rename("d/x", "x") && a.disk.remove("d"));
    hear(&mut a, &Heard::Wrote { path: "x", bytes: 1 }, 1_000);
    assert_eq!(at(&mut a, &mut server, 1_000), ["d/x=1"]);
    assert_eq!(at(&mut a, &mut server, 1_500), ["x=1"]);
}

/// News of a file that is being written wait: it may be another one in a moment.
#[test]
fn e15_what_comes_for_a_file_that_is_being_written_waits() {
    let mut server = Server::new();
    let mut a = hearing(&mut server, &[("doc", 1)]);
    let mut b = Device::new(4, "B", &server);
    assert!(b.sync(&mut server, &mut Fuse(NEVER)) && b.disk.write("doc", 2));
    assert!(b.sync(&mut server, &mut Fuse(NEVER)));
    hear(&mut a, &Heard::Wrote { path: "doc", bytes: 1 }, 1_000);
    at(&mut a, &mut server, 1_000);
    assert!(a.show().contains("doc=1"), "{:?}", a.show());
    at(&mut a, &mut server, 1_500);
    assert!(a.show().contains("doc=2"), "{:?}", a.show());
}

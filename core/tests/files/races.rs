//! Every race of the table, done in two folders and found by scans.

use std::collections::BTreeSet;

use crate::device::{Device, Fuse};
use crate::server::Server;
use crate::table::{Row, rows, spelled, tree};

pub(crate) const NEVER: usize = usize::MAX;

fn act(device: &mut Device, server: &mut Server, acts: &str) {
    for act in acts.split(';').map(str::trim).filter(|act| !act.is_empty() && *act != "–") {
        let (verb, rest) = act.split_once(' ').unwrap_or((act, ""));
        let disk = &mut device.disk;
        let done = match verb {
            "w" => {
                let (path, value) = rest.rsplit_once('=').unwrap();
                disk.write(&spelled(path), value.parse().unwrap())
            }
            "mv" => {
                let (from, to) = rest.split_once(" -> ").unwrap();
                disk.rename(&spelled(from), &spelled(to))
            }
            "rm" => disk.remove(&spelled(rest)),
            "mkdir" => disk.make_folder(&spelled(rest)),
            "sync" => device.sync(server, &mut Fuse(NEVER)),
            _ => false,
        };
        assert!(done, "{act}");
    }
}

fn run(row: &Row<'_>, order: [usize; 2]) -> BTreeSet<String> {
    let mut server = Server::new();
    let mut seeder = Device::new(9, "S", &server);
    for path in tree(row.initial, ',') {
        let (path, value) = path.split_once('=').map_or((path.as_str(), None), |(path, value)| (path, Some(value)));
        let mut folder = String::new();
        for name in path.trim_end_matches('/').split('/') {
            let at = format!("{folder}{name}");
            if at != path {
                seeder.disk.make_folder(&at);
            }
            folder = format!("{at}/");
        }
        if let Some(value) = value {
            assert!(seeder.disk.write(path, value.parse().unwrap()));
        }
    }
    seeder.sync(&mut server, &mut Fuse(NEVER));
    let mut devices = [Device::new(1, "A", &server), Device::new(2, "B", &server)];
    for device in &mut devices {
        device.disk.knows_births = true;
        device.sync(&mut server, &mut Fuse(NEVER));
    }
    for (device, acts) in devices.iter_mut().zip(row.acts) {
        act(device, &mut server, acts);
    }
    for _ in 0..2 {
        for device in order {
            devices[device].sync(&mut server, &mut Fuse(NEVER));
        }
    }
    for device in &mut devices {
        device.pull(&server);
        assert!(device.plan().0.is_empty(), "{}: what was synced is to be synced again", row.name);
        assert_eq!(device.show(), server.show(), "{}: {}", row.name, device.label);
    }
    server.show()
}

#[test]
fn every_race_of_two_folders_ends_as_the_table_says_in_both_orders() {
    let mut faults = Vec::new();
    for row in &rows() {
        for (order, expected) in [([0, 1], row.first_a), ([1, 0], row.first_b)] {
            let (shown, expected) = (run(row, order), tree(expected, ';'));
            if shown != expected {
                faults.push(format!("{}, {order:?}: {shown:?}, not {expected:?}", row.name));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

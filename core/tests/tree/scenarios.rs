//! Every race of the table, in both orders of arrival.

use std::collections::BTreeSet;

use syncline::tree::{Dropped, TreeVerdict};

use crate::device::Device;
use crate::server::Server;
use crate::table::{Row, rows, spelled, tree};

fn act(device: &mut Device, server: &mut Server, acts: &str) {
    for act in acts.split(';').map(str::trim).filter(|act| !act.is_empty()) {
        let (verb, rest) = act.split_once(' ').unwrap_or((act, ""));
        let done = match verb {
            "w" => {
                let (path, value) = rest.rsplit_once('=').unwrap();
                device.write(&spelled(path), value.parse().unwrap())
            }
            "mv" => {
                let (from, to) = rest.split_once(" -> ").unwrap();
                device.rename(&spelled(from), &spelled(to))
            }
            "rm" => device.remove(&spelled(rest)),
            "mkdir" => device.make_folder(&spelled(rest)),
            "sync" => {
                device.sync(server);
                true
            }
            _ => false,
        };
        assert!(done, "{act}");
    }
}

fn spoken(verdict: &TreeVerdict) -> String {
    let dropped = |dropped: &Dropped| match dropped {
        Dropped::Name => "superseded_name",
        Dropped::Parent => "superseded_parent",
        Dropped::Circle => "would_cycle",
        Dropped::Unseen => "kept_unseen",
        other => panic!("{other:?}"),
    };
    match verdict {
        TreeVerdict::Done | TreeVerdict::Alias { .. } => "ok".to_owned(),
        TreeVerdict::Noop => "noop".to_owned(),
        TreeVerdict::Copied { .. } => "conflict_copy".to_owned(),
        TreeVerdict::Revived => "revived".to_owned(),
        TreeVerdict::Superseded => "superseded".to_owned(),
        TreeVerdict::Partial(parts) => format!("partial:{}", parts.iter().map(dropped).collect::<Vec<_>>().join("+")),
        other => format!("{other:?}"),
    }
}

/// Two devices in step, apart, and synced in this order; gives the tree and the verdicts.
fn run(row: &Row<'_>, order: [usize; 2], mut server: Server) -> (BTreeSet<String>, String) {
    let mut seeder = Device::new(9, "S");
    for path in tree(row.initial, ',') {
        let (path, value) = path.split_once('=').map_or((path.as_str(), None), |(path, value)| (path, Some(value)));
        let mut folder = String::new();
        for name in path.trim_end_matches('/').split('/') {
            let at = format!("{folder}{name}");
            if at != path {
                seeder.make_folder(&at);
            }
            folder = format!("{at}/");
        }
        if let Some(value) = value {
            assert!(seeder.write(path, value.parse().unwrap()));
        }
    }
    seeder.sync(&mut server);
    let mut devices = [Device::new(1, "A"), Device::new(2, "B")];
    devices.iter_mut().for_each(|device| device.pull(&server));
    for (device, acts) in devices.iter_mut().zip(row.acts) {
        act(device, &mut server, acts);
    }
    let mut verdicts = Vec::new();
    for device in order {
        verdicts.extend(devices[device].sync(&mut server));
    }
    for device in order {
        assert_eq!(devices[device].sync(&mut server), [], "{}: what was synced is to be synced again", row.name);
    }
    assert_eq!(devices[0].local, devices[1].local, "{}", row.name);
    let verdicts: Vec<String> = verdicts.iter().map(spoken).filter(|verdict| verdict != "ok").collect();
    let verdicts = if verdicts.is_empty() { "ok".to_owned() } else { verdicts.join(", ") };
    (server.show(), verdicts)
}

/// Runs the table, each race on a server of its own. Fails with all that does not end as it says.
pub(crate) fn play(mut server: impl FnMut() -> Server) {
    let mut faults = Vec::new();
    let rows = rows();
    assert_eq!(rows.len(), 82);
    for row in &rows {
        let (shown, verdicts) = run(row, [0, 1], server());
        let expected = tree(row.first_a, ';');
        if shown != expected {
            faults.push(format!("{}, A first: {shown:?}, not {expected:?}", row.name));
        }
        if verdicts != row.verdicts {
            faults.push(format!("{}, A first: {verdicts}, not {}", row.name, row.verdicts));
        }
        let (shown, _) = run(row, [1, 0], server());
        let expected = tree(row.first_b, ';');
        if shown != expected {
            faults.push(format!("{}, B first: {shown:?}, not {expected:?}", row.name));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

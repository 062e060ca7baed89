//! Devices that cannot hold every name, or every path.

use syncline::files::{Abilities, Base};
use syncline::tree::NamePolicy;

use crate::device::{Device, Fuse};
use crate::races::NEVER;
use crate::server::{ROOT, Server};

/// A server whose tree takes every name, a device that holds every name, and one that does not.
fn house(abilities: Abilities) -> (Server, Device, Device) {
    let mut server = Server::new();
    server.policy = NamePolicy::Lenient;
    let (a, mut w) = (Device::new(2, "A", &server), Device::new(4, "W", &server));
    w.abilities = abilities;
    (server, a, w)
}

fn sync(server: &mut Server, first: &mut Device, second: &mut Device) {
    for _ in 0..2 {
        assert!(first.sync(server, &mut Fuse(NEVER)) && second.sync(server, &mut Fuse(NEVER)));
    }
}

fn shown(server: &Server) -> Vec<String> {
    server.show().into_iter().collect()
}

/// What a device with such a disk calls a file, by what it contains.
fn called(device: &Device, value: u64) -> String {
    let end = format!("={value}");
    let shown = device.show();
    let found: Vec<&str> = shown.iter().filter_map(|path| path.strip_suffix(&end)).collect();
    assert_eq!(found.len(), 1, "{value} in {shown:?}");
    found[0].to_owned()
}

#[test]
fn e35_a_name_that_a_device_cannot_hold_is_another_one_there_and_itself_everywhere_else() {
    let (mut server, mut a, mut w) = house(Abilities { names: NamePolicy::Strict, ..Abilities::default() });
    a.disk.make_folder("what?");
    for (path, value) in [("a:b", 1), ("what?/x ", 2), ("plain", 3)] {
        assert!(a.disk.write(path, value));
    }
    sync(&mut server, &mut a, &mut w);
    assert_eq!(shown(&server), ["a:b=1", "plain=3", "what?/x =2"]);
    let here = called(&w, 1);
    let (stem, digits) = here.split_once('~').unwrap();
    assert!(stem == "a_b" && digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit()), "{here}");
    assert!(called(&w, 2).starts_with("what_~") && called(&w, 2).contains("/x ~"), "{}", called(&w, 2));
    assert_eq!(called(&w, 3), "plain");
    // An edit and a move from there are no rename.
    let before = w.verdicts.len();
    assert!(w.disk.write(&here, 4));
    sync(&mut server, &mut w, &mut a);
    assert_eq!(shown(&server), ["a:b=4", "plain=3", "what?/x =2"]);
    let there = format!("{}/{here}", called(&w, 2).split_once('/').unwrap().0);
    assert!(w.disk.rename(&here, &there));
    sync(&mut server, &mut w, &mut a);
    assert_eq!(shown(&server), ["plain=3", "what?/a:b=4", "what?/x =2"]);
    assert_eq!(a.show(), server.show());
    assert_eq!(w.verdicts.len(), before + 2, "what is alike was told again");
    // A device that forgot everything finds them again under its own names.
    w.base = Base::new(ROOT);
    sync(&mut server, &mut w, &mut a);
    assert_eq!(shown(&server), ["plain=3", "what?/a:b=4", "what?/x =2"]);
    assert_eq!((called(&w, 4), w.verdicts.len()), (there.clone(), before + 2));
    // Who renames it there gives it a name for all; and any name of another comes.
    assert!(w.disk.rename(&there, "mine"));
    sync(&mut server, &mut w, &mut a);
    assert_eq!(shown(&server), ["mine=4", "plain=3", "what?/x =2"]);
    assert!(a.disk.rename("mine", "a|b") && a.disk.rename("what?", "what"));
    sync(&mut server, &mut a, &mut w);
    assert_eq!(shown(&server), ["a|b=4", "plain=3", "what/x =2"]);
    assert!(called(&w, 4).starts_with("a_b~") && called(&w, 2).starts_with("what/x ~"));
    let gone = called(&w, 4);
    assert!(w.disk.remove(&gone));
    sync(&mut server, &mut w, &mut a);
    assert_eq!(shown(&server), ["plain=3", "what/x =2"]);
}

/// Our own names are nobody's, whatever a device can hold.
#[test]
fn e35_a_name_of_ours_is_another_one_on_every_device() {
    let (mut server, mut a, mut w) = house(Abilities::default());
    assert!(a.disk.write("x", 1));
    sync(&mut server, &mut a, &mut w);
    let node = server.tree.nodes().find(|(_, node)| node.name.as_str() == "x").map(|(id, _)| id).unwrap();
    let to = syncline::tree::To { value: ".syncline-x".to_owned(), base: crate::server::seq(server.last) };
    let op = syncline::tree::TreeOp::Move { node, parent: None, name: Some(to), seen: crate::server::seq(server.last) };
    server.commit(crate::server::replica(9), "Z", vec![op]);
    assert_eq!(shown(&server), [".syncline-x=1"]);
    sync(&mut server, &mut a, &mut w);
    for device in [&a, &w] {
        assert!(called(device, 1).starts_with("_syncline-x~"), "{:?}", device.show());
    }
    assert_eq!(shown(&server), [".syncline-x=1"]);
}

#[test]
fn e36_a_path_that_is_too_long_for_a_device_is_an_issue_there_and_everything_else_is_synced() {
    const MOST: usize = "folder/deep/".len();
    let (mut server, mut a, mut w) = house(Abilities { path_bytes_max: MOST, ..Abilities::default() });
    for folder in ["folder", "folder/deep", "d"] {
        a.disk.make_folder(folder);
    }
    let files = [("folder/deep/f", 1), ("folder/fits", 2), ("folder/fits-", 3), ("exactly-here", 4), ("d/x", 5)];
    for (path, value) in files {
        assert!(a.disk.write(path, value));
    }
    sync(&mut server, &mut a, &mut w);
    assert_eq!("exactly-here".len(), MOST);
    let all = ["d/x=5", "exactly-here=4", "folder/deep/f=1", "folder/fits-=3", "folder/fits=2"];
    assert_eq!(shown(&server), all, "what one device cannot hold is gone elsewhere");
    let here: Vec<String> = w.show().into_iter().collect();
    assert_eq!(here, ["d/x=5", "exactly-here=4", "folder/deep/", "folder/fits-=3", "folder/fits=2"]);
    assert_eq!(w.plan().0.too_long.len(), 1);
    assert!(a.plan().0.too_long.is_empty());
    // What comes to fit is brought; a folder that comes to have too long a path stays where it was, and is synced there.
    assert!(a.disk.rename("folder/deep/f", "f") && a.disk.rename("d", "long-enough"));
    sync(&mut server, &mut a, &mut w);
    assert_eq!(called(&w, 1), "f");
    assert_eq!(called(&w, 5), "d/x");
    assert_eq!(w.plan().0.too_long.len(), 1);
    assert!(w.disk.write("d/x", 6));
    sync(&mut server, &mut w, &mut a);
    assert!(shown(&server).contains(&"long-enough/x=6".to_owned()), "{:?}", shown(&server));
    assert!(a.disk.write("long-enough/x", 7));
    sync(&mut server, &mut a, &mut w);
    assert_eq!(called(&w, 7), "d/x");
    assert!(a.disk.rename("long-enough", "short"));
    sync(&mut server, &mut a, &mut w);
    assert_eq!(w.show(), server.show());
    assert!(w.plan().0.too_long.is_empty());
}

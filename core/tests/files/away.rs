//! A device that brings nothing by itself: what is here stays until it is changed elsewhere.

use syncline::files::{Body, Step};

use crate::device::{Device, Fuse};
use crate::races::NEVER;
use crate::server::{Server, blob};

fn sync(device: &mut Device, server: &mut Server) {
    assert!(device.sync(server, &mut Fuse(NEVER)));
}

/// Both have a file; the second one brings nothing any more.
fn two(values: &[(&str, u64)]) -> (Server, Device, Device) {
    let mut server = Server::new();
    let [mut a, mut b] = [(1, "A"), (2, "B")].map(|(number, label)| Device::new(number, label, &server));
    for (path, value) in values {
        assert!(a.disk.write(path, *value));
    }
    sync(&mut a, &mut server);
    sync(&mut b, &mut server);
    b.everything = false;
    (server, a, b)
}

#[test]
fn e30_newer_bytes_are_not_brought_for_nobody_and_the_older_ones_go() {
    let (mut server, mut a, mut b) = two(&[("a", 1), ("b", 1)]);
    sync(&mut b, &mut server);
    assert_eq!(b.show(), a.show(), "what is here and as the server has it stays");
    assert!(a.disk.write("a", 2));
    sync(&mut a, &mut server);
    b.pull(&server);
    let steps = b.plan().0.steps;
    assert!(matches!(steps[..], [Step::Evict { .. }]), "{steps:?}");
    sync(&mut b, &mut server);
    assert_eq!(b.show().into_iter().collect::<Vec<_>>(), ["b=1"]);
    let id = b.base.at(b.base.root(), "a").unwrap();
    let held = b.base.get(id).unwrap();
    assert_eq!((held.body, held.content.unwrap().blob), (Body::Elsewhere, blob(2)));
    sync(&mut a, &mut server);
    assert_eq!(a.show().len(), 2, "what is elsewhere was not deleted");
}

#[test]
fn e15_of_two_edits_of_a_file_that_is_not_brought_again_both_stay() {
    let (mut server, mut a, mut b) = two(&[("a", 1)]);
    assert!(a.disk.write("a", 2));
    sync(&mut a, &mut server);
    assert!(b.disk.write("a", 3));
    for _ in 0..2 {
        sync(&mut b, &mut server);
        sync(&mut a, &mut server);
    }
    let shown: Vec<String> = server.show().into_iter().collect();
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(shown.contains(&"a=2".to_owned()) && shown.iter().any(|file| file.ends_with("=3")), "{shown:?}");
    assert_eq!((a.show(), b.show().len()), (server.show(), 1));
}

#[test]
fn e4_a_new_file_where_one_is_that_is_not_brought_does_not_take_its_place() {
    let (mut server, mut a, mut b) = two(&[("x", 1)]);
    assert!(a.disk.write("a", 2) && b.disk.write("a", 3));
    sync(&mut a, &mut server);
    for _ in 0..2 {
        sync(&mut b, &mut server);
        sync(&mut a, &mut server);
    }
    let shown: Vec<String> = server.show().into_iter().collect();
    assert!(shown.len() == 3 && shown.contains(&"a=2".to_owned()), "{shown:?}");
    assert_eq!(a.show(), server.show());
}

#[test]
fn placeholders_that_change_places_find_theirs() {
    let mut server = Server::new();
    let [mut a, mut b] = [(1, "A"), (2, "B")].map(|(number, label)| Device::new(number, label, &server));
    a.disk.knows_births = true;
    assert!(a.disk.write("a", 1) && a.disk.write("b", 2));
    sync(&mut a, &mut server);
    b.everything = false;
    sync(&mut b, &mut server);
    assert!(a.disk.rename("a", "c") && a.disk.rename("b", "a") && a.disk.rename("c", "b"));
    sync(&mut a, &mut server);
    sync(&mut b, &mut server);
    let held = |name: &str| b.base.get(b.base.at(b.base.root(), name).unwrap()).unwrap().content.unwrap().blob;
    assert_eq!((held("a"), held("b"), b.base.len()), (blob(2), blob(1), 2));
}

#[test]
fn a_new_file_whose_name_is_a_placeholders_in_another_case_or_composition_does_not_take_its_place() {
    for (theirs, ours) in [("Readme", "README"), ("caf\u{e9}", "cafe\u{301}")] {
        let mut server = Server::new();
        let [mut a, mut b] = [(1, "A"), (2, "B")].map(|(number, label)| Device::new(number, label, &server));
        b.everything = false;
        assert!(a.disk.write(theirs, 1));
        sync(&mut a, &mut server);
        sync(&mut b, &mut server);
        assert!(b.base.at(b.base.root(), theirs).is_some() && b.disk.write(ours, 2));
        for _ in 0..2 {
            sync(&mut b, &mut server);
            sync(&mut a, &mut server);
        }
        let shown: Vec<String> = server.show().into_iter().collect();
        assert!(shown.len() == 2 && shown.contains(&format!("{theirs}=1")), "{shown:?}");
        assert!(shown.iter().any(|file| file.ends_with("=2")), "{shown:?}");
    }
}

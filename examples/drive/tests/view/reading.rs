//! Looking around brings nothing; reading brings a file once, whole or not at all.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::Ordering;
use std::thread;

use rustix::io::Errno;

use crate::world::{World, noise, run, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn looking_around_brings_nothing_and_shows_everything() {
    let large = noise(3 << 20, 1);
    let files: [(&str, &[u8]); 4] =
        [("a", b"one"), ("d/b", b"three"), ("d/e/large", &large), (".synclineignore", b"*.log\n")];
    let Some(world) = World::with(&files).await else { return };
    assert_eq!(world.names(""), [".synclineignore", "a", "d"]);
    assert_eq!(world.names("d/e"), ["large"]);
    for (path, bytes) in files {
        world.assert_placeholder(path, bytes.len());
        let (here, there) = (world.at(path).metadata().unwrap(), world.full.at(path).metadata().unwrap());
        assert_eq!(
            here.modified().unwrap().elapsed().unwrap().as_secs() / 60,
            there.modified().unwrap().elapsed().unwrap().as_secs() / 60
        );
    }
    let listed = run("ls", &["-lAR", world.at("").to_str().unwrap()]);
    assert!(listed.contains("large") && listed.contains("3145728"), "{listed}");
    run("find", &[world.at("").to_str().unwrap(), "-type", "f", "-size", "+1"]);
    run("du", &["-a", world.at("").to_str().unwrap()]);
    let taken: u64 = files.iter().map(|(path, _)| world.at(path).metadata().unwrap().blocks()).sum();
    assert_eq!((taken, world.way.brought()), (0, 0));
    assert_eq!(fs::read(world.at("nothing")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn e26_a_file_that_is_opened_twice_is_brought_once_and_then_read_from_here() {
    let large = noise(9 << 20, 2);
    let Some(mut world) = World::with(&[("d/small", b"hello"), ("large", &large)]).await else { return };
    assert_eq!(world.read("d/small"), b"hello");
    assert_eq!((world.way.brought(), world.state("d/small").as_str()), (1, "clean"));
    assert_eq!((world.read("d/small"), world.way.brought()), (b"hello".to_vec(), 1));
    assert!(world.read("large") == large);
    let brought = world.way.brought();
    assert!(world.read("large") == large);
    // No server is needed any more.
    world.way.gone.store(true, Ordering::Relaxed);
    assert!(world.read("large") == large);
    assert_eq!(world.way.brought(), brought);
    world.way.gone.store(false, Ordering::Relaxed);
    // The engine takes it over, as what the server has: nothing is told, and nothing brought again.
    let synced = world.seen.sync().await;
    assert_eq!((synced.told, synced.done, world.way.brought()), (0, 0, brought));
    assert_eq!((world.state("large"), world.state("d/small")), ("clean".into(), "clean".into()));
    world.restart().await;
    assert!(world.read("large") == large && world.read("d/small") == b"hello");
    assert_eq!(world.way.brought(), brought);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn other_bytes_than_the_servers_tree_says_are_given_to_nobody() {
    let Some(world) = World::with(&[("a", b"hello")]).await else { return };
    world.way.lies.store(true, Ordering::Relaxed);
    assert_eq!(fs::read(world.at("a")).unwrap_err().raw_os_error(), Some(Errno::IO.raw_os_error()));
    world.assert_placeholder("a", 5);
    world.way.lies.store(false, Ordering::Relaxed);
    assert_eq!(world.read("a"), b"hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn e27_two_readers_at_once_are_one_download() {
    let bytes = noise(20_000, 3);
    let Some(world) = World::with(&[("a", &bytes), ("b", b"other")]).await else { return };
    world.way.close();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let at = world.at("a");
            thread::spawn(move || fs::read(at).unwrap())
        })
        .collect();
    until("it is asked for", || world.way.brought() == 1);
    assert_eq!(world.state("a"), "hydrating");
    // Who waits holds up nobody else.
    assert_eq!(world.names(""), ["a", "b"]);
    world.way.open();
    for reader in readers {
        assert!(reader.join().unwrap() == bytes);
    }
    assert_eq!(world.way.brought(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn e28_a_download_that_is_cut_is_an_error_and_leaves_a_placeholder() {
    let bytes = noise(2 << 20, 4);
    let Some(world) = World::with(&[("d/a", &bytes)]).await else { return };
    world.way.cut.store(true, Ordering::Relaxed);
    let error = fs::read(world.at("d/a")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::IO.raw_os_error()), "{error}");
    world.assert_placeholder("d/a", bytes.len());
    assert_eq!(world.names("d"), ["a"]);
    world.way.cut.store(false, Ordering::Relaxed);
    assert!(world.read("d/a") == bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn e29_a_file_that_is_deleted_elsewhere_while_it_comes_ends_in_an_error_and_is_gone() {
    let Some(mut world) = World::with(&[("a", b"hello"), ("b", b"stays")]).await else { return };
    world.way.close();
    let at = world.at("a");
    let reader = thread::spawn(move || fs::read(at));
    until("it is asked for", || world.way.brought() == 1);
    fs::remove_file(world.full.at("a")).unwrap();
    world.full.sync().await;
    world.seen.sync().await;
    let error = reader.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    world.way.open();
    assert_eq!(world.names(""), ["b"]);
    assert_eq!((world.seen.show().len(), world.coming()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_that_is_changed_elsewhere_while_it_comes_comes_as_it_is_now() {
    let Some(mut world) = World::with(&[("a", b"old bytes")]).await else { return };
    world.way.close();
    let at = world.at("a");
    let reader = thread::spawn(move || fs::read(at).unwrap());
    until("it is asked for", || world.way.brought() == 1);
    world.full.write("a", "new");
    world.full.sync().await;
    world.seen.sync().await;
    until("the new one is asked for", || world.way.brought() == 2);
    world.way.open();
    assert_eq!(reader.join().unwrap(), b"new");
    assert_eq!((world.state("a"), world.seen.sync().await.done), ("clean".into(), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_more_than_eight_files_are_brought_at_once() {
    let names: Vec<String> = (0..12).map(|number| format!("f{number}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
    let Some(world) = World::with(&files).await else { return };
    world.way.close();
    let read = |name: &String| {
        let at = world.at(name);
        thread::spawn(move || fs::read(at).unwrap())
    };
    let readers: Vec<_> = names.iter().map(read).collect();
    let hydrating = || names.iter().filter(|name| world.state(name) == "hydrating").count();
    until("all of them are asked for", || hydrating() == names.len());
    until("some are brought", || world.way.brought() == syncline_drive::view::HYDRATIONS_MAX);
    world.way.open();
    for (reader, name) in readers.into_iter().zip(&names) {
        assert_eq!(reader.join().unwrap(), name.as_bytes());
    }
    assert_eq!(world.way.brought(), names.len());
}

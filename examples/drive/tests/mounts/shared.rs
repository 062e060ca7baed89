//! A folder that is shared, moved, left and deleted, on devices that have it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use syncline::call::{Call, Commit, Committed, Reply};
use syncline::decide::TREE_ROOT;
use syncline::tree::{self, Kind, Label, TreeOp};
use syncline::{EntityId, LogId, OpId, ReplicaId};
use syncline_drive::engine::state_of;
use syncline_drive::follow::Follow;
use syncline_drive::journal::Journal;
use syncline_drive::watch::Watch;

use crate::house::{Drive, House, alike, guest, own, shown};

/// Two devices with a folder `d` that A wrote.
async fn two(house: &House) -> (Drive, Drive) {
    let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
    a.write("d/x", "x");
    a.write("d/sub/y", "y");
    a.write("z", "z");
    alike(&mut [&mut a, &mut b], &["d/", "d/x=x", "d/sub/", "d/sub/y=y", "z=z"]).await;
    (a, b)
}

async fn commit(house: &House, log: LogId, op: TreeOp) {
    let id = OpId::from_bytes(*op.node().as_bytes());
    let commit = Commit {
        log,
        id,
        replica: ReplicaId::from_bytes([201; 16]),
        label: Label::new("elsewhere").unwrap(),
        ops: Arc::new(tree::Commit::new(vec![op]).unwrap()),
    };
    let reply = house.ask(Call::Commit(commit)).await;
    assert!(matches!(reply, Reply::Committed(Committed::Done { seq: Some(_), .. })), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_shared_stays_where_it_is_and_edits_in_it_go_on() {
    let house = House::new();
    let (mut a, mut b) = two(&house).await;
    let inode = fs::metadata(b.at("d/x")).unwrap().ino();
    // Not told before the folder is shared.
    b.write("d/sub/y", "edited");
    b.write("d/new", "new");
    b.rename("d/x", "d/sub/x");
    let to = house.share(a.node("d")).await;
    house.start(&mut b, usize::MAX).unwrap();
    b.sync().await;
    assert_eq!(b.way.brought.load(Ordering::Relaxed), 0, "nothing is brought again");
    assert_eq!(fs::metadata(b.at("d/sub/x")).unwrap().ino(), inode);
    let all = ["d/", "d/sub/", "d/sub/x=x", "d/sub/y=edited", "d/new=new", "z=z"];
    alike(&mut [&mut a, &mut b], &all).await;
    assert_eq!(house.names(own()).await.into_iter().collect::<Vec<_>>(), ["d", "z"]);
    assert_eq!(
        house.names(to).await.into_iter().collect::<Vec<_>>(),
        ["new", "sub", "x", "y"],
        "and no conflict copies"
    );
    // A third device of the own tree, and one that is let in to the shared folder alone.
    let mut c = house.drive("C", 3).await;
    let mut g = house.drive_of("G", 4, to, guest(to));
    alike(&mut [&mut a, &mut c], &all).await;
    alike(&mut [&mut g], &["sub/", "sub/x=x", "sub/y=edited", "new=new"]).await;
    g.write("from guest", "hello");
    a.write("d/new", "newer");
    g.sync().await;
    let all = ["d/", "d/sub/", "d/sub/x=x", "d/sub/y=edited", "d/new=newer", "d/from guest=hello", "z=z"];
    alike(&mut [&mut a, &mut b, &mut c], &all).await;
    alike(&mut [&mut g], &["sub/", "sub/x=x", "sub/y=edited", "new=newer", "from guest=hello"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_killed_while_it_takes_a_share_over_goes_on() {
    let house = House::new();
    let (a, mut b) = two(&house).await;
    b.write("d/x", "edited");
    house.share(a.node("d")).await;
    // Between what it wrote down of the one tree and of the other.
    b.mounts = None;
    let journal = house.state(&b).join("journal.db");
    let before = fs::read(&journal).unwrap();
    house.start(&mut b, 2).unwrap();
    let _ = b.mounts().sync(false).await;
    assert_eq!(b.mounts().own().mounts().len(), 1, "it was taken over");
    b.mounts = None;
    fs::write(&journal, before).unwrap();
    for calls in 1..40 {
        house.start(&mut b, calls).unwrap();
        let _ = b.mounts().sync(false).await;
        assert_eq!(b.show(), shown(&["d/", "d/x=edited", "d/sub/", "d/sub/y=y", "z=z"]), "after {calls} calls");
    }
    house.start(&mut b, usize::MAX).unwrap();
    alike(&mut [&mut b], &["d/", "d/x=edited", "d/sub/", "d/sub/y=y", "z=z"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_that_is_moved_here_moves_everywhere_and_its_files_stay_its_own() {
    let house = House::new();
    let (mut a, mut b) = two(&house).await;
    let to = house.share(a.node("d")).await;
    let all = ["d/", "d/x=x", "d/sub/", "d/sub/y=y", "z=z"];
    alike(&mut [&mut a, &mut b], &all).await;
    a.write("e/f", "f");
    a.rename("d", "e/moved");
    a.write("e/moved/x", "edited");
    alike(
        &mut [&mut a, &mut b],
        &["e/", "e/f=f", "e/moved/", "e/moved/x=edited", "e/moved/sub/", "e/moved/sub/y=y", "z=z"],
    )
    .await;
    assert_eq!(house.names(own()).await.into_iter().collect::<Vec<_>>(), ["e", "f", "moved", "z"]);
    assert_eq!(house.names(to).await.into_iter().collect::<Vec<_>>(), ["sub", "x", "y"]);
    // A folder of that name is another one.
    b.write("d/other", "other");
    let more = [
        "d/",
        "d/other=other",
        "e/",
        "e/f=f",
        "e/moved/",
        "e/moved/x=edited",
        "e/moved/sub/",
        "e/moved/sub/y=y",
        "z=z",
    ];
    alike(&mut [&mut a, &mut b], &more).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_deletes_a_mount_leaves_the_shared_folder_and_deletes_nothing_in_it() {
    let house = House::new();
    let (mut a, mut b) = two(&house).await;
    let to = house.share(a.node("d")).await;
    let mut g = house.drive_of("G", 4, to, guest(to));
    alike(&mut [&mut a, &mut b], &["d/", "d/x=x", "d/sub/", "d/sub/y=y", "z=z"]).await;
    alike(&mut [&mut g], &["x=x", "sub/", "sub/y=y"]).await;
    fs::remove_dir_all(a.at("d")).unwrap();
    alike(&mut [&mut a, &mut b], &["z=z"]).await;
    assert_eq!(house.names(to).await.into_iter().collect::<Vec<_>>(), ["sub", "x", "y"], "never in the shared folder");
    alike(&mut [&mut g], &["x=x", "sub/", "sub/y=y"]).await;
    // It can be accepted again, elsewhere.
    let (node, parent) = (EntityId::from_bytes([77; 16]), TREE_ROOT);
    commit(&house, own(), TreeOp::Create { node, parent, name: "again".into(), kind: Kind::Mount(to), content: None })
        .await;
    alike(&mut [&mut a, &mut b], &["again/", "again/x=x", "again/sub/", "again/sub/y=y", "z=z"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_told_of_a_folder_that_is_mounted_no_more_stays_and_is_told() {
    let house = House::new();
    let (mut a, mut b) = two(&house).await;
    let to = house.share(a.node("d")).await;
    let mut g = house.drive_of("G", 4, own(), guest(own()));
    alike(&mut [&mut a, &mut b], &["d/", "d/x=x", "d/sub/", "d/sub/y=y", "z=z"]).await;
    let synced = g.mounts().sync(false).await.unwrap();
    assert_eq!(synced.troubles.len(), 1, "who is not let in is told so: {synced:?}");
    assert_eq!(g.show(), shown(&["d/", "z=z"]));
    // B has something to say that nobody hears any more.
    b.write("d/x", "not told");
    b.write("d/left~", "out by a rule");
    let mount = a.node("d");
    commit(&house, own(), TreeOp::Delete { node: mount, seen: syncline::Seq::new(3).unwrap() }).await;
    let end = match house.ask(Call::Status(to)).await {
        Reply::Log { bounds, .. } => bounds.end(),
        other => panic!("{other:?}"),
    };
    house.ask(Call::DeleteLog { log: to, seen: end }).await;
    a.sync().await;
    assert_eq!(a.show(), shown(&["z=z"]));
    for _ in 0..2 {
        let synced = b.mounts().sync(false).await.unwrap();
        assert_eq!(synced.troubles.len(), 1, "{synced:?}");
        assert_eq!(b.show(), shown(&["d/", "d/x=not told", "d/left~=out by a rule", "z=z"]));
    }
    assert_eq!(house.names(own()).await.into_iter().collect::<Vec<_>>(), ["z"], "nor does it become somebody else's");
    fs::remove_file(b.at("d/x")).unwrap();
    let synced = b.mounts().sync(false).await.unwrap();
    assert_eq!((synced.troubles.len(), b.show().len()), (1, 3), "{synced:?}");
    fs::remove_file(b.at("d/left~")).unwrap();
    alike(&mut [&mut b], &["z=z"]).await;
}

/// What somebody else does to the mount that A has at `d`.
async fn delete_mount(house: &House, mount: EntityId) {
    commit(house, own(), TreeOp::Delete { node: mount, seen: syncline::Seq::new(3).unwrap() }).await;
}

async fn mount_again(house: &House, node: EntityId, to: LogId) {
    let (parent, kind) = (TREE_ROOT, Kind::Mount(to));
    commit(house, own(), TreeOp::Create { node, parent, name: "again".into(), kind, content: None }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_killed_while_leaving_a_mount_deletes_nothing_in_it_and_brings_nothing_again() {
    let house = House::new();
    let (mut a, mut b) = two(&house).await;
    let to = house.share(a.node("d")).await;
    alike(&mut [&mut a, &mut b], &["d/", "d/x=x", "d/sub/", "d/sub/y=y", "z=z"]).await;
    let mount = a.node("d");
    b.write("d/left~", "out by a rule");
    b.mounts = None;
    let journal = state_of(&house.state(&b), mount).join("journal.db");
    let held = Journal::open(&journal).unwrap().0.base(TREE_ROOT).unwrap();
    assert_eq!(held.iter().count(), 3);
    delete_mount(&house, mount).await;
    let left = shown(&["d/", "d/left~=out by a rule", "z=z"]);
    for is_killed in [true, false] {
        house.start(&mut b, usize::MAX).unwrap();
        for _ in 0..2 {
            let synced = b.mounts().sync(false).await.unwrap();
            assert_eq!((b.show(), synced.troubles.len()), (left.clone(), 1), "{synced:?}");
            assert_eq!(house.names(to).await.into_iter().collect::<Vec<_>>(), ["sub", "x", "y"]);
            assert_eq!(b.way.brought.load(Ordering::Relaxed), 0, "what was left is not brought again");
        }
        b.mounts = None;
        if is_killed {
            // After it took everything away, and before it wrote that down.
            let (mut journal, _) = Journal::open(&journal).unwrap();
            journal.write(|batch| held.iter().try_for_each(|(id, held)| batch.hold(id, Some(held)))).unwrap();
        }
    }
    house.start(&mut b, usize::MAX).unwrap();
    fs::remove_file(b.at("d/left~")).unwrap();
    alike(&mut [&mut b], &["z=z"]).await;
    assert_eq!(house.names(to).await.into_iter().collect::<Vec<_>>(), ["sub", "x", "y"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_that_is_made_elsewhere_takes_nothing_over_from_another_one_of_its_log() {
    for (node, meanwhile) in [(77, false), (1, false), (77, true), (1, true)] {
        let house = House::new();
        let (mut a, mut b) = two(&house).await;
        let to = house.share(a.node("d")).await;
        alike(&mut [&mut a, &mut b], &["d/", "d/x=x", "d/sub/", "d/sub/y=y", "z=z"]).await;
        let (mount, again) = (a.node("d"), EntityId::from_bytes([node; 16]));
        let names = async || house.names(to).await.into_iter().collect::<Vec<_>>();
        if meanwhile {
            mount_again(&house, again, to).await;
            for start in [false, true] {
                if start {
                    house.start(&mut b, usize::MAX).unwrap();
                }
                let synced = b.mounts().sync(true).await.unwrap();
                assert_eq!(synced.troubles.len(), 1, "{synced:?}");
                assert_eq!(b.show(), shown(&["again/", "d/", "d/x=x", "d/sub/", "d/sub/y=y", "z=z"]));
            }
            delete_mount(&house, mount).await;
        } else {
            delete_mount(&house, mount).await;
            mount_again(&house, again, to).await;
        }
        house.start(&mut b, usize::MAX).unwrap();
        for _ in 0..3 {
            b.mounts().sync(true).await.unwrap();
            assert_eq!(names().await, ["sub", "x", "y"], "nothing is deleted in the shared folder");
        }
        alike(&mut [&mut a, &mut b], &["again/", "again/x=x", "again/sub/", "again/sub/y=y", "z=z"]).await;
        assert_eq!(names().await, ["sub", "x", "y"]);
    }
}

/// Syncs when one is due, until `is_so`; fails when that takes too long.
async fn until(follow: &mut Follow, is_so: impl AsyncFn() -> bool) {
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    while !is_so().await {
        let due = tokio::time::timeout_at(end, follow.wait()).await;
        assert!(due.is_ok(), "nothing was heard, neither here nor from the server");
        follow.sync().await.unwrap_or_else(|error| panic!("{error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_in_a_shared_folder_is_heard_here_and_from_the_server() {
    let house = House::new();
    let (mut a, mut b) = two(&house).await;
    let to = house.share(a.node("d")).await;
    let mut g = house.drive_of("G", 4, to, guest(to));
    alike(&mut [&mut a, &mut b], &["d/", "d/x=x", "d/sub/", "d/sub/y=y", "z=z"]).await;
    let watch = Watch::begin(&a.root).unwrap();
    let mounts = a.mounts.take().unwrap();
    // Nobody looks now and then.
    let mut follow = Follow::new(mounts, Some(watch), house.env(), false).with_poll_ms(1 << 40);
    g.sync().await;
    until(&mut follow, async || a.show().len() == 5).await;
    g.write("from guest", "hello");
    g.sync().await;
    until(&mut follow, async || a.show().get("d/from guest").is_some_and(|text| text == "hello")).await;
    a.write("d/sub/from a", "hello");
    until(&mut follow, async || house.names(to).await.contains("from a")).await;
    a.rename("z", "d/z");
    until(&mut follow, async || house.names(to).await.contains("z") && !house.names(own()).await.contains("z")).await;
    drop(follow);
    alike(&mut [&mut b], &["d/", "d/x=x", "d/sub/", "d/sub/y=y", "d/from guest=hello", "d/sub/from a=hello", "d/z=z"])
        .await;
}

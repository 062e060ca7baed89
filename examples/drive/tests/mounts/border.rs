//! E50: what is moved from one tree's folder into another's on the same device.

use std::collections::BTreeMap;

use syncline::LogId;
use syncline::tree::Node;

use crate::house::{Drive, House, alike, own, shown};

/// A device with `d` shared, and what lies on both sides of its border.
async fn bordered(house: &House) -> (Drive, LogId) {
    let mut a = house.drive("A", 1).await;
    for (path, text) in [("d/in", "in"), ("d/deep/er", "er"), ("out", "out"), ("away/two", "two")] {
        a.write(path, text);
    }
    a.sync().await;
    let to = house.share(a.node("d")).await;
    a.sync().await;
    (a, to)
}

/// How often a name lives in the trees of both logs, and is dead in them.
async fn count(house: &House, to: LogId, name: &str) -> (usize, usize) {
    let mut nodes: Vec<Node> = house.nodes(own()).await.into_values().collect();
    nodes.extend(house.nodes(to).await.into_values());
    let (live, dead): (Vec<_>, Vec<_>) =
        nodes.into_iter().filter(|node| node.name.as_str() == name).partition(|node| node.dead.is_none());
    (live.len(), dead.len())
}

/// A move, and what the folder shows then.
type Crossing = (fn(&Drive), &'static [&'static str], &'static [&'static str]);

const CROSSINGS: [Crossing; 3] = [
    (
        |a| a.rename("out", "d/out"),
        &["out"],
        &["d/", "d/in=in", "d/deep/", "d/deep/er=er", "d/out=out", "away/", "away/two=two"],
    ),
    (
        |a| a.rename("d/in", "in"),
        &["in"],
        &["d/", "in=in", "d/deep/", "d/deep/er=er", "out=out", "away/", "away/two=two"],
    ),
    (
        |a| {
            a.rename("d/deep", "away/deep");
            a.rename("out", "d/out");
            a.rename("d", "moved");
        },
        &["deep", "er", "out"],
        &["moved/", "moved/in=in", "away/deep/", "away/deep/er=er", "moved/out=out", "away/", "away/two=two"],
    ),
];

/// E50: cut off after any call, with the device dead then: what crossed is never in neither tree, and in the end it is in one.
#[tokio::test(flavor = "multi_thread")]
async fn e50_what_is_moved_over_a_border_is_never_in_neither_tree_and_is_deleted_once() {
    for (number, (moves, names, after)) in CROSSINGS.into_iter().enumerate() {
        let mut calls = 1;
        let mut finished = false;
        while !finished {
            assert!(calls < 200, "it never ends");
            let house = House::new();
            let (mut a, to) = bordered(&house).await;
            let before: BTreeMap<&str, (usize, usize)> = {
                let mut counts = BTreeMap::new();
                for name in names {
                    counts.insert(*name, count(&house, to, name).await);
                }
                counts
            };
            moves(&a);
            house.start(&mut a, calls).unwrap();
            finished = a.mounts().sync(false).await.is_ok_and(|synced| synced.troubles.is_empty());
            for name in names {
                let (live, _) = count(&house, to, name).await;
                assert!(live >= 1, "crossing {number}, {calls} calls: {name} is in neither tree");
            }
            house.start(&mut a, usize::MAX).unwrap();
            a.sync().await;
            assert_eq!(a.show(), shown(after));
            for name in names {
                let (live, dead) = count(&house, to, name).await;
                assert_eq!((live, dead), (1, before[name].1 + 1), "crossing {number}, {calls} calls: {name}");
            }
            // Another device sees the same.
            if finished {
                let mut b = house.drive("B", 2).await;
                alike(&mut [&mut a, &mut b], after).await;
            }
            calls += 1;
        }
    }
}

/// E50: where it was moved to is shared before the device tells that.
#[tokio::test(flavor = "multi_thread")]
async fn e50_what_is_moved_into_a_folder_that_is_shared_meanwhile_is_never_in_neither_tree() {
    let (mut calls, mut finished) = (1, false);
    while !finished {
        assert!(calls < 200, "it never ends");
        let house = House::new();
        let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
        a.write("docs/in", "in");
        a.write("x", "x");
        alike(&mut [&mut a, &mut b], &["docs/", "docs/in=in", "x=x"]).await;
        b.rename("x", "docs/x");
        let to = house.share(a.node("docs")).await;
        house.start(&mut b, calls).unwrap();
        finished = b.mounts().sync(false).await.is_ok_and(|synced| synced.troubles.is_empty());
        let (live, _) = count(&house, to, "x").await;
        assert!(live >= 1, "{calls} calls: it is in neither tree");
        house.start(&mut b, usize::MAX).unwrap();
        alike(&mut [&mut b, &mut a], &["docs/", "docs/in=in", "docs/x=x"]).await;
        assert_eq!(count(&house, to, "x").await, (1, 1), "{calls} calls");
        calls += 1;
    }
}

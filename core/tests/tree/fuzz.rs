//! Random races: two devices in both orders, and three devices that commit and read when they like.
//!
//! Why: the table holds what somebody thought of. How: every run is made from its number, which a failure names; as many runs
//! as `SYNCLINE_TREE_RUNS` says, from `SYNCLINE_TREE_SEED` on; `SYNCLINE_TREE_TOLD` has the commits told. Beyond what the server checks at every commit: nothing new is
//! lost, what survives is the same in both orders, nothing that was deleted for good comes back, a commit removes all that
//! its device removed and nobody changed, and only what it removed itself, and a commit that arrives twice does nothing the second time.

use std::collections::{BTreeMap, BTreeSet};

use syncline::tree::Node;
use syncline::{Digest, EntityId};

use crate::device::{Device, Entry};
use crate::server::{ROOT, Server};

/// Numbers that look random and are the same every time (splitmix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { Some(&of[self.below(of.len())]) }
    }
}

/// Contents: most are nobody else's, some are what anybody might write; those of the tree at first are not, for a new file
/// that joins an old one of the same content shares what happens to that.
struct Values {
    last: u64,
    shared: bool,
}

impl Values {
    fn next(&mut self, dice: &mut Dice) -> u64 {
        if self.shared && dice.below(6) == 0 {
            return 1_000_000 + dice.below(3) as u64;
        }
        self.last += 1;
        self.last
    }
}

pub(crate) fn runs(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let from = number("SYNCLINE_TREE_SEED").unwrap_or(0);
    from..from + number("SYNCLINE_TREE_RUNS").unwrap_or(default)
}

fn path_of(device: &Device, id: EntityId) -> String {
    let entry = &device.local[&id];
    if entry.parent == ROOT { entry.name.clone() } else { format!("{}/{}", path_of(device, entry.parent), entry.name) }
}

/// Does one thing in a device's folder, if it can be done.
fn act(device: &mut Device, dice: &mut Dice, values: &mut Values) {
    let paths: Vec<(String, bool)> =
        device.local.iter().map(|(id, entry)| (path_of(device, *id), entry.value.is_some())).collect();
    let files: Vec<&String> = paths.iter().filter(|(_, file)| *file).map(|(path, _)| path).collect();
    let mut folders: Vec<String> = paths.iter().filter(|(_, file)| !file).map(|(path, _)| format!("{path}/")).collect();
    folders.push(String::new());
    let folder = dice.pick(&folders).unwrap().clone();
    let name = ["a", "b", "c", "d", "A"][dice.below(5)];
    let place = format!("{folder}{name}");
    let any = dice.pick(&paths).map(|(path, _)| path.clone()).unwrap_or_default();
    match dice.below(20) {
        0..4 => drop(device.write(&place, values.next(dice))),
        4..8 => {
            if let Some(file) = dice.pick(&files) {
                device.write(file, values.next(dice));
            }
        }
        8..11 => drop(device.make_folder(&place)),
        11..17 => drop(device.rename(&any, &place)),
        _ => drop(device.remove(&any)),
    }
}

fn acts(device: &mut Device, dice: &mut Dice, values: &mut Values, most: usize) {
    for _ in 0..=dice.below(most) {
        act(device, dice, values);
    }
}

fn start(mut server: Server, dice: &mut Dice, values: &mut Values) -> Server {
    let mut seeder = Device::new(9, "S");
    server.through_reads = dice.below(4) == 0;
    acts(&mut seeder, dice, values, 14);
    seeder.sync(&mut server);
    values.shared = true;
    server
}

/// Commits, and says what a commit may not do. Every eighth arrives twice.
fn commit(device: &mut Device, server: &mut Server, dice: &mut Dice, run: u64) {
    let (before, base, local) = (live(server), device.base.clone(), device.local.clone());
    let removed: Vec<EntityId> =
        before.keys().copied().filter(|id| !local.contains_key(id) && known(server, device, *id)).collect();
    let twice = (dice.below(8) == 0).then(|| device.clone().ops());
    let told = std::env::var_os("SYNCLINE_TREE_TOLD").map(|_| device.clone().ops());
    let verdicts = device.commit(server);
    if let Some(ops) = told {
        eprintln!("{} commits {ops:#?}\n{verdicts:?}\n{:#?}", device.label, server.tree);
    }
    let (after, contents) = (live(server), server.contents());
    for (id, value) in &before {
        if after.get(id) == Some(value) || contents.contains(value) {
            continue;
        }
        let had = base.get(id).and_then(|node| node.content).is_some_and(|content| content.blob == *value);
        let has = local.get(id).is_some_and(|entry| entry.value == Some(*value));
        assert!(had && !has, "run {run}: a commit removed what its device did not remove: {id}");
    }
    for id in removed {
        assert!(
            !after.contains_key(&id),
            "run {run}: nobody else changed {id}, which the device removed, and it lives"
        );
    }
    if let Some(ops) = twice.filter(|ops| !ops.is_empty()) {
        let tree = server.tree.clone();
        server.commit(device.me, device.label, ops);
        assert_eq!(server.tree, tree, "run {run}: a commit that arrived twice did more than once");
    }
}

/// Whether a device had seen all that there is to a node and to the folders above it.
fn known(server: &Server, device: &Device, id: EntityId) -> bool {
    let mut at = id;
    while at != ROOT {
        let node = server.tree.get(at).filter(|node| device.base.contains_key(&at) && !device.is_news(node));
        let Some(node) = node else { return false };
        at = node.parent.unwrap();
    }
    true
}

fn live(server: &Server) -> BTreeMap<EntityId, Digest> {
    let live = server.tree.nodes().filter(|(_, node)| node.dead.is_none());
    live.filter_map(|(id, node)| Some((id, node.content?.blob))).collect()
}

/// What a device did not touch: it is there, and neither it nor what it is in was moved, renamed or written.
fn untouched(device: &Device, id: EntityId) -> bool {
    let mut at = id;
    while at != ROOT {
        let (Some(entry), Some(base)) = (device.local.get(&at), device.base.get(&at)) else { return false };
        if !same(entry, base) {
            return false;
        }
        at = entry.parent;
    }
    true
}

fn same(entry: &Entry, base: &Node) -> bool {
    base.parent == Some(entry.parent)
        && base.name.as_str() == entry.name
        && base.content.map(|content| content.blob) == entry.value
}

fn settle(devices: &mut [Device], server: &mut Server, run: u64) {
    for device in devices.iter_mut() {
        device.sync(server);
    }
    for device in devices.iter_mut() {
        assert!(device.sync(server).is_empty(), "run {run}: what was synced is to be synced again");
    }
    for device in devices.iter() {
        assert_eq!(device.local, devices[0].local, "run {run}: devices differ");
    }
}

fn one_order(run: u64, order: [usize; 2], server: Server) -> BTreeSet<Digest> {
    let (mut dice, mut values) = (Dice::new(run), Values { last: 0, shared: false });
    let mut server = start(server, &mut dice, &mut values);
    let mut devices = [Device::new(1, "A"), Device::new(2, "B")];
    for device in &mut devices {
        device.pull(&server);
        acts(device, &mut dice, &mut values, 6);
    }
    let initial = live(&server);
    let old: BTreeSet<Digest> = initial.values().copied().collect();
    let [a, b] = [devices[0].values(), devices[1].values()];
    let mut must: BTreeSet<Digest> = a.union(&b).filter(|value| !old.contains(*value)).copied().collect();
    let kept = |device: &Device, id: &EntityId, value: &Digest| {
        device.local.get(id).is_some_and(|entry| entry.value == Some(*value))
    };
    must.extend(
        initial.iter().filter(|(id, value)| devices.iter().all(|d| kept(d, id, value))).map(|(_, value)| *value),
    );
    let mut gone = BTreeSet::new();
    for (one, other) in [(0, 1), (1, 0)] {
        let deleted = initial.keys().filter(|id| !devices[one].local.contains_key(id));
        gone.extend(deleted.filter(|id| untouched(&devices[other], **id) || !devices[other].local.contains_key(id)));
    }
    for device in order {
        commit(&mut devices[device], &mut server, &mut dice, run);
        devices[device].pull(&server);
    }
    settle(&mut devices, &mut server, run);
    let (contents, last) = (server.contents(), live(&server));
    assert!(must.is_subset(&contents), "run {run}, {order:?}: lost {:?}", must.difference(&contents));
    for id in gone {
        assert!(!last.contains_key(id), "run {run}, {order:?}: {id} is back");
    }
    contents
}

/// Two devices apart, in both orders: nothing is lost, and the same survives.
pub(crate) fn two_devices(run: u64, mut server: impl FnMut() -> Server) {
    let (one, other) = (one_order(run, [0, 1], server()), one_order(run, [1, 0], server()));
    assert_eq!(one, other, "run {run}: other contents survive when the other is first");
}

/// Three devices that commit and read when they like.
pub(crate) fn three_devices(run: u64, server: Server) {
    let (mut dice, mut values) = (Dice::new(run ^ (1 << 63)), Values { last: 0, shared: false });
    let mut server = start(server, &mut dice, &mut values);
    let mut devices = [Device::new(1, "A"), Device::new(2, "B"), Device::new(3, "C")];
    devices.iter_mut().for_each(|device| device.pull(&server));
    for _ in 0..=dice.below(14) {
        let device = &mut devices[dice.below(3)];
        match dice.below(4) {
            0 | 1 => acts(device, &mut dice, &mut values, 3),
            2 => commit(device, &mut server, &mut dice, run),
            _ => {
                commit(device, &mut server, &mut dice, run);
                device.pull(&server);
            }
        }
    }
    for device in &mut devices {
        commit(device, &mut server, &mut dice, run);
    }
    settle(&mut devices, &mut server, run);
}

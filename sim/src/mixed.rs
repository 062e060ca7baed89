//! An application that uses everything a replica can hold: what this repository is tried with, and an example of a world.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use syncline::client::{Choose, Outcome, Receipt, ReplicaError, Value, Write};
use syncline::crdt::Register;
use syncline::oplog::{Collection, ConflictPolicy, EntityKey, LogState, OpKind, Payload, Precondition, Rules, Schema};
use syncline::{EntityId, Seq};

use crate::draw::Draw;
use crate::menu::Kind;
use crate::schedule::lock;
use crate::world::{Device, World, Wrote};

/// Entities of each kind: few, so that edits meet.
const NAMES: u64 = 3;

/// Rules of every kind.
#[must_use]
pub fn schema() -> Schema {
    let rules = [
        ("causal", Rules::of(ConflictPolicy::Causal)),
        ("files", Rules::of(ConflictPolicy::Precondition)),
        ("chat", Rules::of(ConflictPolicy::Append)),
        ("counters", Rules::counter()),
        ("documents", Rules::document()),
        ("lists", Rules::list()),
        ("registers", Rules::register()),
        ("sets", Rules::set()),
        ("texts", Rules::text()),
        ("trees", Rules::tree()),
    ];
    rules.into_iter().fold(Schema::default(), |schema, (name, rules)| match Collection::new(name) {
        Ok(collection) => schema.with(collection, rules),
        Err(_) => schema,
    })
}

/// The application. Its devices also watch that what they wrote stays visible to them.
pub fn world(world: &mut World) {
    world.schema(schema()).devices(1, 4);
    world.act("edit a task", 6, |device, draw| async move { edit_task(device, draw).await });
    world.act("write causally", 2, |device, draw| write(device, draw, "causal", OpKind::Update));
    world.act("write a file", 2, |device, draw| write(device, draw, "files", OpKind::Update));
    world.act("say something", 2, |device, draw| write(device, draw, "chat", OpKind::Create));
    world.act("write a batch", 1, |device, draw| async move { write_batch(device, draw).await });
    world.act("count", 2, |device, draw| async move { count(device, draw).await });
    world.act("change a set", 2, |device, draw| async move { change_set(device, draw).await });
    world.act("change a list", 3, |device, draw| async move { change_list(device, draw).await });
    world.act("change a tree", 3, |device, draw| async move { change_tree(device, draw).await });
    world.act("change a document", 2, |device, draw| async move { change_document(device, draw).await });
    world.act("set a register", 1, |device, mut draw| async move {
        let name = name(&mut draw);
        let register = device.replica.collection("registers")?.register(&name)?;
        on("registers", &name, register.set(&draw.below(1_000)).await?)
    });
    world.act("type", 5, |device, draw| async move { type_text(device, draw).await });
    world.act("restore", 1, |device, draw| async move { restore(device, draw).await });
    world.act("decide what was set aside", 1, |device, draw| async move { decide(device, draw).await });
}

/// A name of few.
fn name(draw: &mut Draw) -> String {
    draw.below(NAMES).to_string()
}

/// What was written on a named entity.
fn on(collection: &str, name: &str, receipt: impl Into<Option<Receipt>>) -> Result<Wrote, ReplicaError> {
    let key = EntityKey { collection: Collection::new(collection)?, entity: EntityId::named(name) };
    Ok(receipt.into().map_or_else(Wrote::nothing, |receipt| Wrote::on(&key, receipt)))
}

async fn edit_task(device: Device, mut draw: Draw) -> Result<Wrote, ReplicaError> {
    let task = device.replica.collection("tasks")?.named(&name(&mut draw));
    let receipt = match draw.below(10) {
        0 => Some(task.delete().await?),
        1 => task.put(&BTreeMap::from([("a", draw.below(100)), ("b", draw.below(100))])).await?,
        _ => Some(task.set(["a", "b", "c"][draw.index(3)], &draw.below(1_000)).await?),
    };
    Ok(receipt.map_or_else(Wrote::nothing, |receipt| Wrote::on(task.key(), receipt)))
}

async fn write(device: Device, mut draw: Draw, collection: &'static str, kind: OpKind) -> Result<Wrote, ReplicaError> {
    // Every content is another, so that two of them never say the same.
    let payload = Payload::Json(format!(r#"{{"t":{}}}"#, draw.number() >> 12).into());
    let entity = match kind {
        OpKind::Create => EntityId::from_bytes(u128::from(draw.number()).to_be_bytes()),
        _ => EntityId::named(&name(&mut draw)),
    };
    let key = EntityKey { collection: Collection::new(collection)?, entity };
    let write = Write { key: key.clone(), kind, precondition: Precondition::None, payload };
    Ok(Wrote::on(&key, device.replica.write(write).await?))
}

async fn write_batch(device: Device, mut draw: Draw) -> Result<Wrote, ReplicaError> {
    let counter = device.replica.collection("counters")?.counter(&name(&mut draw))?;
    let register = device.replica.collection("registers")?.register(&name(&mut draw))?;
    let set = device.replica.collection("sets")?.set(&name(&mut draw))?;
    let adding = set.adding([draw.below(20)]).await?;
    let mut writes = vec![counter.adding(1), register.setting(&draw.below(1_000))?, adding];
    if draw.chance(500) {
        let payload = Payload::Json(format!(r#"{{"t":{}}}"#, draw.number() >> 12).into());
        let key = EntityKey { collection: Collection::new("causal")?, entity: EntityId::named(&name(&mut draw)) };
        writes.push(Write { key, kind: OpKind::Update, precondition: Precondition::None, payload });
    }
    Ok(device.replica.write_batch(writes).await?.into())
}

async fn count(device: Device, mut draw: Draw) -> Result<Wrote, ReplicaError> {
    let name = name(&mut draw);
    let counter = device.replica.collection("counters")?.counter(&name)?;
    let receipt = match draw.below(12) {
        0 => counter.reset().await?,
        by => counter.add(i64::try_from(by).unwrap_or(1) - 3).await?,
    };
    on("counters", &name, receipt)
}

async fn change_set(device: Device, mut draw: Draw) -> Result<Wrote, ReplicaError> {
    let name = name(&mut draw);
    let set = device.replica.collection("sets")?.set(&name)?;
    // So few that what one device adds another takes away meanwhile.
    let element = draw.below(6);
    let receipt = match draw.below(3) {
        0 => set.remove(&element).await?,
        _ => Some(set.add(&element).await?),
    };
    on("sets", &name, receipt)
}

async fn change_list(device: Device, mut draw: Draw) -> Result<Wrote, ReplicaError> {
    let name = name(&mut draw);
    let list = device.replica.collection("lists")?.list(&name)?;
    let len = list.look(syncline::crdt::List::len).await?;
    let at = draw.index(len);
    let receipt = match draw.below(6) {
        _ if len == 0 => list.push(&draw.below(1_000)).await?,
        0 => list.remove(at, 1).await?,
        1 => list.move_to(at, draw.index(len)).await?,
        2 => list.set(at, &draw.below(1_000)).await?,
        _ => list.insert(at, &draw.below(1_000)).await?,
    };
    on("lists", &name, receipt)
}

async fn change_tree(device: Device, mut draw: Draw) -> Result<Wrote, ReplicaError> {
    let name = name(&mut draw);
    let tree = device.replica.collection("trees")?.tree(&name)?;
    let nodes = tree.nodes().await?;
    let (node, parent) = (draw.pick(&nodes).map(|node| node.id), draw.pick(&nodes).map(|node| node.id));
    let receipt = match (draw.below(6), node) {
        (0, Some(node)) => tree.remove(node).await?,
        (1 | 2, Some(node)) => tree.move_to(node, parent, 0).await?,
        (3, Some(node)) => tree.set(node, &draw.below(1_000)).await?,
        _ => tree.insert(parent, 0, &draw.below(1_000)).await?,
    };
    on("trees", &name, receipt)
}

async fn change_document(device: Device, mut draw: Draw) -> Result<Wrote, ReplicaError> {
    let name = name(&mut draw);
    let document = device.replica.collection("documents")?.document(&name)?;
    let path = [["a"].as_slice(), &["a", "b"], &["c"], &["c", "d", "e"]][draw.index(4)];
    let receipt = match draw.below(6) {
        0 => Some(document.remove(path).await?),
        1 => document.forget_removed().await?,
        _ => Some(document.set(path, &draw.below(1_000)).await?),
    };
    on("documents", &name, receipt)
}

async fn type_text(device: Device, mut draw: Draw) -> Result<Wrote, ReplicaError> {
    let name = name(&mut draw);
    let text = device.replica.collection("texts")?.text(&name)?;
    let len = text.look(syncline::crdt::text::Text::len).await?;
    let at = draw.index(len + 1);
    let receipt = match draw.below(10) {
        0 | 1 if len > 0 => {
            let end = (at + draw.index(6)).min(len);
            text.delete(at.min(end)..end).await?
        }
        2 => text.undo().await?,
        3 if draw.chance(200) => text.forget_deleted().await?,
        _ => text.insert(at, ["so ", "it ", "goes", "\u{1F30D}"][draw.index(4)]).await?,
    };
    on("texts", &name, receipt)
}

async fn restore(device: Device, mut draw: Draw) -> Result<Wrote, ReplicaError> {
    if draw.chance(300) {
        let undone = device.replica.undo_restore().await;
        // Where nobody heard how it ended, it may be.
        if !matches!(undone, Ok(Some(_))) {
            device.took_a_restore_back();
        }
        return Ok(undone?.into());
    }
    // Somewhere in what is kept here.
    let points = device.replica.restore_points(10).await?;
    let to = match draw.pick(&points) {
        Some(point) if draw.chance(300) => point.seq,
        _ => Seq::new(draw.between(1, 30)).unwrap_or(Seq::FIRST),
    };
    Ok(device.replica.restore(to).await?.into())
}

/// What an application's user does with conflicts and with what was refused.
async fn decide(device: Device, mut draw: Draw) -> Result<Wrote, ReplicaError> {
    let conflicts = device.replica.conflicts().await?;
    if let Some(conflict) = draw.pick(&conflicts) {
        device.gives_up(conflict.mine());
        let choose = if draw.chance(500) { Choose::Mine } else { Choose::Theirs };
        // What was chosen waits like any other write, and a later one may say all that it says.
        let key = conflict.mine().subject().keys().next();
        let receipt = device.replica.resolve(conflict.no(), choose).await?;
        return Ok(match (key, receipt) {
            (Some(key), Some(receipt)) => Wrote::on(&key, receipt),
            (_, receipt) => receipt.into(),
        });
    }
    let parked = device.replica.parked().await?;
    if let Some(parked) = draw.pick(&parked) {
        if draw.chance(500) {
            // Of a batch, all of it is.
            device.replica.parked().await?.iter().for_each(|parked| device.retries(parked.op().id()));
            device.replica.retry(parked.no(), None).await?;
        } else {
            // Of a batch, all of it goes.
            device.replica.parked().await?.iter().for_each(|parked| device.gives_up(parked.op()));
            device.replica.discard(parked.no()).await?;
        }
    }
    Ok(Wrote::nothing())
}

/// Two registers that are only ever written together.
fn both_pages(device: &Device) -> Result<(Value<Register>, Value<Register>), ReplicaError> {
    let registers = device.replica.collection("registers")?;
    Ok((registers.register("left")?, registers.register("right")?))
}

/// The same application, with a diary that only grows: what a device showed once, it shows from then on, until its content
/// is another, and nobody may write over a restore.
pub fn diary(world: &mut World) {
    // A device's older self takes, on an emptied server, the counters of what its younger self wrote: that ends in conflicts'
    // records, and is shown no more.
    world.schema(schema()).devices(2, 4).without("put-back");
    // By device and era.
    type Seen = BTreeMap<(usize, u64), BTreeSet<u64>>;
    let seen: Arc<Mutex<Seen>> = Arc::default();
    world.act("write into the diary", 5, |device, mut draw| async move {
        let diary = device.replica.collection("sets")?.set("diary")?;
        Ok(diary.add(&(draw.number() >> 12)).await?.into())
    });
    world.act("edit a task", 2, |device, draw| async move { edit_task(device, draw).await });
    world.act("type", 2, |device, draw| async move { type_text(device, draw).await });
    world.act("write both pages", 3, |device, mut draw| async move {
        let (left, right) = both_pages(&device)?;
        let content = draw.number() >> 12;
        Ok(device.replica.write_batch(vec![left.setting(&content)?, right.setting(&content)?]).await?.into())
    });
    world.invariant("both pages are turned together", |device| async move {
        let Ok((left, right)) = both_pages(&device) else { return Ok(()) };
        // A disk that fails says nothing, and between two looks something may come.
        let (Ok(before), Ok(other), Ok(after)) =
            (left.get::<u64>().await, right.get::<u64>().await, left.get::<u64>().await)
        else {
            return Ok(());
        };
        if before == after && before != other {
            return Err(format!("the left one says {before:?}, the right one {other:?}"));
        }
        Ok(())
    });
    world.invariant("what was shown stays shown", move |device| {
        let seen = Arc::clone(&seen);
        async move {
            let Ok(entities) = device.replica.collection("sets") else { return Ok(()) };
            let Ok(diary) = entities.set("diary") else { return Ok(()) };
            let before = lock(&seen).get(&(device.number, device.era)).cloned().unwrap_or_default();
            // A disk that fails says nothing.
            let Ok(now) = diary.get::<u64>().await else { return Ok(()) };
            let now: BTreeSet<u64> = now.into_iter().collect();
            let on_record = match before.is_subset(&now) {
                true => BTreeSet::new(),
                false => on_record(&device).await,
            };
            if let Some(gone) = before.difference(&now).find(|gone| !on_record.contains(gone)) {
                return Err(format!("entry {gone} was shown, and is not any more, nor is it on record"));
            }
            lock(&seen).insert((device.number, device.era), now);
            Ok(())
        }
    });
}

/// An application whose devices write on the same things, on servers that are put back and emptied again and again: what they
/// offer again meets what others wrote meanwhile, loses, and is kept on record.
pub fn recovery(world: &mut World) {
    world.schema(schema()).devices(2, 3);
    let happens =
        [Kind::BackUpServer, Kind::PutBackServer, Kind::EmptyServer, Kind::Offline, Kind::Mute, Kind::Kill, Kind::Act];
    for kind in Kind::ALL.iter().filter(|kind| !happens.contains(kind)) {
        world.without(kind.name());
    }
    world.act("write causally", 4, |device, draw| write(device, draw, "causal", OpKind::Update));
    world.act("count", 1, |device, draw| async move { count(device, draw).await });
    world.act("edit a task", 1, |device, draw| async move { edit_task(device, draw).await });
}

/// The entries of the diary in states that a server did not take again, and that nobody brought in time: on record, whole.
async fn on_record(device: &Device) -> BTreeSet<u64> {
    let Ok(conflicts) = device.replica.conflicts().await else { return BTreeSet::new() };
    let states = conflicts.iter().filter(|conflict| conflict.outcome == Outcome::NotTakenAgain);
    let states = states.filter(|conflict| conflict.mine().full_state().is_some());
    let Ok(collection) = Collection::new("sets") else { return BTreeSet::new() };
    let key = EntityKey { collection, entity: EntityId::named("diary") };
    let mut found = BTreeSet::new();
    for state in states {
        let Ok(state) = LogState::from_bytes(state.mine().payload().bytes().clone()) else { continue };
        let shown = state.get(&key).and_then(|set| Rules::set().reducer.view(set).ok().flatten());
        found.extend(shown.and_then(|text| serde_json::from_slice::<Vec<u64>>(&text).ok()).into_iter().flatten());
    }
    found
}

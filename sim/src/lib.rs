//! Simulation for programs that sync with Syncline: real replicas and real servers in a world that a seed fixes.
//!
//! One says what one's application does ([`World::act`]) and what must hold ([`World::invariant`], [`World::at_rest`]);
//! [`run`] plays that on several devices and servers, while messages get lost, doubled and late, processes are killed,
//! disks fail, clocks are off, devices are copied and set back, servers are put back to backups or lost altogether. In the
//! end everything works again, and all must come to rest: devices show the same, no write is nowhere, the log has no hole.
//!
//! ```
//! use syncline::oplog::Schema;
//! use syncline_sim::{World, Wrote};
//!
//! let report = syncline_sim::run(7, |world: &mut World| {
//!     world.schema(Schema::default()).devices(1, 3).sealed_at_times(true);
//!     world.act("tick a task off", 1, |device, mut draw| async move {
//!         let task = device.replica.collection("tasks")?.named(&draw.below(5).to_string());
//!         let receipt = task.set("done", &true).await?;
//!         Ok(Wrote::on(task.key(), receipt))
//!     });
//! });
//! let report = report.unwrap_or_else(|failure| panic!("{failure}"));
//! assert!(report.calls > 0);
//! ```
//!
//! What must hold: a seed and a world make one run, to the last poll, on every machine ([`Report::trace_hash`]); a failing
//! seed comes back as the smallest [`Plan`] found, which reads, is written to a file, and is [`replay`]ed for ever; nothing
//! here is a stand-in for what is shipped but the store's medium, the network and time.
//!
//! *Why a crate of its own:* it stands on what core shows to everybody, so that whoever embeds core can do the same, and
//! core stays free of it.
//!
//! Next: `menu` is what can go wrong, `plan` when; `house` who is there; `rest` what is looked at in the end; [`mixed`] is
//! an application that uses everything.

mod codec;
mod disk;
mod draw;
mod happen;
mod house;
mod ledger;
mod menu;
pub mod mixed;
mod outcome;
mod plan;
mod process;
mod reference;
mod rest;
mod run;
mod schedule;
mod shrink;
mod trace;
mod way;
mod weather;
mod world;

use std::sync::Arc;

pub use draw::Draw;
pub use menu::{Kind, Mishap};
pub use outcome::{Broken, Failure, Report};
pub use plan::{Event, Plan, PlanError};
pub use world::{Device, World, Wrote};

use shrink::Shrinker;

/// Runs a world with what a seed draws. It is described anew for each run of it, so its checks may remember what they saw.
///
/// # Errors
/// What did not hold, in the smallest run that was found in which it does not.
pub fn run(seed: u64, describe: impl Fn(&mut World)) -> Result<Report, Box<Failure>> {
    let mut world = World::default();
    describe(&mut world);
    replay(&Plan::of(seed, &world), describe)
}

/// Runs a world with what a seed draws, once: what does not hold is told as it was met, in a run that may be long.
///
/// # Errors
/// What did not hold.
pub fn once(seed: u64, describe: impl Fn(&mut World)) -> Result<Report, Broken> {
    let mut world = World::default();
    describe(&mut world);
    play(&describe, &Plan::of(seed, &world), false).result
}

/// Runs a plan, one that was kept of a failure for example, over the same world.
///
/// # Errors
/// As [`run`]; and a plan of another world, with what this one is without, is not run.
pub fn replay(plan: &Plan, describe: impl Fn(&mut World)) -> Result<Report, Box<Failure>> {
    fits(plan, &describe).map_err(|broken| Failure { broken, plan: plan.clone(), trace: Vec::new() })?;
    let broken = match play(&describe, plan, false).result {
        Ok(report) => return Ok(report),
        Err(broken) => broken,
    };
    let plan = Shrinker::new(&describe, &broken).shrink(plan.clone());
    let again = play(&describe, &plan, true);
    let broken = match again.result {
        Err(same) if same.promise == broken.promise => same,
        other => another(&broken, other.err()),
    };
    Err(Box::new(Failure { broken, plan, trace: again.lines }))
}

/// Runs a plan once, as [`once`] does a seed.
///
/// # Errors
/// What did not hold.
pub fn replay_once(plan: &Plan, describe: impl Fn(&mut World)) -> Result<Report, Broken> {
    fits(plan, &describe)?;
    play(&describe, plan, false).result
}

/// A plan of another world is not run.
fn fits(plan: &Plan, describe: &dyn Fn(&mut World)) -> Result<(), Broken> {
    let mut world = World::default();
    describe(&mut world);
    let promise = || "a plan is of its world".to_owned();
    plan.is_not_of(&world).map_or(Ok(()), |how| Err(Broken { promise: promise(), how, at: 0 }))
}

/// The same plan, played once more, was another run: worse than what it broke, because nobody can look at that again.
fn another(broken: &Broken, then: Option<Broken>) -> Broken {
    let then = then.map_or_else(|| "then every promise held".to_owned(), |then| format!("then {then}"));
    Broken { promise: "a plan is one run".to_owned(), how: format!("first {broken}; {then}"), at: broken.at }
}

fn play(describe: &dyn Fn(&mut World), plan: &Plan, readable: bool) -> run::Ended {
    let mut world = World::default();
    describe(&mut world);
    run::run(&Arc::new(world), plan, readable)
}

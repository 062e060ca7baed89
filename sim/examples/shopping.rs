//! A shopping list on several devices, simulated: `cargo run --example shopping [SEEDS]`.
//!
//! What must hold: nobody's wish gets lost, and what was bought is not on the list of what is still to be bought.

use std::process::ExitCode;

use syncline::oplog::{Rules, Schema};
use syncline_sim::{World, Wrote, run};

/// The application: what is wished for is an element of a set, what was bought of another.
fn shopping(world: &mut World) {
    let Ok(lists) = "lists".parse() else { return };
    world.schema(Schema::default().with(lists, Rules::set())).devices(2, 4);
    world.act("wish for something", 3, |device, mut draw| async move {
        let wishes = device.replica.collection("lists")?.set("wishes")?;
        Ok(wishes.add(&draw.below(30)).await?.into())
    });
    world.act("buy something", 2, |device, mut draw| async move {
        let lists = device.replica.collection("lists")?;
        let (wishes, bought) = (lists.set("wishes")?, lists.set("bought")?);
        let there: Vec<u64> = wishes.get().await?;
        let Some(thing) = draw.pick(&there) else { return Ok(Wrote::nothing()) };
        // Both or none, everywhere.
        let mut writes = vec![bought.adding([thing]).await?];
        writes.extend(wishes.removing([thing]).await?);
        Ok(device.replica.write_batch(writes).await?.into())
    });
    world.at_rest("everybody has the same list", |devices| async move {
        let mut lists = Vec::new();
        for device in devices {
            let entities = device.replica.collection("lists").map_err(|error| error.to_string())?;
            let wishes = entities.set("wishes").map_err(|error| error.to_string())?;
            lists.push(wishes.get::<u64>().await.map_err(|error| error.to_string())?);
        }
        if lists.windows(2).all(|two| two[0] == two[1]) { Ok(()) } else { Err(format!("{lists:?}")) }
    });
}

fn main() -> ExitCode {
    let seeds = std::env::args().nth(1).and_then(|seeds| seeds.parse().ok()).unwrap_or(100);
    let (mut hours, mut faults) = (0, 0);
    for seed in 0..seeds {
        match run(seed, shopping) {
            Ok(report) => {
                hours += report.simulated_ms / 3_600_000;
                faults += report.faults.values().sum::<u64>();
            }
            Err(failure) => {
                println!("seed {seed}\n{failure}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{seeds} seeds, {hours} simulated hours, {faults} faults: every promise held");
    ExitCode::SUCCESS
}

//! Runs a kept plan again, in the world that its name begins with, and prints what happened: `replay FILE`; or the plan of
//! a seed: `replay WORLD SEED`, which says the plan as it was drawn.

use std::path::Path;
use std::process::ExitCode;

use syncline_seeds::{Describe, of_file, of_name};
use syncline_sim::{Plan, World};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (world, plan) = match read(&arguments) {
        Ok(read) => read,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    match syncline_sim::replay(&plan, world) {
        Ok(report) => {
            println!("every promise held: {report:?}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn read(arguments: &[String]) -> Result<(Describe, Plan), String> {
    if let [name, seed] = arguments {
        let describe = of_name(name).ok_or_else(|| format!("{name}: no such world"))?;
        let mut world = World::default();
        describe(&mut world);
        let plan = Plan::of(seed.parse().map_err(|error| format!("{seed}: {error}"))?, &world);
        println!("{plan}");
        return Ok((describe, plan));
    }
    let [file] = arguments else { return Err("replay FILE, or replay WORLD SEED".to_owned()) };
    let world = of_file(Path::new(file)).ok_or_else(|| format!("{file}: its name begins with no world's"))?;
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let plan = text.parse::<Plan>().map_err(|error| format!("{file}: {error}"))?;
    Ok((world, plan))
}

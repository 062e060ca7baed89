//! Runs a kept plan again, in the world that its name begins with, and prints what happened: `replay FILE`.

use std::path::Path;
use std::process::ExitCode;

use syncline_seeds::of_file;
use syncline_sim::Plan;

fn main() -> ExitCode {
    let file = std::env::args().nth(1).unwrap_or_default();
    let Some(world) = of_file(Path::new(&file)) else {
        eprintln!("{file}: its name begins with no world's");
        return ExitCode::FAILURE;
    };
    let plan = std::fs::read_to_string(&file).map_err(|error| error.to_string());
    let plan = match plan.and_then(|text| text.parse::<Plan>().map_err(|error| error.to_string())) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("{file}: {error}");
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

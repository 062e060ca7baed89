//! Runs a plan that was kept of a failure in the mixed world again: `replay FILE`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let file = std::env::args().nth(1).unwrap_or_default();
    let plan = match std::fs::read_to_string(&file).map(|text| text.parse::<syncline_sim::Plan>()) {
        Ok(Ok(plan)) => plan,
        Ok(Err(error)) => {
            eprintln!("{file}: {error}");
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprintln!("{file}: {error}");
            return ExitCode::FAILURE;
        }
    };
    match syncline_sim::replay(&plan, syncline_sim::mixed::world) {
        Ok(report) => println!("every promise held: {report:?}"),
        Err(failure) => {
            println!("{failure}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

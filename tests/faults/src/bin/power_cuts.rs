//! Cuts the power under SQLite, in every mode in turn.

use std::process::ExitCode;

use syncline_faults::part::{cores, seeds};
use syncline_faults::power::{Mode, life, lives::MODES};
use syncline_prove::Given;
use syncline_test_vfs::Machine;
use syncline_tests::rig::folder::Folder;

fn main() -> ExitCode {
    let given = Given::read();
    let place = match Folder::new("power") {
        Ok(place) => place,
        Err(error) => return syncline_faults::part::ended("power_cuts", Err(error)),
    };
    let machine = || (Machine::new(0), place.path());
    seeds("power_cuts", given, cores(), machine, |(machine, place), seed| {
        let mode: Mode = MODES[usize::try_from(seed % MODES.len() as u64).unwrap_or(0)];
        let folder = place.join(seed.to_string());
        std::fs::create_dir(&folder)
            .and_then(|()| {
                let counts = life(mode, seed, machine, &folder);
                std::fs::remove_dir_all(&folder).map(|()| counts)
            })
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    })
    .end()
}

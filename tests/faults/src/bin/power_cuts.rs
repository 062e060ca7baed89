//! Cuts the power under SQLite, in every mode in turn.

use std::process::ExitCode;

use syncline_faults::part::{cores, ended, seeds};
use syncline_faults::power::lives::life_of;
use syncline_prove::Given;
use syncline_test_vfs::Machine;
use syncline_tests::rig::folder::Folder;

fn main() -> ExitCode {
    let given = Given::read();
    let cut = |place: Folder| {
        seeds("power_cuts", given, cores(), || Machine::new(0), |machine, seed| life_of(seed, machine, place.path()))
    };
    ended("power_cuts", Folder::new("power").map(cut))
}

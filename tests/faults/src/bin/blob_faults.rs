//! Makes the disk and the server under blobs fail: a third of the time each for failing calls, damaged files and S3.

use std::process::ExitCode;

use syncline_faults::blobs::{disk, rot, s3};
use syncline_faults::part::{attempt, count, runtime, seeds, sweep};
use syncline_faults::syscalls::Sweep;
use syncline_prove::{Given, Tally};
use syncline_tests::rig::folder::Folder;

fn main() -> ExitCode {
    let given = Given::read();
    let time = given.time();
    let mut tally = Tally::new("blob_faults");
    sweep(&mut tally, || given.taken() < time / 3, Sweep::of(disk::CALLS, 1 + given.seed() % 3, 1), disk::meet);
    match Folder::new("rot") {
        Ok(folder) => {
            let mut seed = given.seed();
            while seed == given.seed() || given.taken() < time / 2 {
                let root = folder.path().join(seed.to_string());
                match attempt(|| rot::life(seed, &root)) {
                    Ok(counts) => counts.into_iter().for_each(|(what, more)| tally.add(what, more)),
                    Err(finding) => {
                        tally.found(format!("rot, --seed {seed}: {finding}"));
                        break;
                    }
                }
                let _ = std::fs::remove_dir_all(&root);
                seed += 1;
            }
        }
        Err(error) => tally.found(format!("{error:#}")),
    }
    let of_s3 = seeds("blob_faults", given, 1, runtime, |runtime, seed| {
        let mut counts = runtime.block_on(s3::life(seed, 15));
        count(&mut counts, "S3 lives", 1);
        counts
    });
    of_s3.counts().for_each(|(what, more)| tally.add(what, more));
    of_s3.findings().iter().for_each(|finding| tally.found(format!("S3, {finding}")));
    tally.end()
}

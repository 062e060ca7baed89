//! Plans of runs that once failed, kept for ever: `kept/WORLD-what_was_broken.plan`. Those in `open/` break a promise still, or
//! a check that asks too much; they move when that is mended.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use syncline_seeds::{WORLDS, of_file};
use syncline_sim::{Plan, PlanError, World, Wrote};

#[test]
fn no_promise_is_broken_again_by_a_plan_that_once_broke_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kept");
    let mut run = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display();
        let world = of_file(&path).unwrap_or_else(|| panic!("{name}: no such world"));
        let plan: Plan = fs::read_to_string(&path).unwrap().parse().unwrap();
        if let Err(failure) = syncline_sim::replay(&plan, world) {
            panic!("{name}: {failure}");
        }
        run += 1;
    }
    assert!(run > 0, "the kept plans are gone");
}

#[test]
fn a_hundred_seeds_keep_every_promise_and_a_seed_is_one_run() {
    for seed in 0..100 {
        for (name, describe) in WORLDS {
            let report = syncline_sim::run(seed, describe);
            let report = report.unwrap_or_else(|failure| panic!("world {name}, seed {seed}: {failure}"));
            if seed < 5 {
                assert_eq!(syncline_sim::run(seed, describe), Ok(report), "world {name}, seed {seed}");
            }
        }
    }
}

#[test]
fn a_plan_reads_back_as_it_was_written() {
    let text = "seed 7\ndevices 2\nservers 1\nretain 9\nsealed yes\nheals 1000\nrate late 30\n\
                at 5 act 0 1 2\nat 6 wipe 1 0 9\n";
    let other = text.replace("retain 9", "retain all").replace("sealed yes", "sealed no");
    for text in [text, &other] {
        let plan: Plan = text.parse().unwrap();
        assert_eq!(plan.to_string(), text);
    }
    for wrong in ["seed", "seed x", "retain", "sealed", "rate lateness 3", "at 5 act 0 1", "at 5 nothing 0 1 2", "what"]
    {
        assert_eq!(wrong.parse::<Plan>().unwrap_err(), PlanError::Line(wrong.to_owned()));
    }
    for twice in ["seed 7", "sealed no", "retain all", "rate late 2"] {
        let error = format!("{text}{twice}\n").parse::<Plan>().unwrap_err();
        assert_eq!(error, PlanError::Line(twice.to_owned()));
    }
}

#[test]
fn a_plan_with_a_line_missing_is_none() {
    let text = "seed 7\ndevices 2\nservers 1\nretain all\nsealed no\nheals 1000\n";
    for missing in ["seed", "devices", "servers", "retain", "sealed", "heals"] {
        let fewer: String = text.split_inclusive('\n').filter(|line| !line.starts_with(missing)).collect();
        assert_eq!(fewer.parse::<Plan>().unwrap_err(), PlanError::Missing(missing));
    }
}

#[test]
fn a_plan_of_what_its_world_is_without_is_not_run() {
    let begins = "seed 7\ndevices 2\nservers 1\nretain all\nsealed no\nheals 1000\n";
    for line in ["at 5 put-back 0 1 2", "rate late 2", "at 5 act 0 0 1"] {
        let plan: Plan = format!("{begins}{line}\n").parse().unwrap();
        let world = |world: &mut World| {
            world.without("put-back").without("late").act("nothing", 1, |_, _| async { Ok(Wrote::nothing()) });
        };
        let failure = syncline_sim::replay(&plan, world).unwrap_err();
        assert_eq!(failure.broken.promise, "a plan is of its world", "{line}");
        assert_eq!(failure.plan, plan);
    }
}

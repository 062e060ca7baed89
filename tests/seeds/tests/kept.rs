//! Plans of runs that once failed, kept for ever: `kept/WORLD-what_was_broken.plan`. Those in `open/` break a promise still; they
//! move when that is mended.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use syncline_seeds::{Describe, WORLDS, of_file, words};
use syncline_sim::{Plan, PlanError, World, Wrote};

fn plans(folder: &str) -> Vec<(PathBuf, Describe, Plan)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    // A folder of which nothing is left is none.
    let files = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let name = path.display();
        let world = of_file(&path).unwrap_or_else(|| panic!("{name}: no such world"));
        let plan = fs::read_to_string(&path).unwrap().parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        (path, world, plan)
    };
    files.map(read).collect()
}

#[test]
fn no_promise_is_broken_again_by_a_plan_that_once_broke_it() {
    let kept = plans("kept");
    assert!(!kept.is_empty(), "the kept plans are gone");
    for (path, world, plan) in kept {
        if let Err(failure) = syncline_sim::replay(&plan, world) {
            panic!("{}: {failure}", path.display());
        }
    }
}

#[test]
fn an_open_plan_breaks_its_promise_still() {
    for (path, world, plan) in plans("open") {
        let broken = syncline_sim::replay_once(&plan, world).err();
        let broken = broken.unwrap_or_else(|| panic!("{} holds: it moves to kept/", path.display()));
        let promise = words(&broken.promise);
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(name.contains(&promise), "{name} breaks {broken}");
    }
}

#[test]
fn a_hundred_seeds_keep_every_promise_and_a_seed_is_one_run() {
    for seed in 0..100 {
        for (name, describe) in WORLDS {
            let report = syncline_sim::once(seed, describe);
            let report = report.unwrap_or_else(|broken| panic!("world {name}, seed {seed}: {broken}"));
            if seed < 5 {
                assert_eq!(syncline_sim::once(seed, describe), Ok(report), "world {name}, seed {seed}");
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

#[test]
fn a_run_that_is_another_one_when_it_is_run_again_says_so() {
    // What chance that no seed fixes looks like: only the first run breaks.
    let runs = std::sync::atomic::AtomicUsize::new(0);
    let failure = syncline_sim::replay(
        &"seed 7\ndevices 1\nservers 1\nretain all\nsealed no\nheals 1000\n".parse().unwrap(),
        |world| {
            // The world is described once to see whether the plan is of it.
            let first = runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 1;
            world.at_rest(
                "all is well",
                move |_| async move { if first { Err("it is not".to_owned()) } else { Ok(()) } },
            );
        },
    );
    assert_eq!(failure.unwrap_err().broken.promise, "a plan is one run");
}

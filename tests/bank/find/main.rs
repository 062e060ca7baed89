//! Looks for one planted bug: `find BUG SEED SEEDS`. One line for each seed that kept every promise; `found ` and what was
//! broken, at the first that did not. Part of the copy, not of the product's workspace.

use std::io::Write as _;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|number| number.parse::<u64>().ok());
    let mut number = || numbers.next().expect("three numbers");
    let (bug, first, seeds) = (number(), number(), number());
    syncline::planted::switch(usize::try_from(bug).expect("a number of a bug"));
    // What panics in a simulated process is caught and told; nobody reads this program's own words.
    std::panic::set_hook(Box::new(|_| {}));
    let mut out = std::io::stdout();
    for seed in first..first + seeds {
        for (world, describe) in syncline_seeds::WORLDS {
            if let Err(broken) = syncline_sim::once(seed, describe) {
                writeln!(out, "found world {world}, seed {seed}: {broken}").expect("somebody listens");
                return;
            }
        }
        writeln!(out, "kept {seed}").expect("somebody listens");
        out.flush().expect("somebody listens");
    }
}

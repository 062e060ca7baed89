//! Lines that are typed into a device that stays open.

use std::io::BufRead as _;

use tokio::sync::mpsc;

/// Lines that were typed ahead; whoever types more waits.
const TYPED_AHEAD: usize = 64;

/// The lines of stdin, until it ends. Stdin blocks, so a thread reads it, which ends with the process.
#[must_use]
pub fn typed() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(TYPED_AHEAD);
    std::thread::spawn(move || {
        let each = |line: std::io::Result<String>| line.ok().and_then(|line| sender.blocking_send(line).ok());
        std::io::stdin().lock().lines().map_while(each).for_each(drop);
    });
    lines
}

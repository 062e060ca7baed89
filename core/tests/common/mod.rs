//! What the proofs of core share: golden files, a poll loop, and small numbers in the shape of ids.

pub(crate) mod cut;

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use syncline::Seq;

/// Core and its memory store never wait for anyone else, so polling is all the runtime they need.
pub(crate) fn poll_to_end<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..1_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
    panic!("a future over the memory store waits for something that never comes");
}

/// A seq in range.
pub(crate) fn seq(value: u64) -> Seq {
    Seq::new(value).expect("at most 2^63 - 1")
}

/// Compares `text` with a committed file and shows the lines that differ. `SYNCLINE_BLESS=1` writes the file instead:
/// read the diff of the commit before you believe it.
pub(crate) fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    if std::env::var_os("SYNCLINE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        std::fs::write(&path, text).expect("the golden file can be written");
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    if kept == text {
        return;
    }
    let (kept, now): (Vec<&str>, Vec<&str>) = (kept.lines().collect(), text.lines().collect());
    let mut diff = String::new();
    for index in 0..kept.len().max(now.len()) {
        let (old, new) = (kept.get(index), now.get(index));
        if old != new {
            diff += &format!("line {}:\n- {}\n+ {}\n", index + 1, old.unwrap_or(&""), new.unwrap_or(&""));
        }
    }
    panic!("{name} is no longer what the code does (SYNCLINE_BLESS=1 rewrites it):\n{diff}");
}

//! Takes the shipped files whose threads are to be scheduled, and puts shuttle's primitives in the place of the standard
//! library's. What is compiled is otherwise the shipped code, letter for letter; once more with a mistake in each file, to
//! show that the mistake is found.

#![allow(clippy::expect_used, reason = "a build that cannot go on says why")]

use std::path::{Path, PathBuf};
use std::{env, fs};

/// A file that is shipped, and what a mistake in it is.
struct Shipped {
    path: &'static str,
    /// Where its `crate` is here.
    root: &'static str,
    /// What the mistake changes, into what.
    mistake: Option<(&'static str, &'static str)>,
}

const SHIPPED: &[Shipped] = &[
    Shipped {
        path: "storage-sqlite/src/queue.rs",
        root: "super",
        // A worker is taken off those that wait, and not told.
        mistake: Some((
            "wake.notify_one();\n        }\n    }\n}\n\nimpl<J> Drop for Queue",
            "let _ = wake;\n        }\n    }\n}\n\nimpl<J> Drop for Queue",
        )),
    },
    Shipped { path: "storage-sqlite/src/reply.rs", root: "super", mistake: None },
    Shipped {
        path: "storage-sqlite/src/transact.rs",
        root: "super",
        // Whoever wrote nothing is answered at once, though it saw what is not durable.
        mistake: Some((
            "            ran.push((job, outcome.map(|size| size.is_some())));",
            "            if matches!(outcome, Ok(None)) {\n                job.answer.send(Ok(false));\n                continue;\n            }\n            ran.push((job, outcome.map(|size| size.is_some())));",
        )),
    },
    Shipped {
        path: "core/src/client/gate.rs",
        root: "syncline",
        // What lands last wakes nobody.
        mistake: Some((
            "        state.flying -= 1;\n        if state.flying == 0 ||",
            "        state.flying -= 1;\n        if",
        )),
    },
    Shipped {
        path: "core/src/store/fanout.rs",
        root: "syncline",
        // A reader looks, lets others have the lock, and says only then whom to wake.
        mistake: Some((
            "            queue.waker = Some(context.waker().clone());",
            "            drop(queue);\n            lock(&self.subscriber.queue).waker = Some(context.waker().clone());",
        )),
    },
];

fn main() {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../..");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    fs::create_dir_all(out.join("mistaken")).expect("the folder is made");
    for shipped in SHIPPED {
        let path = root.join(shipped.path);
        println!("cargo::rerun-if-changed={}", path.display());
        let text = fs::read_to_string(&path).expect("a shipped file is where it was");
        let name = path.file_name().expect("it has a name");
        fs::write(out.join(name), scheduled(&text, shipped)).expect("written");
        let mistaken = match shipped.mistake {
            Some((right, wrong)) => {
                assert_eq!(text.matches(right).count(), 1, "{}: what the mistake changes is gone", shipped.path);
                text.replace(right, wrong)
            }
            None => text,
        };
        fs::write(out.join("mistaken").join(name), scheduled(&mistaken, shipped)).expect("written");
    }
}

fn scheduled(text: &str, shipped: &Shipped) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with("//!"));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    assert!(text.contains("std::sync::"), "{}: has nothing to schedule", shipped.path);
    let text = text.replace("std::sync::", "shuttle::sync::").replace("std::thread::", "shuttle::thread::");
    text.replace("crate::", &format!("{}::", shipped.root))
}

//! Real human edits: Martin Kleppmann's keystrokes while writing a paper (259,778 edits, CC BY 4.0).
//!
//! The trace is data to measure with and is not shipped in this repository. It is looked for beside the checkout, or
//! where SYNCLINE_TRACES says. Where it is not to be had, edits of the same shape and number are made up from a fixed
//! seed, and the test says so: what is proven about the log is the same, only the text is not a person's.

use std::io::Read as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One keystroke: at `.0` remove `.1` characters, then put `.2` there. Unicode scalar values.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Edit(pub(crate) usize, pub(crate) usize, pub(crate) String);

/// Edits, and the text they lead to.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) edits: Vec<Edit>,
    pub(crate) end: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    end_content: String,
    txns: Vec<Transaction>,
}

#[derive(Deserialize)]
struct Transaction {
    patches: Vec<Edit>,
}

/// A text under edits.
#[derive(Debug, Default)]
pub(crate) struct Text(Vec<char>);

impl Text {
    pub(crate) fn apply(&mut self, edit: &Edit) {
        self.0.splice(edit.0..edit.0 + edit.1, edit.2.chars());
    }

    pub(crate) fn read(&self) -> String {
        self.0.iter().collect()
    }
}

impl Trace {
    /// The paper, whole.
    pub(crate) fn paper() -> Self {
        let folder = std::env::var_os("SYNCLINE_TRACES").map_or_else(beside_the_checkout, PathBuf::from);
        let path = folder.join("sequential/automerge-paper.json.gz");
        let Ok(packed) = std::fs::read(&path) else {
            println!("no editing trace at {}: using made-up edits of the same shape", path.display());
            return Self::made_up(259_778);
        };
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).expect("a gzip file");
        let file: File = serde_json::from_str(&text).expect("an editing trace");
        let edits = file.txns.into_iter().flat_map(|transaction| transaction.patches).collect();
        Self { edits, end: file.end_content }
    }

    /// Typing in bursts, some of it taken back.
    fn made_up(count: usize) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 11).expect("64 bits") % below.max(1)
        };
        let (mut text, mut edits, mut at) = (Text::default(), Vec::with_capacity(count), 0);
        for _ in 0..count {
            if next(40) == 0 {
                at = next(text.0.len() + 1);
            }
            let edit = if next(10) < 3 && at > 0 {
                at -= 1;
                Edit(at, 1, String::new())
            } else {
                at += 1;
                let letter = char::from(b'a' + u8::try_from(next(26)).expect("a letter"));
                Edit(at - 1, 0, letter.to_string())
            };
            text.apply(&edit);
            edits.push(edit);
        }
        Self { edits, end: text.read() }
    }
}

fn beside_the_checkout() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/editing-traces")
}

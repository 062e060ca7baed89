//! Reads the recorded editing histories. They are not part of the repository: where they should be is
//! `../shared/data/editing-traces` beside the workspace.

use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A replacement: at a position, so many characters go and these come.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Patch(pub(crate) usize, pub(crate) usize, pub(crate) String);

#[derive(Debug, Deserialize)]
pub(crate) struct Txn {
    #[serde(default)]
    pub(crate) parents: Vec<usize>,
    #[serde(default)]
    pub(crate) agent: usize,
    pub(crate) patches: Vec<Patch>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Trace {
    pub(crate) end_content: String,
    #[serde(default)]
    pub(crate) num_agents: usize,
    pub(crate) txns: Vec<Txn>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    pub(crate) span: (usize, usize),
    pub(crate) parents: Vec<usize>,
    pub(crate) agent: String,
    pub(crate) seq_start: usize,
    pub(crate) ops: Vec<Patch>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct History {
    pub(crate) end_content: String,
    pub(crate) txns: Vec<Event>,
}

/// Reads a trace.
pub(crate) fn load<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/editing-traces").join(name);
    let file = std::fs::File::open(&path).unwrap_or_else(|error| {
        panic!("the editing traces are needed at {}: {error}", path.display());
    });
    let mut json = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut json).expect("a gzipped trace");
    serde_json::from_str(&json).expect("a trace")
}

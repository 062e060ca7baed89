//! Reads the recorded editing histories. They are not part of the repository: where they should be is
//! `../shared/data/editing-traces` beside the workspace.

use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A replacement: at a position, so many characters go and these come.
#[derive(Debug, Clone, Deserialize)]
pub struct Patch(pub usize, pub usize, pub String);

#[derive(Debug, Deserialize)]
pub struct Txn {
    #[serde(default)]
    pub parents: Vec<usize>,
    #[serde(default)]
    pub agent: usize,
    pub patches: Vec<Patch>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    pub end_content: String,
    #[serde(default)]
    pub num_agents: usize,
    pub txns: Vec<Txn>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    pub span: (usize, usize),
    pub parents: Vec<usize>,
    pub agent: String,
    pub seq_start: usize,
    pub ops: Vec<Patch>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    pub end_content: String,
    pub txns: Vec<Event>,
}

/// Reads a trace.
pub fn load<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/editing-traces").join(name);
    let file = std::fs::File::open(&path).unwrap_or_else(|error| {
        panic!("the editing traces are needed at {}: {error}", path.display());
    });
    let mut json = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut json).expect("a gzipped trace");
    serde_json::from_str(&json).expect("a trace")
}

//! The recorded histories, read from beside the repository.

use std::io::Read;
use std::path::Path;

use serde::Deserialize;

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

/// Reads a trace; of the sequential ones the ASCII form, if there are two.
pub fn load(name: &str) -> Trace {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/editing-traces");
    let places = ["sequential-ascii", "sequential", "concurrent"].map(|folder| root.join(folder).join(format!("{name}.json.gz")));
    let path = places.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("no trace {name} in {}", root.display()));
    let mut json = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut json).unwrap();
    serde_json::from_str(&json).unwrap()
}

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

/// Reads a trace, with `_` for what is not ASCII: some peers count bytes, others characters, and must mean the same.
pub fn load(name: &str) -> Trace {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/editing-traces");
    let places = ["sequential-ascii", "sequential", "concurrent"]
        .map(|folder| root.join(folder).join(format!("{name}.json.gz")));
    let path =
        places.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("no trace {name} in {}", root.display()));
    let mut json = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut json).unwrap();
    let mut trace: Trace = serde_json::from_str(&json).unwrap();
    let ascii = |text: &str| text.chars().map(|char| if char.is_ascii() { char } else { '_' }).collect::<String>();
    trace.end_content = ascii(&trace.end_content);
    for patch in trace.txns.iter_mut().flat_map(|txn| &mut txn.patches) {
        patch.2 = ascii(&patch.2);
    }
    trace
}

//! The house's walls: who may know whom. Each wall is a test, so that it cannot fall unnoticed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Core's modules from the ground up. A module may use those of its own and of lower layers.
const LAYERS: &[&[&str]] = &[
    &["id", "digest", "codec", "limits", "json", "seq", "time"],
    &["clock"],
    &["blob", "crdt"],
    &["oplog", "access"],
    &["tree"],
    &["files"],
    &["seal"],
    &["decide"],
    &["store"],
    &["call"],
    &["server", "client"],
    &["wire", "in_process"],
    &["arbitrary", "conformance"],
];

/// Layers whose modules are siblings that do not know each other.
const SIBLINGS: &[(&str, &str)] = &[("server", "client"), ("client", "server"), ("oplog", "access")];

/// Everything core may be built from. None of it can do I/O. `fastcdc` cuts files; `caseless` and `unicode-normalization`,
/// over `tinyvec`, are Unicode's tables for their names, which nobody should keep by hand.
const CORE_CLOSURE: &[&str] = &[
    "adler2",
    "async-trait",
    "base64",
    "block-buffer",
    "bytes",
    "caseless",
    "cfg-if",
    "const-oid",
    "cpufeatures",
    "crypto-common",
    "digest",
    "fastcdc",
    "hybrid-array",
    "itoa",
    "libc",
    "memchr",
    "miniz_oxide",
    "proc-macro2",
    "quote",
    "ryu",
    "serde",
    "serde_core",
    "serde_derive",
    "serde_json",
    "sha2",
    "syn",
    "syncline",
    "thiserror",
    "thiserror-impl",
    "tinyvec",
    "typenum",
    "unicode-ident",
    "unicode-normalization",
    "uuid",
    "zmij",
];

/// What the feature `encryption` adds: ciphers and derivations, without the operating system's randomness.
const ENCRYPTION_CLOSURE: &[&str] = &[
    "aead",
    "aes",
    "aes-gcm",
    "argon2",
    "base64ct",
    "blake2",
    "chacha20",
    "chacha20poly1305",
    "cipher",
    "cmov",
    "cpubits",
    "ctr",
    "ctutils",
    "ghash",
    "hkdf",
    "hmac",
    "inout",
    "pbkdf2",
    "poly1305",
    "polyval",
    "universal-hash",
    "zeroize",
];

const FILE_LINES_MAX: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The top-level module of core that a file belongs to.
fn module(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("core/src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// Every `crate::name` in code, comments left out.
fn used_modules(text: &str) -> BTreeSet<String> {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or(""));
    let mut used = BTreeSet::new();
    for line in code {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            used.insert(name);
        }
    }
    used
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Names after `crate::` that are not modules are re-exports of the foundations, which everyone may use.
#[test]
fn core_modules_use_only_lower_layers() {
    let layer: BTreeMap<&str, usize> =
        LAYERS.iter().enumerate().flat_map(|(index, names)| names.iter().map(move |name| (*name, index))).collect();
    let mut faults = Vec::new();
    for file in rust_files(&root().join("core/src")) {
        let own = module(&file);
        if own == "lib" {
            continue;
        }
        let own_layer = layer.get(own.as_str()).unwrap_or_else(|| panic!("module {own} has no layer"));
        for used in used_modules(&fs::read_to_string(&file).unwrap()) {
            let Some(used_layer) = layer.get(used.as_str()) else { continue };
            let sibling = SIBLINGS.contains(&(own.as_str(), used.as_str()));
            if used_layer > own_layer || sibling {
                faults.push(format!("{} uses crate::{used}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Purity is what makes core simulatable: nothing below it can open a file or a socket.
#[test]
fn core_is_built_only_from_the_allow_list() {
    for (features, added) in [("", [].as_slice()), ("encryption", ENCRYPTION_CLOSURE)] {
        let tree = ["tree", "-p", "syncline", "-e", "normal,build", "--prefix", "none", "--format", "{p}"];
        let tree = cargo(&[&tree[..], &["--features", features]].concat());
        let closure: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        let allowed: BTreeSet<&str> = CORE_CLOSURE.iter().chain(added).copied().collect();
        let strangers: Vec<_> = closure.iter().filter(|name| !allowed.contains(**name) && !name.is_empty()).collect();
        assert!(strangers.is_empty(), "core's dependency closure with {features:?} grew by {strangers:?}");
    }
}

#[test]
fn core_does_no_io_and_asks_no_clock() {
    let banned = ["std::fs", "std::net", "std::process", "std::thread", "SystemTime", "Instant::now", "std::env::"];
    for file in rust_files(&root().join("core/src")) {
        let text = fs::read_to_string(&file).unwrap();
        for line in text.lines().map(|line| line.split("//").next().unwrap_or("")) {
            for name in banned {
                assert!(!line.contains(name), "{}: {name}", file.display());
            }
        }
    }
}

/// Adapters see rows and bytes; the transport sees calls and replies; only programs, tests and benches see it all.
#[test]
fn crates_depend_in_one_direction() {
    let ours = |manifest: &str| -> BTreeSet<String> {
        let text = fs::read_to_string(root().join(manifest).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        let dependencies = manifest.get("dependencies").and_then(|value| value.as_table()).unwrap();
        dependencies.keys().filter(|name| name.starts_with("syncline")).cloned().collect()
    };
    for adapter in ["storage-sqlite", "storage-postgres", "blob-fs", "blob-s3", "scan", "transport-http"] {
        assert_eq!(ours(adapter), BTreeSet::from(["syncline".to_owned()]), "{adapter}");
    }
    assert!(ours("core").is_empty());
    let transport = fs::read_to_string(root().join("transport-http/Cargo.toml")).unwrap();
    for database in ["rusqlite", "sqlx"] {
        assert!(!transport.contains(database), "the transport knows {database}");
    }
    for adapter in ["storage-sqlite", "storage-postgres", "blob-fs", "scan"] {
        let manifest = fs::read_to_string(root().join(adapter).join("Cargo.toml")).unwrap();
        for http in ["axum", "hyper", "reqwest"] {
            assert!(!manifest.contains(http), "{adapter} knows {http}");
        }
    }
}

#[test]
fn one_file_of_the_server_names_concrete_stores() {
    for file in rust_files(&root().join("examples/server/src")) {
        let text = fs::read_to_string(&file).unwrap();
        let names = text.contains("syncline_storage_");
        assert_eq!(names, file.ends_with("wiring.rs"), "{}", file.display());
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    let folders =
        ["core", "storage-sqlite", "storage-postgres", "blob-fs", "blob-s3", "scan", "transport-http", "examples"];
    let folders = [&folders[..], &["benches", "tests"]].concat();
    for file in folders.iter().flat_map(|folder| rust_files(&root().join(folder))) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines", file.display());
    }
}

/// What `deny.toml` says: every licence in the tree is on its list, what is banned is not in the tree or only below what it
/// names, and everything comes from the one registry.
#[test]
fn dependencies_are_licensed_not_banned_and_from_where_we_know() {
    let deny = syncline_prove::installed("deny", "cargo-deny").expect("cargo-deny is missing: tests/install gets it");
    let mut command = Command::new(deny);
    command.args([
        "--locked",
        "--log-level",
        "error",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]);
    let output = command.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

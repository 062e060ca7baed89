//! The copy: the sources of core and of the simulator with every bug in them behind its switch, as a workspace of its own
//! that shares the registry's crates with ours.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use toml::{Table, Value};

use crate::{Bug, root};

/// The packages that are copied.
const PACKAGES: [&str; 4] = ["core", "sim", "tests/prove", "tests/seeds"];
/// The switch.
const PLANTED: &str = "\
use std::sync::atomic::{AtomicUsize, Ordering};
static SWITCHED: AtomicUsize = AtomicUsize::new(0);
pub fn switch(number: usize) {
    SWITCHED.store(number, Ordering::Relaxed);
}
pub fn on(number: usize) -> bool {
    SWITCHED.load(Ordering::Relaxed) == number
}
";
/// The program that looks for a bug.
const FIND: &str = include_str!("../find/main.rs");

/// Makes the copy in a folder and builds it; the program that looks for a bug. The bugs have the numbers from 1.
///
/// # Errors
/// A file does not read, write or fit, or the build fails.
pub fn build(bugs: &[Bug], target: &Path) -> anyhow::Result<PathBuf> {
    let folder = target.join("bank");
    write(&folder, &files(bugs)?)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "-q", "--offline", "--profile", "prove", "-p", "syncline-find"])
        .arg("--manifest-path")
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .status()
        .context("cargo")?;
    anyhow::ensure!(built.success(), "the copy with the bugs does not build");
    Ok(target.join("prove/syncline-find"))
}

/// Everything that is in the copy.
fn files(bugs: &[Bug]) -> anyhow::Result<BTreeMap<PathBuf, String>> {
    let mut files = BTreeMap::new();
    for package in PACKAGES {
        let from = root().join(package);
        files.insert(Path::new(package).join("Cargo.toml"), manifest(&from)?);
        read_sources(&from.join("src"), &Path::new(package).join("src"), &mut files)?;
    }
    plant(bugs, &mut files)?;
    let core = files.get_mut(Path::new("core/src/lib.rs")).context("core has no lib.rs")?;
    *core = format!("#![allow(warnings)]\n{core}\npub mod planted;\n");
    files.insert("core/src/planted.rs".into(), PLANTED.into());
    files.insert("find/src/main.rs".into(), FIND.into());
    files.insert("find/Cargo.toml".into(), finder());
    files.insert("Cargo.toml".into(), workspace()?);
    Ok(files)
}

fn read_sources(from: &Path, to: &Path, files: &mut BTreeMap<PathBuf, String>) -> anyhow::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            read_sources(&entry.path(), &to, files)?;
        } else {
            files.insert(to, fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}

/// A package's manifest without what only its tests need.
fn manifest(package: &Path) -> anyhow::Result<String> {
    let mut manifest: Table = toml::from_str(&fs::read_to_string(package.join("Cargo.toml"))?)?;
    for only_for_tests in ["dev-dependencies", "test", "bench", "lints"] {
        manifest.remove(only_for_tests);
    }
    Ok(toml::to_string(&manifest)?)
}

fn finder() -> String {
    "[package]\nname = \"syncline-find\"\nversion = \"0.0.0\"\nedition.workspace = true\npublish = false\n\
     [dependencies]\nsyncline.workspace = true\nsyncline-sim.workspace = true\n\
     syncline-seeds = { path = \"../tests/seeds\" }\n"
        .into()
}

/// The root's manifest with fewer members.
fn workspace() -> anyhow::Result<String> {
    let mut manifest: Table = toml::from_str(&fs::read_to_string(root().join("Cargo.toml"))?)?;
    let workspace = manifest.get_mut("workspace").and_then(Value::as_table_mut).context("no workspace")?;
    workspace.retain(|key, _| matches!(key, "resolver" | "package" | "dependencies"));
    let members = PACKAGES.into_iter().chain(["find"]).map(Value::from).collect();
    workspace.insert("members".into(), Value::Array(members));
    manifest.retain(|key, _| matches!(key, "workspace" | "profile"));
    Ok(toml::to_string(&manifest)?)
}

/// Puts every bug in its places: the longest texts first, because a shorter one may be within a longer one.
fn plant(bugs: &[Bug], files: &mut BTreeMap<PathBuf, String>) -> anyhow::Result<()> {
    let numbered = bugs.iter().enumerate();
    let mut edits: Vec<_> =
        numbered.flat_map(|(index, bug)| bug.edit.iter().map(move |edit| (index + 1, bug, edit))).collect();
    edits.sort_by_key(|(_, _, edit)| std::cmp::Reverse(edit.find.len()));
    for (number, bug, edit) in edits {
        let text = files.get_mut(Path::new(&edit.file));
        let text = text.with_context(|| format!("{}: no file {}", bug.name, edit.file))?;
        // Where another bug was planted in the same place before, its text comes first and the original last.
        let at = text.rfind(&edit.find).with_context(|| format!("{}: not in {}", bug.name, edit.file))?;
        text.replace_range(at..at + edit.find.len(), &edit.switched(number));
    }
    Ok(())
}

/// Writes what is another, so that nothing is built twice, and removes what is no longer there.
fn write(folder: &Path, files: &BTreeMap<PathBuf, String>) -> anyhow::Result<()> {
    for (path, text) in files {
        let path = folder.join(path);
        if fs::read_to_string(&path).ok().as_ref() != Some(text) {
            fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
            fs::write(&path, text)?;
        }
    }
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    let known: BTreeSet<PathBuf> = files.keys().map(|path| folder.join(path)).collect();
    for package in PACKAGES {
        remove_others(&folder.join(package).join("src"), &known)?;
    }
    Ok(())
}

fn remove_others(folder: &Path, known: &BTreeSet<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, known)?;
        } else if !known.contains(&path) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

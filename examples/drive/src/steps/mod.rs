//! Carrying out a step in the folder.
//!
//! What must hold: a step is done only when what it names looks as the step says, and is looked at again right before; what
//! was there is there under its name until something whole has taken its place; what was done is on the disk before it is
//! said. What happens in between, a crash or somebody's edit, leaves the old bytes or the new ones, never neither.
//!
//! Next: `place` for moves, folders and files, `gone` for what is taken away, `merge` for twins, `names` for the system's ways
//! to change a name.

mod gone;
mod merge;
mod names;
mod place;
#[cfg(test)]
mod testing;

use std::io::{self, ErrorKind};

use syncline::files::{Base, Fingerprint, Scan, Step};
use syncline::tree::Kind;

use crate::folder::{Folder, check};
use crate::rules::Rules;
use crate::temp::Temp;
use crate::uses::Whom;

/// Bytes of a link's target: what systems hold.
const LINK_BYTES_MAX: usize = 4_095;

/// What a step is carried out on.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "what a step is about")]
pub struct On<'a> {
    /// The folder.
    pub folder: &'a Folder,
    /// Where nodes lie in it, and how they look.
    pub base: &'a Base,
    /// What was found in it when the step was planned.
    pub scan: &'a Scan,
    /// What is not synced.
    pub rules: &'a Rules,
}

/// What came of a step.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "a step is done, waits or cannot be done")]
pub enum Outcome {
    /// It is done, and this is how the entry looks now, if there is one: what [`Base::did`] wants to know.
    Done(Option<Fingerprint>),
    /// Something is otherwise than the step says. The next plan knows.
    Later(Later),
    /// It cannot be done here.
    Failed(Failed),
}

/// Why a step waits for the next plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Later {
    /// It does not look as it did: somebody has changed it.
    #[error("it was changed meanwhile")]
    Changed,
    /// Something is already where it should go.
    #[error("something else is there")]
    Taken,
    /// It is not where it was.
    #[error("it is not there any more")]
    Gone,
    /// Somebody has it open.
    #[error("somebody has it open")]
    Open,
    /// Something is in the folder that is not to be lost.
    #[error("something is in the folder")]
    NotEmpty,
}

/// Why a step cannot be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failed {
    /// What it says is no name here, or too long a one.
    #[error("this device cannot hold the name: {0}")]
    Name(#[source] io::Error),
    /// A link that would lead out of the folder.
    #[error("the link leads out of the folder, to {0:?}")]
    Link(String),
    /// Other bytes came than were announced.
    #[error("other bytes came than were announced: {0}")]
    Bytes(#[source] io::Error),
    /// There is no room.
    #[error("there is no room: {0}")]
    Full(#[source] io::Error),
    /// The system does not let us.
    #[error("{0}")]
    Io(#[source] io::Error),
}

/// Why a step was not done.
enum Not {
    Later(Later),
    Failed(Failed),
}

impl From<Later> for Not {
    fn from(later: Later) -> Self {
        Self::Later(later)
    }
}

impl From<io::Error> for Not {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Later(Later::Gone),
            // A link or a file lies where a folder was.
            ErrorKind::NotADirectory => Self::Later(Later::Changed),
            ErrorKind::AlreadyExists => Self::Later(Later::Taken),
            ErrorKind::DirectoryNotEmpty => Self::Later(Later::NotEmpty),
            ErrorKind::InvalidInput | ErrorKind::InvalidFilename => Self::Failed(Failed::Name(error)),
            ErrorKind::InvalidData => Self::Failed(Failed::Bytes(error)),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Failed(Failed::Full(error)),
            _ => Self::Failed(Failed::Io(error)),
        }
    }
}

pub use gone::take_unfinished_away;
pub use place::put_new;

type Did = Result<Option<Fingerprint>, Not>;

/// What a step writes, as it comes.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "a file or a link")]
pub enum Sink {
    /// A file.
    File(Temp),
    /// A link's target.
    Link(Vec<u8>),
}

impl Sink {
    /// Begins what a [`Step::Write`] writes, in the folder where it will be.
    ///
    /// # Errors
    /// What [`carry_out`] would say.
    #[allow(clippy::result_large_err, reason = "it is the outcome of the step")]
    pub fn begin(on: On<'_>, step: &Step, kind: Kind) -> Result<Self, Outcome> {
        let begin = || {
            let Step::Write { parent, at, .. } = step else { return Err(Later::Gone.into()) };
            check(at)?;
            let folder = on.folder.inside(&on.base.path(*parent).ok_or(Later::Gone)?)?;
            Ok(if kind == Kind::Symlink { Self::Link(Vec::new()) } else { Self::File(Temp::begin(folder)?) })
        };
        begin().map_err(outcome_of)
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// What the system says; [`ErrorKind::InvalidInput`] for a link that is too long.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::File(temp) => temp.write(bytes),
            Self::Link(target) if target.len() + bytes.len() > LINK_BYTES_MAX => {
                Err(io::Error::new(ErrorKind::InvalidInput, "a link's target is too long"))
            }
            Self::Link(target) => {
                target.extend_from_slice(bytes);
                Ok(())
            }
        }
    }
}

fn outcome_of(not: Not) -> Outcome {
    match not {
        Not::Later(why) => Outcome::Later(why),
        Not::Failed(why) => Outcome::Failed(why),
    }
}

/// Carries out a step. `bytes` are those of a [`Step::Write`], all of them.
#[must_use]
pub fn carry_out(on: On<'_>, step: &Step, bytes: Option<Sink>) -> Outcome {
    let did = match step {
        Step::Move { node, parent, at } => place::move_to(on, *node, *parent, at),
        Step::MakeFolder { parent, at, .. } => place::make_folder(on, *parent, at),
        Step::Write { node, parent, at, content, replaces } => match bytes {
            Some(Sink::File(temp)) => place::write_file(on, *node, at, content, *replaces, temp),
            Some(Sink::Link(target)) => place::write_link(on, (*node, *parent, at), content, *replaces, &target),
            None => Err(Later::Gone.into()),
        },
        Step::Remove { node } => gone::remove(on, *node, Whom::Writers),
        Step::Evict { node } => gone::remove(on, *node, Whom::Anybody),
        Step::RemoveFolder { node } => gone::remove_folder(on, *node),
        Step::Merge { entry, into } => merge::merge(on, *entry, *into),
        Step::RemoveDouble { entry, of } => gone::remove_double(on, *entry, *of),
    };
    did.map_or_else(outcome_of, Outcome::Done)
}

/// A print that no look at the file will equal: so it is read again, and what is said of it now proves nothing.
const fn unsure(print: Fingerprint) -> Fingerprint {
    Fingerprint { changed_ns: -1, ..print }
}

/// Whether a file is as it was but for its name, which changes when anything about it was changed last.
fn is_as_it_was(before: &Fingerprint, now: &Fingerprint) -> bool {
    (before.size, before.modified_ns, before.identity) == (now.size, now.modified_ns, now.identity)
}

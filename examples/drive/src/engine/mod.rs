//! Keeps a folder and a server's tree alike: reads the log, looks into the folder, tells the server, does what is to be done.
//!
//! What must hold: a commit is in the journal before it is sent, and is sent until it is answered; what the journal says is
//! held lies in the folder or lay there when the device died, and is recognized when it is looked for again. Whatever is cut
//! off goes on at the next start.
//!
//! Next: `pass` for what is looked at and what is to do, `tell` for what goes to the server, `bring` for what comes from it.

mod beside;
mod bring;
mod pass;
mod tell;
mod view;
mod wanted;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use syncline::call::{Call, ErrorCode, Reply};
use syncline::client::{BlobTransport, CallError, ServerTree, Transport, TreeFault};
use syncline::decide::TREE_ROOT;
use syncline::files::{Abilities, Base, Fingerprint, Halt, Issues, Notice, PutOff};
use syncline::oplog::Sealing;
use syncline::time::EnvSource;
use syncline::tree::{Content, Label};
use syncline::{Cursor, EntityId, LogKey, ReplicaId};

pub use beside::{Beside, Mount, mounts, state_of};

use crate::ear::Ear;
use crate::folder::Folder;
use crate::journal::{Journal, JournalError, Pin, Status};
use crate::lock::{Lock, Locked};
use crate::rules::Rules;
use crate::transfer::{Limits, Transfer, TransferError};
use crate::view::Window;

/// A device: its folder and who it is.
#[derive(Debug)]
#[allow(clippy::exhaustive_structs, reason = "what a device is made of")]
pub struct Device {
    /// The folder that is synced.
    pub folder: PathBuf,
    /// Where its journal and its lock are; outside of the folder.
    pub state: PathBuf,
    /// Whose tree it follows.
    pub log: LogKey,
    /// Who it is.
    pub replica: ReplicaId,
    /// What conflict copies call it.
    pub label: Label,
    /// How fast bytes may go.
    pub limits: Limits,
}

/// A device at work.
#[derive(Debug)]
pub struct Engine {
    device: Device,
    folder: Arc<Folder>,
    journal: Journal,
    way: Arc<dyn BlobTransport>,
    transfer: Arc<Transfer>,
    env: Arc<dyn EnvSource>,
    rules: Rules,
    abilities: Abilities,
    base: Base,
    server: ServerTree,
    issues: Issues,
    contents: HashMap<Fingerprint, Content>,
    pins: HashMap<EntityId, Pin>,
    /// Where a journal that did not read lies now.
    aside: Option<PathBuf>,
    /// How often the server asked for bytes in this sync that it had been given.
    needs: usize,
    /// Up to where the server was told that this device has the files.
    acknowledged: Option<Cursor>,
    /// What was not told as deleted, for it lies in the folder of another tree and is not agreed on there yet.
    held_back: usize,
    /// The folder is being left: what is missing in it is nobody's delete.
    leaving: bool,
    /// Files that could not be brought.
    put_off: PutOff,
    /// Who hears what happens in the folder, if somebody does.
    ear: Option<Ear>,
    /// What a view of the folder and this tell each other, if there is one.
    window: Option<Arc<Window>>,
    /// Of what it remembers, and of the folder: two devices in one folder would take each other for its user.
    _locks: [Lock; 2],
}

/// What a sync did.
#[derive(Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "plain counts and lists")]
pub struct Synced {
    /// Ops that the server answered.
    pub told: usize,
    /// Steps that were done in the folder.
    pub done: usize,
    /// What its user should know.
    pub notices: Vec<Notice>,
    /// What could not be done here, with the path in the folder.
    pub troubles: Vec<(String, String)>,
    /// Files that were being written while they were looked at: they are looked at again the next time.
    pub busy: usize,
    /// Nodes that were left alone, for what was heard of them is not over.
    pub unsettled: usize,
    /// Files that could not be brought some time ago: they are asked for again later.
    pub put_off: usize,
    /// The server's history is another one than before: folder and server were united.
    pub united: bool,
}

/// Why a sync stopped. Nothing is lost: the next one goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Something looks like an accident; who knows better says so.
    #[error("{0}; nothing was changed. If that is meant, say so with --confirm")]
    Halt(#[from] Halt),
    /// Another program keeps the folder.
    #[error(transparent)]
    Locked(#[from] Locked),
    /// The journal does not answer.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The server's tree cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeFault),
    /// The server does not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Bytes did not arrive.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The folder does not let us.
    #[error("{}: {error}", path.display())]
    Folder {
        /// Where.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// The server answered something else than was asked, or never comes to an end.
    #[error("the server's answers make no sense: {0}")]
    Nonsense(&'static str),
}

impl From<Halt> for Box<EngineError> {
    fn from(halt: Halt) -> Self {
        Self::new(halt.into())
    }
}

type Done<T> = Result<T, EngineError>;

impl Engine {
    /// Opens a device. A journal that does not read is put aside, and folder and server are united.
    ///
    /// # Errors
    /// When another program keeps the folder, or there is none.
    pub fn open(device: Device, way: Arc<dyn BlobTransport>, env: Arc<dyn EnvSource>) -> Done<Self> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| EngineError::Folder { path, error }
        };
        std::fs::create_dir_all(&device.state).map_err(at(&device.state))?;
        let lock = Lock::take(&device.state)?;
        let folder = Folder::open(&device.folder).map_err(at(&device.folder))?;
        let folder = Arc::new(folder.map_err(|root| match root {
            syncline::files::RootState::Other => Halt::RootIsNoFolder,
            _ => Halt::RootMissing,
        })?);
        let locks = [lock, Lock::take(&device.folder)?];
        let (journal, mut aside) = Journal::open(&device.state.join("journal.db"))?;
        let (journal, kept) = match Kept::load(&journal, device.log) {
            Ok(kept) => (journal, kept),
            Err(JournalError::Unreadable(_)) => {
                let (journal, path) = journal.set_aside()?;
                aside = Some(path);
                let kept = Kept::load(&journal, device.log)?;
                (journal, kept)
            }
            Err(error) => return Err(error.into()),
        };
        let (rules, _) = Rules::load(&folder).map_err(at(&device.folder))?;
        let transfer =
            Transfer::new(Arc::clone(&way), device.log.log, Arc::clone(&folder), Arc::clone(&env), device.limits);
        let transfer = Arc::new(transfer);
        let Kept { base, server, issues, contents, pins, leaving } = kept;
        let engine = Self {
            device,
            folder,
            journal,
            way,
            transfer,
            env,
            rules,
            abilities: Abilities::default(),
            base,
            server,
            issues,
            contents,
            pins,
            aside,
            needs: 0,
            acknowledged: None,
            held_back: 0,
            leaving,
            put_off: PutOff::default(),
            ear: None,
            window: None,
            _locks: locks,
        };
        Ok(engine)
    }

    /// The same on a disk that cannot hold everything.
    #[must_use]
    pub const fn with_abilities(mut self, abilities: Abilities) -> Self {
        self.abilities = abilities;
        self
    }

    /// Makes the log, if it is not there.
    ///
    /// # Errors
    /// When the server refuses, or cannot be reached.
    pub async fn begin(&self) -> Done<()> {
        let call = Call::CreateLog { log: self.device.log.log, sealing: Sealing::default() };
        match self.way.call(call).await {
            Ok(Reply::Log { .. }) => Ok(()),
            Ok(_) => Err(EngineError::Nonsense("another answer than to the question")),
            // Whoever may write may not always make logs; whether it is there the next question says.
            Err(CallError::Refused(refusal)) if refusal.code == ErrorCode::Forbidden => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Where a journal that did not read was put, if it was.
    #[must_use]
    pub fn aside(&self) -> Option<&Path> {
        self.aside.as_deref()
    }

    /// The folder.
    #[must_use]
    pub const fn folder(&self) -> &Arc<Folder> {
        &self.folder
    }

    /// What is held.
    #[must_use]
    pub const fn base(&self) -> &Base {
        &self.base
    }

    /// The server's tree as far as it was read.
    #[must_use]
    pub const fn server(&self) -> &ServerTree {
        &self.server
    }

    /// What it was made of.
    #[must_use]
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// From now on what is heard counts: what is not over yet is left alone. Without an ear everything that is found counts.
    pub fn listen(&mut self, ear: Ear) {
        self.ear = Some(ear);
    }

    /// Who hears what happens in the folder.
    pub const fn ear(&mut self) -> Option<&mut Ear> {
        self.ear.as_mut()
    }

    /// The way to the server.
    #[must_use]
    pub fn way(&self) -> &dyn Transport {
        &*self.way
    }

    /// Syncs until nothing is left to do, or nothing more can be done now, and notes how it went. `confirmed`: what looks like
    /// an accident is meant.
    ///
    /// # Errors
    /// Why it stopped.
    pub async fn sync(&mut self, confirmed: bool) -> Done<Synced> {
        self.sync_beside(confirmed, &[]).await
    }

    /// The same, beside engines of other trees: what was moved into their folders is not told as deleted before it is agreed
    /// on there.
    ///
    /// # Errors
    /// Why it stopped.
    pub async fn sync_beside(&mut self, confirmed: bool, others: &[Beside<'_>]) -> Done<Synced> {
        self.needs = 0;
        let result = self.sync_all(confirmed, others).await;
        let now = self.env.env().now;
        let before = self.journal.status()?;
        let status = match &result {
            Ok(synced) => {
                let is_quiet = synced.busy + synced.unsettled + synced.put_off == 0;
                let is_alike = is_quiet && synced.troubles.is_empty() && self.issues.is_empty();
                let alike_at = if is_alike { Some(now) } else { before.alike_at };
                Status { alike_at, tried_at: Some(now), fault: None, halt: None }
            }
            Err(EngineError::Halt(halt)) => {
                Status { tried_at: Some(now), halt: Some(halt.to_string()), fault: None, ..before }
            }
            Err(error) => Status { tried_at: Some(now), fault: Some(error.to_string()), ..before },
        };
        self.journal.write(|batch| batch.status(&status))?;
        result
    }

    fn at_folder(&self) -> impl Fn(io::Error) -> EngineError + use<> {
        let path = self.device.folder.clone();
        move |error| EngineError::Folder { path: path.clone(), error }
    }
}

/// What a journal remembers.
struct Kept {
    base: Base,
    server: ServerTree,
    issues: Issues,
    contents: HashMap<Fingerprint, Content>,
    pins: HashMap<EntityId, Pin>,
    leaving: bool,
}

impl Kept {
    fn load(journal: &Journal, log: LogKey) -> Result<Self, JournalError> {
        let nodes = journal.remote()?;
        let cursor = journal.cursor()?.unwrap_or(Cursor::START);
        let server = ServerTree::kept(log, nodes, cursor);
        Ok(Self {
            base: journal.base(TREE_ROOT)?,
            // What makes no tree is listed anew.
            server: server.unwrap_or_else(|_| ServerTree::new(log)),
            issues: journal.issues()?,
            contents: journal.contents()?.into_iter().collect(),
            pins: journal.pins()?.into_iter().collect(),
            leaving: journal.is_leaving()?,
        })
    }
}

/// Files that are not read again in this sync.
type Skipped = HashSet<Fingerprint>;

impl fmt::Display for Synced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} told, {} done", self.told, self.done)
    }
}

/// Works on the disk here, while others go on where there are others.
fn on_disk<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    let is_alone = Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::CurrentThread);
    if is_alone { work() } else { tokio::task::block_in_place(work) }
}

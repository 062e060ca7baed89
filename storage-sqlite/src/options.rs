//! How a store is opened.

use std::path::{Path, PathBuf};
use std::time::Duration;

use syncline::limits;

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_enums, reason = "a write waits for the disk or it does not")]
pub enum Durability {
    /// After the disk confirmed it: nothing acknowledged is lost to a power cut.
    #[default]
    Full,
    /// Before: a power cut may take the last seconds of acknowledged writes, and leaves the rest intact. Only for
    /// data that can be fetched again.
    MayLoseLastSeconds,
}

/// How to open a [`SqliteStore`](crate::SqliteStore).
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    pub(crate) path: PathBuf,
    pub(crate) durability: Durability,
    pub(crate) readers: usize,
    /// Short reads run in the thread that asks.
    pub(crate) read_here: bool,
    pub(crate) writer_cache_kib: u32,
    pub(crate) reader_cache_kib: u32,
    pub(crate) busy_wait: Duration,
    pub(crate) checkpoint_pages: u32,
    pub(crate) network_file_system: NetworkFileSystem,
    pub(crate) vfs: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NetworkFileSystem {
    Refused,
    Allowed,
}

impl SqliteOptions {
    /// Reader threads when none are named.
    pub const READERS_DEFAULT: usize = 2;
    /// Reader threads at most; each holds a connection with its own cache.
    pub const READERS_MAX: usize = 16;

    /// Pages in the write-ahead log, of 4 KiB each, after which a commit also copies it back into the database, when
    /// no number is named. Ten times SQLite's own: that copy is the slowest thing a commit can meet.
    pub const CHECKPOINT_PAGES_DEFAULT: u32 = 10_000;

    /// The database at `path`, made when it is not there; beside it stand `-wal`, `-shm` and `.lock` files.
    /// Acknowledged means durable, two readers, network file systems refused.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_path_buf(),
            durability: Durability::default(),
            readers: Self::READERS_DEFAULT,
            read_here: false,
            writer_cache_kib: 64 << 10,
            reader_cache_kib: 16 << 10,
            busy_wait: Duration::from_secs(limits::POOL_WAIT_S),
            checkpoint_pages: Self::CHECKPOINT_PAGES_DEFAULT,
            network_file_system: NetworkFileSystem::Refused,
            vfs: None,
        }
    }

    /// [`SqliteOptions::new`] for one application on one device: reads of single entities run in the thread that asks, which
    /// a page that is not in memory then keeps from other work for as long as the disk takes, instead of waking another
    /// thread; one reader thread for everything longer; page caches of 4 MiB for the writer and 2 MiB for each of the two
    /// connections that read, where a server has 64 and 16.
    #[must_use]
    pub fn device(path: impl AsRef<Path>) -> Self {
        Self { readers: 1, read_here: true, writer_cache_kib: 4 << 10, reader_cache_kib: 2 << 10, ..Self::new(path) }
    }

    /// Sets when writes are acknowledged.
    #[must_use]
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets how many threads read at once, held within 1 and [`SqliteOptions::READERS_MAX`].
    #[must_use]
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers.clamp(1, Self::READERS_MAX);
        self
    }

    /// Sets how long to wait for a foreign connection (a backup tool, a shell) before a call is answered "busy".
    #[must_use]
    pub const fn busy_wait(mut self, wait: Duration) -> Self {
        self.busy_wait = wait;
        self
    }

    /// Sets after how many pages the write-ahead log is copied back: fewer make a smaller file and slower writes.
    /// Held at 1 at least.
    #[must_use]
    pub fn checkpoint_pages(mut self, pages: u32) -> Self {
        self.checkpoint_pages = pages.max(1);
        self
    }

    /// Opens the file on a network file system too. SQLite's locks and shared memory are not reliable there: two
    /// machines with the same file open will damage it.
    #[must_use]
    pub const fn allow_network_file_system(mut self) -> Self {
        self.network_file_system = NetworkFileSystem::Allowed;
        self
    }

    /// Sets the SQLite VFS by the name it was registered under in this process, instead of the system's.
    #[must_use]
    pub fn vfs(mut self, name: impl Into<String>) -> Self {
        self.vfs = Some(name.into());
        self
    }
}

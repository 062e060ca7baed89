//! A device with all files in an ordinary folder, and one that sees them through a view.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline::BucketId;
use syncline::access::Caller;
use syncline::in_process::InProcess;
use syncline_drive::view::{DEVICE, Mounted, STATE, ViewError};

use crate::house::{Drive, House, Ticking};
use crate::way::Way;

/// No wait here is about time; this only ends one that would never end.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    // Shown no longer before anything else goes.
    view: Option<Mounted>,
    pub(crate) house: House,
    pub(crate) way: Arc<Way>,
    /// Has everything.
    pub(crate) full: Drive,
    /// Its folder is where the view keeps what is here.
    pub(crate) seen: Drive,
    at: PathBuf,
    _mounts: tempfile::TempDir,
}

/// Waits until something is so.
pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl World {
    /// With these files at the server. `None`: this system shows no such folders, says so, and need not.
    pub(crate) async fn with(files: &[(&str, &[u8])]) -> Option<Self> {
        Self::on(None, files).await
    }

    /// The same, where the devices keep everything on this disk.
    pub(crate) async fn within(disk: &Path, files: &[(&str, &[u8])]) -> Option<Self> {
        Self::on(Some(disk), files).await
    }

    async fn on(disk: Option<&Path>, files: &[(&str, &[u8])]) -> Option<Self> {
        let house = disk.map_or_else(House::new, |disk| House::on(tempfile::tempdir_in(disk).unwrap()));
        let mut full = house.drive("full", 1).await;
        for (path, bytes) in files {
            full.write(path, bytes);
        }
        full.sync().await;
        let mut seen = house.drive("seen", 2).await;
        let inner =
            InProcess::new(house.server.clone(), Caller::operator(BucketId::DEFAULT), Arc::new(Ticking::default()));
        let way = Arc::new(Way::to(inner));
        house.start_over(&mut seen, Arc::<Way>::clone(&way)).unwrap();
        let mounts = tempfile::tempdir().unwrap();
        let at = mounts.path().join("view");
        fs::create_dir(&at).unwrap();
        let _ = seen.engine().bring_what_is_opened();
        seen.sync().await;
        let view = match seen.engine().show_at(&at) {
            Ok(view) => view,
            Err(error @ ViewError::Mount(_)) if !Path::new(DEVICE).exists() => {
                assert!(error.to_string().contains("has no /dev/fuse"), "{error}");
                let known = std::env::var_os("SYNCLINE_WITHOUT_FUSE").is_some_and(|value| value == "1");
                assert!(
                    known,
                    "there is no {DEVICE}, so this shows nothing: SYNCLINE_WITHOUT_FUSE=1 says that it need not"
                );
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        Some(Self { view: Some(view), house, way, full, seen, at, _mounts: mounts })
    }

    /// Shows the folder no longer.
    pub(crate) fn end_view(&mut self) {
        drop(self.view.take());
    }

    /// Starts the device that sees a view again, as after a crash.
    pub(crate) async fn restart(&mut self) {
        self.end_view();
        self.house.start_over(&mut self.seen, Arc::<Way>::clone(&self.way)).unwrap();
        self.view = Some(self.seen.engine().show_at(&self.at).unwrap());
    }

    /// Both sync until they have nothing to tell each other.
    pub(crate) async fn settle(&mut self) {
        for _ in 0..3 {
            self.seen.sync().await;
            self.full.sync().await;
        }
    }

    /// A path in the view.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.at.join(path)
    }

    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        names(&self.at(path))
    }

    /// How the view says that a file stands.
    pub(crate) fn state(&self, path: &str) -> String {
        let mut value = [0; 64];
        let len = rustix::fs::getxattr(self.at(path), STATE, &mut value[..]).unwrap();
        String::from_utf8(value[..len].to_vec()).unwrap()
    }

    /// That a file of so many bytes is to be seen and takes no room.
    pub(crate) fn assert_placeholder(&self, path: &str, bytes: usize) {
        let said = fs::metadata(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!((said.len(), said.blocks()), (bytes as u64, 0), "{path}");
        assert_eq!(self.state(path), "placeholder", "{path}");
        assert!(!self.seen.at(path).exists(), "{path} lies in the folder");
        assert_eq!(self.coming(), 0, "something half brought stays");
    }

    /// How many files are being brought.
    pub(crate) fn coming(&self) -> usize {
        names(&self.house.state(&self.seen).join("coming")).len()
    }
}

pub(crate) fn names(at: &Path) -> Vec<String> {
    let entries = fs::read_dir(at).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What a program says, which must end well.
pub(crate) fn run(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Bytes that look random and are the same every time.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

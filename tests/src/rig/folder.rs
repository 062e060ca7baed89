//! A temporary folder that is removed with whoever made it, also when that is killed.

use std::path::{Path, PathBuf};

use super::guard::Guard;

/// The folder, and the processes that work in it: those whose numbers are the names of files in its folder `pids`, and whose
/// arguments name the folder, are killed before it is removed.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _guard: Guard,
}

impl Folder {
    /// Makes one whose name says what for.
    ///
    /// # Errors
    /// When it or its guard cannot be made.
    pub fn new(what: &str) -> anyhow::Result<Self> {
        let path = tempfile::Builder::new().prefix(&format!("syncline-{what}-")).tempdir()?.keep();
        let guard = Guard::arm(
            r#"
            for file in "$1"/pids/*; do
                pid="${file##*/}"
                grep -qF "$1" "/proc/$pid/cmdline" && kill -KILL "$pid"
            done
            for _ in $(seq 250); do rm -rf "$1" && break; sleep 0.02; done"#,
            &[&path.to_string_lossy()],
        )?;
        std::fs::create_dir(path.join("pids"))?;
        Ok(Self { path, _guard: guard })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

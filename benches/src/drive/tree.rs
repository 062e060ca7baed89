//! Real files: sources that other people wrote, as cargo keeps them.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// A tree of files.
#[derive(Debug)]
#[non_exhaustive]
pub struct Tree {
    /// Its files, within it.
    pub files: Vec<PathBuf>,
    /// Their bytes.
    pub bytes: u64,
}

impl Tree {
    /// Puts `count` files of the sources that this was built from into a folder.
    ///
    /// # Errors
    /// When there are fewer, or the disk does not take them.
    pub fn plant(folder: &Path, count: usize) -> anyhow::Result<Self> {
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
        let all = home.context("a home of cargo")?.join("registry/src");
        let mut from = Vec::new();
        gather(&all, &mut from)?;
        anyhow::ensure!(from.len() >= count, "{} has {} files, not {count}", all.display(), from.len());
        from.truncate(count);
        let (mut files, mut bytes) = (Vec::with_capacity(count), 0);
        for file in from {
            let within = file.strip_prefix(&all)?.to_owned();
            let to = folder.join(&within);
            fs::create_dir_all(to.parent().context("in a folder")?)?;
            bytes += fs::copy(file, to)?;
            files.push(within);
        }
        Ok(Self { files, bytes })
    }

    /// Adds a line to `count` files all over the tree that lies in `folder`; `round` makes it another line each time.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn edit(&self, folder: &Path, count: usize, round: usize) -> anyhow::Result<()> {
        let every = (self.files.len() / count).max(1);
        for file in self.files.iter().skip(round % every).step_by(every).take(count) {
            let mut file = fs::OpenOptions::new().append(true).open(folder.join(file))?;
            writeln!(file, "// round {round}")?;
        }
        Ok(())
    }

    /// That another folder has the same files with the same bytes.
    ///
    /// # Errors
    /// When it has not.
    pub fn check(&self, one: &Path, other: &Path) -> anyhow::Result<()> {
        let mut there = Vec::new();
        gather(other, &mut there)?;
        anyhow::ensure!(there.len() == self.files.len(), "{} files arrived, not {}", there.len(), self.files.len());
        for file in &self.files {
            let same = fs::read(one.join(file))? == fs::read(other.join(file))?;
            anyhow::ensure!(same, "{} arrived otherwise", file.display());
        }
        Ok(())
    }
}

/// All ordinary files, in an order that is the same every time. Names that some program leaves out are left out for all.
fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        if name.to_str().is_none_or(|name| name.starts_with('.') || name.ends_with('~') || name.ends_with(".tmp")) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            gather(&entry.path(), files)?;
        } else if kind.is_file() && entry.metadata()?.len() > 0 {
            files.push(entry.path());
        }
    }
    Ok(())
}

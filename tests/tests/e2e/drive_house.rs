//! Devices that are programs: folders, edits in them, and syncs that can be killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use syncline::digest::Digest;
use syncline_prove::Chance;
use syncline_tests::rig::server::{TOKEN, program};

pub(crate) struct Device {
    pub(crate) folder: PathBuf,
    state: PathBuf,
}

/// How often each content is in a folder; large files aside.
type Contents = BTreeMap<Digest, usize>;
/// Where a content was seen first.
type Seen = BTreeMap<Digest, PathBuf>;

/// What users wrote, and what some user took away again.
#[derive(Default)]
pub(crate) struct Ledger {
    written: Seen,
    given_up: BTreeSet<Digest>,
}

/// Files of more bytes than this are compared, but not told apart one by one.
const LARGE: u64 = 8 << 20;

impl Device {
    pub(crate) fn attach(at: &Path, name: &str, url: &str) -> Self {
        let device = Self { folder: at.join(name), state: at.join(format!("{name}-state")) };
        let said = device.command(&["attach", device.folder.to_str().unwrap(), "--server", url, "--label", name]);
        ended(name, said);
        device
    }

    fn command(&self, words: &[&str]) -> Child {
        let mut command = Command::new(program("syncline-drive"));
        command.arg("--device").arg(&self.state).arg("--json").args(words).env("SYNCLINE_TOKEN", TOKEN);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Begins a sync.
    pub(crate) fn begin(&self) -> Child {
        self.command(&["sync-once"])
    }

    /// Syncs; says how many changes were told and done.
    pub(crate) fn sync(&self) -> (u64, u64) {
        let said = ended("sync-once", self.begin());
        assert_eq!(said["troubles"], serde_json::json!([]), "{said}");
        (said["told"].as_u64().unwrap(), said["done"].as_u64().unwrap())
    }

    pub(crate) fn has_files(&self) -> bool {
        !users(&self.folder).is_empty()
    }

    fn contents(&self) -> Contents {
        let mut contents = Contents::new();
        for file in users(&self.folder) {
            if fs::metadata(&file).unwrap().len() <= LARGE {
                *contents.entry(Digest::of(&[&fs::read(file).unwrap()])).or_default() += 1;
            }
        }
        contents
    }

    /// Does things to files and folders, as people and programs do.
    pub(crate) fn edit(&self, dice: &mut Chance, acts: usize, ledger: &mut Ledger) {
        let before = self.contents();
        let (mut files, mut folders) = (users(&self.folder), folders(&self.folder));
        let pick = |dice: &mut Chance, of: &[PathBuf]| of[dice.index(of.len())].clone();
        let mut done = 0;
        while done < acts {
            let (file, folder) = (pick(dice, &files), pick(dice, &folders));
            let text = format!("{} {}", dice.index(usize::MAX), dice.index(usize::MAX));
            let fresh = folder.join(format!("{}-{}", ["new", "Moved", "x"][dice.index(3)], dice.index(1 << 20)));
            let worked = match dice.index(20) {
                0..6 if is_small(&file) => append(&file, &text),
                6..8 if is_small(&file) => {
                    let beside = file.with_extension("saving~");
                    fs::write(&beside, &text).is_ok() && fs::rename(&beside, &file).is_ok()
                }
                8..11 => {
                    files.push(fresh.clone());
                    folder.is_dir() && fs::write(&fresh, &text).is_ok()
                }
                11..15 => {
                    files.push(fresh.clone());
                    fs::rename(&file, &fresh).is_ok()
                }
                15..17 => is_small(&file) && fs::remove_file(&file).is_ok(),
                17 => {
                    let from = pick(dice, &folders);
                    folders.push(fresh.clone());
                    from != self.folder && fs::rename(from, &fresh).is_ok()
                }
                18 => {
                    folders.push(fresh.clone());
                    fs::create_dir(&fresh).is_ok()
                }
                19 => {
                    let gone = pick(dice, &folders);
                    gone != self.folder && self::files(&gone).len() < 8 && fs::remove_dir_all(gone).is_ok()
                }
                _ => false,
            };
            done += usize::from(worked);
        }
        let after = self.contents();
        for file in users(&self.folder) {
            if !is_small(&file) {
                continue;
            }
            let content = Digest::of(&[&fs::read(&file).unwrap()]);
            if after.contains_key(&content) && !before.contains_key(&content) {
                ledger.written.entry(content).or_insert(file);
            }
        }
        // Of two files with one content either may be meant: who takes one away gives the content up.
        ledger.given_up.extend(before.iter().filter(|(content, n)| after.get(content) < Some(*n)).map(|(c, _)| *c));
    }

    /// What is there of what was written and never given up.
    pub(crate) fn check(&self, ledger: &Ledger) {
        let contents = self.contents();
        let is_lost =
            |(content, _): &(&Digest, &PathBuf)| !ledger.given_up.contains(content) && !contents.contains_key(content);
        let lost: Vec<_> = ledger.written.iter().filter(is_lost).collect();
        assert!(lost.is_empty(), "contents that nobody took away are gone: {lost:#?}");
    }
}

fn ended(what: &str, child: Child) -> serde_json::Value {
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}: {out}{err}");
    serde_json::from_str(out.lines().last().unwrap_or("null")).unwrap_or_else(|error| panic!("{error}: {out}"))
}

/// The files of a folder but for what a device that was killed had not finished, which no user writes into.
fn users(folder: &Path) -> Vec<PathBuf> {
    let is_ours =
        |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".syncline-"));
    let mut files = files(folder);
    files.retain(|file| !is_ours(file));
    files
}

fn is_small(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|is| is.len() <= LARGE)
}

fn append(file: &Path, text: &str) -> bool {
    use std::io::Write as _;
    fs::OpenOptions::new().append(true).open(file).is_ok_and(|mut file| file.write_all(text.as_bytes()).is_ok())
}

fn walk(at: &Path, files: &mut Vec<PathBuf>, folders: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(at) else { return };
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_type().unwrap().is_dir() {
            folders.push(entry.path());
            walk(&entry.path(), files, folders);
        } else {
            files.push(entry.path());
        }
    }
}

pub(crate) fn files(at: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    walk(at, &mut files, &mut Vec::new());
    files
}

fn folders(at: &Path) -> Vec<PathBuf> {
    let mut folders = vec![at.to_owned()];
    walk(at, &mut Vec::new(), &mut folders);
    folders
}

/// Both folders have the same files with the same bytes, and the same folders.
pub(crate) fn assert_alike(one: &Device, other: &Device) {
    let paths = |device: &Device| -> (Vec<PathBuf>, Vec<PathBuf>) {
        let inside = |path: PathBuf| path.strip_prefix(&device.folder).unwrap().to_owned();
        let (files, folders) = (files(&device.folder), folders(&device.folder));
        (files.into_iter().map(inside).collect(), folders.into_iter().map(inside).collect())
    };
    let (theirs, ours) = (paths(other), paths(one));
    assert_eq!(ours, theirs);
    for path in ours.0 {
        let (a, b) = (one.folder.join(&path), other.folder.join(&path));
        if fs::symlink_metadata(&a).unwrap().is_symlink() {
            assert_eq!(fs::read_link(a).unwrap(), fs::read_link(b).unwrap());
        } else {
            assert!(fs::read(a).unwrap() == fs::read(b).unwrap(), "{} differs", path.display());
        }
    }
}

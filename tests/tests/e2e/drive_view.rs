//! A device that shows all files and brings those that are opened, as a program over the reference server: walked through,
//! copied out of, edited, killed.
//!
//! Where the system has no `/dev/fuse`, nothing of that can be shown and each test fails; where `SYNCLINE_WITHOUT_FUSE=1` says
//! that this is known, it holds instead that the program says so.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use syncline_tests::rig::server::{Process, TOKEN, program};

use crate::drive::plant;
use crate::drive_house::{Device, files};

/// Files in the tree.
const FILES: usize = 300;
/// No wait here is about time; this only ends one that would never end.
const PATIENCE: Duration = Duration::from_secs(120);

fn until(what: &str, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A device that shows its files while its program runs.
struct View {
    at: PathBuf,
    state: PathBuf,
    program: Option<Child>,
}

impl View {
    /// `None`: this system shows no such folders, says so, and need not.
    fn attach(at: &Path, url: &str) -> Option<Self> {
        let view = Self { at: at.join("view"), state: at.join("view-state"), program: None };
        let folder = view.at.to_str().unwrap();
        let words = ["attach", folder, "--server", url, "--label", "view", "--mode", "fuse"];
        let output = view.command(&words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if !Path::new("/dev/fuse").exists() {
            assert!(!output.status.success() && said.contains("has no /dev/fuse"), "{said}");
            let known = std::env::var_os("SYNCLINE_WITHOUT_FUSE").is_some_and(|value| value == "1");
            assert!(
                known,
                "there is no /dev/fuse here, so this shows nothing: SYNCLINE_WITHOUT_FUSE=1 says that it need not"
            );
            return None;
        }
        assert!(output.status.success(), "{said}");
        Some(view)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program("syncline-drive"));
        command.arg("--device").arg(&self.state).arg("--json").args(words).env("SYNCLINE_TOKEN", TOKEN);
        command.stdin(Stdio::null());
        command
    }

    /// Runs the program until it shows what `ready` waits for.
    fn run(&mut self, ready: impl Fn(&Path) -> bool) {
        let child = self.command(&["run"]).stdout(Stdio::null()).spawn().unwrap();
        self.program = Some(child);
        until("the files are shown", || ready(&self.at));
    }

    fn kill(&mut self) {
        let mut child = self.program.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks the program to end, and waits until it did.
    fn stop(&mut self) {
        let mut child = self.program.take().unwrap();
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(child.wait().unwrap().success(), "it does not end well");
    }

    fn status(&self) -> serde_json::Value {
        let output = self.command(&["status"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Some(mut child) = self.program.take() {
            let _ = (child.kill(), child.wait());
        }
        let _ = Command::new("umount").args(["-q", "-l"]).arg(&self.at).stderr(Stdio::null()).status();
    }
}

/// Paths below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = files(folder).iter().map(|path| path.strip_prefix(folder).unwrap().to_owned()).collect();
    paths.sort();
    paths
}

fn assert_same_bytes(one: &Path, other: &Path) {
    assert_eq!(below(one), below(other));
    for path in below(one) {
        assert!(fs::read(one.join(&path)).unwrap() == fs::read(other.join(&path)).unwrap(), "{}", path.display());
    }
}

fn run(program: &str, words: &[&Path]) {
    let output = Command::new(program).args(words).output().unwrap();
    assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_tree_that_is_not_here_is_seen_byte_for_byte_and_walking_through_it_brings_nothing() {
    let (data, folders) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Process::start(data.path(), None);
    let full = Device::attach(folders.path(), "full", &server.url);
    plant(&full.folder, FILES);
    full.sync();
    let Some(mut view) = View::attach(folders.path(), &server.url) else { return };
    let count = files(&full.folder).len();
    view.run(|at| files(at).len() == count);

    let at = view.at.clone();
    run("ls", &[Path::new("-lAR"), &at]);
    run("du", &[Path::new("-a"), &at]);
    run("find", &[&at, Path::new("-type"), Path::new("f"), Path::new("-size"), Path::new("+1")]);
    let status = view.status();
    assert_eq!((&status["files_here"], &status["files_elsewhere"]), (&0.into(), &count.into()), "{status}");
    assert_eq!(files(&view.state.join("files")).len(), 0);

    let copy = folders.path().join("copy");
    run("cp", &[Path::new("-r"), &at, &copy]);
    assert_same_bytes(&full.folder, &copy);
    assert_same_bytes(&full.folder, &at);
    until("all of them are here", || view.status()["files_here"] == count);
    // What is here needs no server, and stays when the program ends.
    view.stop();
    assert_eq!(fs::read_dir(&at).unwrap().count(), 0, "it is shown after its program ended");
    assert_same_bytes(&full.folder, &view.state.join("files"));
    drop(server);
    view.run(|at| files(at).len() == count);
    assert_same_bytes(&full.folder, &at);
    view.stop();
}

#[test]
fn what_programs_save_through_a_view_reaches_the_other_device_and_theirs_is_seen() {
    let (data, folders) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Process::start(data.path(), None);
    let full = Device::attach(folders.path(), "full", &server.url);
    let names = ["vim", "office", "plain", "sed", "appended", "deleted", "moved"];
    for name in names {
        fs::write(full.folder.join(name), format!("old {name}\n")).unwrap();
    }
    full.sync();
    let Some(mut view) = View::attach(folders.path(), &server.url) else { return };
    view.run(|at| files(at).len() == names.len());
    let at = |name: &str| view.at.join(name);
    // Another file put in its place; the old one moved aside; all of it written anew; a part of it.
    fs::write(at("vim.swp"), "new vim\n").unwrap();
    fs::rename(at("vim.swp"), at("vim")).unwrap();
    fs::write(at("office.tmp"), "new office\n").unwrap();
    fs::rename(at("office"), at("office.bak~")).unwrap();
    fs::rename(at("office.tmp"), at("office")).unwrap();
    fs::remove_file(at("office.bak~")).unwrap();
    fs::write(at("plain"), "new plain\n").unwrap();
    run("sed", &[Path::new("-i"), Path::new("s/old/new/"), &at("sed")]);
    let mut appended = fs::OpenOptions::new().append(true).open(at("appended")).unwrap();
    io::Write::write_all(&mut appended, b"new\n").unwrap();
    drop(appended);
    fs::remove_file(at("deleted")).unwrap();
    fs::create_dir(at("folder")).unwrap();
    run("mv", &[&at("moved"), &at("folder/moved")]);
    run("cp", &[Path::new("-r"), &at("folder"), &at("copied")]);
    let expected = [
        ("appended", "old appended\nnew\n"),
        ("copied/moved", "old moved\n"),
        ("folder/moved", "old moved\n"),
        ("office", "new office\n"),
        ("plain", "new plain\n"),
        ("sed", "new sed\n"),
        ("vim", "new vim\n"),
    ];
    let reads = |folder: &Path| {
        let read =
            |path: PathBuf| (path.display().to_string(), fs::read_to_string(folder.join(path)).unwrap_or_default());
        below(folder).into_iter().map(read).collect::<Vec<_>>()
    };
    let expected: Vec<_> = expected.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
    assert_eq!(reads(&view.at), expected);
    until("the other device has it", || {
        full.sync();
        reads(&full.folder) == expected
    });
    fs::write(full.folder.join("theirs"), "theirs").unwrap();
    fs::rename(full.folder.join("folder"), full.folder.join("renamed")).unwrap();
    fs::write(full.folder.join("renamed/moved"), "theirs, longer").unwrap();
    full.sync();
    until("what the other device did is seen", || reads(&view.at) == reads(&full.folder));
    view.stop();
}

#[test]
fn a_view_whose_program_is_killed_loses_nothing_and_is_shown_again() {
    let (data, folders) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Process::start(data.path(), None);
    let full = Device::attach(folders.path(), "full", &server.url);
    plant(&full.folder, 60);
    full.sync();
    let Some(mut view) = View::attach(folders.path(), &server.url) else { return };
    let mut written = Vec::new();
    for life in 0..4_u32 {
        let count = files(&full.folder).len();
        view.run(|at| fs::metadata(at.join("disk.img")).is_ok() && files(at).len() >= count);
        let open = fs::File::open(view.at.join("disk.img"));
        let (at, paths) = (view.at.clone(), below(&full.folder));
        let writes = std::thread::spawn(move || {
            let mut done = Vec::new();
            for number in 0.. {
                let (name, text) = (format!("w-{life}-{number}"), format!("{life} {number}").repeat(300));
                // Until it is killed.
                if fs::write(at.join(&name), &text).is_err() {
                    return done;
                }
                done.push((name, text));
                if let Some(path) = paths.get(number) {
                    let _ = fs::read(at.join(path));
                }
            }
            done
        });
        until("some of it is written", || {
            files(&view.state.join("files")).len() > 10 * (usize::try_from(life).unwrap() + 1)
        });
        view.kill();
        written.extend(writes.join().unwrap());
        drop(open);
        let error = fs::read_dir(&view.at).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotConnected, "{error}");
    }
    view.run(|at| fs::metadata(at.join("disk.img")).is_ok());
    until("the other device has it", || {
        full.sync();
        written.iter().all(|(name, _)| full.folder.join(name).exists())
    });
    for (name, text) in &written {
        assert!(fs::read_to_string(full.folder.join(name)).unwrap() == *text, "{name} is another one there");
        assert!(fs::read_to_string(view.at.join(name)).unwrap() == *text, "{name} is another one in the view");
    }
    until("both are alike", || {
        full.sync();
        below(&full.folder) == below(&view.at)
    });
    assert_same_bytes(&full.folder, &view.at);
    view.stop();
}

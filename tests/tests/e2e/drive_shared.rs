//! A folder that is shared, with the programs and the reference server on SQLite: two devices with the tree it came from, and
//! one that is let in to nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use syncline_tests::rig::server::{Process, TOKEN, program};

use crate::drive_house::files;

struct Device {
    folder: PathBuf,
    state: PathBuf,
    token: String,
}

impl Device {
    fn attach(at: &Path, name: &str, url: &str, token: &str, more: &[&str]) -> Self {
        let (folder, state) = (at.join(name), at.join(format!("{name}-state")));
        let device = Self { folder, state, token: token.to_owned() };
        let folder = device.folder.to_str().unwrap().to_owned();
        device.run(&[&["attach", &folder, "--server", url, "--label", name], more].concat());
        device
    }

    fn run(&self, words: &[&str]) -> Value {
        let mut command = Command::new(program("syncline-drive"));
        command.arg("--device").arg(&self.state).arg("--json").args(words).env("SYNCLINE_TOKEN", &self.token);
        let output = command.output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{words:?}: {out}{err}");
        serde_json::from_str(out.lines().last().unwrap_or("null")).unwrap()
    }

    fn sync(&self) -> (u64, u64) {
        let said = self.run(&["sync-once"]);
        assert_eq!(said["troubles"], serde_json::json!([]), "{said}");
        (said["told"].as_u64().unwrap(), said["done"].as_u64().unwrap())
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn show(&self, under: &str) -> BTreeMap<String, Vec<u8>> {
        let at = self.folder.join(under);
        let name = |file: &PathBuf| file.strip_prefix(&at).unwrap().to_str().unwrap().to_owned();
        files(&at).into_iter().map(|file| (name(&file), fs::read(&file).unwrap())).collect()
    }
}

fn ctl(url: &str, words: &[&str]) -> String {
    let mut command = Command::new(program("syncline-ctl"));
    let output = command.args(words).env("SYNCLINE_SERVER", url).env("SYNCLINE_TOKEN", TOKEN).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{words:?}: {out}{err}");
    out.trim().to_owned()
}

/// A token that lets in by one group alone, which may write in one log.
fn guest(url: &str, log: &str) -> String {
    let token = ctl(url, &["token", "create", "--name", "guest", "--access", "read", "--by-groups"]);
    let id = token.split('_').nth(2).unwrap();
    let id = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
    let group = ctl(url, &["group", "create", "guests"]);
    ctl(url, &["group", "join", &group, &id]);
    ctl(url, &["group", "grant", &group, log, "write"]);
    token
}

fn settle(devices: &[&Device]) {
    for _ in 0..3 {
        for device in devices {
            device.sync();
        }
    }
    for device in devices {
        assert_eq!(device.sync(), (0, 0), "what is alike is synced again");
    }
}

#[test]
fn a_shared_folder_is_the_same_for_its_owners_devices_and_for_a_guest_of_it_alone() {
    let (data, at) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Process::start(data.path(), None);
    let url = &server.url;
    let [a, b] = ["A", "B"].map(|name| Device::attach(at.path(), name, url, TOKEN, &[]));
    let large: Vec<u8> = (0..900_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    a.write("private/diary", "mine");
    a.write("trip/large.bin", &large);
    for number in 0..40 {
        a.write(&format!("trip/days/{number}"), format!("day {number}"));
    }
    settle(&[&a, &b]);
    let said = a.run(&["share", "trip"]);
    let log = said["log"].as_str().unwrap().to_owned();
    let token = guest(url, &log);
    let g = Device::attach(at.path(), "G", url, &token, &["--log", &log]);
    let own = Device::attach(at.path(), "own", url, TOKEN, &["--name", "somebody else's"]);
    settle(&[&a, &b, &g, &own]);
    assert_eq!(g.show("").len(), 41, "all of it, and nothing of the owner's own");
    own.run(&["accept", &log, "from a friend"]);
    // Edits on every side of it, before anybody syncs.
    g.write("days/1", "edited by the guest");
    g.write("from the guest", "hello");
    b.write("trip/days/2", "edited by B");
    fs::rename(a.folder.join("trip/days"), a.folder.join("trip/all days")).unwrap();
    settle(&[&a, &b, &g, &own]);
    // Over the border, both ways, and the mount itself.
    fs::rename(a.folder.join("private/diary"), a.folder.join("trip/diary")).unwrap();
    fs::rename(b.folder.join("trip/large.bin"), b.folder.join("private/large.bin")).unwrap();
    fs::rename(b.folder.join("trip"), b.folder.join("travels")).unwrap();
    settle(&[&a, &b, &g, &own]);
    let shared = g.show("");
    assert_eq!(shared["diary"], b"mine");
    assert_eq!(shared["all days/1"], b"edited by the guest");
    assert_eq!(shared["all days/2"], b"edited by B");
    assert_eq!(shared.len(), 42, "{:?}", shared.keys());
    for (device, under) in [(&a, "travels"), (&b, "travels"), (&own, "from a friend")] {
        assert_eq!(device.show(under), shared);
    }
    for device in [&a, &b] {
        let private = device.show("private");
        assert!(private.len() == 1 && private["large.bin"] == large);
    }
    let status = b.run(&["status"]);
    assert_eq!((&status["mounts"][0]["path"], &status["mounts"][0]["log"]), (&"travels".into(), &log.as_str().into()));
    // Who leaves takes nothing with them.
    fs::remove_dir_all(own.folder.join("from a friend")).unwrap();
    settle(&[&own, &a, &g]);
    assert_eq!((own.show("").len(), a.show("travels") == shared, g.show("") == shared), (0, true, true));
}

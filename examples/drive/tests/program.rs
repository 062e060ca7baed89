//! Two devices as they are typed, with a server between them: every verb, its answer and its exit code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use syncline::access::Caller;
use syncline::call::{Call, Reply};
use syncline::oplog::Schema;
use syncline::server::Server;
use syncline::store::{MemoryBlobs, MemoryFanout, MemoryStore, PageLimit};
use syncline::time::EnvSource as _;
use syncline::{BucketId, Cursor, LogId};
use syncline_transport_http::client::SystemEnv;
use syncline_transport_http::server::{App, ServerOptions, Tokens, serve};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const TOKEN: &str = "the operator's token of these tests, long enough";
/// No wait here is about time; this only ends one that would never end.
const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    dir: tempfile::TempDir,
    url: String,
    server: Server,
    runtime: Runtime,
}

impl World {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let (url, server) = runtime.block_on(async {
            let server = Server::new(Arc::new(MemoryStore::new()), Arc::new(MemoryFanout::new()), Schema::default())
                .with_blobs(Arc::new(MemoryBlobs::new()));
            let tokens = Tokens::new(server.clone()).with_operator(TOKEN, BucketId::DEFAULT);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let app = App::new(server.clone(), tokens, ServerOptions::default());
            tokio::spawn(serve(listener, app, std::future::pending()));
            (url, server)
        });
        Self { dir: tempfile::tempdir().unwrap(), url, server, runtime }
    }

    /// Commits in the log that the devices follow.
    fn commits(&self) -> usize {
        let (operator, env) = (Caller::operator(BucketId::DEFAULT), SystemEnv::new().unwrap().env());
        let call = Call::Pull { log: LogId::named("drive"), cursor: Cursor::START, limit: PageLimit::default() };
        match self.runtime.block_on(self.server.handle(&operator, call, env)) {
            Ok(Reply::Pulled(page)) if !page.more => page.ops.len(),
            other => panic!("{other:?}"),
        }
    }

    fn folder(&self, device: &str) -> PathBuf {
        self.dir.path().join(device)
    }

    fn command(&self, device: &str, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline-drive"));
        command.env_remove("SYNCLINE_SERVER").env_remove("SYNCLINE_TOKEN").arg("--json");
        command.arg("--device").arg(self.dir.path().join(format!(".{device}"))).args(words);
        command
    }

    fn run(&self, device: &str, words: &[&str]) -> Output {
        self.command(device, words).output().unwrap()
    }

    fn says(&self, device: &str, words: &[&str]) -> Value {
        let output = self.run(device, words);
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success() && err.is_empty(), "{device} {words:?}: {out}{err}");
        serde_json::from_str(&out).unwrap()
    }

    fn complains(&self, device: &str, words: &[&str]) -> String {
        let output = self.run(device, words);
        assert_eq!(output.status.code(), Some(1), "{device} {words:?}");
        assert!(output.stdout.is_empty(), "stdout carries answers only");
        String::from_utf8(output.stderr).unwrap()
    }

    fn attach(&self, device: &str) -> Value {
        let token = self.dir.path().join("token");
        fs::write(&token, TOKEN).unwrap();
        let (folder, token) = (self.folder(device), token.display().to_string());
        let folder = folder.display().to_string();
        self.says(device, &["attach", &folder, "--server", &self.url, "--token-file", &token, "--label", device])
    }

    fn sync(&self, device: &str) -> Value {
        self.says(device, &["sync-once"])
    }

    fn names(&self, device: &str) -> Vec<String> {
        let entries = fs::read_dir(self.folder(device)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(step).collect()
}

#[test]
fn two_devices_have_the_same_files_and_decide_their_conflicts() {
    let world = World::new();
    for device in ["one", "two"] {
        assert!(world.complains(device, &["status"]).contains("no device yet"));
        assert_eq!(world.attach(device)["reply"], "attached");
        assert!(world.complains(device, &["status"]).contains("nothing was synced yet"));
    }
    let (one, two) = (world.folder("one"), world.folder("two"));
    fs::create_dir_all(one.join("d/empty")).unwrap();
    fs::write(one.join("d/small"), b"small").unwrap();
    fs::write(one.join("tool"), noise(300_000)).unwrap();
    fs::set_permissions(one.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("d/small", one.join("link")).unwrap();
    let synced = world.sync("one");
    assert_eq!((synced["reply"].as_str(), synced["troubles"].as_array().map(Vec::len)), (Some("synced"), Some(0)));
    world.sync("two");
    assert_eq!(world.names("two"), ["d", "link", "tool"]);
    assert!(two.join("d/empty").is_dir());
    assert_eq!(fs::read(two.join("tool")).unwrap(), noise(300_000));
    assert_eq!(fs::metadata(two.join("tool")).unwrap().permissions().mode() & 0o100, 0o100);
    assert_eq!(fs::read(two.join("link")).unwrap(), b"small");
    assert_eq!(world.says("two", &["status"])["files_here"], 3);

    fs::write(one.join("d/small"), b"of one").unwrap();
    fs::write(two.join("d/small"), b"of two").unwrap();
    world.sync("one");
    world.sync("two");
    let conflicts = world.says("two", &["conflicts"]);
    let copy = conflicts["conflicts"][0]["path"].as_str().unwrap().to_owned();
    assert_eq!(conflicts["conflicts"][0]["of"], "d/small");
    assert!(copy.contains("conflict two"), "{copy}");
    assert_eq!(fs::read(two.join("d/small")).unwrap(), b"of one");
    assert!(world.complains("two", &["resolve", "d/small", "--keep", "copy"]).contains("beside no other file"));
    world.says("two", &["resolve", &copy, "--keep", "copy"]);
    world.sync("two");
    world.sync("one");
    assert_eq!(fs::read(one.join("d/small")).unwrap(), b"of two");
    assert!(!one.join(&copy).exists());
    assert_eq!(world.says("one", &["conflicts"])["conflicts"].as_array().map(Vec::len), Some(0));
}

#[test]
fn what_is_evicted_goes_and_comes_back_when_it_is_pinned() {
    let world = World::new();
    world.attach("one");
    let path = world.folder("one").join("film");
    fs::write(&path, noise(200_000)).unwrap();
    assert!(world.complains("one", &["evict", "film"]).contains("nothing was synced yet"));
    world.sync("one");
    assert!(world.complains("one", &["evict", "other"]).contains("not in the folder"));
    world.says("one", &["evict", "film"]);
    world.sync("one");
    assert!(!path.exists());
    assert_eq!(world.says("one", &["status"])["files_elsewhere"], 1);
    world.says("one", &["pin", &path.display().to_string()]);
    world.sync("one");
    assert_eq!(fs::read(&path).unwrap(), noise(200_000));
}

#[test]
fn e34_a_name_that_not_every_device_can_hold_stays_here_and_is_listed() {
    let world = World::new();
    world.attach("one");
    for name in ["CON.txt", "a:b", "good"] {
        fs::write(world.folder("one").join(name), name).unwrap();
    }
    world.sync("one");
    assert_eq!(world.sync("one")["told"], 0, "nothing is asked for again");
    let issues = world.says("one", &["issues"]);
    let listed: Vec<_> = issues["issues"].as_array().unwrap().iter().map(|issue| issue["path"].as_str()).collect();
    assert_eq!(listed, [Some("CON.txt"), Some("a:b")]);
    assert_eq!(issues["issues"][1]["suggested_name"], "a_b");
    assert_eq!(world.names("one"), ["CON.txt", "a:b", "good"]);
    fs::rename(world.folder("one").join("a:b"), world.folder("one").join("a_b")).unwrap();
    world.sync("one");
    assert_eq!(world.says("one", &["issues"])["issues"].as_array().map(Vec::len), Some(1));
}

#[test]
fn e18_a_folder_that_was_emptied_stops_everything_until_somebody_says_it_is_meant() {
    let world = World::new();
    world.attach("one");
    for name in ["a", "b", "c"] {
        fs::write(world.folder("one").join(name), name).unwrap();
    }
    world.sync("one");
    for name in ["a", "b", "c"] {
        fs::remove_file(world.folder("one").join(name)).unwrap();
    }
    assert!(world.complains("one", &["sync-once"]).contains("--confirm"));
    assert!(world.says("one", &["status"])["halt"].as_str().is_some());
    world.says("one", &["sync-once", "--confirm"]);
    world.attach("two");
    world.sync("two");
    assert!(world.names("two").is_empty());
}

#[test]
fn forgetting_everything_deletes_nothing() {
    let world = World::new();
    world.attach("one");
    world.attach("two");
    for name in ["a", "b"] {
        fs::write(world.folder("one").join(name), name).unwrap();
    }
    world.sync("one");
    world.sync("two");
    world.says("one", &["panic-resync"]);
    fs::remove_file(world.folder("one").join("a")).unwrap();
    fs::write(world.folder("one").join("c"), b"c").unwrap();
    world.sync("one");
    world.sync("two");
    for device in ["one", "two"] {
        assert_eq!(world.names(device), ["a", "b", "c"]);
    }
}

#[test]
fn a_device_is_not_in_its_own_folder_and_its_token_is_nobody_elses() {
    let world = World::new();
    let folder = world.dir.path().display().to_string();
    let token = world.dir.path().join("token");
    fs::write(&token, TOKEN).unwrap();
    let token = token.display().to_string();
    let typed = ["attach", &folder, "--server", &world.url, "--token-file", &token];
    assert!(world.complains("one", &typed).contains("must not be in the folder"));
    world.attach("one");
    assert!(world.complains("one", &typed).contains("must not be in the folder"));
    let other = world.folder("other").display().to_string();
    let typed = ["attach", &other, "--server", &world.url, "--token-file", &token];
    assert!(world.complains("one", &typed).contains("of its own"));
    let kept = world.dir.path().join(".one/token");
    if kept.exists() {
        fs::set_permissions(&kept, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(world.complains("one", &["sync-once"]).contains("others on this machine may read"));
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_device_that_runs_brings_what_others_write_and_tells_what_is_written_here() {
    let world = World::new();
    world.attach("one");
    world.attach("two");
    let mut run = world.command("two", &["run"]);
    let mut two = Running(run.stdout(Stdio::piped()).spawn().unwrap());
    fs::write(world.folder("one").join("a"), b"a").unwrap();
    world.sync("one");
    let mut lines = BufReader::new(two.0.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(first["reply"], "synced", "{first}");
    assert_eq!(world.names("two"), ["a"]);
    assert!(world.complains("two", &["sync-once"]).contains("another program"), "E47");
    let (folder, token) =
        (world.folder("two").display().to_string(), world.dir.path().join("token").display().to_string());
    world.says("three", &["attach", &folder, "--server", &world.url, "--token-file", &token]);
    assert!(
        world.complains("three", &["sync-once"]).contains("another program"),
        "E47: another device, the same folder"
    );

    fs::create_dir_all(world.folder("two").join("x/y")).unwrap();
    fs::write(world.folder("two").join("x/y/z"), b"z").unwrap();
    let begun = Instant::now();
    while !world.folder("one").join("x/y/z").exists() {
        assert!(begun.elapsed() < PATIENCE, "what was written at two never came");
        world.sync("one");
    }
    assert_eq!(fs::read(world.folder("one").join("x/y/z")).unwrap(), b"z");
}

#[test]
fn e12_a_file_that_is_written_a_hundred_times_in_two_seconds_is_told_twice_at_most() {
    let world = World::new();
    world.attach("one");
    world.attach("two");
    let _running = Running(world.command("one", &["run"]).stdout(Stdio::null()).spawn().unwrap());
    let (ours, theirs) = (world.folder("one"), world.folder("two"));
    let arrives = |name: &str, bytes: &str| {
        let begun = Instant::now();
        while !fs::read_to_string(theirs.join(name)).is_ok_and(|there| there == bytes) {
            assert!(begun.elapsed() < PATIENCE, "{name} never came");
            world.sync("two");
        }
    };
    fs::write(ours.join("begin"), "it runs").unwrap();
    arrives("begin", "it runs");
    let (before, begun) = (world.commits(), Instant::now());
    for number in 1..=100 {
        fs::write(ours.join("log"), format!("line {number}")).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    // A machine that is busy takes longer for it; and whoever writes for ever is told every five seconds at most.
    let most = 2 + begun.elapsed().saturating_sub(Duration::from_secs(4)).as_secs() / 5;
    arrives("log", "line 100");
    let commits = world.commits() - before;
    assert!((1..=usize::try_from(most).unwrap()).contains(&commits), "{commits} commits");
}

#[test]
fn both_sides_of_a_conflict_stay_when_somebody_says_so_and_are_no_conflict_any_more() {
    let world = World::new();
    world.attach("one");
    world.attach("two");
    let (one, two) = (world.folder("one"), world.folder("two"));
    let alike = || ["one", "two", "one", "two"].map(|device| world.sync(device));
    fs::write(one.join("a.txt"), "first").unwrap();
    fs::write(one.join("a 2.txt"), "in the way").unwrap();
    alike();
    fs::write(one.join("a.txt"), "of one").unwrap();
    fs::write(two.join("a.txt"), "of two").unwrap();
    alike();
    let conflicts = |device| world.says(device, &["conflicts"])["conflicts"].as_array().cloned().unwrap();
    let copy = conflicts("two")[0]["path"].as_str().unwrap().to_owned();
    assert_eq!(world.says("two", &["resolve", &copy, "--keep", "both"])["path"], "a 3.txt");
    alike();
    for device in ["one", "two"] {
        assert_eq!(world.names(device), ["a 2.txt", "a 3.txt", "a.txt"]);
        assert!(conflicts(device).is_empty(), "it is still a conflict");
        assert_eq!(fs::read_to_string(world.folder(device).join("a 3.txt")).unwrap(), "of two");
    }
    // A copy that somebody renames by hand is decided, too; one that is moved is not.
    fs::write(one.join("a.txt"), "again of one").unwrap();
    fs::write(two.join("a.txt"), "again of two").unwrap();
    alike();
    let copy = conflicts("one")[0]["path"].as_str().unwrap().to_owned();
    fs::create_dir(one.join("d")).unwrap();
    fs::rename(one.join(&copy), one.join("d").join(&copy)).unwrap();
    alike();
    assert_eq!(conflicts("two")[0]["path"], format!("d/{copy}"));
    fs::rename(two.join("d").join(&copy), two.join("d/mine.txt")).unwrap();
    alike();
    assert!(conflicts("one").is_empty() && one.join("d/mine.txt").exists());
}

#[test]
fn what_a_rule_keeps_stays_when_its_folder_is_deleted_elsewhere() {
    let world = World::new();
    world.attach("one");
    world.attach("two");
    let (one, two) = (world.folder("one"), world.folder("two"));
    fs::create_dir_all(one.join("d/sub")).unwrap();
    for (path, text) in [(".synclineignore", "*.log\n(?keep)*.key\n"), ("d/x", "x"), ("d/sub/y", "y")] {
        fs::write(one.join(path), text).unwrap();
    }
    world.sync("one");
    world.sync("two");
    fs::write(two.join("d/sub/own.key"), "nobody else has it").unwrap();
    fs::write(two.join("d/sub/some.log"), "who cares").unwrap();
    fs::remove_dir_all(one.join("d")).unwrap();
    world.sync("one");
    world.sync("two");
    assert_eq!(fs::read_to_string(two.join("d/sub/own.key")).unwrap(), "nobody else has it");
    assert!(!two.join("d/x").exists() && !two.join("d/sub/y").exists());
    world.sync("one");
    assert!(!one.join("d").exists(), "the folder came back for what is not synced");
    assert_eq!(world.sync("two")["done"], 0, "what stays is tried again and again");
    fs::remove_file(two.join("d/sub/own.key")).unwrap();
    world.sync("two");
    assert!(!two.join("d").exists());
}

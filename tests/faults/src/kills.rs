//! The server program, ended in every way while devices write to it over real sockets.

use std::sync::Arc;
use std::time::Duration;

use syncline::client::Transport;
use syncline_prove::Chance;
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};
use syncline_tests::rig::folder::Folder;
use syncline_tests::rig::server::Process;

use crate::fleet::{Fleet, Reader, client, log};
use crate::part::{Counts, count, runtime};

/// A server that is asked to stop has so long, whatever its clients do.
const STOPS_WITHIN: Duration = Duration::from_secs(60);
const DEVICES: u8 = 5;

/// How a server ends, or seems to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the ways there are")]
pub enum End {
    /// It stands still for a while and goes on: SIGSTOP, SIGCONT.
    Pause,
    /// It is asked to stop, drains and ends: SIGTERM.
    Stop,
    /// It is asked to stop and killed while it drains.
    StopThenKill,
    /// It is killed.
    Kill,
    /// It is killed, and again as soon as it is back.
    KillTwice,
}

/// Ends a server so many times, mostly by SIGKILL.
///
/// # Panics
/// When something acknowledged is lost, or the server does not stop or start.
pub fn life(seed: u64, times: usize) -> Counts {
    let mut chance = Chance::new(!seed);
    let rarely = [End::Pause, End::Stop, End::StopThenKill, End::KillTwice];
    let one = |_| if chance.once_in(3) { chance.of(&rarely) } else { End::Kill };
    let all: Vec<End> = (0..times).map(one).collect();
    ends(seed, &all)
}

/// Ends a server in these ways, one after the other.
///
/// # Panics
/// As [`life`].
pub fn ends(seed: u64, all: &[End]) -> Counts {
    runtime().block_on(live(seed, all))
}

async fn live(seed: u64, ends: &[End]) -> Counts {
    let mut chance = Chance::new(seed);
    let mut counts = Counts::new();
    let folder = Folder::new("kills").expect("a folder");
    let server = Process::within(&folder, None, &[]);
    server.run();
    let way = client(&server.url);
    let fleet = Fleet::start(vec![Arc::clone(&way)], DEVICES, seed).await;
    let mut readers = [1, 2].map(|number| Reader::new(log(number), Arc::clone(&way) as Arc<dyn Transport>));
    for how in ends {
        fleet.gets_on(1 + chance.below(60)).await;
        tokio::time::sleep(Duration::from_micros(chance.below(5_000))).await;
        tokio::task::block_in_place(|| end(&server, *how, &mut chance, &mut counts));
        for reader in &mut readers {
            fleet.acknowledged.check_ops(reader).await;
        }
    }
    let acknowledged = fleet.stop().await;
    server.kill();
    server.run();
    for number in [1, 2] {
        let mut reader = Reader::new(log(number), client(&server.url) as Arc<dyn Transport>);
        acknowledged.check_ops(&mut reader).await;
    }
    acknowledged.check_blobs(&client(&server.url)).await;
    server.kill();
    let store = SqliteStore::open(SqliteOptions::new(folder.path().join("data/syncline.db"))).expect("a sound file");
    assert_eq!(store.contradictions(), []);
    let (ops, blobs) = acknowledged.kept();
    count(&mut counts, "ops acknowledged", ops);
    count(&mut counts, "blobs acknowledged", blobs);
    counts
}

/// Ends the server, and starts it again.
fn end(server: &Process, how: End, chance: &mut Chance, counts: &mut Counts) {
    match how {
        End::Pause => {
            server.signal("STOP");
            std::thread::sleep(Duration::from_millis(chance.below(300)));
            server.signal("CONT");
            return count(counts, "SIGSTOP and SIGCONT", 1);
        }
        End::Stop => {
            server.signal("TERM");
            let ended = server.ended_within(STOPS_WITHIN).expect("a server that is asked to stop stops");
            assert!(ended.success(), "a server that is asked to stop ends well: {ended}");
            count(counts, "SIGTERM", 1);
        }
        End::StopThenKill => {
            server.signal("TERM");
            std::thread::sleep(Duration::from_micros(chance.below(20_000)));
            server.kill();
            count(counts, "SIGTERM, then SIGKILL", 1);
        }
        End::KillTwice => {
            server.kill();
            server.run();
            server.kill();
            count(counts, "SIGKILL", 2);
        }
        End::Kill => {
            server.kill();
            count(counts, "SIGKILL", 1);
        }
    }
    server.run();
}

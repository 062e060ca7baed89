//! What do files cost beside the least that anybody would do: to read, cut and hash one, to look at 20,000 that did not
//! change, to commit a thousand to a tree, to bring a tree of 100,000 to a new device?

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use fastcdc::v2020::{FastCDC, Normalization};
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};
use syncline::access::Caller;
use syncline::call::{Call, Commit, Committed, Reply};
use syncline::client::{ServerTree, Transport as _};
use syncline::decide::TREE_ROOT;
use syncline::files::Base;
use syncline::in_process::InProcess;
use syncline::oplog::{Schema, Sealing};
use syncline::server::Server;
use syncline::store::{MemoryFanout, Store};
use syncline::time::EnvSource as _;
use syncline::tree::{self, Kind, Label, TreeOp};
use syncline::{EntityId, OpId, ReplicaId};
use syncline_benches::drive::Tree;
use syncline_benches::measure::{Meter, compare};
use syncline_benches::ops::log;
use syncline_benches::scale;
use syncline_benches::table::{self, Aim};
use syncline_drive::folder::Folder;
use syncline_drive::read::read;
use syncline_drive::rules::Rules;
use syncline_drive::walk::walk;
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};
use syncline_transport_http::client::SystemEnv;
use tokio::runtime::Runtime;

const MIB: usize = 1 << 20;
const COMMIT: usize = 1_000;

fn main() -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    table::begin("Files, beside what anybody would do");
    cut(&folder.path().join("large"))?;
    look(&folder.path().join("tree"))?;
    commits(&runtime, folder.path())
}

/// Reading a large file: where it is cut, the names of its pieces, and its own.
fn cut(at: &Path) -> anyhow::Result<()> {
    fs::create_dir(at)?;
    let mib = scale(256, 16);
    let mut seed = 1_u64;
    let mut noise = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_le_bytes()
    };
    let bytes: Vec<u8> = (0..mib * MIB / 8).flat_map(|_| noise()).collect();
    let path = at.join("file");
    fs::write(&path, bytes)?;
    // Whoever reads a file waits until the clock has moved since it was written.
    fs::File::open(&path)?.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_123))?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    let folder = Folder::open(at)?.ok().context("a folder")?;
    let looks = folder.looks(&["file"])?.context("a file")?;
    let what = looks.what.context("a file")?;
    let average = if mib < 64 { 16 << 10 } else { 64 << 10 };
    let mut ours = || {
        std::hint::black_box(read(&folder, &["file"], what, &looks.print, None)?);
        Ok(mib as u64)
    };
    let floor = |whole: bool| {
        let path = path.clone();
        move || {
            let (mut file, mut bytes) = (fs::File::open(&path)?, Vec::with_capacity(mib * MIB));
            file.read_to_end(&mut bytes)?;
            for chunk in FastCDC::with_level(&bytes, average / 4, average, average * 4, Normalization::Level1) {
                std::hint::black_box(Sha256::digest(&bytes[chunk.offset..chunk.offset + chunk.length]));
            }
            if whole {
                std::hint::black_box(Sha256::digest(&bytes));
            }
            Ok(mib as u64)
        }
    };
    let compared = compare(Meter::new(), scale(7, 1), &mut ours, &mut floor(false))?;
    table::row(
        &format!("read, cut and hash a file of {mib} MiB, its pieces and all of it; floor: its pieces"),
        "MiB",
        &compared,
        Aim::Speed(0.8),
    );
    let compared = compare(Meter::new(), scale(7, 1), &mut ours, &mut floor(true))?;
    table::row("the same; floor: its pieces and all of it", "MiB", &compared, Aim::Known);
    Ok(())
}

/// Looking at files that did not change.
fn look(at: &Path) -> anyhow::Result<()> {
    let count = scale(20_000, 200);
    Tree::plant(at, count)?;
    let folder = Folder::open(at)?.ok().context("a folder")?;
    let (rules, base) = (Rules::load(&folder)?.0, Base::new(TREE_ROOT));
    let mut ours = || {
        let walk = walk(&folder, &rules, &base)?;
        Ok(walk.scan.found.len() as u64)
    };
    let mut floor = || bare_walk(at);
    let compared = compare(Meter::new(), scale(9, 1), &mut ours, &mut floor)?;
    table::row(&format!("look at {count} unchanged files"), "entry", &compared, Aim::Speed(0.5));
    Ok(())
}

fn bare_walk(at: &Path) -> anyhow::Result<u64> {
    let mut count = 0;
    for entry in fs::read_dir(at)? {
        let entry = entry?;
        std::hint::black_box(entry.metadata()?);
        count += 1;
        if entry.file_type()?.is_dir() {
            count += bare_walk(&entry.path())?;
        }
    }
    Ok(count)
}

/// A thousand ops a commit until there are many; then a device that has nothing reads them.
fn commits(runtime: &Runtime, folder: &Path) -> anyhow::Result<()> {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(SqliteOptions::new(folder.join("ours.db")))?);
    let server = Server::new(store, Arc::new(MemoryFanout::new()), Schema::default());
    let system = Arc::new(SystemEnv::new()?);
    let way = InProcess::new(server, Caller::operator(log(0).bucket), Arc::<SystemEnv>::clone(&system));
    runtime.block_on(way.call(Call::CreateLog { log: log(0).log, sealing: Sealing::default() }))?;
    let mut made = 0_u64;
    let mut ours = || {
        let ops = (0..COMMIT).map(|_| {
            made += 1;
            let name = format!("a name of some length, {made}");
            TreeOp::Create { node: node(made), parent: parent(made), name, kind: Kind::Folder, content: None }
        });
        let call = Call::Commit(Commit {
            log: log(0).log,
            id: OpId::from_bytes(system.env().uuid7("commit")),
            replica: ReplicaId::from_bytes([9; 16]),
            label: Label::new("bench")?,
            ops: Arc::new(tree::Commit::new(ops.collect())?),
        });
        let answered = runtime.block_on(way.call(call))?;
        anyhow::ensure!(matches!(answered, Reply::Committed(Committed::Done { .. })), "{answered:?}");
        Ok(COMMIT as u64)
    };
    let mut bare = Bare::create(&folder.join("bare.db"))?;
    let mut floor = || bare.commit(COMMIT as u64);
    let compared = compare(Meter::new(), scale(50, 1), &mut ours, &mut floor)?;
    table::row("commit of 1,000 ops on SQLite; floor: their rows in one transaction", "op", &compared, Aim::Known);
    let most = scale(100_000, 3_000);
    while made < most {
        ours()?;
    }
    bare.fill(most)?;
    let mut first = || {
        let mut tree = ServerTree::new(log(0));
        runtime.block_on(tree.read_on(&way))?;
        Ok(tree.tree().nodes().count() as u64)
    };
    let mut floor = || bare.read();
    let compared = compare(Meter::new(), scale(5, 1), &mut first, &mut floor)?;
    let question = format!("a new device reads a tree of {most} nodes; floor: their rows");
    table::row(&question, "node", &compared, Aim::Known);
    Ok(())
}

fn node(number: u64) -> EntityId {
    let mut id = [1; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    EntityId::from_bytes(id)
}

/// A hundred in each folder.
fn parent(number: u64) -> EntityId {
    let above = number / 100;
    if above == 0 { TREE_ROOT } else { node(above) }
}

/// Nodes as rows, found by id and by name.
struct Bare {
    database: Connection,
    made: u64,
}

impl Bare {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let database = Connection::open(path)?;
        database.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE node (id BLOB PRIMARY KEY, parent BLOB, key TEXT, body BLOB) WITHOUT ROWID;
             CREATE UNIQUE INDEX by_name ON node (parent, key);",
        )?;
        Ok(Self { database, made: 0 })
    }

    fn commit(&mut self, count: u64) -> anyhow::Result<u64> {
        let all = self.database.transaction()?;
        {
            let mut insert = all.prepare_cached("INSERT INTO node VALUES (?1, ?2, ?3, ?4)")?;
            for _ in 0..count {
                self.made += 1;
                let (id, parent) = (node(self.made), parent(self.made));
                let name = format!("a name of some length, {}", self.made);
                insert.execute((id.as_bytes(), parent.as_bytes(), &name, [7_u8; 60]))?;
            }
        }
        all.commit()?;
        Ok(count)
    }

    fn fill(&mut self, count: u64) -> anyhow::Result<()> {
        while self.made < count {
            self.commit(COMMIT as u64)?;
        }
        Ok(())
    }

    fn read(&self) -> anyhow::Result<u64> {
        let mut rows = self.database.prepare_cached("SELECT id, parent, key, body FROM node")?;
        let mut rows = rows.query([])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let (id, parent): ([u8; 16], [u8; 16]) = (row.get(0)?, row.get(1)?);
            let (key, body): (String, Vec<u8>) = (row.get(2)?, row.get(3)?);
            std::hint::black_box((id, parent, key, body));
            count += 1;
        }
        Ok(count)
    }
}

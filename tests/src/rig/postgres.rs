//! Real Postgres clusters: one shared by all tests of a run, and private ones that a test may break.
//!
//! The shared one is started outside the tests (`rig exec`, which `./test` uses), because every test may be a
//! process of its own; it forgets everything on a crash. A private one is durable and has the test as its only user.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::guard::Guard;

/// Where tests find the shared cluster.
pub const URL_VARIABLE: &str = "SYNCLINE_TEST_PG_URL";

/// What a cluster promises about a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a cluster survives a crash or it does not")]
pub enum Durability {
    /// Nothing: fast.
    None,
    /// What was committed is there after a crash of the server.
    Full,
}

/// A running cluster. Dropping it stops it and removes its folder.
#[derive(Debug)]
pub struct Cluster {
    tools: Tools,
    folder: PathBuf,
    durability: Durability,
    settings: &'static str,
    _guard: Guard,
}

impl Cluster {
    /// Makes and starts a cluster that listens on a socket in its own folder.
    ///
    /// # Errors
    /// When Postgres is not installed or does not start; the message holds its log.
    pub fn start(durability: Durability) -> anyhow::Result<Self> {
        let cluster = Self::prepare(durability)?;
        cluster.init(&[])?;
        cluster.run()?;
        Ok(cluster)
    }

    /// Makes and starts a cluster whose data lies on a disk of its own of so many mebibytes, which may be filled.
    ///
    /// # Errors
    /// When we may not mount one; as [`Cluster::start`].
    pub fn start_on_a_disk_of(mebibytes: u32) -> anyhow::Result<Self> {
        let mut cluster = Self::prepare(Durability::Full)?;
        // Little of its log is kept for later, where there would be room.
        cluster.settings = "-c min_wal_size=2MB -c max_wal_size=8MB";
        let disk = cluster.folder.join("data");
        fs::create_dir(&disk)?;
        let size = format!("size={mebibytes}m,mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(&disk).output()?;
        ensure!(mounted.status.success(), "no disk to fill: {}", String::from_utf8_lossy(&mounted.stderr));
        if let Some(owner) = &cluster.tools.owner {
            chown(&disk, Some(owner.uid), Some(owner.gid))?;
        }
        // Small segments of its log: the disk is full where the next one does not fit.
        cluster.init(&["--wal-segsize=1"])?;
        cluster.run()?;
        Ok(cluster)
    }

    /// Makes and starts a standby of this one, which follows it.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn standby(&self) -> anyhow::Result<Self> {
        let standby = Self::prepare(self.durability)?;
        standby.own_folder()?;
        let from = self.folder.to_string_lossy();
        let args = ["-h", &from, "-U", "test", "-D", "data", "-R", "-X", "stream", "-c", "fast", "--no-sync"];
        self.tools.run(&standby.folder, "pg_basebackup", &args)?;
        standby.run()?;
        Ok(standby)
    }

    /// Makes a standby a primary, on a timeline of its own.
    ///
    /// # Errors
    /// When it is none.
    pub fn promote(&self) -> anyhow::Result<()> {
        self.tools.run(&self.folder, "pg_ctl", &["-s", "-w", "-D", "data", "promote"])
    }

    /// Whoever connects to the socket of this cluster, which must be stopped, meets another one from now on.
    ///
    /// # Errors
    /// When the socket cannot be exchanged.
    pub fn lead_to(&self, other: &Self) -> anyhow::Result<()> {
        const SOCKET: &str = ".s.PGSQL.5432";
        let own = self.folder.join(SOCKET);
        if fs::symlink_metadata(&own).is_ok() {
            fs::remove_file(&own)?;
        }
        Ok(std::os::unix::fs::symlink(other.folder.join(SOCKET), own)?)
    }

    /// A folder of its own, and a guard that ends whatever runs in it.
    fn prepare(durability: Durability) -> anyhow::Result<Self> {
        let tools = Tools::find()?;
        let folder = tempfile::Builder::new().prefix("syncline-pg-").tempdir()?.keep();
        // Another user may have to enter; what it finds there is its own.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        let guard = Guard::arm(
            r#"
            pid="$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)"
            [ -n "$pid" ] && kill -QUIT "$pid"
            for _ in $(seq 250); do kill -0 "$pid" || break; sleep 0.02; done
            umount "$1/data"
            rm -rf "$1""#,
            &[&folder.to_string_lossy()],
        )?;
        Ok(Self { tools, folder, durability, settings: "", _guard: guard })
    }

    /// Where it listens.
    #[must_use]
    pub fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// How to connect as its owner.
    #[must_use]
    pub fn url(&self) -> String {
        url_at(&self.folder, None)
    }

    /// Kills it as a crash would: no checkpoint, no goodbye.
    ///
    /// # Errors
    /// When it does not stop.
    pub fn stop_immediate(&self) -> anyhow::Result<()> {
        self.tools.run(&self.folder, "pg_ctl", &["-s", "-w", "-D", "data", "-m", "immediate", "stop"])
    }

    /// Starts it again after [`Cluster::stop_immediate`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn run(&self) -> anyhow::Result<()> {
        let safety = match self.durability {
            Durability::None => "-F -c full_page_writes=off -c synchronous_commit=off",
            Durability::Full => "-c fsync=on -c synchronous_commit=on",
        };
        let (folder, settings) = (self.folder.display(), self.settings);
        let options = format!("-c listen_addresses= -k {folder} {safety} -c max_connections=200 {settings}");
        self.tools
            .run(&self.folder, "pg_ctl", &["-s", "-w", "-D", "data", "-l", "log", "-o", &options, "start"])
            .with_context(|| fs::read_to_string(self.folder.join("log")).unwrap_or_default())
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.tools.run(&self.folder, "pg_ctl", &["-s", "-D", "data", "status"]).is_ok()
    }

    /// Restarts it as a replica of nobody: it answers reads and takes no writes.
    ///
    /// # Errors
    /// When it does not restart.
    pub fn become_replica(&self) -> anyhow::Result<()> {
        self.tools.run(&self.folder, "pg_ctl", &["-s", "-w", "-D", "data", "-m", "fast", "stop"])?;
        fs::write(self.folder.join("data/standby.signal"), "")?;
        self.run()
    }

    fn own_folder(&self) -> anyhow::Result<()> {
        let Some(owner) = &self.tools.owner else { return Ok(()) };
        Ok(chown(&self.folder, Some(owner.uid), Some(owner.gid))?)
    }

    fn init(&self, more: &[&str]) -> anyhow::Result<()> {
        self.own_folder()?;
        let options = ["-D", "data", "-U", "test", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"];
        self.tools.run(&self.folder, "initdb", &[&options[..], &["--no-instructions"], more].concat())
    }
}

/// How to reach a server that listens on the socket in `folder`.
#[must_use]
pub fn url_at(folder: &Path, port: Option<u16>) -> String {
    let port = port.map_or_else(String::new, |port| format!("&port={port}"));
    format!("postgres:///postgres?host={}&user=test{port}", folder.display())
}

/// The shared cluster's address.
///
/// # Panics
/// When the test was not started by `./test`: a server that is not there is a failure, never a skipped test.
#[must_use]
#[allow(clippy::panic, reason = "called by tests only, to fail them")]
pub fn shared_url() -> String {
    std::env::var(URL_VARIABLE).unwrap_or_else(|_| {
        panic!("this test needs Postgres: run `./test`, or `cargo run -p syncline-tests --bin rig -- exec cargo test` ({URL_VARIABLE} is not set)")
    })
}

/// The shared cluster's address with a schema of its own, that every connection uses.
///
/// # Panics
/// As [`shared_url`], or when the cluster does not answer.
#[allow(clippy::panic, reason = "called by tests only, to fail them")]
pub async fn fresh_schema_url() -> String {
    let url = shared_url();
    match fresh_schema(&url).await {
        Ok(url) => url,
        Err(error) => panic!("the Postgres at {URL_VARIABLE} does not make a schema: {error:#}"),
    }
}

/// Makes a schema with a unique name; the address returned leads into it.
///
/// # Errors
/// When the server does not make it.
pub async fn fresh_schema(url: &str) -> anyhow::Result<String> {
    let name = unique()?;
    let mut connection = PgConnection::connect(url).await.context("connecting")?;
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {name}"))).execute(&mut connection).await?;
    connection.close().await?;
    Ok(format!("{url}&options=-csearch_path%3D{name}"))
}

/// Where tests find the pooler before the shared cluster.
pub const POOL_URL_VARIABLE: &str = "SYNCLINE_TEST_POOL_URL";

/// A new database of the shared cluster, through its pooler.
///
/// # Panics
/// As [`shared_url`], or when the cluster does not make it.
#[allow(clippy::panic, reason = "called by tests only, to fail them")]
pub async fn fresh_pooled_url() -> String {
    let url = shared_url();
    let Ok(pool) = std::env::var(POOL_URL_VARIABLE) else {
        panic!("this test needs a pooler: run `./test`, which installs PgBouncer ({POOL_URL_VARIABLE} is not set)");
    };
    match fresh_database(&url).await {
        Ok(name) => pool.replacen("/postgres?", &format!("/{name}?"), 1),
        Err(error) => panic!("the Postgres at {URL_VARIABLE} does not make a database: {error:#}"),
    }
}

async fn fresh_database(url: &str) -> anyhow::Result<String> {
    let name = unique()?;
    let mut connection = PgConnection::connect(url).await.context("connecting")?;
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0"))).execute(&mut connection).await?;
    connection.close().await?;
    Ok(name)
}

/// A name that nobody else has.
fn unique() -> anyhow::Result<String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(format!("t_{:016x}", u64::from_be_bytes(random)))
}

/// Postgres' programs, and as whom to run them.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    bin: PathBuf,
    pub(crate) owner: Option<Owner>,
}

/// Whom servers run as when we are root, which Postgres refuses to be.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) name: &'static str,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Tools {
    pub(crate) fn find() -> anyhow::Result<Self> {
        let named = std::env::var_os("PG_BIN").map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let bin = named
            .into_iter()
            .chain(installed())
            .chain(std::env::split_paths(&path))
            .find(|folder| folder.join("initdb").is_file())
            .context("Postgres is not installed: `./test` installs it, or set PG_BIN to the folder of initdb")?;
        let owner = if id("-u", None)? == 0 { Some(Owner::find()?) } else { None };
        Ok(Self { bin, owner })
    }

    fn run(&self, folder: &Path, program: &str, args: &[&str]) -> anyhow::Result<()> {
        let mut command = as_owner(self.owner.as_ref(), &self.bin.join(program));
        let output = command.args(args).current_dir(folder).stdin(Stdio::null()).output()?;
        ensure!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// A command that runs `program` as `owner`, or as ourselves.
pub(crate) fn as_owner(owner: Option<&Owner>, program: &Path) -> Command {
    match owner {
        None => Command::new(program),
        Some(owner) => {
            let mut command = Command::new("runuser");
            command.arg("-u").arg(owner.name).arg("--").arg(program);
            command
        }
    }
}

impl Owner {
    fn find() -> anyhow::Result<Self> {
        for name in ["postgres", "nobody"] {
            if let Ok(uid) = id("-u", Some(name)) {
                return Ok(Self { name, uid, gid: id("-g", Some(name))? });
            }
        }
        bail!("Postgres does not run as root and there is no user postgres or nobody")
    }
}

/// Debian's folders, the newest version first.
fn installed() -> Vec<PathBuf> {
    let entries = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_unstable_by(|left, right| right.cmp(left));
    versions.into_iter().map(|(_, bin)| bin).collect()
}

fn id(which: &str, user: Option<&str>) -> anyhow::Result<u32> {
    let output = Command::new("id").arg(which).args(user).stderr(Stdio::null()).output()?;
    String::from_utf8(output.stdout)?.trim().parse().context("no such user")
}

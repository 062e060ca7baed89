//! A PgBouncer in transaction mode before a cluster and all its databases: consecutive statements may meet different
//! backends.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::guard::Guard;
use super::postgres::{Tools, as_owner, url_at};

const PORT: u16 = 6432;
const START: Duration = Duration::from_secs(10);

/// A running pooler. Dropping it stops it and removes its folder.
#[derive(Debug)]
pub struct Bouncer {
    folder: PathBuf,
    _guard: Guard,
}

impl Bouncer {
    /// Starts a pooler before the server whose socket is in `server`, with a few connections to it, so that clients really
    /// share them.
    ///
    /// # Errors
    /// When PgBouncer is not installed or does not start.
    pub fn before(server: &Path) -> anyhow::Result<Self> {
        let owner = Tools::find()?.owner;
        let folder = tempfile::Builder::new().prefix("syncline-pool-").tempdir()?.keep();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        let guard = Guard::arm(
            r#"
            pid="$(cat "$1/pid" 2>/dev/null)"
            [ -n "$pid" ] && kill -TERM "$pid"
            for _ in $(seq 250); do kill -0 "$pid" || break; sleep 0.02; done
            rm -rf "$1""#,
            &[&folder.to_string_lossy()],
        )?;
        fs::write(folder.join("users"), "\"test\" \"\"\n")?;
        fs::write(folder.join("ini"), settings(&folder, server))?;
        if let Some(owner) = &owner {
            chown(&folder, Some(owner.uid), Some(owner.gid))?;
        }
        let program = Path::new("/usr/sbin/pgbouncer");
        ensure!(program.is_file(), "PgBouncer is not installed: `./test` installs it (Debian's package pgbouncer)");
        let mut command = as_owner(owner.as_ref(), program);
        let output = command.arg("-d").arg("ini").current_dir(&folder).stdin(Stdio::null()).output()?;
        let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
        ensure!(output.status.success(), "pgbouncer failed: {}", log());
        // It goes into the background first and listens then.
        let socket = folder.join(format!(".s.PGSQL.{PORT}"));
        let started = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            ensure!(started.elapsed() < START, "pgbouncer does not listen: {}", log());
            sleep(Duration::from_millis(10));
        }
        Ok(Self { folder, _guard: guard })
    }

    /// How to connect through it.
    #[must_use]
    pub fn url(&self) -> String {
        url_at(&self.folder, Some(PORT))
    }
}

fn settings(folder: &Path, server: &Path) -> String {
    let folder = folder.display();
    format!(
        "[databases]\n* = host={server} user=test\n[pgbouncer]\npool_mode = transaction\n\
         listen_addr =\nlisten_port = {PORT}\nunix_socket_dir = {folder}\nauth_type = trust\nauth_file = {folder}/users\n\
         pidfile = {folder}/pid\nlogfile = {folder}/log\ndefault_pool_size = 3\nmax_client_conn = 100\n\
         ignore_startup_parameters = extra_float_digits\nserver_round_robin = 1\nserver_idle_timeout = 2\n",
        server = server.display()
    )
}

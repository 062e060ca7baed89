//! `rig exec -- CMD…`: runs a command with the test servers it needs, and leaves nothing behind.
//!
//! Starts one Postgres cluster and, where they are installed, a pooler before it and one S3 server, exports
//! `SYNCLINE_TEST_PG_URL`, `SYNCLINE_TEST_POOL_URL` and `SYNCLINE_TEST_S3_URL`, runs the command and exits with its code. Ctrl-C and SIGTERM end the command first; the servers
//! end even when this process is killed outright.

use std::process::ExitCode;

use anyhow::Context as _;
use syncline_tests::rig::bouncer::Bouncer;
use syncline_tests::rig::postgres::{Cluster, Durability, POOL_URL_VARIABLE, URL_VARIABLE};
use syncline_tests::rig::seaweed::{self, Seaweed};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

const USAGE: &str = "usage: rig exec -- COMMAND [ARGUMENT...]";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let mut args = std::env::args().skip(1);
    anyhow::ensure!(args.next().as_deref() == Some("exec"), USAGE);
    let mut command: Vec<String> = args.collect();
    if command.first().is_some_and(|first| first == "--") {
        command.remove(0);
    }
    let (program, args) = command.split_first().context(USAGE)?;

    // Before the servers start, so that a signal never finds it without a handler.
    let interrupts = signal(SignalKind::interrupt())?;
    let terminations = signal(SignalKind::terminate())?;
    let mut s3 = Seaweed::program().map(|program| Seaweed::start(&program)).transpose()?;
    let cluster = Cluster::start(Durability::None)?;
    let pooler = Bouncer::before(cluster.socket_folder());
    let mut command = Command::new(program);
    command.args(args).env(URL_VARIABLE, cluster.url()).kill_on_drop(true);
    match &mut s3 {
        Some(s3) => {
            s3.ready().await?;
            command.env(seaweed::URL_VARIABLE, &s3.url);
        }
        None => eprintln!("rig: no S3 server is installed, so tests that need one will fail"),
    }
    match &pooler {
        Ok(pooler) => {
            command.env(POOL_URL_VARIABLE, pooler.url());
        }
        Err(error) => eprintln!("rig: no pooler, so tests that need one will fail: {error:#}"),
    }
    let child = command.spawn().with_context(|| format!("starting {program}"))?;
    wait(child, interrupts, terminations).await
}

async fn wait(mut child: Child, mut interrupts: Signal, mut terminations: Signal) -> anyhow::Result<ExitCode> {
    loop {
        tokio::select! {
            status = child.wait() => {
                let code = status?.code().and_then(|code| u8::try_from(code).ok());
                return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
            }
            // The terminal sent it to the command too, which now ends in its own way.
            _ = interrupts.recv() => {}
            _ = terminations.recv() => {
                if let Some(pid) = child.id() {
                    Command::new("kill").arg("-TERM").arg(pid.to_string()).status().await?;
                }
            }
        }
    }
}

//! The reference server: syncline over HTTP, on SQLite unless told otherwise. `syncline-server --data ./data` needs
//! nothing else.
//!
//! Next: `config` (what can be set), `wiring` (which store), `scanning` (showing blobs to a scanner), `super_productivity` (which
//! foreign clients), `operate` (the operator's token, logging, signals).

mod config;
mod operate;
mod scanning;
mod super_productivity;
mod wiring;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser as _;
use syncline::server::Server;
use syncline_transport_http::server::{App, Beside, Hashing, PasswordCost, ServerOptions, Tokens, serve_beside};
use tokio::net::TcpListener;

use config::{Config, Flags};

fn main() -> ExitCode {
    match run(Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("syncline-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: Flags) -> anyhow::Result<()> {
    let print_config = flags.print_config;
    let config = Config::load(flags)?;
    if print_config {
        print!("{}", config.printed()?);
        return Ok(());
    }
    operate::start_logging(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads to run on")?;
    runtime.block_on(listen(config))
}

async fn listen(config: Config) -> anyhow::Result<()> {
    let token = operate::admin_token(&config)?;
    let backends = wiring::open(&config).await?;
    let dialect = super_productivity::open(&config, &backends)?;
    if let Some(dialect) = dialect.clone() {
        tokio::spawn(async move { dialect.clean_up_daily().await });
    }
    let hashing = Hashing::new(PasswordCost::default()).context("no passwords can be kept")?;
    let server = Server::new(backends.store, backends.fanout, config.schema()?)
        .with_blobs(backends.blobs)
        .with_passwords(Arc::new(hashing));
    let (sweeping, bucket) = (server.clone(), config.bucket);
    tokio::spawn(async move { operate::sweep_hourly(&sweeping, bucket).await });
    if let Some(scanner) = backends.scanner {
        let (scanning, bucket) = (server.clone(), config.bucket);
        tokio::spawn(async move { scanning::scan(&scanning, &*scanner, bucket).await });
    }
    let tokens = || Tokens::new(server.clone()).with_operator(&token, config.bucket);
    let beside = dialect.map_or_else(Beside::default, |dialect| {
        Beside::new(dialect.router().merge(dialect.operator_router(Arc::new(tokens())))).worded_by(dialect)
    });
    let app = App::new(server.clone(), tokens(), ServerOptions::default());
    // Signals are caught before the ready line: whoever waits for it may send one at once.
    let stop = operate::stop_signal()?;
    let listener =
        TcpListener::bind(config.listen).await.with_context(|| format!("cannot listen on {}", config.listen))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on http://{}", listener.local_addr()?)?;
    out.flush()?;
    drop(out);
    serve_beside(listener, app, beside, stop).await.context("serving ended")
}

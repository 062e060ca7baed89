//! Carrying out what was typed.

pub(crate) mod cli;
mod device;
mod look;
mod paths;
mod resolve;
mod share;
mod sync;
mod want;

use syncline_desk::{Fault, Out};

use cli::{Cli, Command};
use device::Device;

/// Runs a command line.
///
/// # Errors
/// Why it stopped.
pub(crate) async fn run(cli: Cli) -> Result<(), Fault> {
    let (at, out) = (cli.device, Out::of(cli.json));
    let said = match cli.command {
        Command::Attach(attach) => device::attach(&at, attach)?,
        Command::SyncOnce { confirm } => sync::once(&Device::open(&at)?, confirm).await?,
        Command::Run { confirm } => return sync::run(&Device::open(&at)?, confirm, out).await,
        Command::Status => look::status(&Device::open(&at)?)?,
        Command::Issues => look::issues(&Device::open(&at)?)?,
        Command::Conflicts => look::conflicts(&Device::open(&at)?)?,
        Command::Devices => look::devices(&Device::open(&at)?).await?,
        Command::Pin { path } => want::pin(&Device::open(&at)?, &path)?,
        Command::Evict { path } => want::evict(&Device::open(&at)?, &path)?,
        Command::Unpin { path } => want::unpin(&Device::open(&at)?, &path)?,
        Command::Resolve { path, keep } => resolve::resolve(&Device::open(&at)?, &path, keep)?,
        Command::Share { path } => share::share(&Device::open(&at)?, &path).await?,
        Command::Accept { log, path } => share::accept(&Device::open(&at)?, log, &path).await?,
        Command::PanicResync => device::panic_resync(&Device::open(&at)?)?,
    };
    out.say(&said)
}

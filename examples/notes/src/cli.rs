//! The command line. Nothing is done here.
//!
//! What must hold: what can be typed into an open device is in `line`, not here.
//!
//! Next: `app`, which runs it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use syncline::BucketId;
use syncline_desk::Server;

/// Notes that several people type into at once, with or without a network.
///
/// A device is a folder. Make it with `init`, then open it with `shell`, which reads lines from stdin; `help` there says
/// which. Exit code 0: done, perhaps only on this device so far; 1: not done; 2: the command line does not read.
#[derive(Debug, Parser)]
#[command(name = "syncline-notes", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) at: At,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which device, and how it answers.
#[derive(Debug, Args)]
pub(crate) struct At {
    /// The device's folder.
    #[arg(long, global = true, env = "SYNCLINE_NOTES_DEVICE", default_value = "./notes", value_name = "FOLDER")]
    pub(crate) device: PathBuf,
    /// Answer in lines of JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make this folder a device, with or without a server.
    Init {
        #[command(flatten)]
        server: Server,
        /// What the others see this device called [default: the folder's name].
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Which notes; devices with the same server and the same name share them.
        #[arg(long, default_value = "notes", value_name = "NAME")]
        book: String,
        /// The bucket, for an operator's own token; other tokens name theirs.
        #[arg(long, value_name = "ID", default_value_t = BucketId::DEFAULT)]
        bucket: BucketId,
    },
    /// Give this device a server, or another address or token.
    Attach {
        #[command(flatten)]
        server: Server,
    },
    /// Take the server away; everything stays on this device.
    Detach,
    /// Stay open: read lines from stdin, sync in the background, tell what comes from elsewhere.
    Shell,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}

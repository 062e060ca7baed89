//! What can be typed. Nothing is done here.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use syncline::tree::Label;
use syncline::{BucketId, LogId};

/// A folder that is the same on several devices.
///
/// What a device remembers is in a folder of its own, outside of the one that is synced. Exit code 0: done; 1: not done; 2: the
/// command line does not read.
#[derive(Debug, Parser)]
#[command(name = "syncline-drive", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Where the device remembers what it synced.
    #[arg(long, global = true, env = "SYNCLINE_DRIVE_DEVICE", default_value = "./drive-device", value_name = "FOLDER")]
    pub(crate) device: PathBuf,
    /// Answer in lines of JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a folder one with a server's files, or give a device another address or token.
    Attach(Attach),
    /// Bring folder and server together, once.
    SyncOnce {
        /// What looks like an accident is meant: a folder that is empty, most of its files deleted.
        #[arg(long)]
        confirm: bool,
    },
    /// Keep folder and server together until stopped.
    Run {
        /// What looks like an accident is meant, this once.
        #[arg(long)]
        confirm: bool,
    },
    /// Say how folder and server stand, without asking the server.
    Status,
    /// Keep a file, or all of a folder, on this device.
    Pin {
        /// In the folder.
        path: PathBuf,
    },
    /// Keep a file, or all of a folder, at the server only. What was changed here stays until the server has it.
    Evict {
        /// In the folder.
        path: PathBuf,
    },
    /// Let its folder decide again.
    Unpin {
        /// In the folder.
        path: PathBuf,
    },
    /// Share a folder: it gets a log of its own, whose id is printed, and others can be let in there. Its devices lose nothing.
    Share {
        /// In the folder.
        path: PathBuf,
    },
    /// Show a folder that somebody shared in this one. Deleting it here leaves it; its files stay with the others.
    Accept {
        /// Its log, as `share` printed it.
        log: LogId,
        /// Where, in the folder; nothing is there yet.
        path: PathBuf,
    },
    /// List what cannot be synced, and why.
    Issues,
    /// List files beside others that came of two edits at once.
    Conflicts,
    /// Decide one of them. The next sync tells the others.
    Resolve {
        /// The file beside, as `conflicts` lists it.
        path: PathBuf,
        /// Which content to keep under the file's own name.
        #[arg(long, value_enum)]
        keep: Keep,
    },
    /// List the devices that the server knows to hold the files.
    Devices,
    /// Forget what was agreed on, and unite folder and server with the next sync: nothing is deleted on either side.
    PanicResync,
}

/// How a device has its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// All of them lie in the folder.
    #[default]
    Folder,
    /// All of them are to be seen in the folder, and those that were opened take room. Linux with FUSE.
    Fuse,
}

impl Mode {
    /// All of them lie in the folder.
    pub(crate) fn is_folder(&self) -> bool {
        *self == Self::Folder
    }
}

/// Which content to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Keep {
    /// That of the file beside.
    Copy,
    /// That of the file itself.
    Original,
    /// Each its own: the copy gets a name of its own, and is no conflict any more.
    Both,
}

/// A folder and a server.
#[derive(Debug, Args)]
pub(crate) struct Attach {
    /// The folder to sync; made if it is not there.
    pub(crate) folder: PathBuf,
    /// The server's address.
    #[arg(long, env = "SYNCLINE_SERVER", value_name = "URL")]
    pub(crate) server: String,
    /// A file that holds the bearer token; else it is in SYNCLINE_TOKEN, now and later.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Which files; devices with the same server and the same name share them.
    #[arg(long, default_value = "drive", value_name = "NAME")]
    pub(crate) name: String,
    /// Which files, by their log: a folder that somebody shared, as `share` printed it.
    #[arg(long, value_name = "LOG", conflicts_with = "name")]
    pub(crate) log: Option<LogId>,
    /// What the names of conflict copies call this device; by default what the system calls it.
    #[arg(long, value_name = "TEXT", value_parser = |text: &str| Label::new(text))]
    pub(crate) label: Option<Label>,
    /// How its files are there: all of them in the folder, or shown in it and brought when they are opened. It stays so.
    #[arg(long, value_enum)]
    pub(crate) mode: Option<Mode>,
    /// The bucket, for an operator's own token; other tokens name theirs.
    #[arg(long, value_name = "ID", default_value_t = BucketId::DEFAULT)]
    pub(crate) bucket: BucketId,
    /// How many bytes a second may go to the server.
    #[arg(long, value_name = "BYTES")]
    pub(crate) up: Option<NonZeroU32>,
    /// How many bytes a second may come from the server.
    #[arg(long, value_name = "BYTES")]
    pub(crate) down: Option<NonZeroU32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_line_is_well_formed() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_conflict_is_decided_one_way_and_a_label_can_stand_in_a_name() {
        let reads = |line: &[&str]| Cli::try_parse_from([&["syncline-drive"], line].concat()).is_ok();
        assert!(reads(&["resolve", "a (conflict x).txt", "--keep", "copy"]));
        assert!(!reads(&["resolve", "a"]));
        assert!(reads(&["attach", "d", "--server", "http://127.0.0.1:1", "--label", "laptop"]));
        assert!(!reads(&["attach", "d", "--server", "http://127.0.0.1:1", "--label", "(laptop)"]));
        assert!(!reads(&["attach", "d", "--server", "http://127.0.0.1:1", "--up", "0"]));
    }
}

//! What can be typed, in a terminal and in the shell of a device that stays open. Nothing is done here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use syncline::BucketId;
use syncline_desk::Server;

use crate::number::Number;

/// Tasks on several devices, with or without a network.
///
/// A device is a folder. Without a server it works alone; give it one with `init` or `attach`, also later. Exit code 0:
/// done, perhaps only on this device so far; 1: not done; 2: the command line does not read.
#[derive(Debug, Parser)]
#[command(name = "syncline-tasks", version, arg_required_else_help = true)]
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
    #[arg(long, global = true, env = "SYNCLINE_TASKS_DEVICE", default_value = "./tasks", value_name = "FOLDER")]
    pub(crate) device: PathBuf,
    /// Answer in lines of JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Leave the network alone this time.
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// For tests: go by a clock that is wrong by this much.
    #[arg(
        long,
        global = true,
        hide = true,
        env = "SYNCLINE_TASKS_CLOCK_OFFSET_MS",
        default_value_t = 0,
        allow_hyphen_values = true
    )]
    pub(crate) clock_offset_ms: i64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make this folder a device, with or without a server.
    Init {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        key: Key,
        /// Which task list; devices with the same server and the same name share it.
        #[arg(long, default_value = "tasks", value_name = "NAME")]
        list: String,
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
    /// Stay open: read commands from stdin, sync in the background, tell what comes from elsewhere.
    Shell,
    /// Show the list, and show it again whenever it changes.
    Watch,
    /// Show every change there was, in the order all devices agree on.
    Log {
        /// Go on with what comes.
        #[arg(long)]
        follow: bool,
    },
    #[command(flatten)]
    Verb(Verb),
}

/// The key of a list that the server stores and cannot read.
#[derive(Debug, Args)]
pub(crate) struct Key {
    /// Seal the list with the key in this file; a new key is put there when there is no such file.
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    pub(crate) key_file: Option<PathBuf>,
    /// Seal the list with the passphrase in this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// What the first device said belongs to the passphrase.
    #[arg(long, value_name = "TEXT", requires = "passphrase_file")]
    pub(crate) recipe: Option<String>,
}

/// What works in a terminal and in the shell alike.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Add a task.
    Add {
        /// Its title; several words need no quotes.
        #[arg(required = true, num_args = 1..)]
        title: Vec<String>,
        /// When it is due, as 2026-12-24.
        #[arg(long, value_name = "DATE", value_parser = crate::words::due)]
        due: Option<String>,
        /// A note to it.
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Change a task. Title and date merge field by field; a note asks when somebody else changed it meanwhile.
    #[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
    Edit {
        /// The first characters of its id.
        task: String,
        /// Its new title.
        #[arg(long, group = "change")]
        title: Option<String>,
        /// When it is due, or `none`.
        #[arg(long, value_name = "DATE", group = "change", value_parser = crate::words::due)]
        due: Option<String>,
        /// Its new note; an empty one takes it away.
        #[arg(long, value_name = "TEXT", group = "change")]
        note: Option<String>,
    },
    /// Tick tasks off.
    Done {
        #[arg(required = true)]
        tasks: Vec<String>,
    },
    /// Take the tick back.
    Undone {
        #[arg(required = true)]
        tasks: Vec<String>,
    },
    /// Put tasks into the bin.
    Rm {
        #[arg(required = true)]
        tasks: Vec<String>,
        /// Delete them for good.
        #[arg(long)]
        forever: bool,
    },
    /// Take tasks out of the bin.
    Restore {
        #[arg(required = true)]
        tasks: Vec<String>,
    },
    /// List the tasks.
    List {
        /// Also those in the bin.
        #[arg(long)]
        all: bool,
    },
    /// Show one task with its note.
    Show { task: String },
    /// Send what waits and get what is new, now.
    Sync,
    /// Say whether everything is safe.
    Status,
    /// List edits that met somebody else's.
    Conflicts,
    /// Decide a conflict, or decide one otherwise than it ended.
    #[command(group = clap::ArgGroup::new("choice").required(true))]
    Resolve {
        /// Its number in `conflicts`.
        number: Number,
        /// Write what was meant here.
        #[arg(long, group = "choice")]
        mine: bool,
        /// Leave what is there.
        #[arg(long, group = "choice")]
        theirs: bool,
        /// Write this note instead.
        #[arg(long, group = "choice", value_name = "TEXT")]
        note: Option<String>,
    },
    /// List edits that the server refused.
    Parked,
    /// Send a refused edit again.
    Retry {
        /// Its number in `parked`.
        number: Number,
    },
    /// Give a refused edit up.
    Discard {
        /// Its number in `parked`.
        number: Number,
    },
}

/// A line of the shell.
#[derive(Debug, Parser)]
#[command(name = "", no_binary_name = true, disable_version_flag = true, disable_help_flag = true)]
pub(crate) struct Line {
    #[command(subcommand)]
    pub(crate) command: ShellCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ShellCommand {
    #[command(flatten)]
    Verb(Verb),
    /// Stop syncing; go on working.
    Offline,
    /// Sync again.
    Online,
    /// Leave.
    #[command(visible_alias = "exit")]
    Quit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_line_is_well_formed() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
        Line::command().debug_assert();
    }

    #[test]
    fn an_edit_changes_something_and_a_conflict_is_decided_one_way() {
        let reads = |line: &[&str]| Line::try_parse_from(line).is_ok();
        assert!(reads(&["edit", "ab", "--title", "x", "--due", "none"]));
        assert!(!reads(&["edit", "ab"]));
        assert!(reads(&["resolve", "7", "--mine"]));
        assert!(!reads(&["resolve", "7", "--mine", "--theirs"]));
        assert!(!reads(&["resolve", "7"]));
        assert!(!reads(&["add"]));
        assert!(!reads(&["add", "x", "--due", "tomorrow"]));
    }
}

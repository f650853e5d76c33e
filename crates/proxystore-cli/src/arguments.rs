//! What the command line takes.

use clap::{Args, Parser, Subcommand, ValueEnum};
use proxystore::config::{Bytes, OptionValue};
use std::ffi::OsString;
use std::path::PathBuf;

/// Stores by URL, frames, and what works on this machine.
#[derive(Debug, Parser)]
#[command(name = "proxystore", version, propagate_version = true)]
pub(crate) struct Program {
    /// Print JSON, one document.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Objects of a store.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Frames, the form of objects at rest and on the wire.
    #[command(subcommand)]
    Frame(FrameCommand),
    /// Keys of stores that sign or encrypt their objects.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Say what works on this machine: shared memory, huge pages, limits, services.
    Doctor {
        /// Services to try as well, such as redis://host:6379 or s3://bucket/prefix.
        urls: Vec<String>,
    },
    /// Measure put and get on this machine, beside a copy in memory.
    Bench {
        /// The store.
        #[arg(default_value = "shm://")]
        url: String,
        /// Sizes of the objects.
        #[arg(long, value_delimiter = ',', default_value = "1kB,100kB,10MB,100MB", value_parser = bytes)]
        sizes: Vec<u64>,
    },
    /// Endpoints: daemons that hold objects at each site. The same as `proxystore-endpoint`.
    #[command(disable_help_flag = true)]
    Endpoint {
        /// What `proxystore-endpoint help` shows.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Write a new key to a file that only you can read; a file that is there is left alone.
    New {
        /// The file; `-` for standard output.
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Put a file, or standard input, and print its key.
    Put {
        /// The store, such as file:///directory, redis://host:6379 or s3://bucket/prefix.
        url: String,
        /// The file; standard input if it is left out or `-`.
        file: Option<PathBuf>,
        /// What the bytes are.
        #[arg(long = "as", value_enum, default_value_t = Form::Bytes)]
        form: Form,
        /// Print a reference, which finds the object from anywhere, instead of the key.
        #[arg(long)]
        reference: bool,
        /// The store's name in the reference.
        #[arg(long, default_value = "proxystore")]
        name: String,
    },
    /// Write an object's content to standard output or a file.
    Get {
        #[command(flatten)]
        object: ObjectArguments,
        /// The file to write.
        #[arg(long, short)]
        output: Option<PathBuf>,
        /// Write the whole frame, not only what it holds.
        #[arg(long)]
        frame: bool,
    },
    /// List the objects of a store; without a URL, the sessions of this machine's shared memory.
    Ls {
        /// The store.
        url: Option<String>,
    },
    /// Describe an object, or a store.
    Stat {
        #[command(flatten)]
        object: ObjectArguments,
    },
    /// Remove objects.
    Rm {
        /// The store.
        url: String,
        /// Their keys.
        #[arg(required = true)]
        keys: Vec<String>,
    },
}

#[derive(Args, Debug)]
pub(crate) struct ObjectArguments {
    /// The store, or a reference to an object of it.
    pub url: String,
    /// The object's key.
    pub key: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Form {
    /// Bytes.
    Bytes,
    /// UTF-8 text.
    Text,
    /// JSON, put as a plain tree of values.
    Json,
    /// A frame that was written by `get --frame`.
    Frame,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FrameCommand {
    /// Say what a file that holds a frame holds, and whether it is sound.
    Inspect {
        /// The file.
        file: PathBuf,
    },
}

/// A number of bytes.
fn bytes(text: &str) -> Result<u64, String> {
    let found = Bytes::from_text(text).filter(|bytes| bytes.0 > 0);
    found
        .map(|bytes| bytes.0)
        .ok_or_else(|| format!("should be {}", Bytes::EXPECTED))
}

//! The command `proxystore`, as a library: [`run`] is the whole program. It has no logic of its
//! own beyond reading arguments and showing what the core says.

#![deny(missing_docs)]

mod arguments;
mod bench;
mod doctor;
mod frame;
mod key;
mod output;
mod progress;
mod store;
mod traffic;

use arguments::{Command, Program};
use clap::{CommandFactory, Parser};
use output::Output;
use serde_json::json;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// What went wrong, in words for a person.
type Failure = Box<dyn std::error::Error>;
type Done = Result<(), Failure>;

/// Runs the program with its arguments, its own name first, and gives its exit status: 0, or 1 for
/// a failure, or 2 for arguments that make no sense.
///
/// ```
/// use std::process::ExitCode;
///
/// let status = proxystore_cli::run(["proxystore", "store", "ls", "memory://"]);
/// assert_eq!(format!("{status:?}"), format!("{:?}", ExitCode::SUCCESS));
/// ```
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    if is_named(&arguments, "proxystore-endpoint") {
        return proxystore_endpoint::commands::run(arguments);
    }
    if is_named(&arguments, "proxystore-relay") {
        return ExitCode::from(proxystore_endpoint::relay::run(arguments));
    }
    if let Err(error) = proxystore_endpoint::register() {
        eprintln!("proxystore: {error}");
    }
    let program = match Program::try_parse_from(arguments) {
        Ok(program) => program,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let output = Output { json: program.json };
    let done = match program.command {
        Command::Store(command) => store::run(command, &output),
        Command::Frame(command) => frame::run(command, &output),
        Command::Key(command) => key::run(&command, &output),
        Command::Doctor { urls } => doctor::run(&urls, &output),
        Command::Bench { url, sizes } => bench::run(&url, &sizes, &output),
        Command::Endpoint { .. } if output.json => Err(
            "the endpoint commands print no JSON; figures for programs are at the port that \
             `proxystore-endpoint configure --metrics-port` sets"
                .into(),
        ),
        Command::Endpoint { arguments } => {
            let name = std::iter::once(OsString::from("proxystore-endpoint"));
            return proxystore_endpoint::commands::run(name.chain(arguments));
        }
        Command::Completions { shell } => {
            let name = "proxystore";
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Program::command(), name, &mut script);
            if output.json {
                let script = String::from_utf8_lossy(&script);
                let document = json!({ "shell": shell.to_string(), "script": script });
                output.show(&document, &[])
            } else {
                output.bytes(&script)
            }
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if output::is_closed_pipe(&*failure) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("proxystore: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the program was called by this name: one file answers to several.
fn is_named(arguments: &[OsString], name: &str) -> bool {
    let first = arguments.first().map(Path::new);
    first
        .and_then(Path::file_name)
        .is_some_and(|called| called == name)
}

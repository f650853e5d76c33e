//! Runs the contract suite over a connector of another language.
//!
//! - `proxystore-contract list deferred_set batch ...` prints the trials that a connector with
//!   these capabilities must pass, a name a line.
//! - `proxystore-contract run NAME deferred_set batch ...` runs one of them over standard input and
//!   output, as `proxystore_testkit::PipeConnector` describes it, and ends with the verb `done`,
//!   whose block is empty if the trial passed and else says what was wrong.

use proxystore::Capability;
use proxystore_testkit::{PipeConnector, run_trial, trials, write_block};
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let done = match arguments.next().as_deref() {
        Some("list") => capability(arguments).and_then(|can| list(can).map_err(|e| e.to_string())),
        Some("run") => match arguments.next() {
            Some(name) => capability(arguments).and_then(|can| run(&name, can)),
            None => Err("run needs the name of a trial".to_owned()),
        },
        _ => Err("say `list` or `run`".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("proxystore-contract: {message}");
            ExitCode::FAILURE
        }
    }
}

fn capability(names: impl Iterator<Item = String>) -> Result<Capability, String> {
    let mut can = Capability::default();
    for name in names {
        match name.as_str() {
            "deferred_set" => can.deferred_set = true,
            "batch" => can.batch = true,
            "cross_process" => can.cross_process = true,
            "cross_host" => can.cross_host = true,
            // Of no matter at the other end of a pipe.
            "expiry" | "process_bound" | "notify" | "keeps_owners" => {}
            other => return Err(format!("no capability is called {other:?}")),
        }
    }
    Ok(can)
}

/// A trial that forks needs the connector in its own process.
fn list(can: Capability) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for trial in trials(can).iter().filter(|trial| !trial.forks()) {
        writeln!(out, "{}", trial.name())?;
    }
    Ok(())
}

fn run(name: &str, can: Capability) -> Result<(), String> {
    // A panic inside a trial is its way of saying what is wrong; it need not be told twice.
    std::panic::set_hook(Box::new(|_| {}));
    let connector = PipeConnector::new(io::stdin(), io::stdout(), can);
    let outcome = run_trial(name, &connector);
    let mut out = io::stdout().lock();
    let complaint = outcome.err().unwrap_or_default();
    let mut end = || -> io::Result<()> {
        write_block(&mut out, b"done")?;
        write_block(&mut out, b"1")?;
        write_block(&mut out, complaint.as_bytes())?;
        out.flush()
    };
    end().map_err(|error| error.to_string())
}

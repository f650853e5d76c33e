//! The command `proxystore-endpoint`: [`run`] is the whole program.

mod arguments;
mod lifecycle;
mod show;
mod trial;

use crate::client::{Client, Running, home_dir};
use crate::identity::PublicKey;
use crate::wire::Request;
use arguments::{Command, Peer, Program};
use clap::Parser;
use proxystore::Result;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

type Failure = Box<dyn std::error::Error>;
type Done = std::result::Result<(), Failure>;

/// Runs the program with its arguments, its own name first, and gives its exit status: 0, or 1 for
/// a failure, or 2 for arguments that make no sense.
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let program = match Program::try_parse_from(arguments) {
        Ok(program) => program,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match perform(program) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let closed = failure
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
            if closed {
                return ExitCode::SUCCESS;
            }
            let text = failure.to_string();
            let _ = writeln!(
                io::stderr(),
                "proxystore-endpoint: {}",
                text.strip_prefix("endpoint: ").unwrap_or(&text)
            );
            ExitCode::FAILURE
        }
    }
}

fn perform(program: Program) -> Done {
    let level = program.log_level;
    match program.command {
        Command::Configure(arguments) => lifecycle::configure(&arguments),
        Command::Start {
            name,
            detach,
            announce,
            ..
        } => lifecycle::start(&name, level, detach, announce),
        Command::Stop { name } => lifecycle::stop(&name),
        Command::List => show::list(),
        Command::Remove { name } => lifecycle::remove(&name),
        Command::Test {
            name,
            remote,
            action,
        } => trial::run(&client(&name)?, remote.as_deref().unwrap_or(""), action),
        Command::Peer { action } => peer(action),
        Command::Peers { name } => show::peers(&client(&name)?),
        Command::Status { name } => show::status(&client(&name)?),
        Command::Health { name } => {
            client(&name)?;
            say("ok")
        }
        Command::Top {
            name,
            interval,
            count,
        } => show::top(&client(&name)?, interval, count),
        Command::CheckNat { host, port } => show::network(&host, port),
        Command::Version => say(&format!(
            "proxystore-endpoint {}",
            env!("CARGO_PKG_VERSION")
        )),
    }
}

fn peer(action: Peer) -> Done {
    match action {
        Peer::Add {
            name,
            key,
            uuid,
            label,
            address,
        } => {
            let client = client(&name)?;
            client.order(&Request::PeerAdd {
                key: &key,
                uuid: &uuid,
                label: &label,
                addresses: &address.join(" "),
            })?;
            let ours = client.running();
            let derived = ours
                .key
                .parse::<PublicKey>()
                .map(|key| key.alias().to_string());
            // A UUID of 1.1, or one that was chosen, does not follow from the key.
            let uuid = match derived {
                Ok(derived) if derived == ours.uuid => String::new(),
                _ => format!(" --uuid {}", ours.uuid),
            };
            say(&format!(
                "{name} lets {key} in; its owner lets this one in with: proxystore-endpoint peer \
                 add <endpoint> {}{uuid}",
                ours.key
            ))
        }
        Peer::Remove { name, peer } => {
            client(&name)?.order(&Request::PeerRemove { name: &peer })?;
            say(&format!("{name} lets {peer} in no more"))
        }
        Peer::List { name } => show::allowed(&client(&name)?),
    }
}

/// A client of an endpoint by its name.
fn client(name: &str) -> Result<Client> {
    Running::find(&home_dir(), &[name.to_owned()])
}

fn say(line: &str) -> Done {
    writeln!(io::stdout(), "{line}")?;
    Ok(())
}

//! The command `proxystore-relay`.

use super::{Admission, Relay, RelayConfig};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use proxystore::{Error, ErrorKind, Result};
use std::ffi::OsString;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tokio::signal::unix::{SignalKind, signal};

/// Runs the command with these arguments, the first being its name. Gives the exit code: 0 after SIGINT or SIGTERM,
/// 1 where the relay cannot run, 2 for wrong arguments.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    match serve(&matches) {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "proxystore-relay: {error}");
            1
        }
    }
}

fn command() -> Command {
    let path = || value_parser!(PathBuf);
    Command::new("proxystore-relay")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A relay, by which endpoints behind firewalls find each other")
        .after_help(
            "Endpoints name it by `address` in the [relay] section of their config.toml. Without --cert it speaks \
             plain HTTP: what endpoints send is encrypted all the same, but who talks to whom is not, and tokens are \
             not.",
        )
        .arg(Arg::new("host").long("host").default_value("0.0.0.0").value_parser(value_parser!(IpAddr)).help("Address to listen at"))
        .arg(Arg::new("port").long("port").short('p').value_parser(value_parser!(u16)).help("Port to listen at: TCP, and with --cert also UDP [default: 443 with --cert, 8700 without]"))
        .arg(Arg::new("cert").long("cert").alias("certfile").requires("key").value_parser(path()).help("Certificate chain (PEM)"))
        .arg(Arg::new("key").long("key").alias("keyfile").requires("cert").value_parser(path()).help("Key of the certificate (PEM)"))
        .arg(Arg::new("keys").long("keys").value_parser(path()).help("File with the public keys that may use it, one a line; may change while it runs"))
        .arg(Arg::new("token").long("token-file").value_parser(path()).help("File with a token (mode 0600); endpoints that know it may use the relay"))
        .arg(Arg::new("open").long("open").action(ArgAction::SetTrue).conflicts_with_all(["keys", "token"]).help("Let everybody use it"))
}

fn serve(matches: &ArgMatches) -> Result<()> {
    let get = |name: &str| matches.get_one::<PathBuf>(name).cloned();
    let tls = get("cert").zip(get("key"));
    let admission = Admission {
        keys: get("keys"),
        token: get("token").map(|path| secret(&path)).transpose()?,
    };
    if admission.keys.is_none() && admission.token.is_none() && !matches.get_flag("open") {
        return Err(Error::new(
            ErrorKind::InvalidConfig,
            "say who may use the relay: --keys FILE, --token-file FILE or --open for everybody",
        ));
    }
    let port = matches.get_one::<u16>("port").copied();
    let port = port.unwrap_or(if tls.is_some() { 443 } else { 8700 });
    let host = matches
        .get_one::<IpAddr>("host")
        .copied()
        .unwrap_or(IpAddr::from([0, 0, 0, 0]));
    let scheme = if tls.is_some() { "https" } else { "http" };
    let config = RelayConfig {
        listen: SocketAddr::new(host, port),
        tls,
        admission,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::io(error, "no runtime can be started"))?;
    runtime.block_on(async {
        let failed = |error| Error::io(error, "signals cannot be received");
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let relay = Relay::start(config).await?;
        if let Some(address) = relay.address() {
            let _ = writeln!(std::io::stdout(), "relay at {scheme}://{address}");
            let _ = std::io::stdout().flush();
        }
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        relay.stop().await;
        Ok(())
    })
}

/// A token from its file, which nobody else may read.
fn secret(path: &Path) -> Result<String> {
    let doing = || format!("the token file {} cannot be read", path.display());
    let mode = std::fs::metadata(path)
        .map_err(|error| Error::io(error, doing()))?
        .mode();
    if mode & 0o077 != 0 {
        return Err(Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "the token file {0} can be read by others: run `chmod 600 {0}`",
                path.display()
            ),
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(error, doing()))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidConfig,
            format!("the token file {} is empty", path.display()),
        ));
    }
    Ok(token.to_owned())
}

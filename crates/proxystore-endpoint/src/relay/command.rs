//! The command `proxystore-relay`.

use super::file::RelayFile;
use super::{Admission, Relay, RelayConfig};
use crate::log::{self, Level};
use crate::secret_file;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use proxystore::{Error, ErrorKind, Result};
use std::ffi::OsString;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

/// Turns of tasks after which a thread looks for new packets: whoever asks for little goes between those who move much.
const TURNS: u32 = 4;

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
        .arg(Arg::new("config").long("config").short('c').value_parser(path()).help("Configuration file (TOML) with the fields host, port, certfile, keyfile, keys, token_file and open; options go before it"))
        .arg(Arg::new("host").long("host").value_parser(value_parser!(IpAddr)).help("Address to listen at [default: 0.0.0.0]"))
        .arg(Arg::new("port").long("port").short('p').value_parser(value_parser!(u16)).help("Port to listen at: TCP, and with --cert also UDP [default: 443 with --cert, 8700 without]"))
        .arg(Arg::new("cert").long("cert").alias("certfile").requires("key").value_parser(path()).help("Certificate chain (PEM)"))
        .arg(Arg::new("key").long("key").alias("keyfile").requires("cert").value_parser(path()).help("Key of the certificate (PEM)"))
        .arg(Arg::new("keys").long("keys").value_parser(path()).help("File with the public keys that may use it, one a line; may change while it runs"))
        .arg(Arg::new("token").long("token-file").value_parser(path()).help("File with a token (mode 0600); endpoints that know it may use the relay"))
        .arg(Arg::new("open").long("open").action(ArgAction::SetTrue).conflicts_with_all(["keys", "token"]).help("Let everybody use it"))
        .arg(Arg::new("logs").long("log-dir").value_parser(path()).help("Directory for the log, relay.log, instead of the standard error"))
        .arg(Arg::new("level").long("log-level").value_parser(value_parser!(Level)).help("How much is logged: DEBUG, INFO, WARNING or ERROR [default: INFO]"))
}

fn serve(matches: &ArgMatches) -> Result<()> {
    let file = match matches.get_one::<PathBuf>("config") {
        Some(path) => RelayFile::read(path)?,
        None => RelayFile::default(),
    };
    let get = |name: &str, other: &Option<PathBuf>| {
        matches.get_one::<PathBuf>(name).or(other.as_ref()).cloned()
    };
    let certificate = get("cert", &file.certfile);
    // As in 1.1, one file may hold both.
    let key = get("key", &file.keyfile).or_else(|| certificate.clone());
    let tls = certificate.zip(key);
    let admission = Admission {
        keys: get("keys", &file.keys),
        token: get("token", &file.token_file)
            .map(|path| secret_file::read(&path, "token file"))
            .transpose()?,
    };
    let open = matches.get_flag("open") || file.open;
    if admission.keys.is_none() && admission.token.is_none() && !open {
        return Err(Error::new(
            ErrorKind::InvalidConfig,
            "say who may use the relay: --keys FILE, --token-file FILE or --open for everybody",
        ));
    }
    start_log(matches, &file)?;
    let port = matches.get_one::<u16>("port").copied().or(file.port);
    let port = port.unwrap_or(if tls.is_some() { 443 } else { 8700 });
    let host = matches.get_one::<IpAddr>("host").copied().or(file.host);
    let host = host.unwrap_or(IpAddr::from([0, 0, 0, 0]));
    let scheme = if tls.is_some() { "https" } else { "http" };
    let config = RelayConfig {
        listen: SocketAddr::new(host, port),
        tls,
        admission,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .event_interval(TURNS)
        .global_queue_interval(TURNS)
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

/// To the standard error, or to a file in the directory that is named.
fn start_log(matches: &ArgMatches, file: &RelayFile) -> Result<()> {
    let level = match (
        matches.get_one::<Level>("level"),
        &file.logging.default_level,
    ) {
        (Some(level), _) => *level,
        (None, Some(level)) => level.level()?,
        (None, None) => Level::Info,
    };
    let dir = matches.get_one::<PathBuf>("logs");
    let path = dir
        .or(file.logging.log_dir.as_ref())
        .map(|dir| dir.join("relay.log"));
    log::start(level, path.as_deref()).map_err(|error| {
        let path = path.unwrap_or_default();
        Error::io(
            error,
            format!("the log {} cannot be written", path.display()),
        )
    })
}

//! The arguments of `proxystore-endpoint`.

use crate::log::Level;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Parser)]
#[command(
    name = "proxystore-endpoint",
    version,
    about = "Endpoints: daemons that hold objects at each site and fetch them from their peers.",
    disable_help_subcommand = false
)]
pub(super) struct Program {
    /// How much is logged: DEBUG, INFO, WARNING, ERROR or CRITICAL.
    #[arg(long, global = true, default_value = "INFO")]
    pub(super) log_level: Level,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Configure a new endpoint.
    Configure(Configure),
    /// Start an endpoint.
    Start {
        name: String,
        /// Run in the background.
        #[arg(long, overrides_with = "no_detach")]
        detach: bool,
        /// Stay in the foreground, which is the default.
        #[arg(long)]
        no_detach: bool,
        #[arg(long, hide = true)]
        announce: bool,
    },
    /// Stop an endpoint that runs in the background.
    Stop { name: String },
    /// List the endpoints of this user.
    List,
    /// Remove an endpoint and everything that it holds.
    Remove { name: String },
    /// Try an endpoint with one object.
    Test {
        name: String,
        /// The peer to ask, by UUID or public key.
        #[arg(long)]
        remote: Option<String>,
        #[command(subcommand)]
        action: Test,
    },
    /// Say who may come in.
    Peer {
        #[command(subcommand)]
        action: Peer,
    },
    /// Show the peers, the way in use and its speed.
    Peers { name: String },
    /// Show how an endpoint is.
    Status { name: String },
    /// Say `ok`, and end with 0, if an endpoint answers.
    Health { name: String },
    /// Watch an endpoint: objects, bytes, peers.
    Top {
        name: String,
        /// Seconds between two looks.
        #[arg(long, default_value_t = 1.0)]
        interval: f64,
        /// Look so many times; 0 for as long as it is not interrupted.
        #[arg(long, default_value_t = 0)]
        count: u64,
    },
    /// Show how this host meets others: its address, and whether UDP can be used.
    CheckNat {
        /// Address to bind.
        #[arg(long, default_value = "0.0.0.0")]
        host: String,
        /// Port to bind; 0 for any.
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Show the version.
    Version,
}

#[derive(Debug, Args)]
pub(super) struct Configure {
    /// Letters, digits, `-` and `_`.
    pub(super) name: String,
    /// How clients on other hosts of the site reach it: `ip`, `fqdn`, an address or a name, or
    /// `none` for programs of this host only.
    #[arg(long, default_value = "ip")]
    pub(super) host: String,
    /// TCP port for those clients; 0 for any that is free.
    #[arg(long, default_value_t = 0)]
    pub(super) port: u16,
    /// Address of the relay, such as `https://relay.example.org`.
    #[arg(long)]
    pub(super) relay_address: Option<String>,
    /// Of 1.1, and without effect: the relay's own configuration says whom it lets in.
    #[arg(long, overrides_with = "no_relay_auth", hide = true)]
    pub(super) relay_auth: bool,
    #[arg(long, hide = true)]
    pub(super) no_relay_auth: bool,
    /// Use the relay that is given; the default if one is.
    #[arg(long, overrides_with = "no_relay_server")]
    pub(super) relay_server: bool,
    /// Use no relay.
    #[arg(long)]
    pub(super) no_relay_server: bool,
    /// A file with the token that the relay asks for.
    #[arg(long)]
    pub(super) relay_token_file: Option<PathBuf>,
    /// A file with the certificate that the relay's is signed by.
    #[arg(long)]
    pub(super) relay_certificate: Option<PathBuf>,
    /// Of 1.1, and without effect: transfers are striped as needed.
    #[arg(long, default_value_t = 1, hide = true)]
    pub(super) peer_channels: u32,
    /// Keep objects in a database, so that they outlive the endpoint.
    #[arg(long, overrides_with = "no_persist")]
    pub(super) persist: bool,
    /// Keep objects in memory, and on the disk what does not fit, until the endpoint stops.
    #[arg(long)]
    pub(super) no_persist: bool,
    /// Largest object in bytes; 0 for no limit.
    #[arg(long)]
    pub(super) max_object_size: Option<u64>,
    /// Port for Prometheus on the loopback interface.
    #[arg(long)]
    pub(super) metrics_port: Option<u16>,
    /// Address at which peers come in, such as `0.0.0.0:7000`; may be repeated.
    #[arg(long)]
    pub(super) listen: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Test {
    /// Whether there is an object.
    Exists { key: String },
    /// Remove an object.
    Evict { key: String },
    /// Show an object.
    Get { key: String },
    /// Put a text, and show its key.
    Put { data: String },
}

#[derive(Debug, Subcommand)]
pub(super) enum Peer {
    /// Let a peer in. Its owner does the same for this endpoint.
    Add {
        name: String,
        /// The peer's public key, which `proxystore-endpoint list` shows there.
        key: String,
        /// The peer's UUID, if it has another than its key gives.
        #[arg(long, default_value = "")]
        uuid: String,
        /// A name for people.
        #[arg(long, default_value = "")]
        label: String,
        /// An address of the peer, `host:port`; may be repeated.
        #[arg(long)]
        address: Vec<String>,
    },
    /// Let a peer in no more.
    Remove {
        name: String,
        /// Its key, UUID or label.
        peer: String,
    },
    /// List who may come in.
    List { name: String },
}

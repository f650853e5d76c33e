//! Where clients come in: a unix socket for programs of this host, a port for those of others.

use super::instance;
use super::serve::serve;
use super::socket::{Socket, Stream};
use super::status::Service;
use crate::config::{Config, HostType};
use crate::log;
use proxystore::{Error, ErrorKind, Result};
use std::io;
use std::net::{IpAddr, ToSocketAddrs, UdpSocket};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// Longest path that the address of a unix socket holds.
const LONGEST_PATH: usize = 100;

pub(super) struct Listeners {
    unix: UnixListener,
    tcp: Option<(TcpListener, Arc<str>)>,
    pub(super) socket: PathBuf,
    /// For clients on other hosts; empty if there is no port.
    pub(super) address: String,
}

impl Listeners {
    pub(super) async fn open(dir: &Path, config: &Config) -> Result<Self> {
        let (unix, socket) = open_unix(dir, &config.uuid)?;
        let mut address = String::new();
        let mut tcp = None;
        if config.host_type != HostType::None {
            let token: Arc<str> = instance::token(dir)?.into();
            let host = host(config)?;
            let bound = match host.parse::<IpAddr>() {
                // An address that is the host's own is the only one to listen at.
                Ok(ip) if config.host_type == HostType::Static => {
                    TcpListener::bind((ip, config.port)).await
                }
                _ => match TcpListener::bind(("::", config.port)).await {
                    Ok(listener) => Ok(listener),
                    Err(_) => TcpListener::bind(("0.0.0.0", config.port)).await,
                },
            };
            let listener = bound.map_err(|error| {
                Error::io(
                    error,
                    format!("listening at port {} of {host} (config.toml)", config.port),
                )
            })?;
            let port = listener
                .local_addr()
                .map_or(config.port, |local| local.port());
            address = if host.contains(':') {
                format!("[{host}]:{port}")
            } else {
                format!("{host}:{port}")
            };
            tcp = Some((listener, token));
        }
        Ok(Self {
            unix,
            tcp,
            socket,
            address,
        })
    }

    /// Takes clients in, for good.
    pub(super) async fn serve(self, service: Arc<Service>) {
        // SAFETY: the call only reads the process's user.
        let me = unsafe { libc::geteuid() };
        let mut clients = tokio::task::JoinSet::new();
        loop {
            while clients.try_join_next().is_some() {}
            let accepted = tokio::select! {
                one = self.unix.accept() => one.map(|(stream, _)| (Stream::Unix(stream), None)),
                one = accept_tcp(self.tcp.as_ref()) => one,
            };
            match accepted {
                Ok((Stream::Unix(stream), _)) if !is_mine(&stream, me) => {
                    clients.spawn(refuse(stream));
                }
                Ok((stream, token)) => {
                    clients.spawn(serve(Arc::clone(&service), stream, token));
                }
                Err(error) => {
                    // Out of descriptors, for example: those who are here go on.
                    log::warning(format_args!("a client could not come in: {error}"));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn accept_tcp(
    tcp: Option<&(TcpListener, Arc<str>)>,
) -> io::Result<(Stream, Option<Arc<str>>)> {
    match tcp {
        Some((listener, token)) => {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Stream::Tcp(stream), Some(Arc::clone(token))))
        }
        None => std::future::pending().await,
    }
}

/// Whether a program of the same user, or root's, is at the other end.
fn is_mine(stream: &UnixStream, me: u32) -> bool {
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == me || peer.uid() == 0)
}

async fn refuse(stream: UnixStream) {
    let error = Error::new(
        ErrorKind::PermissionDenied,
        "this endpoint is another user's",
    );
    Socket::new(Stream::Unix(stream)).farewell(&error).await;
}

/// The socket lies in the endpoint's folder, or, where the path is too long or the file system has
/// no sockets, in a folder of the user's for such things.
fn open_unix(dir: &Path, uuid: &str) -> Result<(UnixListener, PathBuf)> {
    // SAFETY: the call only reads the process's user.
    let me = unsafe { libc::geteuid() };
    let short = std::env::temp_dir().join(format!("proxystore-{me}"));
    let mut places = vec![dir.join("socket")];
    if let Some(runtime) = std::env::var_os("XDG_RUNTIME_DIR") {
        places.push(Path::new(&runtime).join(format!("proxystore-{uuid}")));
    }
    places.push(short.join(uuid));
    let mut last = None;
    for place in places {
        if place.as_os_str().len() > LONGEST_PATH {
            continue;
        }
        if place.starts_with(&short) {
            let mut builder = std::fs::DirBuilder::new();
            let _ = builder.mode(0o700).create(&short);
            let is_ours = std::fs::symlink_metadata(&short)
                .is_ok_and(|data| data.is_dir() && data.uid() == me && data.mode() & 0o077 == 0);
            if !is_ours {
                continue; // somebody else made it
            }
        }
        // What is there is a dead daemon's: this one has the lock.
        let _ = std::fs::remove_file(&place);
        let bound = UnixListener::bind(&place).and_then(|listener| {
            std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        });
        match bound {
            Ok(listener) => return Ok((listener, place)),
            Err(error) => last = Some((error, place)),
        }
    }
    Err(match last {
        Some((error, place)) => Error::io(error, format!("listening at {}", place.display())),
        None => Error::new(
            ErrorKind::InvalidConfig,
            "no place for the unix socket: set XDG_RUNTIME_DIR or TMPDIR to a short path",
        ),
    })
}

pub(super) async fn metrics(port: u16) -> Result<TcpListener> {
    let bound = TcpListener::bind(("127.0.0.1", port)).await;
    let listener = bound
        .map_err(|error| Error::io(error, format!("listening at port {port} (metrics.port)")))?;
    if let Ok(address) = listener.local_addr() {
        log::info(format_args!("metrics at http://{address}/metrics"));
    }
    Ok(listener)
}

/// How clients on other hosts name this one.
fn host(config: &Config) -> Result<String> {
    match (config.host_type, &config.host) {
        (HostType::Static, Some(host)) => Ok(host.clone()),
        (HostType::Fqdn, _) => Ok(hostname()),
        _ => Ok(own_address().map_or_else(hostname, |ip| ip.to_string())),
    }
}

/// The address that packets to elsewhere would leave by. None is sent.
pub(crate) fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // An address for documentation, which nobody has.
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip).or_else(|| {
        let mut found = (hostname().as_str(), 0).to_socket_addrs().ok()?;
        found.next().map(|address| address.ip())
    })
}

pub(crate) fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost" } else { name }.to_owned()
}

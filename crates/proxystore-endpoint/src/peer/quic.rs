//! QUIC by way of iroh: straight, through the holes of firewalls, or by the relay, whichever there is.

use super::channel::{Boxed, Channel, Duplex, Failure};
use super::tls::other_key;
use super::transport::{Link, Stripes, on_the_way};
use super::wire::{Introduction, PROTOCOL_NAME};
use super::{RelayAccess, Shared, Traffic, greeting};
use crate::identity::PublicKey;
use crate::remote::Path;
use bytes::{Buf, Bytes};
use iroh::endpoint::{
    Connection, ConnectionError, Incoming, IncomingAddr, PathId, QuicTransportConfig, RecvStream,
    RelayMode, SendStream, TransportErrorCode, VarInt, presets,
};
use iroh::{Endpoint, EndpointAddr, RelayMap, RelayUrl, TransportAddr};
use iroh_relay::tls::CaTlsConfig;
use iroh_relay::{RelayConfig, RelayQuicConfig};
use proxystore::{Error, ErrorKind, Result};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

/// Longest time for a connection and the greetings.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection outlives its last packet.
const IDLE: Duration = Duration::from_secs(10);
/// Pause between two signs of life.
const KEEP_ALIVE: Duration = Duration::from_millis(2500);
/// The window of a stream, the library's default: one of 3 MB and more can end a connection of the present version
/// ("too many gaps in stream buffer"), so speed comes from streams side by side.
const WINDOW: VarInt = VarInt::from_u32(1_250_000);
/// Bytes of a range.
const RANGE: u64 = 2_000_000;
/// Fewest and most streams side by side for one object.
const LANES: (usize, usize) = (2, 16);
/// Bytes on their way in one connection. More than the windows of an object's streams: beyond it streams wait, and
/// the library lets the one that waits longest go last.
const SENT: u64 = 64 << 20;
/// The rank of streams with large answers: small ones go before them.
const BULK: i32 = -1;
/// Codes with which a connection is closed.
const DENIED: VarInt = VarInt::from_u32(403);
const OVER: VarInt = VarInt::from_u32(0);

/// The settings of every connection.
pub(super) fn transport() -> QuicTransportConfig {
    let mut config = QuicTransportConfig::builder()
        .stream_receive_window(WINDOW)
        .send_window(SENT)
        .keep_alive_interval(KEEP_ALIVE)
        .default_path_keep_alive_interval(KEEP_ALIVE)
        .default_path_max_idle_timeout(IDLE)
        .max_concurrent_bidi_streams(VarInt::from_u32(256))
        .max_concurrent_uni_streams(VarInt::from_u32(0));
    if let Ok(idle) = IDLE.try_into() {
        config = config.max_idle_timeout(Some(idle));
    }
    config.build()
}

/// Opens the UDP port. No public service is named anywhere.
pub(super) async fn bind(
    shared: &Shared,
    addresses: &[SocketAddr],
    relay: Option<&RelayAccess>,
    relay_only: bool,
) -> Result<Endpoint> {
    let wrong = |what: &str, error: &dyn fmt::Display| {
        Error::new(ErrorKind::InvalidConfig, format!("{what}: {error}"))
    };
    let mode = match relay {
        None => RelayMode::Disabled,
        Some(relay) => RelayMode::Custom(relay_map(relay)?),
    };
    let mut builder = Endpoint::builder(presets::Minimal)
        .secret_key(shared.key.iroh().clone())
        .crypto_provider(super::raw_key::provider())
        .alpns(vec![PROTOCOL_NAME.to_vec()])
        .relay_mode(mode)
        .transport_config(transport());
    if let Some(roots) = relay.and_then(|relay| relay.roots.clone()) {
        builder = builder.ca_tls_config(CaTlsConfig::custom_roots(roots));
    }
    if relay_only {
        builder = builder.clear_ip_transports();
    } else if !addresses.is_empty() {
        builder = builder.clear_ip_transports();
        for address in addresses {
            builder = (builder.bind_addr(*address))
                .map_err(|error| wrong(&format!("the address {address} cannot be used"), &error))?;
        }
    }
    builder.bind().await.map_err(|error| {
        let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        wrong(
            &format!("the UDP port {} cannot be opened", shown.join(" or ")),
            &error,
        )
    })
}

fn relay_map(relay: &RelayAccess) -> Result<RelayMap> {
    let url: RelayUrl = relay.url.parse().map_err(|error| {
        Error::new(
            ErrorKind::InvalidConfig,
            format!("{:?} is no address of a relay: {error}; give one such as https://relay.example.org", relay.url),
        )
    })?;
    // A relay with TLS tells endpoints their public address by QUIC at the same port.
    let quic = (url.scheme() == "https").then(|| RelayQuicConfig::new(url.port().unwrap_or(443)));
    let mut config = RelayConfig::new(url, quic);
    if let Some(token) = &relay.token {
        config = config.with_auth_token(token.clone());
    }
    Ok(RelayMap::from_iter([config]))
}

/// A QUIC connection, made by either side.
pub(super) struct QuicLink {
    connection: Connection,
    introduction: Introduction,
    traffic: Arc<Traffic>,
    nearest: Mutex<Option<(Path, Duration)>>,
}

impl QuicLink {
    /// Connects.
    pub(super) async fn dial(
        shared: &Arc<Shared>,
        endpoint: &Endpoint,
        peer: &PublicKey,
        addresses: &[SocketAddr],
        relay: Option<&str>,
    ) -> Result<Self> {
        let id = iroh::PublicKey::from_bytes(peer.as_bytes()).map_err(|error| {
            Error::new(ErrorKind::InvalidConfig, format!("{peer} is no public key"))
                .with_source(error)
        })?;
        let mut target = EndpointAddr::new(id);
        for address in addresses {
            target = target.with_ip_addr(*address);
        }
        if let Some(url) = relay.and_then(|relay| relay.parse::<RelayUrl>().ok()) {
            target = target.with_relay_url(url);
        }
        if target.is_empty() {
            return Err(Error::new(
                ErrorKind::Unreachable,
                "QUIC: neither an address of it nor a relay is known",
            ));
        }
        let dialed = timeout(CONNECT, async {
            let connection = endpoint
                .connect(target, PROTOCOL_NAME)
                .await
                .map_err(|error| {
                    if is_other_key(&error) {
                        let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                        return other_key(&format!("QUIC {}", shown.join(" or ")), peer);
                    }
                    Error::new(ErrorKind::Unreachable, format!("QUIC: {error:#}"))
                        .with_source(error)
                })?;
            let traffic = shared.traffic_of(peer);
            let mut channel = open(&connection, &traffic)
                .await
                .map_err(|error| explain(&error))?;
            let introduction = match greeting::call(&mut channel, shared, peer).await {
                Ok(introduction) => introduction,
                Err(error) => {
                    // A close that overtook the answer says the same.
                    let error = connection
                        .close_reason()
                        .map_or(error, |reason| explain(&reason));
                    connection.close(OVER, b"");
                    return Err(error);
                }
            };
            Ok(Self {
                connection,
                introduction,
                traffic,
                nearest: Mutex::default(),
            })
        });
        match dialed.await {
            Ok(dialed) => dialed,
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!("QUIC: no answer within {} s", CONNECT.as_secs()),
            )),
        }
    }

    /// Answers a connection that somebody made, once it has greeted and may come in.
    pub(super) async fn answer(
        shared: &Arc<Shared>,
        connection: Connection,
    ) -> Option<(PublicKey, Self)> {
        let peer = PublicKey::from_bytes(*connection.remote_id().as_bytes());
        let traffic = shared.traffic_of(&peer);
        let greeted = timeout(CONNECT, async {
            let (sender, receiver) = connection.accept_bi().await.ok()?;
            let mut channel = Channel::new(
                Box::new(QuicStream { receiver, sender }),
                None,
                Arc::clone(&traffic),
            );
            greeting::receive(&mut channel, shared, &peer, "QUIC").await
        });
        if let Ok(Some(introduction)) = greeted.await {
            return Some((
                peer,
                Self {
                    connection,
                    introduction,
                    traffic,
                    nearest: Mutex::default(),
                },
            ));
        }
        // The words are on their way; whoever called hangs up when it has read them.
        let _ = timeout(Duration::from_millis(500), connection.closed()).await;
        connection.close(DENIED, b"refused");
        None
    }

    /// Serves the peer's requests until the connection ends.
    pub(super) async fn serve(&self, shared: &Arc<Shared>, peer: PublicKey) {
        while let Ok((sender, receiver)) = self.connection.accept_bi().await {
            let stream = Box::new(QuicStream { receiver, sender });
            let channel = Channel::new(stream, None, Arc::clone(&self.traffic));
            tokio::spawn(super::serve::serve(Arc::clone(shared), peer, channel, IDLE));
        }
    }

    /// The shortest time there and back that was seen on the present way. The time of now has in it what waits in
    /// the queues that we fill ourselves: to allow for that would fill them further.
    fn distance(&self) -> Option<Duration> {
        let (path, now) = (self.path(), self.round_trip()?);
        let mut nearest = self.nearest.lock().unwrap_or_else(PoisonError::into_inner);
        let before = nearest.filter(|(way, _)| *way == path);
        let shortest = before.map_or(now, |(_, shortest)| shortest.min(now));
        *nearest = Some((path, shortest));
        Some(shortest)
    }

    /// The peer's addresses that packets take, without the relay's.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let paths = self.connection.paths();
        let addresses = paths.iter().filter_map(|path| match path.remote_addr() {
            TransportAddr::Ip(address) => Some(*address),
            _ => None,
        });
        addresses.collect()
    }
}

/// A stream each way.
struct QuicStream {
    receiver: RecvStream,
    sender: SendStream,
}

impl AsyncRead for QuicStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        AsyncRead::poll_read(Pin::new(&mut self.receiver), context, target)
    }
}

impl AsyncWrite for QuicStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.sender), context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.sender), context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(&mut self.sender), context)
    }
}

impl Duplex for QuicStream {
    /// The library keeps what it may have to send again: by reference, it need not copy it.
    fn send_some<'a>(&'a mut self, bytes: &'a mut Bytes) -> Boxed<'a, io::Result<()>> {
        Box::pin(async move {
            let mut one = [bytes.clone()];
            let sent = self.sender.write_many_chunks(&mut &mut one[..]).await?;
            bytes.advance(sent);
            Ok(())
        })
    }

    fn give_way(&mut self) {
        // A stream that has ended has nothing left to send.
        let _ = self.sender.set_priority(BULK);
    }
}

async fn open(connection: &Connection, traffic: &Arc<Traffic>) -> Result<Channel, ConnectionError> {
    let (sender, receiver) = connection.open_bi().await?;
    Ok(Channel::new(
        Box::new(QuicStream { receiver, sender }),
        None,
        Arc::clone(traffic),
    ))
}

/// Whether a handshake failed because whoever was called has another key than was looked for. The
/// QUIC library ends it with this alert of TLS, `unknown_ca`, which both sides see.
pub(super) fn is_other_key(error: &(dyn std::error::Error + 'static)) -> bool {
    let code = TransportErrorCode::crypto(48);
    let mut next = Some(error);
    while let Some(error) = next {
        match error.downcast_ref() {
            Some(ConnectionError::TransportError(error)) => return error.code == code,
            Some(ConnectionError::ConnectionClosed(close)) => return close.error_code == code,
            _ => next = error.source(),
        }
    }
    false
}

/// Where a connection that is being made comes from, for people.
pub(super) fn host_of(incoming: &Incoming) -> String {
    match incoming.remote_addr() {
        IncomingAddr::Ip(address) => address.ip().to_string(),
        IncomingAddr::Relay { endpoint_id, .. } => endpoint_id.to_string(),
        _ => "somebody".to_owned(),
    }
}

fn explain(error: &ConnectionError) -> Error {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            let words = String::from_utf8_lossy(&close.reason);
            let kind = if close.error_code == DENIED {
                ErrorKind::PermissionDenied
            } else {
                ErrorKind::Unreachable
            };
            Error::new(
                kind,
                format!("QUIC: the peer has closed the connection ({words})"),
            )
        }
        ConnectionError::TimedOut => {
            Error::new(ErrorKind::Timeout, "QUIC: the peer no longer answers")
        }
        other => Error::new(ErrorKind::Unreachable, format!("QUIC: {other}")),
    }
}

impl Link for QuicLink {
    fn open(&self) -> Boxed<'_, Result<Channel, Failure>> {
        Box::pin(async {
            match timeout(CONNECT, open(&self.connection, &self.traffic)).await {
                Ok(opened) => opened.map_err(|error| Failure::Lost(explain(&error))),
                Err(_) => Err(Failure::Lost(explain(&ConnectionError::TimedOut))),
            }
        })
    }

    fn introduction(&self) -> &Introduction {
        &self.introduction
    }

    fn path(&self) -> Path {
        let paths = self.connection.paths();
        let relayed = paths
            .iter()
            .find(iroh::endpoint::Path::is_selected)
            .is_some_and(|path| path.is_relay());
        if relayed { Path::Relay } else { Path::Quic }
    }

    fn round_trip(&self) -> Option<Duration> {
        let paths = self.connection.paths();
        let selected = paths
            .iter()
            .find(iroh::endpoint::Path::is_selected)
            .map(|path| path.id());
        self.connection.rtt(selected.unwrap_or(PathId::ZERO))
    }

    fn stripes(&self) -> Stripes {
        // A stream carries a window in a round trip.
        let lanes = on_the_way(self.distance(), WINDOW.into_inner());
        // A relay passes everything on in order: what waits there keeps small answers waiting, too.
        let fewest = if self.path() == Path::Relay {
            1
        } else {
            LANES.0
        };
        Stripes {
            lanes: lanes.clamp(fewest, LANES.1),
            range: RANGE,
            ahead: 2,
        }
    }

    fn ended(&self) -> Option<String> {
        self.connection
            .close_reason()
            .map(|reason| explain(&reason).to_string())
    }

    fn close(&self, words: &str) {
        self.connection.close(OVER, words.as_bytes());
    }
}

impl fmt::Debug for QuicLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QuicLink({})", self.connection.remote_id().fmt_short())
    }
}

#[cfg(test)]
mod tests {
    /// With a window of 3 MB and more the QUIC library of today ends connections in the middle of large objects
    /// ("too many gaps in stream buffer"): it keeps at most 2,048 chunks of 1,200 bytes and more in order.
    #[test]
    fn streams_keep_the_small_window_that_connections_survive() {
        let settings = format!("{:?}", super::transport());
        let window = settings.split("stream_receive_window: ").nth(1).unwrap();
        let digits: String = window.chars().take_while(char::is_ascii_digit).collect();
        let window: u64 = digits.parse().unwrap();
        assert!(window <= 2048 * 1200, "{window} bytes");
    }
}

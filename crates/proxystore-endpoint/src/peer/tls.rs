//! TCP and TLS 1.3, straight to a peer's port: the quickest way, where there is one.
//!
//! A connection carries one exchange at a time and is kept for the next; exchanges side by side have connections
//! side by side.

use super::channel::{ANSWER, Boxed, Channel, Duplex, Failure, Home};
use super::transport::{Link, Stripes, on_the_way};
use super::wire::Introduction;
use super::{Shared, Traffic, greeting, raw_key};
use crate::identity::PublicKey;
use crate::remote::Path;
use bytes::{Buf, Bytes};
use proxystore::{Error, ErrorKind, Result};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// Longest time for a connection, its handshake and the greetings.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection without work is kept by whoever made it; the other side waits twice as long.
const IDLE: Duration = Duration::from_secs(60);
/// Connections whose other side has not proven a key yet. More wait in the kernel's queue.
const STRANGERS: usize = 128;
/// Connections side by side for one object.
const LANES: usize = 4;
/// Bytes that go to and come from the socket in one call.
const AHEAD: usize = 256 << 10;
/// Bytes of a range. The next one is asked for before the last has come, so that short ones cost little.
const RANGE: u64 = 2 << 20;
/// Most ranges that are asked for ahead.
const MOST_AHEAD: usize = 16;

/// A peer's port, and connections to it.
pub(super) struct TlsLink {
    pool: Arc<Pool>,
    introduction: Introduction,
}

struct Pool {
    shared: Arc<Shared>,
    peer: PublicKey,
    address: SocketAddr,
    config: Arc<ClientConfig>,
    traffic: Arc<Traffic>,
    state: Mutex<State>,
    this: Weak<Pool>,
}

#[derive(Default)]
struct State {
    idle: Vec<(Instant, Box<dyn Duplex>)>,
    ended: Option<String>,
    round_trip: Option<Duration>,
}

impl TlsLink {
    /// Connects.
    pub(super) async fn dial(
        shared: &Arc<Shared>,
        peer: &PublicKey,
        address: SocketAddr,
        traffic: &Arc<Traffic>,
    ) -> Result<Self> {
        let config = raw_key::client(&shared.key, peer)?;
        let pool = Arc::new_cyclic(|this| Pool {
            shared: Arc::clone(shared),
            peer: *peer,
            address,
            config,
            traffic: Arc::clone(traffic),
            state: Mutex::default(),
            this: this.clone(),
        });
        let (channel, introduction) = pool.dial().await?;
        channel.release();
        Ok(Self { pool, introduction })
    }
}

impl Pool {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn dial(&self) -> Result<(Channel, Introduction)> {
        let to = self.address;
        let dialed = timeout(CONNECT, async {
            let stream = TcpStream::connect(to)
                .await
                .map_err(|error| Error::io(error, format!("nobody answers at TCP {to}")))?;
            tune(&stream);
            let name = ServerName::try_from("endpoint.invalid").map_err(|error| {
                Error::new(ErrorKind::Io, "TLS needs a name for the peer").with_source(error)
            })?;
            let stream = TlsConnector::from(Arc::clone(&self.config))
                .connect(name, ahead(stream))
                .await
                .map_err(|error| self.explain(error))?;
            let home = self.this.upgrade().map(|pool| pool as Arc<dyn Home>);
            let mut channel = Channel::new(
                Box::new(Secured::new(TlsStream::from(stream))),
                home,
                Arc::clone(&self.traffic),
            );
            let asked = Instant::now();
            let introduction = greeting::call(&mut channel, &self.shared, &self.peer).await?;
            let took = asked.elapsed();
            let mut state = self.state();
            // The shortest is the distance; what others took longer, they waited behind our own bytes.
            state.round_trip = Some(state.round_trip.map_or(took, |known| known.min(took)));
            drop(state);
            Ok((channel, introduction))
        });
        match dialed.await {
            Ok(dialed) => dialed,
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!("no answer at TCP {to} within {} s", CONNECT.as_secs()),
            )),
        }
    }

    fn explain(&self, error: std::io::Error) -> Error {
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if matches!(inner, Some(rustls::Error::InvalidCertificate(_))) {
            return other_key(&self.address.to_string(), &self.peer);
        }
        Error::io(
            error,
            format!("no endpoint answers at TCP {}", self.address),
        )
    }
}

/// What is said where somebody else answers than was looked for.
pub(super) fn other_key(place: &str, peer: &PublicKey) -> Error {
    Error::new(
        ErrorKind::PermissionDenied,
        format!(
            "whoever answers at {place} has another key than {peer}: the address belongs to another endpoint, or the \
             peer has a new key, which must then be added to the list"
        ),
    )
}

/// Whether whoever called hung up because of our key; [`raw_key`]'s verifier does so with this alert.
fn is_other_key(error: &std::io::Error) -> bool {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(
        inner,
        Some(rustls::Error::AlertReceived(
            rustls::AlertDescription::AccessDenied
        ))
    )
}

impl Home for Pool {
    fn give_back(&self, stream: Box<dyn Duplex>) {
        let mut state = self.state();
        if state.ended.is_none() && state.idle.len() < 2 * LANES {
            state.idle.push((Instant::now(), stream));
        }
    }
}

impl Link for TlsLink {
    fn open(&self) -> Boxed<'_, Result<Channel, Failure>> {
        let idle = {
            let mut state = self.pool.state();
            state.idle.retain(|(since, _)| since.elapsed() < IDLE);
            state.idle.pop()
        };
        Box::pin(async move {
            if let Some((_, stream)) = idle {
                let home = Some(Arc::clone(&self.pool) as Arc<dyn Home>);
                return Ok(Channel::new(stream, home, Arc::clone(&self.pool.traffic)));
            }
            match self.pool.dial().await {
                Ok((channel, _)) => Ok(channel),
                Err(error) => {
                    self.close(&error.to_string());
                    Err(Failure::Lost(error))
                }
            }
        })
    }

    fn introduction(&self) -> &Introduction {
        &self.introduction
    }

    fn path(&self) -> Path {
        Path::DirectTls
    }

    fn round_trip(&self) -> Option<Duration> {
        self.pool.state().round_trip
    }

    fn stripes(&self) -> Stripes {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let lanes = cores.clamp(2, LANES);
        let ahead = on_the_way(self.round_trip(), RANGE * lanes as u64);
        Stripes {
            lanes,
            range: RANGE,
            // One more: the next range is there before the last has gone.
            ahead: 1 + ahead.clamp(1, MOST_AHEAD),
        }
    }

    fn ended(&self) -> Option<String> {
        self.pool.state().ended.clone()
    }

    fn close(&self, words: &str) {
        let mut state = self.pool.state();
        state.idle.clear();
        state.ended.get_or_insert_with(|| words.to_owned());
    }
}

impl fmt::Debug for TlsLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "TlsLink({} at {})",
            self.pool.peer.short(),
            self.pool.address
        )
    }
}

/// Serves those who connect, until the task is aborted.
pub(super) async fn listen(shared: Arc<Shared>, listener: TcpListener) -> Result<()> {
    let acceptor = TlsAcceptor::from(raw_key::server(&shared.key)?);
    let strangers = Arc::new(Semaphore::new(STRANGERS));
    loop {
        let Ok(permit) = Arc::clone(&strangers).acquire_owned().await else {
            return Ok(());
        };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            // Out of descriptors, or the caller has gone again.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (shared, acceptor) = (Arc::clone(&shared), acceptor.clone());
        tokio::spawn(async move {
            tune(&stream);
            let greeted = timeout(CONNECT, async {
                let stream = match acceptor.accept(ahead(stream)).await {
                    Ok(stream) => stream,
                    Err(error) => {
                        if is_other_key(&error) {
                            shared.misdirected(&from.ip().to_string());
                        }
                        return None;
                    }
                };
                let peer = raw_key::proven(stream.get_ref().1.peer_certificates())?;
                let traffic = shared.traffic_of(&peer);
                let mut channel = Channel::new(
                    Box::new(Secured::new(TlsStream::from(stream))),
                    None,
                    traffic,
                );
                let from = format!("TCP {from}");
                greeting::receive(&mut channel, &shared, &peer, &from).await?;
                Some((channel, peer))
            })
            .await;
            drop(permit);
            if let Ok(Some((channel, peer))) = greeted {
                super::serve::serve(shared, peer, channel, 2 * IDLE).await;
            }
        });
    }
}

/// A connection behind its handshake.
struct Secured(TlsStream<BufReader<TcpStream>>);

impl Secured {
    fn new(mut stream: TlsStream<BufReader<TcpStream>>) -> Self {
        match &mut stream {
            TlsStream::Client(client) => client.get_mut().1.set_buffer_limit(Some(AHEAD)),
            TlsStream::Server(server) => server.get_mut().1.set_buffer_limit(Some(AHEAD)),
        }
        Self(stream)
    }
}

/// TLS itself reads from the socket in pieces of 4 kB to 18 kB.
fn ahead(stream: TcpStream) -> BufReader<TcpStream> {
    BufReader::with_capacity(AHEAD, stream)
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, target)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl Duplex for Secured {
    fn send_some<'a>(&'a mut self, bytes: &'a mut Bytes) -> Boxed<'a, io::Result<()>> {
        Box::pin(async move {
            let sent = self.0.write(bytes).await?;
            bytes.advance(sent);
            Ok(())
        })
    }
}

/// Small messages leave at once, and a host that vanishes is noticed.
fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let options = [
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1),
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 3),
        (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, 2),
        (libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 3),
        (
            libc::IPPROTO_TCP,
            libc::TCP_USER_TIMEOUT,
            ANSWER.as_millis() as libc::c_int,
        ),
    ];
    for (level, option, value) in options {
        // SAFETY: the descriptor is open, and the value is an int that outlives the call.
        unsafe {
            libc::setsockopt(
                stream.as_raw_fd(),
                level,
                option,
                (&raw const value).cast(),
                std::mem::size_of::<libc::c_int>() as libc::socklen_t,
            );
        }
    }
}

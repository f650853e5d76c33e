//! Bytes to and from a server, over whatever carries them, with limits of time.

use super::config::Address;
#[cfg(feature = "tls")]
use super::tls::Session;
use super::tls::TlsConfig;
use crate::interrupt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How often a waiting call asks whether the program wants it to end.
const SLICE: Duration = Duration::from_millis(500);

pub(super) struct Stream {
    socket: Socket,
    /// How long one call of the system waits, and how long all of them without a byte between.
    slice: Duration,
    limit: Duration,
    #[cfg(feature = "tls")]
    tls: Option<Session>,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

pub(super) fn remaining(deadline: Instant) -> io::Result<Duration> {
    let rest = deadline.saturating_duration_since(Instant::now());
    if rest.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(rest)
}

impl Stream {
    pub(super) fn connect(
        address: &Address<'_>,
        tls: Option<&TlsConfig>,
        deadline: Instant,
    ) -> io::Result<Self> {
        #[cfg(not(feature = "tls"))]
        let _ = tls; // refused by `RedisConfig::check`
        Ok(Self {
            #[cfg(feature = "tls")]
            tls: match (tls, address) {
                (Some(tls), Address::Tcp(host, _)) => Some(Session::new(tls, host)?),
                _ => None,
            },
            socket: Socket::connect(address, deadline)?,
            slice: Duration::ZERO,
            limit: Duration::ZERO,
        })
    }

    /// How long to wait, without any byte sent or received.
    pub(super) fn set_timeout(&mut self, limit: Duration) -> io::Result<()> {
        let slices = limit.as_nanos().div_ceil(SLICE.as_nanos()).max(1);
        self.slice = limit / u32::try_from(slices).unwrap_or(u32::MAX);
        self.limit = limit;
        match &self.socket {
            Socket::Tcp(stream) => {
                stream.set_read_timeout(Some(self.slice))?;
                stream.set_write_timeout(Some(self.slice))
            }
            Socket::Unix(stream) => {
                stream.set_read_timeout(Some(self.slice))?;
                stream.set_write_timeout(Some(self.slice))
            }
        }
    }

    pub(super) fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let (socket, slice, limit) = (&self.socket, self.slice, self.limit);
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return patiently(slice, limit, || tls.send(socket, slices));
        }
        patiently(slice, limit, || send_vectored(socket.as_raw_fd(), slices))
    }

    /// Sends what may still be on this side.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            let socket = &self.socket;
            return patiently(self.slice, self.limit, || tls.flush(socket)).map(drop);
        }
        Ok(())
    }

    /// Receives at least one byte.
    pub(super) fn receive(&mut self, parts: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let (mut socket, slice, limit) = (&self.socket, self.slice, self.limit);
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            let part = parts.iter_mut().find(|part| !part.is_empty());
            let part = part.map(|part| &mut **part).unwrap_or_default();
            return match patiently(slice, limit, || tls.receive(socket, part)) {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                got => got,
            };
        }
        match patiently(slice, limit, || socket.read_vectored(parts)) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            got => got,
        }
    }

    /// Waits for something to receive. False if the time is over.
    pub(super) fn is_readable(&mut self, limit: Duration) -> io::Result<bool> {
        #[cfg(feature = "tls")]
        if self.tls.as_mut().is_some_and(Session::has_more) {
            return Ok(true);
        }
        let began = Instant::now();
        loop {
            let left = limit.saturating_sub(began.elapsed());
            let mut wanted = libc::pollfd {
                fd: self.socket.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            let slice = libc::c_int::try_from(left.min(SLICE).as_micros().div_ceil(1000));
            // SAFETY: one `pollfd`, alive during the call.
            let got = unsafe { libc::poll(&raw mut wanted, 1, slice.unwrap_or(libc::c_int::MAX)) };
            if got > 0 {
                return Ok(true);
            }
            if got < 0 {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            if interrupt::is_requested() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if left.is_zero() {
                return Ok(false);
            }
        }
    }
}

/// Repeats a call until it moves something, the time is over, or the program wants it to end.
fn patiently(
    slice: Duration,
    limit: Duration,
    mut call: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    let mut waited = Duration::ZERO;
    loop {
        let error = match call() {
            Ok(moved) => return Ok(moved),
            Err(error) => error,
        };
        match error.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => waited += slice,
            _ => return Err(error),
        }
        // After a slice as well: a signal just before the call does not wake it.
        if interrupt::is_requested() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if waited >= limit {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

impl Read for &Socket {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.read_vectored(&mut [IoSliceMut::new(target)])
    }

    fn read_vectored(&mut self, parts: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => { stream }.read_vectored(parts),
            Socket::Unix(stream) => { stream }.read_vectored(parts),
        }
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        send_vectored(self.as_raw_fd(), slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    fn connect(address: &Address<'_>, deadline: Instant) -> io::Result<Self> {
        match address {
            Address::Unix(path) => Ok(Self::Unix(UnixStream::connect(path)?)),
            Address::Tcp(host, port) => {
                let mut last = io::Error::other("the name stands for no address");
                for address in resolve(host, *port, deadline)? {
                    match TcpStream::connect_timeout(&address, remaining(deadline)?) {
                        Ok(stream) => {
                            // A command is sent whole; it must not wait for company.
                            stream.set_nodelay(true)?;
                            keep_alive(stream.as_raw_fd());
                            return Ok(Self::Tcp(stream));
                        }
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
        }
    }
}

/// The addresses of a host. Names are looked up on a thread of their own: the system's resolver
/// has no time limit.
fn resolve(host: &str, port: u16, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = host.to_owned();
    let (found, wait) = std::sync::mpsc::channel();
    std::thread::Builder::new()
        .name("proxystore-resolve".to_owned())
        .spawn(move || {
            let addresses = (name.as_str(), port).to_socket_addrs();
            let _ = found.send(addresses.map(Iterator::collect));
        })?;
    wait.recv_timeout(remaining(deadline)?)
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Lets the system notice a peer that has gone without a word. Best effort.
fn keep_alive(socket: RawFd) {
    let on: libc::c_int = 1;
    // SAFETY: the option is an int, and lives through the call.
    unsafe {
        libc::setsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_KEEPALIVE,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
}

/// `writev` that never raises `SIGPIPE`, whatever the program around us does with that signal.
fn send_vectored(socket: RawFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    /// The system takes no more pieces at once.
    const MOST: usize = 1024;
    // SAFETY: a message header of zeros is a valid one.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    // `IoSlice` has the layout of `iovec`; the system only reads through the pointer.
    message.msg_iov = slices.as_ptr().cast_mut().cast();
    message.msg_iovlen = slices.len().min(MOST) as _;
    // SAFETY: `message` describes slices that live through the call.
    let sent = unsafe { libc::sendmsg(socket, &raw const message, libc::MSG_NOSIGNAL) };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(sent as usize)
    }
}

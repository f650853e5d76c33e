//! One socket to a server: commands out, replies in.

use super::config::{Address, RedisConfig};
use super::protocol::{Commands, Head};
use crate::blob::Buffer;
use crate::{fork, interrupt};
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Bytes that are received ahead. A whole small reply fits.
const AHEAD: usize = 16 << 10;
/// A line of a reply is shorter than this.
const LONGEST_LINE: usize = 8 << 10;

/// How often a waiting call asks whether the program wants it to end.
const SLICE: Duration = Duration::from_millis(500);

/// What went wrong in a call.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection is of no more use.
    Broken(io::Error),
    /// The server's own words.
    Server(String),
    /// What came is not what was asked for.
    Protocol(String),
    /// This process has no memory for a value of so many bytes.
    NoMemory(usize),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

pub(super) struct Connection {
    stream: Stream,
    generation: u64,
    ahead: Box<[u8]>,
    start: usize,
    end: usize,
    /// Replies still to come. A connection that is given back owes none.
    owed: usize,
    /// Nothing unexpected has come.
    sound: bool,
}

struct Stream {
    socket: Socket,
    /// How long one call of the system waits, and how long all of them without a byte between.
    slice: Duration,
    limit: Duration,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connection {
    /// Connects, and introduces itself, within the connect timeout.
    pub(super) fn open(config: &RedisConfig) -> Result<Self, Failure> {
        let deadline = Instant::now() + config.connect_timeout;
        let stream = Stream::connect(&config.address(), deadline)?;
        let mut connection = Self {
            stream,
            generation: fork::generation(),
            ahead: vec![0; AHEAD].into_boxed_slice(),
            start: 0,
            end: 0,
            owed: 0,
            sound: true,
        };
        connection.stream.set_timeout(remaining(deadline)?)?;
        connection.introduce(config)?;
        connection.stream.set_timeout(config.timeout)?;
        Ok(connection)
    }

    fn introduce(&mut self, config: &RedisConfig) -> Result<(), Failure> {
        let mut commands = Commands::new();
        if let Some(password) = &config.password {
            match &config.username {
                Some(user) => commands.push(&[b"AUTH", user.as_bytes(), password.as_bytes()]),
                None => commands.push(&[b"AUTH", password.as_bytes()]),
            }
        }
        if config.db != 0 {
            commands.push(&[b"SELECT", config.db.to_string().as_bytes()]);
        }
        if commands.count() == 0 {
            return Ok(());
        }
        self.send(&commands)?;
        for _ in 0..commands.count() {
            self.ok()?;
        }
        Ok(())
    }

    /// Whether it can serve the next call, in this process.
    pub(super) fn is_reusable(&self) -> bool {
        self.sound && self.owed == 0 && self.start == self.end && self.is_ours()
    }

    /// Whether this process opened it: a socket from before a fork is the parent's.
    pub(super) fn is_ours(&self) -> bool {
        self.generation == fork::generation()
    }

    /// Sends commands; their replies are to be read in order.
    pub(super) fn send(&mut self, commands: &Commands<'_>) -> Result<(), Failure> {
        self.owed += commands.count();
        let mut slices = commands.slices();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            let sent = self.stream.send(rest);
            let sent = sent.map_err(|error| self.broken(error))?;
            IoSlice::advance_slices(&mut rest, sent);
        }
        Ok(())
    }

    /// Reads the first line of a reply. What the server refuses is a failure.
    pub(super) fn head(&mut self) -> Result<Head, Failure> {
        self.owed = match self.owed.checked_sub(1) {
            Some(owed) => owed,
            None => return Err(Failure::Protocol("fewer answers than asked for".to_owned())),
        };
        match self.line()? {
            Head::Error(words) => Err(Failure::Server(words)),
            head => Ok(head),
        }
    }

    /// A reply that should be `OK` or the like.
    pub(super) fn ok(&mut self) -> Result<(), Failure> {
        match self.head()? {
            Head::Simple(_) => Ok(()),
            head => Err(self.unexpected(&head)),
        }
    }

    /// A reply that should be a number.
    pub(super) fn integer(&mut self) -> Result<i64, Failure> {
        match self.head()? {
            Head::Integer(number) => Ok(number),
            head => Err(self.unexpected(&head)),
        }
    }

    /// A reply that should be a value or nothing.
    pub(super) fn bulk(&mut self) -> Result<Option<Buffer>, Failure> {
        let head = self.head()?;
        self.bulk_after(&head)
    }

    /// A reply that should be a list: its length. Its items are then owed as well.
    pub(super) fn array(&mut self) -> Result<usize, Failure> {
        match self.head()? {
            Head::Array(Some(len)) => {
                self.owed = self.owed.saturating_add(len);
                Ok(len)
            }
            head => Err(self.unexpected(&head)),
        }
    }

    /// A reply that should be a value of exactly this length, or nothing. `false` for nothing.
    pub(super) fn bulk_into(&mut self, target: &mut [u8]) -> Result<bool, Failure> {
        match self.head()? {
            Head::Bulk(None) => Ok(false),
            Head::Bulk(Some(len)) if len == target.len() => {
                self.body(target)?;
                Ok(true)
            }
            head => Err(self.unexpected(&head)),
        }
    }

    /// Reads and forgets every reply that is owed.
    pub(super) fn drain(&mut self) -> Result<(), Failure> {
        while self.owed > 0 {
            match self.head() {
                Err(Failure::Server(_)) | Ok(Head::Simple(_) | Head::Integer(_)) => {}
                Ok(Head::Array(len)) => self.owed = self.owed.saturating_add(len.unwrap_or(0)),
                Ok(head) => drop(self.bulk_after(&head)?),
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Waits for something to read, without reading it. False if the time is over.
    pub(super) fn is_readable(&mut self, limit: Duration) -> Result<bool, Failure> {
        if self.start < self.end {
            return Ok(true);
        }
        let readable = self.stream.is_readable(limit);
        readable.map_err(|error| self.broken(error))
    }

    /// Reads and forgets what the server says without having been asked.
    pub(super) fn announced(&mut self) -> Result<(), Failure> {
        self.owed += 1;
        self.drain()
    }

    /// The answer to `EXEC`: one result for each command between, read by `read`.
    pub(super) fn transaction<T>(
        &mut self,
        queued: usize,
        read: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.ok()?; // MULTI
        let mut refused = None;
        for _ in 0..queued {
            match self.ok() {
                Ok(()) => {}
                // `EXEC` answers too, so that the connection stays of use.
                Err(failure @ Failure::Server(_)) => refused = refused.or(Some(failure)),
                Err(failure) => return Err(failure),
            }
        }
        let len = match (self.array(), refused) {
            (_, Some(failure)) => return Err(failure),
            (len, None) => len?,
        };
        if len != queued {
            return Err(self.unexpected(&Head::Array(Some(len))));
        }
        read(self)
    }

    fn bulk_after(&mut self, head: &Head) -> Result<Option<Buffer>, Failure> {
        match head {
            Head::Bulk(None) => Ok(None),
            Head::Bulk(Some(len)) => {
                let Some(mut buffer) = Buffer::try_with_len(*len) else {
                    self.sound = false; // the value is still on its way
                    return Err(Failure::NoMemory(*len));
                };
                self.body(&mut buffer)?;
                Ok(Some(buffer))
            }
            head => Err(self.unexpected(head)),
        }
    }

    fn line(&mut self) -> Result<Head, Failure> {
        let mut searched = 0;
        loop {
            let waiting = &self.ahead[self.start..self.end];
            if let Some(at) = waiting[searched..].iter().position(|byte| *byte == b'\n') {
                let line = &waiting[..searched + at];
                let head = line.strip_suffix(b"\r").and_then(Head::parse);
                let text = String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned();
                self.start += searched + at + 1;
                return head.ok_or_else(|| self.not_redis(&text));
            }
            searched = waiting.len();
            if searched >= LONGEST_LINE {
                return Err(self.not_redis("a line without end"));
            }
            self.fill()?;
        }
    }

    /// Receives more than there is.
    fn fill(&mut self) -> Result<(), Failure> {
        if self.start > 0 {
            self.ahead.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let got = self
            .stream
            .receive(&mut [IoSliceMut::new(&mut self.ahead[self.end..])]);
        self.end += got.map_err(|error| self.broken(error))?;
        Ok(())
    }

    /// Receives a value straight into place; what comes after it goes into `ahead`.
    fn body(&mut self, target: &mut [u8]) -> Result<(), Failure> {
        let mut filled = target.len().min(self.end - self.start);
        target[..filled].copy_from_slice(&self.ahead[self.start..self.start + filled]);
        self.start += filled;
        while filled < target.len() {
            // Nothing is ahead now.
            (self.start, self.end) = (0, 0);
            let rest = &mut target[filled..];
            let wanted = rest.len();
            let mut parts = [IoSliceMut::new(rest), IoSliceMut::new(&mut self.ahead)];
            let got = self.stream.receive(&mut parts);
            let got = got.map_err(|error| self.broken(error))?;
            filled += got.min(wanted);
            self.end = got.saturating_sub(wanted);
        }
        while self.end - self.start < 2 {
            self.fill()?;
        }
        if &self.ahead[self.start..self.start + 2] != b"\r\n" {
            return Err(self.not_redis("a value without end"));
        }
        self.start += 2;
        Ok(())
    }

    fn broken(&mut self, error: io::Error) -> Failure {
        self.sound = false;
        Failure::Broken(error)
    }

    fn not_redis(&mut self, text: &str) -> Failure {
        self.sound = false;
        Failure::Protocol(format!(
            "what answers there does not speak Redis's protocol: it said {text:?}"
        ))
    }

    fn unexpected(&mut self, head: &Head) -> Failure {
        self.sound = false;
        Failure::Protocol(format!(
            "an answer that does not fit the question: {head:?}"
        ))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("socket", &self.stream.socket.as_raw_fd())
            .field("owed", &self.owed)
            .finish_non_exhaustive()
    }
}

fn remaining(deadline: Instant) -> io::Result<Duration> {
    let rest = deadline.saturating_duration_since(Instant::now());
    if rest.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(rest)
}

impl Stream {
    fn connect(address: &Address<'_>, deadline: Instant) -> io::Result<Self> {
        Ok(Self {
            socket: Socket::connect(address, deadline)?,
            slice: Duration::ZERO,
            limit: Duration::ZERO,
        })
    }

    /// How long to wait, without any byte sent or received.
    fn set_timeout(&mut self, limit: Duration) -> io::Result<()> {
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

    fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.patiently(|| send_vectored(self.socket.as_raw_fd(), slices))
    }

    /// Receives at least one byte.
    fn receive(&self, parts: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let got = self.patiently(|| match &self.socket {
            Socket::Tcp(stream) => { stream }.read_vectored(parts),
            Socket::Unix(stream) => { stream }.read_vectored(parts),
        });
        match got {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            got => got,
        }
    }

    /// Waits for something to receive. False if the time is over.
    fn is_readable(&self, limit: Duration) -> io::Result<bool> {
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

    /// Repeats a call until it moves something, the time is over, or the program wants it to end.
    fn patiently(&self, mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
        let mut waited = Duration::ZERO;
        loop {
            let error = match call() {
                Ok(moved) => return Ok(moved),
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => waited += self.slice,
                _ => return Err(error),
            }
            // After a slice as well: a signal just before the call does not wake it.
            if interrupt::is_requested() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if waited >= self.limit {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
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

//! One socket to a server: commands out, replies in.

use super::cluster::Migration;
use super::config::{Address, RedisConfig};
use super::protocol::{Commands, Head};
use super::sentinel;
use super::stream::{Stream, remaining};
use crate::blob::Buffer;
use crate::config::secret;
use crate::fork;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Bytes that are received ahead. A whole small reply fits.
const AHEAD: usize = 16 << 10;
/// A line of a reply is shorter than this.
const LONGEST_LINE: usize = 8 << 10;

/// What went wrong in a call.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection is of no more use.
    Broken(io::Error),
    /// The server's own words.
    Server(String),
    /// What came is not what was asked for.
    Protocol(String),
    /// What was configured does not hold here.
    Config(crate::Error),
    /// This process has no memory for a value of so many bytes.
    NoMemory(usize),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
    )
}

/// Whether a file that the configuration names is wrong. The system has `InvalidInput` for routes, too.
pub(super) fn is_of_configuration(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput && error.raw_os_error().is_none()
}

pub(super) struct Connection {
    stream: Stream,
    generation: u64,
    ahead: Box<[u8]>,
    start: usize,
    end: usize,
    /// Replies still to come. A connection that is given back owes none.
    pub(super) owed: usize,
    /// Nothing unexpected has come.
    sound: bool,
    /// While a slot of a cluster moves: commands then go one by one.
    pub(super) migration: Option<Box<Migration>>,
}

impl Connection {
    /// Connects, and introduces itself, within the connect timeout.
    pub(super) fn open(config: &RedisConfig) -> Result<Self, Failure> {
        let deadline = Instant::now() + config.connect_timeout;
        let tls = config.tls.as_ref();
        let stream = match &config.sentinel {
            Some(sentinel) => {
                let (host, port) = sentinel::master(config, sentinel, deadline)?;
                Stream::connect(&Address::Tcp(&host, port), tls, deadline)?
            }
            None => Stream::connect(&config.address(), tls, deadline)?,
        };
        let mut connection = Self {
            stream,
            generation: fork::generation(),
            ahead: vec![0; AHEAD].into_boxed_slice(),
            start: 0,
            end: 0,
            owed: 0,
            sound: true,
            migration: None,
        };
        connection.stream.set_timeout(remaining(deadline)?)?;
        connection.introduce(config)?;
        connection.stream.set_timeout(config.timeout)?;
        Ok(connection)
    }

    fn introduce(&mut self, config: &RedisConfig) -> Result<(), Failure> {
        let mut commands = Commands::new();
        if let Some(password) = &config.password {
            let password = secret::resolve(password, "redis").map_err(Failure::Config)?;
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
        let Some(mut migration) = self.migration.take() else {
            return self.send_part(commands, 0, commands.count());
        };
        // What has come and was not read yet stays in front.
        let mut answers = self.ahead[self.start..self.end].to_vec();
        let owed = self.owed;
        (self.start, self.end) = (0, 0);
        let exchanged = migration.exchange(self, commands, &mut answers);
        self.migration = Some(migration);
        exchanged?;
        self.owed = owed + commands.count();
        (self.start, self.end) = (0, answers.len());
        answers.resize(self.end.max(AHEAD), 0);
        self.ahead = answers.into_boxed_slice();
        Ok(())
    }

    /// Sends some of the commands.
    pub(super) fn send_part(
        &mut self,
        commands: &Commands<'_>,
        begin: usize,
        end: usize,
    ) -> Result<(), Failure> {
        self.owed += end - begin;
        let mut slices = commands.part(begin, end);
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            let sent = self.stream.send(rest);
            let sent = sent.map_err(|error| self.broken(error))?;
            IoSlice::advance_slices(&mut rest, sent);
        }
        self.stream.flush().map_err(|error| self.broken(error))
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

    /// The same, or nothing.
    pub(super) fn array_or_nothing(&mut self) -> Result<Option<usize>, Failure> {
        match self.head()? {
            Head::Array(len) => {
                self.owed = self.owed.saturating_add(len.unwrap_or(0));
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

    /// The value that follows such a line, or nothing.
    pub(super) fn bulk_after(&mut self, head: &Head) -> Result<Option<Buffer>, Failure> {
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
            .field("socket", &self.stream.as_raw_fd())
            .field("owed", &self.owed)
            .finish_non_exhaustive()
    }
}

//! Calls over pooled connections: retried where that helps, failures turned into errors.

use super::cluster::{Cluster, Trouble};
use super::config::RedisConfig;
use super::connection::{Connection, Failure, is_of_configuration, is_timeout};
use super::pool::Pool;
use super::protocol::Commands;
use crate::{Error, ErrorKind, Result, interrupt};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Before the second repetition; twice as long before each one after it.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// A server, or a cluster of them, as one process after the other uses it.
#[derive(Debug)]
pub(super) struct Client {
    config: RedisConfig,
    /// Of the one server.
    pool: Pool,
    /// Whether the one server was ever there.
    was_there: AtomicBool,
    cluster: Option<Cluster>,
}

impl Client {
    pub(super) fn new(config: RedisConfig) -> Self {
        let cluster = config.cluster.as_ref();
        Self {
            cluster: cluster.map(|cluster| Cluster::new(&config, cluster)),
            config,
            pool: Pool::new(),
            was_there: AtomicBool::new(false),
        }
    }

    pub(super) fn config(&self) -> &RedisConfig {
        &self.config
    }

    /// Asks whether somebody is there.
    pub(super) fn ping(&self) -> Result<()> {
        match &self.cluster {
            Some(cluster) => cluster.ping().map_err(|trouble| self.trouble(trouble)),
            None => self.call_the_one(|connection| {
                connection.send(&Commands::of(&[b"PING"]))?;
                connection.ok()
            }),
        }
    }

    /// Runs `work`, which is about one key of the server's, on a connection of its own; see
    /// [`call_the_one`](Self::call_the_one).
    pub(super) fn call<T>(
        &self,
        name: &[u8],
        work: impl FnMut(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T> {
        match &self.cluster {
            Some(cluster) => cluster
                .call(name, work)
                .map_err(|trouble| self.trouble(trouble)),
            None => self.call_the_one(work),
        }
    }

    /// Runs `work`, which is about several keys, on each server that has some of them. It is told
    /// the places of those among `names`.
    pub(super) fn call_each(
        &self,
        names: &[Vec<u8>],
        mut work: impl FnMut(&mut Connection, &[usize]) -> Result<(), Failure>,
    ) -> Result<()> {
        match &self.cluster {
            Some(cluster) => cluster
                .call_each(names, &mut work)
                .map_err(|trouble| self.trouble(trouble)),
            None => {
                let all: Vec<_> = (0..names.len()).collect();
                self.call_the_one(|connection| work(connection, &all))
            }
        }
    }

    /// Runs `work`, which is about all keys, on each server that has some. The keys that it
    /// returns have moved to another server: `moved` is run for each of them.
    pub(super) fn call_all(
        &self,
        mut work: impl FnMut(&mut Connection) -> Result<Vec<Vec<u8>>, Failure>,
        mut moved: impl FnMut(&mut Connection, &[u8]) -> Result<(), Failure>,
    ) -> Result<()> {
        let Some(cluster) = &self.cluster else {
            return self.call_the_one(work).map(drop);
        };
        let each = |names: Vec<Vec<u8>>| {
            let mut names = names.iter();
            names.try_for_each(|name| cluster.call(name, |connection| moved(connection, name)))
        };
        cluster
            .call_all(&mut work, each)
            .map_err(|trouble| self.trouble(trouble))
    }

    /// Runs `work` on a connection of its own. `work` must be fit to run twice: if the connection
    /// turns out to be broken (the server was restarted, say), it runs again on a fresh one, at
    /// once and then after longer and longer pauses. Every call is fit: keys are made before their
    /// objects are sent, and setting or removing a second time changes nothing.
    fn call_the_one<T>(
        &self,
        mut work: impl FnMut(&mut Connection) -> Result<T, Failure>,
    ) -> Result<T> {
        let mut connection = self.pool.take();
        let mut result = match &mut connection {
            Some(idle) => work(idle),
            None => match Connection::open(&self.config) {
                Ok(opened) => work(connection.insert(self.is_there(opened))),
                // Another thread found the idle ones broken.
                Err(failure) if self.may_come_back(&failure) => Err(failure),
                Err(failure) => return Err(self.cannot_open(failure)),
            },
        };
        let mut pause = FIRST_PAUSE;
        for attempt in 0..self.config.retries {
            if !self.is_worth_another(&result) {
                break;
            }
            // What broke this one has broken the idle ones as well.
            self.pool.clear();
            if attempt > 0 {
                std::thread::sleep(pause);
                pause *= 2;
                if interrupt::is_requested() {
                    result = Err(io::Error::from(io::ErrorKind::Interrupted).into());
                    break;
                }
            }
            match Connection::open(&self.config) {
                Ok(opened) => result = work(connection.insert(self.is_there(opened))),
                // The first failure is told, unless this one says more.
                Err(Failure::Broken(error)) if attempt + 1 == self.config.retries => {
                    return Err(self.unreachable(error));
                }
                Err(Failure::Broken(_)) => {}
                Err(failure) => result = Err(failure),
            }
        }
        if matches!(result, Err(Failure::Broken(_))) {
            self.pool.clear();
        }
        if let Some(connection) = connection
            && connection.is_reusable()
        {
            self.pool.give(connection);
        }
        result.map_err(|failure| self.error(failure))
    }

    fn is_there(&self, opened: Connection) -> Box<Connection> {
        self.was_there.store(true, Ordering::Relaxed);
        Box::new(opened)
    }

    /// Whether a server to which no connection could be made was there before, and calls are repeated.
    fn may_come_back(&self, failure: &Failure) -> bool {
        let may_pass = matches!(failure, Failure::Broken(error)
            if !is_timeout(error) && !is_of_configuration(error));
        may_pass && self.config.retries > 0 && self.was_there.load(Ordering::Relaxed)
    }

    /// Whether the server is gone for a moment, or is no longer the master.
    fn is_worth_another<T>(&self, result: &Result<T, Failure>) -> bool {
        match result {
            Err(Failure::Broken(error)) => {
                !is_timeout(error) && error.kind() != io::ErrorKind::Interrupted
            }
            Err(Failure::Server(words)) => {
                words.starts_with("LOADING")
                    || self.config.sentinel.is_some() && words.starts_with("READONLY")
            }
            _ => false,
        }
    }

    /// Closes what is idle.
    pub(super) fn close(&self) {
        self.pool.clear();
        self.cluster.iter().for_each(Cluster::close);
    }

    /// A new connection to who has a key.
    pub(super) fn open(&self, name: &[u8]) -> Result<Box<Connection>> {
        match &self.cluster {
            Some(cluster) => cluster.open(name).map_err(|trouble| self.trouble(trouble)),
            None => self.open_the_one(),
        }
    }

    fn open_the_one(&self) -> Result<Box<Connection>> {
        match Connection::open(&self.config) {
            Ok(opened) => Ok(self.is_there(opened)),
            Err(failure) => Err(self.cannot_open(failure)),
        }
    }

    fn cannot_open(&self, failure: Failure) -> Error {
        match failure {
            Failure::Broken(error) => self.unreachable(error),
            failure => self.error(failure),
        }
    }

    /// The error of a cluster's node, or of all of them.
    fn trouble(&self, Trouble { failure, node }: Trouble) -> Error {
        let cluster = self.config.place();
        match (failure, node) {
            (Failure::Broken(error), _) if is_of_configuration(&error) => self.unreachable(error),
            (failure, Some(node)) => told(&self.config, &format!("{node} of {cluster}"), failure),
            (Failure::Broken(error), None) => self.unreachable(error),
            (failure, None) => told(&self.config, &cluster, failure),
        }
    }

    fn unreachable(&self, error: io::Error) -> Error {
        let (place, advice) = (self.config.place(), self.config.advice());
        if is_of_configuration(&error) {
            // A file of the configuration, not the server.
            return Error::new(ErrorKind::InvalidConfig, format!("TLS to {place}"))
                .with_connector("redis")
                .with_source(error);
        }
        let kind = match ErrorKind::of_io(&error) {
            ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            _ if error.kind() == io::ErrorKind::Interrupted => ErrorKind::Io,
            _ => ErrorKind::Unreachable,
        };
        let message = if is_timeout(&error) {
            let limit = self.config.connect_timeout.as_secs_f64();
            format!("no connection to {place} within {limit} s; {advice}")
        } else {
            format!("cannot connect to {place}; {advice}")
        };
        Error::new(kind, message)
            .with_connector("redis")
            .with_source(error)
    }

    pub(super) fn error(&self, failure: Failure) -> Error {
        told(&self.config, &self.config.place(), failure)
    }
}

/// The error of a failure at a place.
fn told(config: &RedisConfig, place: &str, failure: Failure) -> Error {
    let error = match failure {
        Failure::Broken(error) if is_timeout(&error) => {
            let limit = config.timeout.as_secs_f64();
            let message = format!("{place} sent nothing for {limit} s (`timeout`)");
            Error::new(ErrorKind::Timeout, message)
        }
        Failure::Broken(error) if error.kind() == io::ErrorKind::Interrupted => {
            Error::io(error, format!("waiting for {place}"))
        }
        Failure::Broken(error) => {
            let message = format!("the connection to {place} broke; the call may be repeated");
            Error::new(ErrorKind::Unreachable, message).with_source(error)
        }
        Failure::Config(error) => return error,
        Failure::NoMemory(len) => Error::new(
            ErrorKind::TooLarge,
            format!("an object of {len} bytes does not fit into this process's memory"),
        ),
        Failure::Protocol(what) => Error::new(ErrorKind::Io, format!("{place}: {what}")),
        Failure::Server(words) => {
            let (kind, advice) = match words.split(' ').next() {
                Some("MOVED" | "ASK") if config.cluster.is_some() => {
                    let advice = "; its nodes do not agree where this is; the call may be repeated";
                    (ErrorKind::Unreachable, advice)
                }
                _ => meaning(&words),
            };
            Error::new(kind, format!("{place} refused: {words}{advice}"))
        }
    };
    error.with_connector("redis")
}

/// What a server's refusal stands for, and what to do about it.
fn meaning(words: &str) -> (ErrorKind, &'static str) {
    let code = words.split(' ').next().unwrap_or_default();
    match code {
        "NOAUTH" => (
            ErrorKind::PermissionDenied,
            "; give `password`, and `username` if it has users",
        ),
        "WRONGPASS" | "NOPERM" | "DENIED" => (ErrorKind::PermissionDenied, ""),
        "READONLY" => (
            ErrorKind::PermissionDenied,
            "; this is a replica: use the address of its master",
        ),
        "OOM" => (
            ErrorKind::Full,
            "; raise `maxmemory` in its configuration or evict objects",
        ),
        "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "BUSY" => {
            (ErrorKind::Unreachable, "")
        }
        "NOREPLICAS" => (ErrorKind::Unreachable, "; the call may be repeated"),
        "MOVED" | "ASK" | "CROSSSLOT" => (
            ErrorKind::InvalidConfig,
            "; this is a node of a Redis Cluster: use `redis+cluster://` (`cluster=True` in Python)",
        ),
        _ if words.contains("cluster support disabled") => (
            ErrorKind::InvalidConfig,
            "; this server is not a node of a cluster: use `redis://`",
        ),
        "WRONGTYPE" => (
            ErrorKind::InvalidKey,
            "; something else than an object is kept under this key",
        ),
        _ if words.contains("max number of clients") => (
            ErrorKind::Unreachable,
            "; raise `maxclients` in its configuration",
        ),
        _ if words.contains("AUTH") || words.contains("invalid password") => {
            (ErrorKind::PermissionDenied, "")
        }
        _ if words.contains("DB index") => (ErrorKind::InvalidConfig, " (`db`)"),
        _ => (ErrorKind::Io, ""),
    }
}

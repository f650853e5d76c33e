//! Waiting for an object, told by the server.

use super::RedisConnector;
use super::connection::{Connection, Failure};
use super::protocol::Commands;
use crate::connector::ask_again;
use crate::{Error, ErrorKind, Key, Result, interrupt};
use std::io;
use std::time::{Duration, Instant};

/// Longest time without a look of our own: an object may come from a program that does not tell,
/// such as ProxyStore 1.x, or whose user may not `PUBLISH`.
const LOOKS_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Between two attempts to reach a server that has gone.
const PAUSE: Duration = Duration::from_millis(50);

impl RedisConnector {
    /// Waits until an object is there. A server that goes meanwhile has `timeout` of the
    /// configuration to come back.
    pub(super) fn wait_for(&self, key: &Key, timeout: Duration) -> Result<bool> {
        let began = Instant::now();
        let left = || timeout.saturating_sub(began.elapsed());
        let mut gone_since = None;
        loop {
            let error = match self.wait_told(key, left, &mut gone_since) {
                Err(error) if error.kind() == ErrorKind::Unreachable => error,
                other => return other,
            };
            let gone = gone_since.get_or_insert_with(Instant::now).elapsed();
            let rest = left().min(self.config().timeout.saturating_sub(gone));
            if rest.is_zero() {
                return Err(error);
            }
            std::thread::sleep(PAUSE.min(rest));
            if interrupt::is_requested() {
                let error = io::ErrorKind::Interrupted.into();
                return Err(Error::io(error, "waiting for an object").with_connector("redis"));
            }
        }
    }

    fn wait_told(
        &self,
        key: &Key,
        left: impl Fn() -> Duration,
        gone_since: &mut Option<Instant>,
    ) -> Result<bool> {
        if self.exists_now(key)? {
            return Ok(true);
        }
        if left().is_zero() {
            return Ok(false);
        }
        let name = self.keyspace.name(key);
        let connection = self.client.open(&name)?;
        *gone_since = None;
        let opened = Subscription::new(connection, &name);
        let mut subscription = match opened {
            Ok(subscription) => subscription,
            // This user may not: asking remains.
            Err(Failure::Server(words)) if words.starts_with("NOPERM") => {
                return ask_again(left().min(LOOKS_AGAIN_AFTER), || self.exists_now(key));
            }
            Err(failure) => return Err(self.client.error(failure)),
        };
        // It may have come before the subscription.
        while !self.exists_now(key)? {
            let left = left();
            if left.is_zero() {
                return Ok(false);
            }
            subscription
                .sleep(left.min(LOOKS_AGAIN_AFTER))
                .map_err(|failure| self.client.error(failure))?;
        }
        Ok(true)
    }

    fn exists_now(&self, key: &Key) -> Result<bool> {
        crate::Connector::exists(self, key)
    }
}

/// A connection of its own, on which the server tells of sets under one key.
struct Subscription(Box<Connection>);

impl Subscription {
    fn new(mut connection: Box<Connection>, channel: &[u8]) -> Result<Self, Failure> {
        connection.send(&Commands::of(&[b"SUBSCRIBE", channel]))?;
        connection.array()?;
        connection.drain()?;
        Ok(Self(connection))
    }

    /// Sleeps until the server tells of something, or the time is over.
    fn sleep(&mut self, limit: Duration) -> Result<(), Failure> {
        if self.0.is_readable(limit)? {
            self.0.announced()?;
        }
        Ok(())
    }
}

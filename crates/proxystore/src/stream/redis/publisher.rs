//! The publishers that need nothing but one command.

use crate::connectors::redis::RedisConfig;
use crate::connectors::redis::messages::Messages;
use crate::stream::Publisher;
use crate::{Payload, Result};
use std::fmt;
use std::marker::PhantomData;

/// Sends each message by one command of Redis: a [`RedisPublisher`] or a [`RedisQueuePublisher`].
pub struct CommandPublisher<C> {
    server: Messages,
    command: PhantomData<C>,
}

/// Publishes to those who listen; others never see the message. The topic is the channel.
pub type RedisPublisher = CommandPublisher<Publish>;

/// Appends to a list in Redis, where messages wait for a consumer. The topic is the list's key.
pub type RedisQueuePublisher = CommandPublisher<Push>;

/// `PUBLISH`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Publish {}

/// `RPUSH`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Push {}

/// A command that sends a message.
trait Command: Send {
    /// Where inline and stored values are received equally often, by measurement: `docs/streams.md`.
    const INLINE_BELOW: usize;

    fn send(server: &Messages, topic: &str, message: &Payload<'_>) -> Result<()>;
}

impl Command for Publish {
    const INLINE_BELOW: usize = 32 << 10;

    fn send(server: &Messages, topic: &str, message: &Payload<'_>) -> Result<()> {
        server.publish(topic, message)
    }
}

impl Command for Push {
    const INLINE_BELOW: usize = 64 << 10;

    fn send(server: &Messages, topic: &str, message: &Payload<'_>) -> Result<()> {
        server.push(topic, message)
    }
}

impl<C> CommandPublisher<C> {
    /// A publisher that connects when it first sends.
    ///
    /// # Errors
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if a field is wrong.
    pub fn new(config: RedisConfig) -> Result<Self> {
        Ok(Self {
            server: Messages::new(config)?,
            command: PhantomData,
        })
    }
}

impl<C: Command> Publisher for CommandPublisher<C> {
    fn send(&mut self, topic: &str, message: &Payload<'_>) -> Result<()> {
        C::send(&self.server, topic, message)
    }

    fn inline_below(&self) -> usize {
        C::INLINE_BELOW
    }

    fn close(&mut self) -> Result<()> {
        self.server.close();
        Ok(())
    }
}

impl<C> fmt::Debug for CommandPublisher<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandPublisher")
            .field("server", &self.server)
            .finish()
    }
}

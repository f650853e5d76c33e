//! Publish and subscribe: a message reaches those who listen at that moment.

use super::INLINE_BELOW;
use crate::connectors::redis::RedisConfig;
use crate::connectors::redis::messages::{Listening, Messages};
use crate::stream::{Publisher, Subscriber, no_message};
use crate::{Blob, Payload, Result};
use std::time::Duration;

/// Publishes to those who listen; others never see the message. The topic is the channel.
#[derive(Debug)]
pub struct RedisPublisher {
    server: Messages,
}

impl RedisPublisher {
    /// A publisher that connects when it first sends.
    ///
    /// # Errors
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if a field is wrong.
    pub fn new(config: RedisConfig) -> Result<Self> {
        Ok(Self {
            server: Messages::new(config)?,
        })
    }
}

impl Publisher for RedisPublisher {
    fn send(&mut self, topic: &str, message: &Payload<'_>) -> Result<()> {
        self.server.publish(topic, message)
    }

    fn inline_below(&self) -> usize {
        INLINE_BELOW
    }

    fn close(&mut self) -> Result<()> {
        self.server.close();
        Ok(())
    }
}

/// Listens to one or more topics, from when it was made.
#[derive(Debug)]
pub struct RedisSubscriber {
    server: Messages,
    listening: Listening,
    topics: Vec<String>,
}

impl RedisSubscriber {
    /// A subscriber that listens when this returns.
    ///
    /// # Errors
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if a field is wrong,
    /// [`Unreachable`](crate::ErrorKind::Unreachable) if the server does not answer.
    pub fn new(config: RedisConfig, topics: &[&str]) -> Result<Self> {
        let server = Messages::new(config)?;
        let listening = server.listen(topics)?;
        Ok(Self {
            server,
            listening,
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        })
    }
}

impl Subscriber for RedisSubscriber {
    fn receive(&mut self, timeout: Option<Duration>) -> Result<Option<Blob>> {
        let found = self.listening.receive(&self.server, timeout)?;
        found
            .map(Some)
            .ok_or_else(|| no_message(&self.topics.join(", "), timeout))
    }
}

//! Lists: each message waits for one consumer.

use super::{INLINE_BELOW, until};
use crate::connectors::redis::RedisConfig;
use crate::connectors::redis::messages::Messages;
use crate::stream::{Publisher, Subscriber, no_message};
use crate::{Blob, Payload, Result};
use std::time::Duration;

/// Appends to a list in Redis, where messages wait for a consumer. The topic is the list's key.
#[derive(Debug)]
pub struct RedisQueuePublisher {
    server: Messages,
}

impl RedisQueuePublisher {
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

impl Publisher for RedisQueuePublisher {
    fn send(&mut self, topic: &str, message: &Payload<'_>) -> Result<()> {
        self.server.push(topic, message)
    }

    fn inline_below(&self) -> usize {
        INLINE_BELOW
    }

    fn close(&mut self) -> Result<()> {
        self.server.close();
        Ok(())
    }
}

/// Takes messages out of a list in Redis. Each goes to one subscriber, and is lost with it.
#[derive(Debug)]
pub struct RedisQueueSubscriber {
    server: Messages,
    topic: String,
}

impl RedisQueueSubscriber {
    /// A subscriber that connects when it first receives.
    ///
    /// # Errors
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if a field is wrong.
    pub fn new(config: RedisConfig, topic: &str) -> Result<Self> {
        Ok(Self {
            server: Messages::new(config)?,
            topic: topic.to_owned(),
        })
    }
}

impl Subscriber for RedisQueueSubscriber {
    fn receive(&mut self, timeout: Option<Duration>) -> Result<Option<Blob>> {
        let found = until(timeout, |left| self.server.pop(&self.topic, left))?;
        found
            .map(Some)
            .ok_or_else(|| no_message(&self.topic, timeout))
    }

    fn close(&mut self) -> Result<()> {
        self.server.close();
        Ok(())
    }
}

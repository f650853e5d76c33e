//! Lists: each message waits for one consumer.

use super::until;
use crate::connectors::redis::RedisConfig;
use crate::connectors::redis::messages::Messages;
use crate::stream::{Subscriber, no_message};
use crate::{Blob, Result};
use std::time::Duration;

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

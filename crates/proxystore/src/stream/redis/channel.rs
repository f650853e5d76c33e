//! Publish and subscribe: a message reaches those who listen at that moment.

use crate::connectors::redis::RedisConfig;
use crate::connectors::redis::messages::{Listening, Messages};
use crate::stream::{Subscriber, no_message};
use crate::{Blob, Result};
use std::time::Duration;

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

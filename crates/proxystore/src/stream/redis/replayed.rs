//! Redis streams: messages are kept, replayed, and shared out in groups.

use super::{INLINE_BELOW_KEPT, until};
use crate::connectors::redis::RedisConfig;
use crate::connectors::redis::messages::{Entry, Messages};
use crate::stream::{Publisher, Subscriber, no_message};
use crate::{Blob, Payload, Result};
use std::collections::VecDeque;
use std::time::Duration;

/// Most messages that one request brings.
const AT_ONCE: usize = 64;

/// Appends to a stream in Redis. The topic is the stream's key.
#[derive(Debug)]
pub struct RedisStreamPublisher {
    server: Messages,
    max_length: Option<u64>,
}

impl RedisStreamPublisher {
    /// A publisher that connects when it first sends.
    ///
    /// # Errors
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if a field is wrong.
    pub fn new(config: RedisConfig) -> Result<Self> {
        Ok(Self {
            server: Messages::new(config)?,
            max_length: None,
        })
    }

    /// About how many messages of a topic are kept; all if not set.
    #[must_use]
    pub fn max_length(mut self, messages: u64) -> Self {
        self.max_length = Some(messages);
        self
    }
}

impl Publisher for RedisStreamPublisher {
    fn send(&mut self, topic: &str, message: &Payload<'_>) -> Result<()> {
        self.server.append(topic, message, self.max_length)
    }

    fn inline_below(&self) -> usize {
        INLINE_BELOW_KEPT
    }

    fn close(&mut self) -> Result<()> {
        self.server.close();
        Ok(())
    }
}

/// Where a [`RedisStreamSubscriber`], or a new group, begins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamPosition {
    /// At the first message that is kept.
    First,
    /// At what comes from now on.
    New,
    /// After the message of this id.
    After(String),
}

impl StreamPosition {
    fn as_str(&self) -> &str {
        match self {
            Self::First => "0",
            Self::New => "$",
            Self::After(id) => id,
        }
    }
}

#[derive(Debug)]
struct Group {
    group: String,
    name: String,
    claim_after: Option<Duration>,
    /// Where the look at what was delivered before and not finished has come to.
    recovered: Option<String>,
    claim_from: String,
    unfinished: Option<String>,
}

/// Reads a stream in Redis.
///
/// In a group, a message counts as finished when the next one is asked for or the subscriber is
/// closed; until then it is delivered again to a subscriber that takes the same name, or to another
/// one of the group after some time. Dropping a subscriber finishes nothing.
#[derive(Debug)]
pub struct RedisStreamSubscriber {
    server: Messages,
    topic: String,
    last_id: String,
    waiting: VecDeque<(String, Blob)>,
    group: Option<Group>,
}

impl RedisStreamSubscriber {
    /// A subscriber that gets every message.
    ///
    /// # Errors
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) if a field is wrong,
    /// [`Unreachable`](crate::ErrorKind::Unreachable) if the server does not answer.
    pub fn new(config: RedisConfig, topic: &str, start: &StreamPosition) -> Result<Self> {
        let server = Messages::new(config)?;
        let last_id = match start {
            // From now on, not from each request on.
            StreamPosition::New => server.newest(topic)?.unwrap_or_else(|| "0-0".to_owned()),
            other => other.as_str().to_owned(),
        };
        Ok(Self {
            server,
            topic: topic.to_owned(),
            last_id,
            waiting: VecDeque::new(),
            group: None,
        })
    }

    /// A subscriber of a group, whose members share the messages out. The group is made, to begin
    /// at `start`, unless it is there; `name` is the member's.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn in_group(
        config: RedisConfig,
        topic: &str,
        start: &StreamPosition,
        group: &str,
        name: &str,
    ) -> Result<Self> {
        let server = Messages::new(config)?;
        server.make_group(topic, group, start.as_str())?;
        Ok(Self {
            server,
            topic: topic.to_owned(),
            last_id: "0-0".to_owned(),
            waiting: VecDeque::new(),
            group: Some(Group {
                group: group.to_owned(),
                name: name.to_owned(),
                claim_after: None,
                recovered: Some("0".to_owned()),
                claim_from: "0-0".to_owned(),
                unfinished: None,
            }),
        })
    }

    /// In a group, takes over what another member got so long ago and did not finish; never if not
    /// set.
    #[must_use]
    pub fn claim_after(mut self, idle: Duration) -> Self {
        if let Some(group) = &mut self.group {
            group.claim_after = Some(idle);
        }
        self
    }

    /// The id of the last message, to start after another time.
    #[must_use]
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    fn finish(&mut self) -> Result<()> {
        if let Some(group) = &mut self.group
            && let Some(id) = &group.unfinished
        {
            self.server.finish(&self.topic, &group.group, id)?;
            group.unfinished = None;
        }
        Ok(())
    }
}

/// What has a message; what was trimmed meanwhile has none.
fn whole(entries: Vec<Entry>) -> VecDeque<(String, Blob)> {
    let whole = |(id, message): Entry| message.map(|message| (id, message));
    entries.into_iter().filter_map(whole).collect()
}

impl Group {
    fn member(&self) -> (&str, &str) {
        (&self.group, &self.name)
    }

    /// Takes up what was delivered before and not finished.
    fn recover(&mut self, server: &Messages, topic: &str) -> Result<VecDeque<(String, Blob)>> {
        while let Some(from) = self.recovered.clone() {
            let entries = server.read_group(topic, self.member(), &from, None)?;
            let Some((id, _)) = entries.first() else {
                self.recovered = None;
                break;
            };
            self.recovered = Some(id.clone());
            let found = whole(entries);
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let Some(after) = self.claim_after else {
            return Ok(VecDeque::new());
        };
        let (next, entries) = server.claim(topic, self.member(), after, &self.claim_from)?;
        self.claim_from = next;
        Ok(whole(entries))
    }

    fn receive(
        &mut self,
        server: &Messages,
        topic: &str,
        left: Option<Duration>,
    ) -> Result<VecDeque<(String, Blob)>> {
        let found = self.recover(server, topic)?;
        if !found.is_empty() {
            return Ok(found);
        }
        let left = match (left, self.claim_after) {
            (Some(left), Some(after)) => Some(left.min(after)),
            (left, after) => left.or(after),
        };
        // One at a time: others of the group get the rest.
        let entries = server.read_group(topic, self.member(), ">", left)?;
        Ok(whole(entries))
    }
}

impl Subscriber for RedisStreamSubscriber {
    fn receive(&mut self, timeout: Option<Duration>) -> Result<Option<Blob>> {
        self.finish()?;
        if self.waiting.is_empty() {
            let (server, topic) = (&self.server, &self.topic);
            let found = until(timeout, |left| {
                let found = match &mut self.group {
                    Some(group) => group.receive(server, topic, left)?,
                    None => whole(server.read(topic, &self.last_id, AT_ONCE, left)?),
                };
                Ok((!found.is_empty()).then_some(found))
            })?;
            self.waiting = found.unwrap_or_default();
        }
        let Some((id, message)) = self.waiting.pop_front() else {
            return Err(no_message(&self.topic, timeout));
        };
        self.last_id.clone_from(&id);
        if let Some(group) = &mut self.group {
            group.unfinished = Some(id);
        }
        Ok(Some(message))
    }

    fn close(&mut self) -> Result<()> {
        let finished = self.finish();
        self.server.close();
        finished
    }
}

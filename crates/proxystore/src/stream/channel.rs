//! Messages between the threads of one process.

use super::{Publisher, Subscriber, no_message};
use crate::{Blob, Payload, Result};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A broker of this process: a queue for each topic, from which each message goes to one
/// subscriber.
///
/// A forked child has a copy that nobody else fills.
#[derive(Clone, Default)]
pub struct Channel {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queues: HashMap<String, VecDeque<Blob>>,
    /// Most messages that wait in a topic; 0 for any number.
    capacity: usize,
    publishers: usize,
}

impl Channel {
    /// A broker that keeps any number of messages.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A broker whose publishers wait while so many messages of the topic are not received yet.
    #[must_use]
    pub fn with_capacity(messages: usize) -> Self {
        let channel = Self::default();
        channel.state().capacity = messages.max(1);
        channel
    }

    /// A publisher to every topic.
    #[must_use]
    pub fn publisher(&self) -> ChannelPublisher {
        self.state().publishers += 1;
        ChannelPublisher {
            channel: self.clone(),
        }
    }

    /// A subscriber of a topic. Once every publisher is dropped and nothing waits any more, it
    /// receives `None`.
    #[must_use]
    pub fn subscriber(&self, topic: &str) -> ChannelSubscriber {
        ChannelSubscriber {
            channel: self.clone(),
            topic: topic.to_owned(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let guard = self.shared.state.lock();
        guard.unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}

/// Puts messages into the queues of a [`Channel`].
#[derive(Debug)]
pub struct ChannelPublisher {
    channel: Channel,
}

impl Publisher for ChannelPublisher {
    fn send(&mut self, topic: &str, message: &Payload<'_>) -> Result<()> {
        let message = Blob::from(message.to_vec());
        let mut state = self.channel.state();
        while state.capacity > 0
            && state
                .queues
                .get(topic)
                .is_some_and(|queue| queue.len() >= state.capacity)
        {
            let woken = self.channel.shared.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        let queue = state.queues.entry(topic.to_owned()).or_default();
        queue.push_back(message);
        drop(state);
        self.channel.shared.changed.notify_all();
        Ok(())
    }
}

impl Drop for ChannelPublisher {
    fn drop(&mut self) {
        self.channel.state().publishers -= 1;
        self.channel.shared.changed.notify_all();
    }
}

/// Takes messages of one topic out of a [`Channel`].
#[derive(Debug)]
pub struct ChannelSubscriber {
    channel: Channel,
    topic: String,
}

impl Subscriber for ChannelSubscriber {
    fn receive(&mut self, timeout: Option<Duration>) -> Result<Option<Blob>> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let changed = &self.channel.shared.changed;
        let mut state = self.channel.state();
        loop {
            let queue = state.queues.get_mut(&self.topic);
            if let Some(message) = queue.and_then(VecDeque::pop_front) {
                drop(state);
                changed.notify_all(); // whoever waits for room
                return Ok(Some(message));
            }
            if state.publishers == 0 {
                return Ok(None);
            }
            state = match deadline {
                None => changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(no_message(&self.topic, timeout));
                    }
                    let woken = changed.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

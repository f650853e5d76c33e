//! When the values of a topic are sent, and which topics are closed.

use crate::{Error, ErrorKind, Result};
use std::collections::{HashMap, HashSet};

/// Items that wait for their topic's batch to be full.
///
/// ```
/// use proxystore::stream::Batches;
///
/// let mut batches = Batches::new(2);
/// assert_eq!(batches.push("topic", 1)?, None);
/// assert_eq!(batches.push("topic", 2)?, Some(vec![1, 2]));
/// assert!(batches.take("topic").is_empty());
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Debug)]
pub struct Batches<T> {
    size: usize,
    waiting: HashMap<String, Vec<T>>,
    closed: HashSet<String>,
}

impl<T> Batches<T> {
    /// Batches of so many items; 0 means 1.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self {
            size: size.max(1),
            waiting: HashMap::new(),
            closed: HashSet::new(),
        }
    }

    /// Adds an item. Returns the batch of its topic once that is full: it is to be sent, or to be
    /// [restored](Self::restore).
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] if the topic is closed.
    pub fn push(&mut self, topic: &str, item: T) -> Result<Option<Vec<T>>> {
        self.check(topic)?;
        let Some(waiting) = self.waiting.get_mut(topic) else {
            if self.size == 1 {
                return Ok(Some(vec![item]));
            }
            self.waiting.insert(topic.to_owned(), vec![item]);
            return Ok(None);
        };
        waiting.push(item);
        Ok((waiting.len() >= self.size).then(|| self.take(topic)))
    }

    /// Takes what waits in a topic.
    pub fn take(&mut self, topic: &str) -> Vec<T> {
        self.waiting.remove(topic).unwrap_or_default()
    }

    /// Gives back what was taken and not sent; what came meanwhile comes after it.
    pub fn restore(&mut self, topic: &str, mut items: Vec<T>) {
        if items.is_empty() {
            return;
        }
        let since = self.take(topic);
        items.extend(since);
        self.waiting.insert(topic.to_owned(), items);
    }

    /// The topics in which something waits, sorted.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        let mut topics: Vec<_> = self.waiting.keys().cloned().collect();
        topics.sort_unstable();
        topics
    }

    /// Everything that waits.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.waiting.values().flatten()
    }

    /// Refuses what is pushed to a topic from now on. Returns whether it was open.
    pub fn close(&mut self, topic: &str) -> bool {
        self.closed.insert(topic.to_owned())
    }

    /// Whether a topic is closed.
    #[must_use]
    pub fn is_closed(&self, topic: &str) -> bool {
        self.closed.contains(topic)
    }

    /// Says whether something can be pushed to a topic.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] if the topic is closed.
    pub fn check(&self, topic: &str) -> Result<()> {
        if self.is_closed(topic) {
            return Err(Error::new(
                ErrorKind::Closed,
                format!(
                    "the topic {topic:?} was closed by this producer: nothing can be sent to it any \
                     more"
                ),
            ));
        }
        Ok(())
    }
}

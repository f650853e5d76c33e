//! The commands of messages: lists, channels and streams of the server.

use super::client::Client;
use super::config::RedisConfig;
use super::connection::{Connection, Failure};
use super::protocol::{Commands, Head};
use crate::{Blob, Payload, Result};
use std::time::{Duration, Instant};

/// Longest wait of one request. Below the shortest time after which a connection is given up.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// The field of a stream's entry that has the message, in every language.
const FIELD: &[u8] = b"message";

/// One entry of a stream: its id, and its message unless that was trimmed meanwhile.
pub(crate) type Entry = (String, Option<Blob>);

/// A server, for its messages.
#[derive(Debug)]
pub(crate) struct Messages {
    client: Client,
}

impl Messages {
    pub(crate) fn new(config: RedisConfig) -> Result<Self> {
        config.check()?;
        Ok(Self {
            client: Client::new(config),
        })
    }

    pub(crate) fn close(&self) {
        self.client.close();
    }

    /// What one request may wait for at most.
    fn wait(&self, left: Option<Duration>) -> Duration {
        let most = LONGEST_WAIT.min(self.client.config().timeout / 2);
        let wait = left.map_or(most, |left| left.min(most));
        wait.max(Duration::from_millis(1)) // the server takes 0 for: any time
    }

    fn give(
        &self,
        topic: &str,
        before: &[&[u8]],
        message: &Payload<'_>,
        reply: fn(&mut Connection) -> Result<(), Failure>,
    ) -> Result<()> {
        self.client.call(topic.as_bytes(), |connection| {
            let mut commands = Commands::new();
            commands.begin(before.len() + 1);
            for argument in before {
                commands.argument(argument);
            }
            commands.value(message.pieces().iter().copied(), message.len());
            connection.send(&commands)?;
            reply(connection)
        })
    }

    /// Appends to a list.
    pub(crate) fn push(&self, topic: &str, message: &Payload<'_>) -> Result<()> {
        let command = [&b"RPUSH"[..], topic.as_bytes()];
        self.give(topic, &command, message, |connection| {
            connection.integer().map(drop)
        })
    }

    /// Takes the first of a list, or waits for one. `None` if none came for a while.
    pub(crate) fn pop(&self, topic: &str, left: Option<Duration>) -> Result<Option<Blob>> {
        let wait = format!("{:.3}", self.wait(left).as_secs_f64());
        self.client.call(topic.as_bytes(), |connection| {
            let command = [b"BLPOP", topic.as_bytes(), wait.as_bytes()];
            connection.send(&Commands::of(&command))?;
            if connection.list()?.is_none() {
                return Ok(None);
            }
            connection.bulk()?; // the list's name
            Ok(connection.bulk()?.map(Blob::new))
        })
    }

    /// Sends to whoever listens.
    pub(crate) fn publish(&self, topic: &str, message: &Payload<'_>) -> Result<()> {
        let command = [&b"PUBLISH"[..], topic.as_bytes()];
        self.give(topic, &command, message, |connection| {
            connection.integer().map(drop)
        })
    }

    /// Listens to channels, on a connection of its own.
    pub(crate) fn listen(&self, topics: &[&str]) -> Result<Listening> {
        // In a cluster every node tells of every message.
        let first = topics.first().copied().unwrap_or_default();
        let mut connection = self.client.open(first.as_bytes())?;
        let subscribed = connection.subscribe(topics);
        subscribed.map_err(|failure| self.client.error(failure))?;
        Ok(Listening { connection })
    }

    /// Appends to a stream, of which about `max_length` entries are kept.
    pub(crate) fn append(
        &self,
        topic: &str,
        message: &Payload<'_>,
        max_length: Option<u64>,
    ) -> Result<()> {
        let max_length = max_length.map(|most| most.to_string());
        let mut before: Vec<&[u8]> = vec![b"XADD", topic.as_bytes()];
        if let Some(most) = &max_length {
            before.extend([&b"MAXLEN"[..], b"~", most.as_bytes()]);
        }
        before.extend([&b"*"[..], FIELD]);
        self.give(topic, &before, message, |connection| {
            connection.bulk().map(drop)
        })
    }

    /// Entries of a stream after an id; empty if none came for a while.
    pub(crate) fn read(
        &self,
        topic: &str,
        after: &str,
        count: usize,
        left: Option<Duration>,
    ) -> Result<Vec<Entry>> {
        let count = count.to_string();
        let wait = self.wait(left).as_millis().to_string();
        self.ask(
            topic,
            &[
                b"XREAD",
                b"COUNT",
                count.as_bytes(),
                b"BLOCK",
                wait.as_bytes(),
                b"STREAMS",
                topic.as_bytes(),
                after.as_bytes(),
            ],
        )
    }

    /// The id of a stream's newest entry.
    pub(crate) fn newest(&self, topic: &str) -> Result<Option<String>> {
        let command = [
            &b"XREVRANGE"[..],
            topic.as_bytes(),
            b"+",
            b"-",
            b"COUNT",
            b"1",
        ];
        let entries = self.client.call(topic.as_bytes(), |connection| {
            connection.send(&Commands::of(&command))?;
            connection.entries()
        })?;
        Ok(entries.into_iter().next().map(|(id, _)| id))
    }

    /// Makes a group, unless it is there.
    pub(crate) fn make_group(&self, topic: &str, group: &str, start: &str) -> Result<()> {
        let command = [
            &b"XGROUP"[..],
            b"CREATE",
            topic.as_bytes(),
            group.as_bytes(),
            start.as_bytes(),
            b"MKSTREAM",
        ];
        self.client.call(topic.as_bytes(), |connection| {
            connection.send(&Commands::of(&command))?;
            match connection.ok() {
                Err(Failure::Server(words)) if words.starts_with("BUSYGROUP") => Ok(()),
                done => done,
            }
        })
    }

    /// One entry for a member of a group: with `>` one that nobody got, or else the first after an
    /// id of those that the member got and did not finish.
    pub(crate) fn read_group(
        &self,
        topic: &str,
        member: (&str, &str),
        from: &str,
        left: Option<Duration>,
    ) -> Result<Vec<Entry>> {
        let wait = self.wait(left).as_millis().to_string();
        let (group, name) = member;
        self.ask(
            topic,
            &[
                b"XREADGROUP",
                b"GROUP",
                group.as_bytes(),
                name.as_bytes(),
                b"COUNT",
                b"1",
                b"BLOCK",
                wait.as_bytes(),
                b"STREAMS",
                topic.as_bytes(),
                from.as_bytes(),
            ],
        )
    }

    /// Takes over an entry that another member got some time ago and did not finish. Returns where
    /// to go on another time as well.
    pub(crate) fn claim(
        &self,
        topic: &str,
        member: (&str, &str),
        after: Duration,
        from: &str,
    ) -> Result<(String, Vec<Entry>)> {
        let idle = after.as_millis().to_string();
        let (group, name) = member;
        let command = [
            &b"XAUTOCLAIM"[..],
            topic.as_bytes(),
            group.as_bytes(),
            name.as_bytes(),
            idle.as_bytes(),
            from.as_bytes(),
            b"COUNT",
            b"1",
        ];
        self.client.call(topic.as_bytes(), |connection| {
            connection.send(&Commands::of(&command))?;
            connection.list()?;
            let next = connection.text()?;
            let entries = connection.entries()?;
            connection.drain()?; // newer servers list what was trimmed
            Ok((next, entries))
        })
    }

    /// Finishes an entry.
    pub(crate) fn finish(&self, topic: &str, group: &str, id: &str) -> Result<()> {
        let command = [
            &b"XACK"[..],
            topic.as_bytes(),
            group.as_bytes(),
            id.as_bytes(),
        ];
        self.client.call(topic.as_bytes(), |connection| {
            connection.send(&Commands::of(&command))?;
            connection.integer().map(drop)
        })
    }

    /// The entries of the one stream of a read.
    fn ask(&self, topic: &str, command: &[&[u8]]) -> Result<Vec<Entry>> {
        self.client.call(topic.as_bytes(), |connection| {
            connection.send(&Commands::of(command))?;
            if connection.list()?.is_none() {
                return Ok(Vec::new());
            }
            connection.list()?;
            connection.bulk()?; // the stream's name
            connection.entries()
        })
    }
}

/// A connection that channels' messages come in on.
#[derive(Debug)]
pub(crate) struct Listening {
    connection: Box<Connection>,
}

impl Listening {
    /// The next message; `None` if there is none within the time.
    pub(crate) fn receive(
        &mut self,
        messages: &Messages,
        timeout: Option<Duration>,
    ) -> Result<Option<Blob>> {
        let received = self.message(timeout);
        received.map_err(|failure| messages.client.error(failure))
    }

    fn message(&mut self, timeout: Option<Duration>) -> Result<Option<Blob>, Failure> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let connection = &mut self.connection;
        if !connection.is_ours() {
            let forked = "a forked process needs a subscriber of its own";
            return Err(Failure::Protocol(forked.to_owned()));
        }
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let limit = left.map_or(LONGEST_WAIT, |left| left.min(LONGEST_WAIT));
            if connection.is_readable(limit)? {
                connection.owed = 1;
                connection.list()?;
                let kind = connection.bulk()?;
                if kind.is_some_and(|kind| kind[..] == *b"message") {
                    connection.bulk()?; // the channel's name
                    return Ok(connection.bulk()?.map(Blob::new));
                }
                connection.drain()?;
            } else if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
        }
    }
}

impl Connection {
    fn subscribe(&mut self, topics: &[&str]) -> Result<(), Failure> {
        let mut command: Vec<&[u8]> = vec![b"SUBSCRIBE"];
        command.extend(topics.iter().map(|topic| topic.as_bytes()));
        self.send(&Commands::of(&command))?;
        self.owed = topics.len();
        for _ in topics {
            self.list()?; // or what the server refuses
            self.bulk()?;
            self.bulk()?;
            self.integer()?;
        }
        Ok(())
    }

    /// A reply that should be a list, or nothing: its length. Its items are then owed as well.
    fn list(&mut self) -> Result<Option<usize>, Failure> {
        match self.head()? {
            Head::Array(None) => Ok(None),
            Head::Array(Some(len)) => {
                self.owed = self.owed.saturating_add(len);
                Ok(Some(len))
            }
            head => Err(Failure::Protocol(format!(
                "an answer that does not fit the question: {head:?}"
            ))),
        }
    }

    fn text(&mut self) -> Result<String, Failure> {
        let bytes = self.bulk()?;
        let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(text.unwrap_or_default())
    }

    fn entries(&mut self) -> Result<Vec<Entry>, Failure> {
        let mut entries = Vec::new();
        for _ in 0..self.list()?.unwrap_or(0) {
            self.list()?;
            let id = self.text()?;
            let mut message = None;
            // What was trimmed has no fields. Others may have added fields of their own.
            for _ in 0..self.list()?.unwrap_or(0) / 2 {
                let is_ours = self.bulk()?.is_some_and(|field| field[..] == *FIELD);
                let value = self.bulk()?;
                if is_ours {
                    message = value.map(Blob::new);
                }
            }
            entries.push((id, message));
        }
        Ok(entries)
    }
}

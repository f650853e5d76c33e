//! A slot on its way from one node to another: some of its keys are here, some there.
//!
//! The node that it leaves says `ASK` of a key that it does not have, and sends to the other one;
//! of several keys at once that are not all in one place, either says `TRYAGAIN`. So commands go
//! one by one, each where its key is, and their answers are laid out for the reader as if they had
//! come over one connection. That is slow, but a migration of a slot is short.

use super::redirect::asked_of;
use crate::connectors::redis::config::RedisConfig;
use crate::connectors::redis::connection::{Connection, Failure};
use crate::connectors::redis::protocol::{Commands, Head};
use crate::interrupt;
use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

/// How often, and after which pauses, a command is repeated that a node cannot carry out yet.
const ATTEMPTS: usize = 40;
const PAUSE: Duration = Duration::from_millis(25);

/// The node that the slot goes to.
pub(in super::super) struct Migration {
    /// Of the node that it leaves.
    source: RedisConfig,
    target: Option<Target>,
}

struct Target {
    host: String,
    port: u16,
    connection: Box<Connection>,
}

/// How a command, or a transaction, was answered.
enum Outcome {
    Done,
    /// It is for another node: host, if it is not the same one, and port.
    Ask(Option<String>, u16),
    TryAgain,
}

impl Migration {
    pub(super) fn from(source: RedisConfig) -> Box<Self> {
        Box::new(Self {
            source,
            target: None,
        })
    }

    /// Carries out commands and adds their answers to `answers`.
    pub(in super::super) fn exchange(
        &mut self,
        source: &mut Connection,
        commands: &Commands<'_>,
        answers: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let mut at = 0;
        while at < commands.count() {
            let end = match commands.is(at, b"MULTI") {
                true => (at..commands.count()).find(|at| commands.is(*at, b"EXEC")),
                false => None,
            };
            let end = end.unwrap_or(at) + 1;
            self.carry_out(source, commands, (at, end), answers)?;
            at = end;
        }
        Ok(())
    }

    /// One command, or a transaction from `MULTI` to `EXEC`.
    fn carry_out(
        &mut self,
        source: &mut Connection,
        commands: &Commands<'_>,
        unit: (usize, usize),
        answers: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let begin = answers.len();
        for attempt in 1.. {
            answers.truncate(begin);
            let mut outcome = run(source, commands, unit, false, answers)?;
            if let Outcome::Ask(host, port) = outcome {
                answers.truncate(begin);
                let target = self.target(host.as_deref(), port)?;
                outcome = run(target, commands, unit, true, answers)?;
            }
            let is_told = commands.is(unit.0, b"WAIT");
            match outcome {
                Outcome::Done if is_told => return self.wait_there(commands, unit, answers, begin),
                Outcome::Done => return Ok(()),
                // Keys of a transaction are in two places.
                _ if unit.1 - unit.0 > 1 => {
                    answers.truncate(begin);
                    return self.one_by_one(source, commands, unit, answers);
                }
                // The last answer is the caller's.
                _ if attempt == ATTEMPTS => return Ok(()),
                _ => std::thread::sleep(PAUSE),
            }
            if interrupt::is_requested() {
                return Err(io::Error::from(io::ErrorKind::Interrupted).into());
            }
        }
        Ok(())
    }

    /// The commands of a transaction, each by itself. Ours are made so that readers are right
    /// between any two of them.
    fn one_by_one(
        &mut self,
        source: &mut Connection,
        commands: &Commands<'_>,
        (begin, end): (usize, usize),
        answers: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let inner = begin + 1..end - 1;
        answers.extend(b"+OK\r\n");
        inner.clone().for_each(|_| answers.extend(b"+QUEUED\r\n"));
        let _ = write!(answers, "*{}\r\n", inner.len());
        for at in inner {
            self.carry_out(source, commands, (at, at + 1), answers)?;
        }
        Ok(())
    }

    /// What was written to the other node has to be waited for there.
    fn wait_there(
        &mut self,
        commands: &Commands<'_>,
        unit: (usize, usize),
        answers: &mut Vec<u8>,
        begin: usize,
    ) -> Result<(), Failure> {
        let Some(target) = &mut self.target else {
            return Ok(());
        };
        let here = answers.split_off(begin);
        run(&mut target.connection, commands, unit, false, answers)?;
        let number = |answer: &[u8]| match Head::parse(answer.strip_suffix(b"\r\n")?)? {
            Head::Integer(number) => Some(number),
            _ => None,
        };
        // The fewer; a refusal is fewer than any.
        if number(&here) < number(&answers[begin..]) {
            answers.truncate(begin);
            answers.extend(here);
        }
        Ok(())
    }

    fn target(&mut self, host: Option<&str>, port: u16) -> Result<&mut Connection, Failure> {
        let host = host.unwrap_or(&self.source.host);
        let target = match self.target.take() {
            Some(open) if open.host == host && open.port == port => open,
            _ => {
                let config = RedisConfig {
                    host: host.to_owned(),
                    port,
                    ..self.source.clone()
                };
                Target {
                    host: host.to_owned(),
                    port,
                    connection: Box::new(Connection::open(&config)?),
                }
            }
        };
        Ok(&mut self.target.insert(target).connection)
    }
}

impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migration")
            .field("target", &self.target.as_ref().map(|target| target.port))
            .finish_non_exhaustive()
    }
}

/// Sends commands over one connection and copies their answers.
fn run(
    connection: &mut Connection,
    commands: &Commands<'_>,
    (begin, end): (usize, usize),
    is_asking: bool,
    answers: &mut Vec<u8>,
) -> Result<Outcome, Failure> {
    if is_asking {
        connection.send(&Commands::of(&[b"ASKING"]))?;
        connection.ok()?;
    }
    connection.send_part(commands, begin, end)?;
    let mut outcome = Outcome::Done;
    for _ in begin..end {
        let refused = copy_answer(connection, answers)?;
        if let (Outcome::Done, Some(words)) = (&outcome, refused) {
            outcome = match asked_of(&words) {
                Some((host, port)) => Outcome::Ask(host, port),
                None if words.starts_with("TRYAGAIN") => Outcome::TryAgain,
                None => Outcome::Done,
            };
        }
    }
    Ok(outcome)
}

/// Copies one answer with all that it holds. Gives the words of a refusal.
fn copy_answer(
    connection: &mut Connection,
    answers: &mut Vec<u8>,
) -> Result<Option<String>, Failure> {
    match connection.head() {
        Err(Failure::Server(words)) => {
            let _ = write!(answers, "-{words}\r\n");
            return Ok(Some(words));
        }
        Err(failure) => return Err(failure),
        Ok(Head::Error(words)) => drop(write!(answers, "-{words}\r\n")),
        Ok(Head::Simple(words)) => drop(write!(answers, "+{words}\r\n")),
        Ok(Head::Integer(number)) => drop(write!(answers, ":{number}\r\n")),
        Ok(Head::Bulk(None)) => answers.extend(b"$-1\r\n"),
        Ok(Head::Array(None)) => answers.extend(b"*-1\r\n"),
        Ok(Head::Array(Some(items))) => {
            connection.owed = connection.owed.saturating_add(items);
            let _ = write!(answers, "*{items}\r\n");
            for _ in 0..items {
                copy_answer(connection, answers)?;
            }
        }
        Ok(head @ Head::Bulk(Some(len))) => {
            let value = connection.bulk_after(&head)?;
            let _ = write!(answers, "${len}\r\n");
            answers.extend(value.as_deref().unwrap_or_default());
            answers.extend(b"\r\n");
        }
    }
    Ok(None)
}

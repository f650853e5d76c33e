//! One connection: requests out, answers in.

use super::running::Running;
use super::socket::Socket;
use crate::wire::{ANSWER_FIELDS, Answer, PREFIX, Prefix, Request};
use proxystore::{Error, ErrorKind, Result, fork};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;

/// Bytes that are received ahead. A whole small answer fits.
const AHEAD: usize = 16 << 10;

/// What went wrong in a call.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection is of no more use.
    Broken(Error),
    /// The connection is sound; this is the answer.
    Said(Error),
}

type Outcome<T> = std::result::Result<T, Failure>;

pub(super) struct Connection {
    socket: Socket,
    ahead: Box<[u8]>,
    start: usize,
    end: usize,
    descriptors: VecDeque<OwnedFd>,
    generation: u64,
    limit: Option<u64>,
    /// Answers still to come.
    owed: usize,
    sound: bool,
}

impl Connection {
    pub(super) fn open(running: &Running) -> Result<Self> {
        let socket = running.connect()?;
        let token = if socket.is_unix() {
            String::new()
        } else {
            running.token()?
        };
        let mut connection = Self {
            socket,
            ahead: vec![0; AHEAD].into_boxed_slice(),
            start: 0,
            end: 0,
            descriptors: VecDeque::new(),
            generation: fork::generation(),
            limit: None,
            owed: 0,
            sound: true,
        };
        let hello = Request::Hello { token: &token }.encode(0);
        let answer = connection.ask(&hello).and_then(|()| connection.answer());
        match answer {
            Ok(Answer::Hello { uuid, limit }) if uuid == running.uuid => {
                connection.limit = limit;
                Ok(connection)
            }
            Ok(Answer::Hello { uuid, .. }) => Err(Error::new(
                ErrorKind::Unreachable,
                format!(
                    "another endpoint, {uuid}, answers in the place of {}",
                    running.uuid
                ),
            )
            .with_connector("endpoint")),
            Ok(other) => match connection.unexpected(&other) {
                Failure::Broken(error) | Failure::Said(error) => Err(error),
            },
            Err(Failure::Broken(error) | Failure::Said(error)) => {
                Err(error.with_connector("endpoint"))
            }
        }
    }

    pub(super) fn limit(&self) -> Option<u64> {
        self.limit
    }

    pub(super) fn passes_descriptors(&self) -> bool {
        self.socket.is_unix()
    }

    /// Whether this process opened it.
    pub(super) fn is_ours(&self) -> bool {
        self.generation == fork::generation()
    }

    /// Whether it can serve the next call.
    pub(super) fn is_reusable(&self) -> bool {
        self.sound && self.owed == 0 && self.start == self.end && self.is_ours()
    }

    /// It is not to be used any more.
    pub(super) fn give_up(&mut self) {
        self.sound = false;
    }

    pub(super) fn ask(&mut self, message: &[u8]) -> Outcome<()> {
        self.ask_with(message, &[])
    }

    /// Sends a message and its body.
    pub(super) fn ask_with(&mut self, message: &[u8], body: &[&[u8]]) -> Outcome<()> {
        self.owed += 1;
        let mut slices = Vec::with_capacity(1 + body.len());
        slices.push(IoSlice::new(message));
        slices.extend(body.iter().map(|piece| IoSlice::new(piece)));
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            let sent = self.socket.send(rest).map_err(|error| self.broken(error))?;
            IoSlice::advance_slices(&mut rest, sent);
        }
        Ok(())
    }

    /// The next answer. What the daemon refuses is a failure.
    pub(super) fn answer(&mut self) -> Outcome<Answer> {
        self.owed = self.owed.saturating_sub(1);
        loop {
            let mut head = [0; PREFIX];
            self.bytes(&mut head)?;
            let prefix =
                Prefix::decode(&head, ANSWER_FIELDS).map_err(|error| self.damaged(error))?;
            let mut small = [0; 256];
            let mut large = Vec::new();
            let fields = match small.get_mut(..prefix.fields as usize) {
                Some(fields) => fields,
                None => {
                    large.resize(prefix.fields as usize, 0);
                    &mut large[..]
                }
            };
            self.bytes(fields)?;
            match Answer::decode(prefix, fields).map_err(|error| self.damaged(error))? {
                Answer::Wait => {}
                Answer::Failed { kind, message } => {
                    let words = message.strip_prefix("endpoint: ").unwrap_or(&message);
                    return Err(Failure::Said(Error::new(kind, words.to_owned())));
                }
                answer => return Ok(answer),
            }
        }
    }

    /// An answer that says no more than that it was done.
    pub(super) fn done(&mut self) -> Outcome<()> {
        match self.answer()? {
            Answer::Done => Ok(()),
            other => Err(self.unexpected(&other)),
        }
    }

    /// The body of an answer.
    pub(super) fn body(&mut self, target: &mut [u8]) -> Outcome<()> {
        self.bytes(target)
    }

    /// The descriptor that came with an answer.
    pub(super) fn descriptor(&mut self) -> Outcome<OwnedFd> {
        let found = self.descriptors.pop_front();
        found.ok_or_else(|| {
            self.give_up();
            Failure::Said(Error::new(
                ErrorKind::Io,
                "a descriptor did not arrive: this process may have too many files open (ulimit -n)",
            ))
        })
    }

    pub(super) fn unexpected(&mut self, answer: &Answer) -> Failure {
        self.give_up();
        Failure::Said(Error::new(
            ErrorKind::InvalidFrame,
            format!("an answer that does not fit the question: {answer:?}"),
        ))
    }

    fn bytes(&mut self, target: &mut [u8]) -> Outcome<()> {
        let mut filled = 0;
        while filled < target.len() {
            if self.start == self.end {
                let rest = &mut target[filled..];
                if rest.len() >= AHEAD {
                    let got = self.socket.receive(rest, &mut self.descriptors);
                    filled += got.map_err(|error| self.broken(error))?;
                    continue;
                }
                let got = self.socket.receive(&mut self.ahead, &mut self.descriptors);
                (self.start, self.end) = (0, got.map_err(|error| self.broken(error))?);
            }
            let count = (target.len() - filled).min(self.end - self.start);
            target[filled..filled + count]
                .copy_from_slice(&self.ahead[self.start..self.start + count]);
            filled += count;
            self.start += count;
        }
        Ok(())
    }

    fn broken(&mut self, error: io::Error) -> Failure {
        self.give_up();
        Failure::Broken(Error::io(error, "talking to the endpoint"))
    }

    fn damaged(&mut self, error: Error) -> Failure {
        self.give_up();
        Failure::Said(error)
    }
}

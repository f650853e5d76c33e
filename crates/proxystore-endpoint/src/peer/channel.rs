//! A channel: one exchange at a time between two peers, every step within a deadline.

use super::wire::{self, HEADER, Message};
use super::{Cause, Traffic};
use crate::object::Object;
use bytes::Bytes;
use proxystore::{Error, ErrorKind};
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::yield_now;
use tokio::time::timeout;

/// Longest pause between two bytes of an object before the connection is taken for dead.
pub(super) const PROGRESS: Duration = Duration::from_secs(3);
/// Longest time that a peer may take to answer: it may have to read the object from its disk.
pub(super) const ANSWER: Duration = Duration::from_secs(8);
/// Longest time that a peer may take to keep what it was given.
pub(super) const KEEP: Duration = Duration::from_secs(60);
/// Bytes that are sent or received in one go. After each, others have their turn: a connection that always has room,
/// or bytes, would keep its thread for a whole object.
const PIECE: usize = 256 * 1024;

/// Answers up to this many bytes go before longer ones.
const SMALL: usize = 64 * 1024;

/// A future in a box.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Bytes both ways.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {
    /// Sends some of an object's bytes, from the front, and takes them off. A way that keeps bytes
    /// until the peer has them may keep these by reference.
    fn send_some<'a>(&'a mut self, bytes: &'a mut Bytes) -> Boxed<'a, io::Result<()>>;

    /// From here on exchanges side by side with this one go first.
    fn give_way(&mut self) {}
}

/// Takes a channel back that may serve again.
pub(super) trait Home: Send + Sync {
    /// The exchange on it is over, in order.
    fn give_back(&self, stream: Box<dyn Duplex>);
}

/// What went wrong in an exchange.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection: another one may do better.
    Lost(Error),
    /// The peer said no; the channel is in order.
    Refused(Cause, String),
}

impl Failure {
    pub(super) fn into_error(self, peer: &str) -> Error {
        match self {
            Self::Lost(error) => error,
            Self::Refused(cause, words) => {
                Error::new(cause.kind(), format!("peer {peer}: {words}"))
            }
        }
    }
}

fn lost(error: std::io::Error) -> Failure {
    let doing = format!("the connection to the peer was lost: {error}");
    Failure::Lost(Error::new(ErrorKind::Unreachable, doing).with_source(error))
}

fn late(what: &str, limit: Duration) -> Failure {
    Failure::Lost(Error::new(
        ErrorKind::Timeout,
        format!("the peer {what} for {} s", limit.as_secs()),
    ))
}

/// One exchange at a time.
pub(super) struct Channel {
    stream: Box<dyn Duplex>,
    home: Option<Arc<dyn Home>>,
    traffic: Arc<Traffic>,
    scratch: Vec<u8>,
}

impl Channel {
    pub(super) fn new(
        stream: Box<dyn Duplex>,
        home: Option<Arc<dyn Home>>,
        traffic: Arc<Traffic>,
    ) -> Self {
        Self {
            stream,
            home,
            traffic,
            scratch: Vec::with_capacity(256),
        }
    }

    /// Hands the channel back for the next exchange. To drop it instead ends it.
    pub(super) fn release(self) {
        if let Some(home) = self.home {
            home.give_back(self.stream);
        }
    }

    pub(super) async fn send(&mut self, message: &Message) -> Result<(), Failure> {
        self.put_in(message).await?;
        self.flush().await
    }

    /// As [`send`](Self::send), where more follows at once.
    async fn put_in(&mut self, message: &Message) -> Result<(), Failure> {
        self.scratch.clear();
        message.encode(&mut self.scratch);
        match timeout(PROGRESS, self.stream.write_all(&self.scratch)).await {
            Ok(written) => written.map_err(lost),
            Err(_) => Err(late("took no bytes", PROGRESS)),
        }
    }

    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        match timeout(PROGRESS, self.stream.flush()).await {
            Ok(flushed) => flushed.map_err(lost),
            Err(_) => Err(late("took no bytes", PROGRESS)),
        }
    }

    /// Sends a message and the part of an object that belongs to it.
    pub(super) async fn send_with(
        &mut self,
        message: &Message,
        object: &Object,
        range: Range<u64>,
    ) -> Result<(), Failure> {
        self.put_in(message).await?;
        let bytes = object.bytes(range.start as usize..range.end as usize);
        if bytes.len() > SMALL {
            self.stream.give_way();
        }
        for start in (0..bytes.len()).step_by(PIECE) {
            let mut piece = bytes.slice(start..bytes.len().min(start + PIECE));
            let length = piece.len();
            while !piece.is_empty() {
                let left = piece.len();
                match timeout(PROGRESS, self.stream.send_some(&mut piece)).await {
                    Ok(Ok(())) if piece.len() < left => {}
                    Ok(Ok(())) => return Err(lost(io::ErrorKind::WriteZero.into())),
                    Ok(Err(error)) => return Err(lost(error)),
                    Err(_) => return Err(late("took no bytes", PROGRESS)),
                }
            }
            self.traffic.add(length);
            yield_now().await;
        }
        self.flush().await
    }

    pub(super) async fn send_checksum(&mut self, sum: u64) -> Result<(), Failure> {
        match timeout(PROGRESS, self.stream.write_all(&sum.to_le_bytes())).await {
            Ok(written) => written.map_err(lost)?,
            Err(_) => return Err(late("took no bytes", PROGRESS)),
        }
        self.flush().await
    }

    /// The next message, or `None` where the other side has ended the channel in order.
    pub(super) async fn receive(&mut self, limit: Duration) -> Result<Option<Message>, Failure> {
        let read = async {
            let mut header = [0; HEADER];
            let first = self.stream.read(&mut header).await.map_err(lost)?;
            if first == 0 {
                return Ok(None);
            }
            self.stream
                .read_exact(&mut header[first..])
                .await
                .map_err(lost)?;
            let broken = |error: wire::WireError| Failure::Lost(error.into());
            let (kind, length) = wire::header(header).map_err(broken)?;
            self.scratch.resize(length, 0);
            self.stream
                .read_exact(&mut self.scratch)
                .await
                .map_err(lost)?;
            Message::decode(kind, &self.scratch)
                .map(Some)
                .map_err(broken)
        };
        match timeout(limit, read).await {
            Ok(message) => message,
            Err(_) => Err(late("did not answer", limit)),
        }
    }

    /// The answer to a request: a refusal is a failure, and so is an end.
    pub(super) async fn answer(&mut self, limit: Duration) -> Result<Message, Failure> {
        match self.receive(limit).await? {
            Some(Message::Failed { cause, words }) => Err(Failure::Refused(cause, words)),
            Some(message) => Ok(message),
            None => Err(lost(std::io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Fills a buffer with the bytes that follow.
    pub(super) async fn receive_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Failure> {
        let mut filled = 0;
        let mut yielded = 0;
        while filled < buffer.len() {
            match timeout(PROGRESS, self.stream.read(&mut buffer[filled..])).await {
                Ok(Ok(0)) => return Err(lost(std::io::ErrorKind::UnexpectedEof.into())),
                Ok(Ok(count)) => {
                    filled += count;
                    self.traffic.add(count);
                }
                Ok(Err(error)) => return Err(lost(error)),
                Err(_) => return Err(late("sent no bytes", PROGRESS)),
            }
            if filled - yielded >= PIECE {
                yielded = filled;
                yield_now().await;
            }
        }
        Ok(())
    }

    /// Reads bytes that nobody wants.
    pub(super) async fn skip_bytes(&mut self, mut length: u64) -> Result<(), Failure> {
        let mut waste = vec![0; 64 * 1024];
        while length > 0 {
            let part = waste
                .len()
                .min(usize::try_from(length).unwrap_or(usize::MAX));
            match timeout(PROGRESS, self.stream.read(&mut waste[..part])).await {
                Ok(Ok(0)) => return Err(lost(std::io::ErrorKind::UnexpectedEof.into())),
                Ok(Ok(count)) => length -= count as u64,
                Ok(Err(error)) => return Err(lost(error)),
                Err(_) => return Err(late("sent no bytes", PROGRESS)),
            }
        }
        Ok(())
    }

    pub(super) async fn receive_checksum(&mut self) -> Result<u64, Failure> {
        let mut sum = [0; wire::CHECKSUM];
        match timeout(PROGRESS, self.stream.read_exact(&mut sum)).await {
            Ok(read) => read.map_err(lost)?,
            Err(_) => return Err(late("sent no bytes", PROGRESS)),
        };
        Ok(u64::from_le_bytes(sum))
    }
}

/// An answer that does not fit its request.
pub(super) fn unexpected(message: &Message) -> Failure {
    Failure::Lost(Error::new(
        ErrorKind::Io,
        format!("the peer broke the protocol: it answered {message:?}"),
    ))
}

#[cfg(test)]
impl Duplex for tokio::io::DuplexStream {
    fn send_some<'a>(&'a mut self, bytes: &'a mut Bytes) -> Boxed<'a, io::Result<()>> {
        Box::pin(async move {
            let sent = self.write(bytes).await?;
            bytes::Buf::advance(bytes, sent);
            Ok(())
        })
    }
}

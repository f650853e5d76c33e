//! A client's socket on the daemon's side.

use crate::wire::{Answer, PREFIX, Prefix, REQUEST_FIELDS};
use proxystore::{Error, ErrorKind, Result};
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// How long a client may take for the next bytes of a message, and for taking those of an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes that are received ahead.
const AHEAD: usize = 16 << 10;
/// How much is read, and for how long, from a client that was sent away.
const UNREAD: u64 = 1 << 20;
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection of a client.
#[derive(Debug)]
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => std::pin::Pin::new(stream).poll_read(context, target),
            Self::Tcp(stream) => std::pin::Pin::new(stream).poll_read(context, target),
        }
    }
}

pub(super) struct Socket {
    stream: BufReader<Stream>,
}

impl Socket {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream: BufReader::with_capacity(AHEAD, stream),
        }
    }

    pub(super) fn passes_descriptors(&self) -> bool {
        matches!(self.stream.get_ref(), Stream::Unix(_))
    }

    /// The next message's prefix and fields; `None` once the client has gone.
    pub(super) async fn receive(&mut self, fields: &mut Vec<u8>) -> Result<Option<Prefix>> {
        let mut head = [0; PREFIX];
        // A client may be idle for as long as it likes, but not in the middle of a message.
        match self.stream.read(&mut head[..1]).await {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(lost(error)),
        }
        self.fill(&mut head[1..]).await?;
        let prefix = Prefix::decode(&head, REQUEST_FIELDS)?;
        fields.clear();
        fields.resize(prefix.fields as usize, 0);
        self.fill(fields).await?;
        Ok(Some(prefix))
    }

    pub(super) async fn fill(&mut self, mut target: &mut [u8]) -> Result<()> {
        while !target.is_empty() {
            let got = self.some(target).await?;
            target = &mut target[got..];
        }
        Ok(())
    }

    /// Some bytes, at least one.
    pub(super) async fn some(&mut self, target: &mut [u8]) -> Result<usize> {
        match timeout(PATIENCE, self.stream.read(target)).await {
            Ok(Ok(0)) => Err(lost(io::ErrorKind::UnexpectedEof.into())),
            Ok(Ok(got)) => Ok(got),
            Ok(Err(error)) => Err(lost(error)),
            Err(_) => Err(lost(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Reads what nobody wants.
    pub(super) async fn skip(&mut self, mut count: u64) -> Result<()> {
        let mut bytes = [0; 4096];
        while count > 0 {
            let most = bytes
                .len()
                .min(usize::try_from(count).unwrap_or(bytes.len()));
            count -= self.some(&mut bytes[..most]).await? as u64;
        }
        Ok(())
    }

    pub(super) async fn send(&mut self, answer: &Answer) -> Result<()> {
        self.send_with(&answer.encode(0), &[]).await
    }

    /// Sends a message and its body.
    pub(super) async fn send_with(&mut self, message: &[u8], body: &[u8]) -> Result<()> {
        let mut slices = [IoSlice::new(message), IoSlice::new(body)];
        let mut rest = &mut slices[..];
        if body.is_empty() {
            rest = &mut rest[..1];
        }
        while !rest.is_empty() {
            let stream = self.stream.get_mut();
            let write = async {
                match stream {
                    Stream::Unix(stream) => stream.write_vectored(rest).await,
                    Stream::Tcp(stream) => stream.write_vectored(rest).await,
                }
            };
            let sent = match timeout(PATIENCE, write).await {
                Ok(sent) => sent.map_err(lost)?,
                Err(_) => return Err(lost(io::ErrorKind::TimedOut.into())),
            };
            IoSlice::advance_slices(&mut rest, sent);
        }
        Ok(())
    }

    /// The last words to a client. What it still sends is read for a moment: to close a socket with
    /// unread bytes is to take back what was said.
    pub(super) async fn farewell(&mut self, error: &Error) {
        let drained = async {
            self.send(&Answer::failed(error)).await?;
            match self.stream.get_mut() {
                Stream::Unix(stream) => stream.shutdown().await.map_err(lost)?,
                Stream::Tcp(stream) => stream.shutdown().await.map_err(lost)?,
            }
            self.skip(UNREAD).await
        };
        let _ = timeout(FAREWELL, drained).await;
    }

    /// Sends a message together with a descriptor.
    pub(super) async fn send_descriptor(
        &mut self,
        message: &[u8],
        descriptor: BorrowedFd<'_>,
    ) -> Result<()> {
        let Stream::Unix(stream) = self.stream.get_mut() else {
            let why = "descriptors are passed over unix sockets only";
            return Err(Error::new(ErrorKind::Unsupported, why));
        };
        let send = stream.async_io(Interest::WRITABLE, || {
            pass(stream.as_raw_fd(), message, descriptor)
        });
        let sent = match timeout(PATIENCE, send).await {
            Ok(sent) => sent.map_err(lost)?,
            Err(_) => return Err(lost(io::ErrorKind::TimedOut.into())),
        };
        if sent < message.len() {
            self.send_with(&message[sent..], &[]).await?;
        }
        Ok(())
    }
}

fn lost(error: io::Error) -> Error {
    Error::io(error, "a client")
}

fn pass(socket: i32, message: &[u8], descriptor: BorrowedFd<'_>) -> io::Result<usize> {
    #[repr(align(8))]
    struct Control([u8; 32]);
    let mut control = Control([0; 32]);
    let number = descriptor.as_raw_fd();
    let mut slice = libc::iovec {
        iov_base: message.as_ptr().cast_mut().cast(),
        iov_len: message.len(),
    };
    // SAFETY: zero is a sound value of every field.
    let mut head: libc::msghdr = unsafe { std::mem::zeroed() };
    head.msg_iov = &raw mut slice;
    head.msg_iovlen = 1;
    head.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: the control bytes have room for one header and one descriptor (24 of 32 bytes); the
    // kernel reads what the head describes.
    let sent = unsafe {
        head.msg_controllen = libc::CMSG_SPACE(size_of_val(&number) as u32) as _;
        let one = libc::CMSG_FIRSTHDR(&raw const head);
        (*one).cmsg_level = libc::SOL_SOCKET;
        (*one).cmsg_type = libc::SCM_RIGHTS;
        (*one).cmsg_len = libc::CMSG_LEN(size_of_val(&number) as u32) as _;
        libc::CMSG_DATA(one).cast::<i32>().write_unaligned(number);
        libc::sendmsg(socket, &raw const head, libc::MSG_NOSIGNAL)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

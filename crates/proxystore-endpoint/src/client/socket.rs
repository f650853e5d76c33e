//! A socket that blocks in slices, so that a signal can end a call, and takes descriptors.

use proxystore::interrupt;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often a waiting call asks whether the program wants it to end.
const SLICE: Duration = Duration::from_millis(500);
/// How long a call waits without a byte. A daemon that works on an answer says so every few
/// seconds.
const PATIENCE: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);

pub(super) enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Socket {
    pub(super) fn unix(path: &Path) -> io::Result<Self> {
        let socket = UnixStream::connect(path)?;
        socket.set_read_timeout(Some(SLICE))?;
        socket.set_write_timeout(Some(SLICE))?;
        Ok(Self::Unix(socket))
    }

    /// No proxy of the environment has a say in it.
    pub(super) fn tcp(address: &str) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(socket) => {
                    socket.set_nodelay(true)?;
                    socket.set_read_timeout(Some(SLICE))?;
                    socket.set_write_timeout(Some(SLICE))?;
                    return Ok(Self::Tcp(socket));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    pub(super) fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    fn descriptor(&self) -> RawFd {
        match self {
            Self::Unix(socket) => socket.as_raw_fd(),
            Self::Tcp(socket) => socket.as_raw_fd(),
        }
    }

    /// Sends some of the slices.
    pub(super) fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        waiting(|| {
            // SAFETY: zero is a sound value of every field.
            let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
            message.msg_iov = slices.as_ptr().cast_mut().cast();
            message.msg_iovlen = slices.len().min(1024) as _;
            // SAFETY: the slices are borrowed for as long, and only read.
            unsafe { libc::sendmsg(self.descriptor(), &raw const message, libc::MSG_NOSIGNAL) }
        })
    }

    /// Receives some bytes, and the descriptors that come with them.
    pub(super) fn receive(
        &self,
        target: &mut [u8],
        descriptors: &mut VecDeque<OwnedFd>,
    ) -> io::Result<usize> {
        #[repr(align(8))]
        struct Control([u8; 64]);
        let mut control = Control([0; 64]);
        // SAFETY: zero is a sound value of every field.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        let mut slice = libc::iovec {
            iov_base: target.as_mut_ptr().cast(),
            iov_len: target.len(),
        };
        let got = waiting(|| {
            message.msg_iov = &raw mut slice;
            message.msg_iovlen = 1;
            message.msg_control = control.0.as_mut_ptr().cast();
            message.msg_controllen = control.0.len() as _;
            let flags = libc::MSG_CMSG_CLOEXEC;
            // SAFETY: the message describes memory that is ours to write for as long.
            unsafe { libc::recvmsg(self.descriptor(), &raw mut message, flags) }
        })?;
        // SAFETY: the kernel has filled in the control bytes that the message describes; each
        // descriptor in them is ours from here on, and owned by nobody else.
        unsafe {
            let mut header = libc::CMSG_FIRSTHDR(&raw const message);
            while !header.is_null() {
                let one = &*header;
                if one.cmsg_level == libc::SOL_SOCKET && one.cmsg_type == libc::SCM_RIGHTS {
                    let bytes = one.cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                    let first = libc::CMSG_DATA(header).cast::<RawFd>();
                    for at in 0..bytes / size_of::<RawFd>() {
                        descriptors.push_back(OwnedFd::from_raw_fd(first.add(at).read_unaligned()));
                    }
                }
                header = libc::CMSG_NXTHDR(&raw const message, header);
            }
        }
        if got == 0 && !target.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(got)
    }
}

/// Repeats a call that came back with nothing done, until patience ends or the program is to stop.
fn waiting(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    let began = Instant::now();
    loop {
        let done = call();
        if done >= 0 {
            return Ok(done as usize);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => {
                if interrupt::is_requested() {
                    return Err(io::Error::other("interrupted by a signal"));
                }
                if began.elapsed() >= PATIENCE {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            _ => return Err(error),
        }
    }
}

//! What went over this process's TCP connections so far: the kernel counts it, so that a call that
//! cannot be looked into can be seen to get on.

use std::collections::HashMap;
use std::os::fd::RawFd;
use std::path::PathBuf;

/// Numbers of eight bytes in `struct tcp_info` up to those that are read here.
const WORDS: usize = 17;
/// Which of them `tcpi_bytes_acked` and `tcpi_bytes_received` are.
const ACKED: usize = 15;
const RECEIVED: usize = 16;

/// Which way.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    Out,
    In,
}

/// The bytes of all connections since it was made, those that have ended included as far as they
/// were seen.
pub(crate) struct Traffic {
    way: Way,
    seen: HashMap<PathBuf, u64>,
    before: u64,
}

impl Traffic {
    pub(crate) fn new(way: Way) -> Self {
        let mut new = Self {
            way,
            seen: HashMap::new(),
            before: 0,
        };
        new.before = new.count();
        new
    }

    /// Bytes since then that the other side has, or has sent.
    pub(crate) fn since(&mut self) -> u64 {
        self.count().saturating_sub(self.before)
    }

    fn count(&mut self) -> u64 {
        let files = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
        for file in files.flatten() {
            // The link names the socket itself; its number may be another one's soon.
            let number = file.file_name().to_str().and_then(|name| name.parse().ok());
            if let (Some(number), Ok(name)) = (number, std::fs::read_link(file.path()))
                && let Some(bytes) = of_socket(number, self.way)
            {
                let seen = self.seen.entry(name).or_default();
                *seen = bytes.max(*seen);
            }
        }
        self.seen.values().sum()
    }
}

/// None for what is no TCP connection.
fn of_socket(file: RawFd, way: Way) -> Option<u64> {
    let mut words = [0_u64; WORDS];
    let mut len = size_of_val(&words) as libc::socklen_t;
    // SAFETY: room for `len` bytes, which may hold anything. Of a number that another thread closed
    // meanwhile the call fails, or answers for another file.
    let failed = unsafe {
        libc::getsockopt(
            file,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            words.as_mut_ptr().cast(),
            &raw mut len,
        )
    } != 0;
    let whole = len as usize == size_of_val(&words);
    (!failed && whole).then(|| match way {
        Way::Out => words[ACKED],
        Way::In => words[RECEIVED],
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may

    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    #[test]
    fn what_goes_over_a_connection_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut server = listener.accept().unwrap().0;
        client.write_all(&[1; 1000]).unwrap();
        server.read_exact(&mut [0; 1000]).unwrap();
        let (mut out, mut into) = (Traffic::new(Way::Out), Traffic::new(Way::In));
        client.write_all(&[1; 5000]).unwrap();
        server.read_exact(&mut [0; 5000]).unwrap();
        // Both ends are this process's; others of its tests have no connections. What is on its
        // way back acknowledges some time later.
        let end = Instant::now() + Duration::from_secs(30);
        while out.since() < 5000 {
            assert!(Instant::now() < end, "{}", out.since());
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!((out.since(), into.since()), (5000, 5000));
        drop((client, server));
        assert_eq!(into.since(), 5000, "what has ended counts on");
    }
}

//! A line between a client and an HTTP server that breaks on demand.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What happens to one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFault {
    /// It works.
    None,
    /// Its request is answered with 503 and `SlowDown`, and goes no further.
    Throttled,
    /// It is cut when so many bytes have gone to the server.
    RequestCut(u64),
    /// It is cut when so many bytes of the answer have come.
    AnswerCut(u64),
    /// Its request arrives, and no answer ever comes.
    Silent,
}

/// Listens on a free port of the loopback and passes connections on to a server, each with a fault
/// of its own.
///
/// ```
/// use proxystore_testkit::{FaultProxy, LineFault};
///
/// let proxy = FaultProxy::start(6379, |number| match number {
///     0 => LineFault::Throttled,
///     _ => LineFault::None,
/// });
/// assert_eq!(proxy.faults(), 0, "nobody has connected yet");
/// ```
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    target: u16,
    plan: Box<dyn Fn(u64) -> LineFault + Send + Sync>,
    is_over: AtomicBool,
    connections: AtomicU64,
    faults: AtomicU64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("target", &self.target)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

impl FaultProxy {
    /// A line to the server at `target` of 127.0.0.1. `plan` says what happens to the nth
    /// connection, from 0.
    ///
    /// # Panics
    /// If there is no free port.
    #[must_use]
    pub fn start(target: u16, plan: impl Fn(u64) -> LineFault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let shared = Arc::new(Shared {
            target,
            plan: Box::new(plan),
            is_over: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            faults: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || {
                    // What breaks here is what a client is to bear.
                    let _ = shared.carry(client);
                });
            }
        });
        Self { port, shared }
    }

    /// Its address.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// How many connections had a fault so far.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.shared.faults.load(Ordering::Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // Wakes who accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn carry(&self, mut client: TcpStream) -> io::Result<()> {
        let fault = (self.plan)(self.connections.fetch_add(1, Ordering::Relaxed));
        if fault != LineFault::None {
            self.faults.fetch_add(1, Ordering::Relaxed);
        }
        if fault == LineFault::Throttled {
            return throttle(client);
        }
        let mut server = TcpStream::connect(("127.0.0.1", self.target))?;
        let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
        let most = match fault {
            LineFault::RequestCut(most) => most,
            _ => u64::MAX,
        };
        let sending = std::thread::spawn(move || {
            let cut = copy(&mut from_client, &mut to_server, most);
            if cut.unwrap_or(true) {
                let _ = from_client.shutdown(Shutdown::Both);
                let _ = to_server.shutdown(Shutdown::Both);
            } else {
                let _ = to_server.shutdown(Shutdown::Write);
            }
        });
        match fault {
            LineFault::AnswerCut(most) => {
                let _ = copy(&mut server, &mut client, most);
            }
            LineFault::Silent => {
                let _ = copy(&mut server, &mut io::sink(), u64::MAX);
                std::thread::sleep(Duration::from_secs(60));
            }
            _ => {
                let _ = copy(&mut server, &mut client, u64::MAX);
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
        let _ = sending.join();
        Ok(())
    }
}

/// Copies until the end, or `most` bytes, and says whether it was cut.
fn copy(from: &mut TcpStream, to: &mut impl Write, most: u64) -> io::Result<bool> {
    let mut left = most;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let got = from.read(&mut buffer)?;
        if got == 0 {
            return Ok(false);
        }
        let passed = (got as u64).min(left);
        to.write_all(&buffer[..passed as usize])?;
        left -= passed;
        if left == 0 {
            return Ok(true);
        }
    }
}

/// Reads a whole request and answers it as a service does that has too many.
fn throttle(mut client: TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let mut left = None;
    while left != Some(0) {
        let got = client.read(&mut buffer)?;
        if got == 0 {
            break;
        }
        match &mut left {
            Some(left) => *left -= got.min(*left),
            None => {
                request.extend_from_slice(&buffer[..got]);
                let end = request.windows(4).position(|four| four == b"\r\n\r\n");
                if let Some(end) = end {
                    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
                    let len = head.split("content-length:").nth(1);
                    let len = len.and_then(|rest| rest.lines().next()?.trim().parse().ok());
                    left = Some(
                        len.unwrap_or(0_usize)
                            .saturating_sub(request.len() - end - 4),
                    );
                }
            }
        }
    }
    let body =
        "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
    write!(
        client,
        "HTTP/1.1 503 Slow Down\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    client.shutdown(Shutdown::Write)
}

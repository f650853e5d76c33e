//! A cable between two endpoints, TCP and UDP, that can be cut: then nothing comes through, and nobody is told.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep};

#[derive(Default)]
struct State {
    cut: AtomicBool,
    /// TCP connections of an earlier cut stay dead.
    cuts: AtomicU64,
    bytes: AtomicU64,
    limit: AtomicU64,
    /// After how many bytes one is flipped.
    flip: AtomicU64,
}

pub(crate) struct Cable {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

impl Cable {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let state = Arc::new(State {
            limit: AtomicU64::new(u64::MAX),
            flip: AtomicU64::new(u64::MAX),
            ..State::default()
        });
        let address = udp.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(carry_tcp(tcp, target, Arc::clone(&state)));
        tasks.spawn(carry_udp(udp, target, Arc::clone(&state)));
        Self {
            address,
            state,
            _tasks: tasks,
        }
    }

    /// Cuts it once so many more bytes have come through.
    pub(crate) fn cut_after(&self, bytes: u64) {
        self.state
            .limit
            .store(self.bytes() + bytes, Ordering::SeqCst);
    }

    /// Flips a bit once so many more bytes have come through.
    pub(crate) fn flip_after(&self, bytes: u64) {
        self.state
            .flip
            .store(self.bytes() + bytes, Ordering::SeqCst);
    }

    /// Whether the bit was flipped.
    pub(crate) fn has_flipped(&self) -> bool {
        self.state.flip.load(Ordering::SeqCst) == u64::MAX
    }

    pub(crate) async fn until_cut(&self) {
        for _ in 0..6000 {
            if self.state.cut.load(Ordering::SeqCst) {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
        panic!("the bytes do not come");
    }

    pub(crate) fn mend(&self) {
        self.state.limit.store(u64::MAX, Ordering::SeqCst);
        self.state.cuts.fetch_add(1, Ordering::SeqCst);
        self.state.cut.store(false, Ordering::SeqCst);
    }

    /// Bytes that came through.
    pub(crate) fn bytes(&self) -> u64 {
        self.state.bytes.load(Ordering::SeqCst)
    }
}

impl State {
    fn lets_through(&self, count: usize) -> bool {
        if self.cut.load(Ordering::SeqCst) {
            return false;
        }
        let bytes = self.bytes.fetch_add(count as u64, Ordering::SeqCst) + count as u64;
        if bytes >= self.limit.load(Ordering::SeqCst) {
            self.cut.store(true, Ordering::SeqCst);
        }
        true
    }

    fn damage(&self, bytes: &mut [u8]) {
        let (at, now) = (
            self.flip.load(Ordering::SeqCst),
            self.bytes.load(Ordering::SeqCst),
        );
        let swap = |to| {
            self.flip
                .compare_exchange(at, to, Ordering::SeqCst, Ordering::SeqCst)
        };
        if now > at && swap(u64::MAX).is_ok() {
            bytes[bytes.len() / 2] ^= 1;
        }
    }
}

async fn carry_tcp(listener: TcpListener, target: SocketAddr, state: Arc<State>) {
    let mut tasks = JoinSet::new();
    while let Ok((inner, _)) = listener.accept().await {
        let Ok(outer) = TcpStream::connect(target).await else {
            continue;
        };
        let cuts = state.cuts.load(Ordering::SeqCst);
        let ((a, b), (c, d)) = (inner.into_split(), outer.into_split());
        for (mut from, mut to) in [(a, d), (c, b)] {
            let state = Arc::clone(&state);
            tasks.spawn(async move {
                let mut buffer = vec![0; 32 * 1024];
                while let Ok(count @ 1..) = from.read(&mut buffer).await {
                    let alive =
                        state.cuts.load(Ordering::SeqCst) == cuts && state.lets_through(count);
                    state.damage(&mut buffer[..count]);
                    if alive && to.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
            });
        }
    }
}

async fn carry_udp(inner: UdpSocket, target: SocketAddr, state: Arc<State>) {
    let inner = Arc::new(inner);
    let mut outer: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok((count, from)) = inner.recv_from(&mut buffer).await else {
            continue;
        };
        if let Entry::Vacant(entry) = outer.entry(from) {
            let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
            socket.connect(target).await.unwrap();
            entry.insert(Arc::clone(&socket));
            let (inner, state) = (Arc::clone(&inner), Arc::clone(&state));
            tasks.spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                loop {
                    match socket.recv(&mut buffer).await {
                        Ok(count) if state.lets_through(count) => {
                            let _ = inner.send_to(&buffer[..count], from).await;
                        }
                        Ok(_) => {}
                        Err(_) => sleep(Duration::from_millis(10)).await,
                    }
                }
            });
        }
        if state.lets_through(count) {
            let _ = outer[&from].send(&buffer[..count]).await;
        }
    }
}

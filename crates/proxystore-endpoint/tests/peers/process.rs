//! A site in a process of its own, which can be stopped, woken and killed.

use super::site::{Shelf, pattern};
use proxystore_endpoint::identity::{PublicKey, SecretKey};
use proxystore_endpoint::objects::Objects;
use proxystore_endpoint::peer::{AllowList, Peers, PeersConfig};
use proxystore_endpoint::remote::Allowed;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

const FOLDER: &str = "PROXYSTORE_TEST_FOLDER";
const LISTEN: &str = "PROXYSTORE_TEST_LISTEN";
pub(crate) const SIZE: usize = 24_000_000;

/// Not a test of its own: what the other process runs. It has an object of [`SIZE`] bytes under `key`.
#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout)]
async fn the_other_process() {
    let (Ok(folder), Ok(listen)) = (std::env::var(FOLDER), std::env::var(LISTEN)) else {
        return;
    };
    let folder = PathBuf::from(folder);
    let key = SecretKey::load(&folder.join("endpoint.key")).unwrap();
    let mut config = PeersConfig::new(key, folder.join("peers.toml"));
    config.listen = vec![listen.parse().unwrap()];
    config.tls = false;
    let shelf = Arc::new(Shelf::default());
    shelf.put("key", pattern(SIZE)).unwrap();
    let peers = Peers::start(config, shelf as Arc<dyn Objects>)
        .await
        .unwrap();
    println!("\nlistens at {}", peers.addresses()[0]);
    // Ends with whoever started it.
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
        .await
        .unwrap()
        .unwrap();
    std::process::exit(0);
}

pub(crate) struct Process {
    child: Child,
    folder: PathBuf,
    pub(crate) key: PublicKey,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts one that lets a peer in.
    pub(crate) fn start(name: &str, friend: &str) -> Self {
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let key = SecretKey::load_or_create(&folder.join("endpoint.key"))
            .unwrap()
            .public();
        let list = AllowList::open(folder.join("peers.toml")).unwrap();
        let friend = Allowed {
            key: friend.to_owned(),
            uuid: None,
            label: None,
            addresses: Vec::new(),
        };
        list.add(friend).unwrap();
        let (child, address) = spawn(&folder, "127.0.0.1:0");
        Self {
            child,
            folder,
            key,
            address,
        }
    }

    pub(crate) fn entry(&self) -> Allowed {
        Allowed {
            key: self.key.to_string(),
            uuid: None,
            label: None,
            addresses: vec![self.address.to_string()],
        }
    }

    pub(crate) fn signal(&self, signal: libc::c_int) {
        // SAFETY: the child is ours and was not waited for, so that the number is still its own.
        unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
    }

    /// Kills it, and starts it again at the same port.
    pub(crate) fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, self.address) = spawn(&self.folder, &self.address.to_string());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn spawn(folder: &Path, listen: &str) -> (Child, SocketAddr) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["process::the_other_process", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .env(LISTEN, listen)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    for line in output.lines() {
        if let Some(address) = line.unwrap_or_default().strip_prefix("listens at ") {
            return (child, address.parse().unwrap());
        }
    }
    panic!("the other process has ended: {:?}", child.wait());
}

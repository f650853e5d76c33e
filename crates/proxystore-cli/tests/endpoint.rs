//! Endpoints as people and programs use them: real daemons, children of the test.

#![allow(clippy::unwrap_used)] // a step that fails fails the test

use proxystore::seal::{SealConfig, seal};
use proxystore::{Access, Connector, ConnectorExt, ErrorKind, Key, Payload};
use proxystore_endpoint::client::{Client, Running};
use proxystore_endpoint::{EndpointConfig, EndpointConnector};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A place for endpoints, and the daemons in it.
struct Site {
    home: PathBuf,
    daemons: Vec<(String, Child)>,
}

impl Site {
    fn new(name: &str) -> Self {
        let home = std::env::temp_dir().join(format!("pxe-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(&home).unwrap();
        let daemons = Vec::new();
        Self { home, daemons }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_proxystore"));
        command.arg0("proxystore-endpoint").args(arguments);
        command.env("PROXYSTORE_HOME", &self.home);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn say(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn configure(&self, name: &str, more: &[&str]) {
        let arguments = [
            "configure",
            name,
            "--host",
            "127.0.0.1",
            "--listen",
            "127.0.0.1:0",
        ];
        self.say(&[&arguments, more].concat());
    }

    fn start(&mut self, name: &str) {
        let mut command = self.command(&["--log-level", "ERROR", "start", name]);
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        let pid = child.id();
        self.daemons.push((name.to_owned(), child));
        let began = Instant::now();
        while Running::read(&self.dir(name)).is_none_or(|running| running.pid != pid) {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{name} does not start"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    fn open(&self, name: &str) -> EndpointConnector {
        open(&self.home, name)
    }

    fn client(&self, name: &str) -> Client {
        Client::connect(Running::read(&self.dir(name)).unwrap()).unwrap()
    }

    /// Kills a daemon as the kernel does when memory is short.
    fn kill(&mut self, name: &str) {
        let at = self
            .daemons
            .iter()
            .position(|(known, _)| known == name)
            .unwrap();
        let (_, mut child) = self.daemons.remove(at);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for (_, child) in &mut self.daemons {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.home);
    }
}

fn open(home: &Path, name: &str) -> EndpointConnector {
    EndpointConnector::open(EndpointConfig::of([name]).dir(home)).unwrap()
}

#[test]
fn contract_over_shared_memory_and_the_unix_socket() {
    let mut site = Site::new("contract");
    site.configure("left", &["--max-object-size", "100000000"]);
    site.start("left");
    let capability = site.open("left").capability();
    assert!(capability.batch && capability.cross_host && capability.max_len.is_some());
    proxystore_testkit::run(|| Arc::new(site.open("left")));
}

/// The core's own test has the other columns, and cannot know this one.
#[test]
fn the_table_in_the_docs_has_the_trials_of_an_endpoint() {
    let mut site = Site::new("table");
    site.configure("left", &[]);
    site.start("left");
    let table = proxystore_testkit::coverage(&[("endpoint", site.open("left").capability())]);
    let expected: Vec<_> = table.lines().map(first_and_last).collect();
    let page = include_str!("../../../docs/connectors.md");
    let head = page
        .lines()
        .skip_while(|line| !line.starts_with("| trial |"));
    let told: Vec<_> = head.take(expected.len()).map(first_and_last).collect();
    assert_eq!(told, expected, "docs/connectors.md");
}

fn first_and_last(row: &str) -> (String, String) {
    let cells: Vec<_> = row.split('|').map(str::trim).collect();
    let last = cells.len().saturating_sub(2);
    (cells[1].to_owned(), cells[last].to_owned())
}

#[test]
fn contract_of_sealed_objects() {
    let mut site = Site::new("sealed");
    site.configure("left", &[]);
    site.start("left");
    let key = site.home.join("key");
    fs::write(&key, "5f".repeat(32)).unwrap();
    fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    let key = format!("file:{}", key.display()).parse().unwrap();
    let config = SealConfig::default().encryption(Some(key));
    proxystore_testkit::run(|| seal(Arc::new(site.open("left")), &config).unwrap());
}

/// The folder as another host of the site sees it: the unix socket is not there.
fn as_another_host(site: &Site, name: &str) -> PathBuf {
    let home = site.home.join("elsewhere");
    fs::create_dir_all(home.join(name)).unwrap();
    for file in ["config.toml", "token"] {
        fs::copy(site.dir(name).join(file), home.join(name).join(file)).unwrap();
    }
    let mut running = Running::read(&site.dir(name)).unwrap();
    running.boot = "another".into();
    running.socket = "/nonexistent".into();
    fs::write(home.join(name).join("daemon.run"), running.to_text()).unwrap();
    home
}

#[test]
fn contract_over_tcp() {
    let mut site = Site::new("tcp");
    site.configure("left", &["--persist"]);
    site.start("left");
    let home = as_another_host(&site, "left");
    // A proxy of the environment has no part in it.
    proxystore_testkit::run(|| Arc::new(open(&home, "left")));
    fs::write(home.join("left/token"), "0".repeat(64)).unwrap();
    let wrong = EndpointConnector::open(EndpointConfig::of(["left"]).dir(home));
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[test]
fn persisted_objects_survive_kill() {
    let mut site = Site::new("kill");
    site.configure("left", &["--persist"]);
    site.start("left");
    let connector = site.open("left");
    let sizes = [0, 10, 70_000, 3_000_000];
    let keys: Vec<Key> = sizes
        .iter()
        .map(|len| connector.put_bytes(&vec![7; *len]).unwrap())
        .collect();
    connector.evict(&keys[1]).unwrap();
    site.kill("left");
    let error = connector.get(&keys[0], Access::Auto).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(site.say(&["stop", "left"]).contains("killed"));
    site.start("left");
    let connector = site.open("left");
    for (key, len) in keys.iter().zip(sizes) {
        let found = connector.get_vec(key).unwrap();
        assert_eq!(found, (len != 10).then(|| vec![7; len]), "{len}");
    }
}

#[test]
fn one_daemon_for_each_folder() {
    let mut site = Site::new("one");
    site.configure("left", &[]);
    site.start("left");
    let output = site.run(&["start", "left"]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let pid = Running::read(&site.dir("left")).unwrap().pid.to_string();
    assert!(!output.status.success() && words.contains(&pid), "{words}");
    assert!(!site.run(&["remove", "left"]).status.success());
}

#[test]
fn starts_in_the_background_and_stops() {
    let site = Site::new("detach");
    site.configure("left", &[]);
    assert!(site.say(&["list"]).contains("STOPPED"));
    site.say(&["start", "left", "--detach"]);
    assert!(site.say(&["list"]).contains("RUNNING"));
    assert_eq!(site.say(&["health", "left"]), "ok\n");
    let line = site.say(&["test", "left", "put", "hello"]);
    let key = line.split_whitespace().last().unwrap();
    assert_eq!(site.say(&["test", "left", "get", key]), "hello\n");
    assert!(
        site.say(&["test", "left", "exists", key])
            .contains("is an object")
    );
    site.say(&["test", "left", "evict", key]);
    assert!(
        site.say(&["test", "left", "exists", key])
            .contains("no object")
    );
    assert!(site.say(&["status", "left"]).contains("objects"));
    assert!(
        site.say(&["top", "left", "--count", "1"])
            .contains("clients")
    );
    site.say(&["peers", "left"]);
    site.say(&["stop", "left"]);
    assert!(site.say(&["list"]).contains("STOPPED"));
    assert!(!site.run(&["health", "left"]).status.success());
    assert!(site.dir("left").join("log.txt").exists());
    site.say(&["remove", "left"]);
    assert!(!site.dir("left").exists());
}

#[test]
fn limits_are_told_before_the_upload() {
    let mut site = Site::new("limit");
    site.configure("left", &["--max-object-size", "2000000"]);
    site.start("left");
    let connector = site.open("left");
    for len in [2_000_001, 500_000_000] {
        let began = Instant::now();
        let error = connector.put_bytes(&vec![0; len]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    let key = connector.put_bytes(&vec![1; 2_000_000]).unwrap();
    assert_eq!(connector.get_vec(&key).unwrap().unwrap().len(), 2_000_000);
}

#[test]
fn garbage_and_aborted_connections_do_no_harm() {
    let mut site = Site::new("garbage");
    site.configure("left", &["--metrics-port", "0"]);
    site.start("left");
    let running = Running::read(&site.dir("left")).unwrap();
    let connector = site.open("left");
    let key = connector.put_bytes(b"still here").unwrap();
    let mut state = 1_u64;
    for round in 0..1000_u64 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(round);
        let bytes: Vec<u8> = (0..state >> 58)
            .map(|at| (state >> (at % 56)) as u8)
            .collect();
        let hello = b"PE\x01\x01\x02\0\0\0\0\0\0\0\0\0\0\0\0\0";
        if round % 2 == 0 {
            let mut socket = UnixStream::connect(&running.socket).unwrap();
            let _ = socket.write_all(hello);
            let _ = socket.write_all(&bytes);
        } else {
            let mut socket = TcpStream::connect(&running.address).unwrap();
            let _ = socket.write_all(&bytes);
        }
    }
    // What is no message at all is answered in words.
    let mut socket = UnixStream::connect(&running.socket).unwrap();
    socket
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("not the protocol of endpoints"), "{text}");
    assert_eq!(connector.get_vec(&key).unwrap().unwrap(), b"still here");
}

#[test]
fn a_client_that_dies_gives_back_what_it_was_lent() {
    use proxystore_endpoint::wire::Request;
    let mut site = Site::new("lent");
    site.configure("left", &[]);
    site.start("left");
    let running = Running::read(&site.dir("left")).unwrap();
    let pid = running.pid;
    for _ in 0..50 {
        let mut socket = UnixStream::connect(&running.socket).unwrap();
        let len = 50_000_000;
        socket
            .write_all(&Request::Hello { token: "" }.encode(0))
            .unwrap();
        let offer = Request::Offer {
            peer: "",
            key: "k",
            len,
            shared: true,
        };
        socket.write_all(&offer.encode(0)).unwrap();
        let mut answers = [0; 64];
        let _ = socket.read(&mut answers);
    }
    // The last ones may still be on their way out.
    let connector = site.open("left");
    assert!(!connector.exists(&Key::new("k").unwrap()).unwrap());
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("RssShmem:"))
        .unwrap();
    let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kibibytes < 600_000, "{line}");
}

#[test]
fn what_a_client_sees_stays_after_eviction() {
    let mut site = Site::new("stays");
    site.configure("left", &[]);
    site.start("left");
    let connector = site.open("left");
    let first = connector.put_bytes(&vec![1; 8_000_000]).unwrap();
    let blob = connector.get(&first, Access::Auto).unwrap().unwrap();
    connector.evict(&first).unwrap();
    for value in 2..6_u8 {
        let key = connector.put_bytes(&vec![value; 8_000_000]).unwrap();
        connector.evict(&key).unwrap();
    }
    assert!(blob.iter().all(|byte| *byte == 1));
}

#[test]
fn an_object_of_another_site() {
    let mut site = Site::new("peers");
    for name in ["left", "right"] {
        site.configure(name, &[]);
        site.start(name);
    }
    let list = site.say(&["list"]);
    let key_of = |name: &str| {
        let line = list.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().last().unwrap().to_owned()
    };
    let address = |name: &str| {
        let status = site.say(&["status", name]);
        let line = status.lines().find(|line| line.contains("127.0.0.1:"));
        let line = line.unwrap_or_else(|| panic!("no address in {status}"));
        let start = line.find("127.0.0.1:").unwrap();
        line[start..].split([' ', ',']).next().unwrap().to_owned()
    };
    for (name, other) in [("left", "right"), ("right", "left")] {
        let (key, address) = (key_of(other), address(other));
        site.say(&[
            "peer",
            "add",
            name,
            &key,
            "--label",
            other,
            "--address",
            &address,
        ]);
    }
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|at| at as u8).collect();
    let key = site.open("left").put_bytes(&bytes).unwrap();
    let right = site.open("right");
    assert_eq!(right.get_vec(&key).unwrap().unwrap(), bytes);
    assert!(right.exists(&key).unwrap());
    right.evict(&key).unwrap();
    assert_eq!(site.open("left").get_vec(&key).unwrap(), None);
    let there = Key::new(&format!("note@{}", site.open("left").endpoint().uuid)).unwrap();
    right
        .set(&there, &Payload::from_bytes(b"from afar"))
        .unwrap();
    assert_eq!(
        site.client("left")
            .get("", "note", Access::Copy)
            .unwrap()
            .unwrap()[..],
        *b"from afar"
    );
    assert!(site.say(&["peers", "right"]).contains("left"));
    site.say(&["peer", "remove", "left", &key_of("right")]);
    let error = right.exists(&there).unwrap_err();
    assert!(!error.to_string().is_empty());
}

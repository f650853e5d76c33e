//! A real S3 server of a test's own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Environment variable: the Python that has the server's package.
const PYTHON: &str = "PROXYSTORE_TEST_PYTHON";

/// The S3 server of the Python package `moto`, on a free port of the loopback, with a bucket
/// `bucket`. It ends when this value is dropped. It checks no credentials.
///
/// ```
/// let server = proxystore_testkit::S3Server::start();
/// let (status, _) = server.ask("HEAD", "/bucket");
/// assert_eq!(status, 200);
/// ```
#[derive(Debug)]
pub struct S3Server {
    child: Child,
    port: u16,
}

impl S3Server {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    /// If no Python with `moto` is found, or it does not start.
    #[must_use]
    pub fn start() -> Self {
        let port = free_port();
        let python = python();
        let mut child = Command::new(&python)
            .args([
                "-m",
                "moto.server",
                "-H",
                "127.0.0.1",
                "-p",
                &port.to_string(),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}", python.display()));
        let end = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = child.try_wait().expect("the server's state");
            assert!(
                ended.is_none() && Instant::now() < end,
                "the S3 server does not start; try: {} -m moto.server",
                python.display()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let server = Self { child, port };
        let (status, words) = server.ask("PUT", "/bucket");
        assert_eq!(status, 200, "{words}");
        server
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Parts in the bucket of uploads that were begun and neither completed nor taken back.
    ///
    /// # Panics
    /// If the server does not answer.
    #[must_use]
    pub fn parts(&self) -> usize {
        let (status, words) = self.ask("GET", "/bucket?uploads");
        assert_eq!(status, 200, "{words}");
        let (keys, ids) = (texts(&words, "Key"), texts(&words, "UploadId"));
        let parts = keys.iter().zip(&ids).map(|(key, id)| {
            let (_, words) = self.ask("GET", &format!("/bucket/{key}?uploadId={id}"));
            words.matches("<Part>").count()
        });
        parts.sum()
    }

    /// Names of all objects in the bucket, up to a thousand.
    ///
    /// # Panics
    /// If the server does not answer.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let (status, words) = self.ask("GET", "/bucket?list-type=2");
        assert_eq!(status, 200, "{words}");
        texts(&words, "Key")
    }

    /// Sends a request without a body; returns the status and the body of the answer.
    ///
    /// # Panics
    /// If the server does not answer.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        let limit = Some(Duration::from_secs(30));
        stream.set_read_timeout(limit).expect("a limit");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n",
            self.port
        );
        stream.write_all(head.as_bytes()).expect("a request sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status.expect("an answer of HTTP"), body.to_owned())
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What stands in the elements of a name.
fn texts(words: &str, name: &str) -> Vec<String> {
    let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
    words
        .split(&begin)
        .skip(1)
        .filter_map(|rest| rest.split_once(&end))
        .map(|(text, _)| text.to_owned())
        .collect()
}

/// The Python of the environment that the tests' packages are installed in.
fn python() -> PathBuf {
    if let Some(python) = std::env::var_os(PYTHON) {
        return python.into();
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let found = root.join(".venv/bin/python");
    assert!(
        found.exists(),
        "the S3 server is a Python package: make develop, or pip install 'moto[s3]' flask \
         flask-cors and name that Python in {PYTHON}"
    );
    found
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

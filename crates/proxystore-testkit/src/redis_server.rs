//! A real Redis server of a test's own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A `redis-server` on a free port of the loopback, with a directory and a Unix socket of its own,
/// that saves nothing. It ends, and its directory goes, when this value is dropped.
///
/// ```
/// let server = proxystore_testkit::RedisServer::start(&[]);
/// assert_eq!(server.ask(&["PING"]), "PONG");
/// ```
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    port: u16,
    directory: PathBuf,
    arguments: Vec<String>,
}

impl RedisServer {
    /// Starts a server and waits until it answers. `arguments` are added to its command line, e.g.
    /// `["--requirepass", "secret"]`.
    ///
    /// # Panics
    /// If there is no `redis-server` on this machine, or it does not start.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_on(free_port, |_| {
            arguments.iter().map(|text| (*text).to_owned()).collect()
        })
    }

    /// The same on a port of the caller's choice, with arguments that may depend on it.
    pub(crate) fn start_on(
        choose: impl Fn() -> u16,
        arguments: impl Fn(u16) -> Vec<String>,
    ) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!(
            "proxystore-testkit-redis-{}-{count}",
            std::process::id()
        ));
        fs::create_dir_all(&directory).expect("a directory of its own");
        // A port that was free may be taken before the server has it: then another one is.
        let mut last = String::new();
        for _ in 0..5 {
            let port = choose();
            let arguments = arguments(port);
            match launch(port, &directory, &arguments) {
                Ok(child) => {
                    return Self {
                        child,
                        port,
                        directory,
                        arguments,
                    };
                }
                Err(output) => last = output,
            }
        }
        panic!("redis-server does not start:\n{last}")
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    /// Whether it was not [stopped](Self::stop).
    pub(crate) fn is_running(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    /// Kills it and starts it anew on the same port, empty.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        self.stop();
        self.child = launch(self.port, &self.directory, &self.arguments)
            .unwrap_or_else(|output| panic!("redis-server does not start again:\n{output}"));
    }

    /// Kills it.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends one command and returns the answer: text, a number, or `(nil)`; of a list, its items
    /// on lines of their own.
    ///
    /// # Panics
    /// If the server does not answer.
    #[must_use]
    pub fn ask(&self, command: &[&str]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        let at = self
            .arguments
            .iter()
            .position(|text| text == "--requirepass");
        let password = at.and_then(|at| self.arguments.get(at + 1));
        if let Some(password) = password {
            let _ = ask(&mut stream, &["AUTH", password]).expect("an answer");
        }
        ask(&mut stream, command).expect("an answer")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn launch(port: u16, directory: &Path, arguments: &[String]) -> Result<Child, String> {
    let log = directory.join("log");
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(directory)
        .arg("--unixsocket")
        .arg(directory.join("socket"))
        .arg("--logfile")
        .arg(&log)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!(
            "cannot run redis-server ({error}); on Debian and Ubuntu: apt-get install redis-server"
        )
    });
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        if child.try_wait().is_ok_and(|ended| ended.is_some()) {
            break;
        }
        let answer = TcpStream::connect(("127.0.0.1", port))
            .and_then(|mut stream| ask(&mut stream, &["PING"]));
        if answer.is_ok_and(|words| words == "PONG" || words.starts_with("NOAUTH")) {
            return Ok(child);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(fs::read_to_string(&log).unwrap_or_default())
}

fn ask(stream: &mut TcpStream, command: &[&str]) -> std::io::Result<String> {
    let mut text = format!("*{}\r\n", command.len());
    for argument in command {
        text += &format!("${}\r\n{argument}\r\n", argument.len());
    }
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(text.as_bytes())?;
    answer(&mut BufReader::new(stream))
}

fn answer(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.trim_end();
    let Some((mark, rest)) = line.split_at_checked(1) else {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    };
    match (mark, rest) {
        ("$" | "*", "-1") => Ok("(nil)".to_owned()),
        ("$", len) => {
            let len: usize = len.parse().map_err(std::io::Error::other)?;
            let mut bytes = vec![0; len + 2];
            reader.read_exact(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes[..len]).into_owned())
        }
        ("*", len) => {
            let len: usize = len.parse().map_err(std::io::Error::other)?;
            let items: Result<Vec<_>, _> = (0..len).map(|_| answer(reader)).collect();
            Ok(items?.join("\n"))
        }
        _ => Ok(rest.to_owned()),
    }
}

//! Trials that need a process of their own: this test program, started again in a role.
//!
//! A role speaks to its trial by lines on its standard output and waits by reading its standard
//! input, which ends with the trial.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const ROLE: &str = "PROXYSTORE_TEST_ROLE";
const MARK: &str = "role says ";

/// The role that this process was started in.
pub(crate) fn current() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// In a role: tells the trial a line.
pub(crate) fn say(line: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{MARK}{line}").unwrap();
    out.flush().unwrap();
}

/// A process in a role, killed if the trial ends without it.
pub(crate) struct Role {
    pub(crate) child: Child,
    /// Until it is let go, or taken, the role waits.
    pub(crate) input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Role {
    pub(crate) fn start(role: &str, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "plays_its_role", "--nocapture"])
            .env(ROLE, role)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // The test program's own lines stand between, without an end of line sometimes.
                if let Some((_, said)) = line.split_once(MARK) {
                    let _ = sender.send(said.to_owned());
                }
            }
        });
        Self {
            input: child.stdin.take(),
            child,
            lines,
        }
    }

    /// The next line that the role says.
    pub(crate) fn line(&self) -> String {
        self.lines
            .recv_timeout(Duration::from_secs(60))
            .expect("the role says something")
    }

    /// Lets the role end, which must succeed.
    pub(crate) fn end(mut self) {
        self.input = None;
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the role ended with {status}");
    }

    /// Kills it, as a crash or the system would. Its input stays open, for what it forked.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

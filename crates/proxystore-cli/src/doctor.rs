//! `doctor`: what works on this machine.

use crate::Done;
use crate::output::{Output, human, table};
use proxystore::connectors::shared_memory::{SharedMemoryConfig, SharedMemoryConnector};
use proxystore::{Access, Connector, ConnectorExt, Error, registry};
use serde_json::json;
use std::path::Path;

/// One look.
struct Finding {
    what: String,
    state: State,
    says: String,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Good,
    /// It works, but not as well as it could.
    Poor,
    Bad,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Poor => "warning",
            Self::Bad => "FAILED",
        }
    }
}

pub(crate) fn run(urls: &[String], output: &Output) -> Done {
    let mut findings = vec![
        connectors(),
        kernel(),
        shared_memory(),
        huge_pages(),
        free_space("shared memory", "/dev/shm"),
        free_space("temporary files", &std::env::temp_dir().to_string_lossy()),
        open_files(),
        mappings(),
    ];
    findings.extend(urls.iter().map(|url| service(url)));
    let rows: Vec<_> = findings
        .iter()
        .map(|finding| {
            let state = finding.state.word().to_owned();
            vec![state, finding.what.clone(), finding.says.clone()]
        })
        .collect();
    let documents: Vec<_> = findings
        .iter()
        .map(|finding| {
            json!({
                "what": finding.what,
                "state": finding.state.word().to_lowercase(),
                "says": finding.says,
            })
        })
        .collect();
    let document = json!({ "findings": documents, "schemes": registry::schemes() });
    output.show(&document, &table(&rows))?;
    let failed = findings
        .iter()
        .filter(|finding| finding.state == State::Bad);
    match failed.count() {
        0 => Ok(()),
        count => Err(format!("{count} of {} looks failed", findings.len()).into()),
    }
}

fn finding(what: &str, state: State, says: impl Into<String>) -> Finding {
    Finding {
        what: what.to_owned(),
        state,
        says: says.into(),
    }
}

fn first_line(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().next().map(str::to_owned)
}

/// Which stores this program was built with.
fn connectors() -> Finding {
    // Other ways to say the same place are left to `--json`.
    let mut names = registry::schemes();
    names.retain(|name| !name.contains('+'));
    let mut says = names.join(", ");
    if !cfg!(feature = "object-stores") {
        says += "; built without s3, gs and az (feature object-stores)";
    }
    finding("connectors", State::Good, says)
}

fn kernel() -> Finding {
    let release = first_line("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let (state, says) = match version {
        (0, _) => (State::Poor, "its version cannot be read".to_owned()),
        version if version < (6, 1) => (
            State::Poor,
            format!("Linux {release}: from 6.1 on, large objects get huge pages"),
        ),
        _ => (State::Good, format!("Linux {release}")),
    };
    finding("kernel", state, says)
}

/// Puts and gets an object in a session of its own.
fn shared_memory() -> Finding {
    let tried = || -> Result<(String, u64), Error> {
        let connector = SharedMemoryConnector::create(SharedMemoryConfig::default())?;
        let key = connector.put_bytes(b"doctor")?;
        let same = connector
            .get(&key, Access::Auto)?
            .is_some_and(|blob| &blob[..] == b"doctor");
        let place = connector.to_string();
        let limit = connector.usage().limit;
        connector.close(true)?;
        if same {
            Ok((place, limit))
        } else {
            Err(Error::new(
                proxystore::ErrorKind::Io,
                "what was put did not come back",
            ))
        }
    };
    match tried() {
        Ok((place, limit)) => finding(
            "shared memory store",
            State::Good,
            format!("put and got an object in {place}; limit {}", human(limit)),
        ),
        Err(error) => finding("shared memory store", State::Bad, error.to_string()),
    }
}

fn huge_pages() -> Finding {
    let path = "/sys/kernel/mm/transparent_hugepage/enabled";
    match first_line(path) {
        Some(line) if line.contains("[never]") => finding(
            "huge pages",
            State::Poor,
            format!("off ({path} says never): objects above 2 MB cost up to 40% more"),
        ),
        Some(line) => finding("huge pages", State::Good, line),
        None => finding("huge pages", State::Poor, "this kernel has none"),
    }
}

fn free_space(what: &str, path: &str) -> Finding {
    let Ok(name) = std::ffi::CString::new(path) else {
        return finding(what, State::Bad, "an odd path");
    };
    let mut found = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: a string that ends with a zero byte, and room for the answer.
    let failed = unsafe { libc::statvfs(name.as_ptr(), found.as_mut_ptr()) } != 0;
    if failed {
        let error = std::io::Error::last_os_error();
        return finding(what, State::Bad, format!("{path}: {error}"));
    }
    // SAFETY: filled, for the call succeeded.
    let found = unsafe { found.assume_init() };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let state = if free < 64 << 20 {
        State::Poor
    } else {
        State::Good
    };
    let says = format!("{path}: {} free", human(free));
    if state == State::Poor && Path::new("/.dockerenv").exists() {
        let says = format!("{says}; start the container with a larger --shm-size");
        return finding(what, state, says);
    }
    finding(what, state, says)
}

fn open_files() -> Finding {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: room for the answer.
    let failed = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0;
    if failed {
        return finding("open files", State::Poor, "the limit cannot be read");
    }
    let state = if limit.rlim_cur < 256 {
        State::Poor
    } else {
        State::Good
    };
    finding("open files", state, format!("up to {}", limit.rlim_cur))
}

fn mappings() -> Finding {
    let most = first_line("/proc/sys/vm/max_map_count").and_then(|line| line.parse::<u64>().ok());
    match most {
        Some(most) if most < 65_530 => finding(
            "mappings",
            State::Poor,
            format!("up to {most}; beyond, large objects are copied"),
        ),
        Some(most) => finding("mappings", State::Good, format!("up to {most}")),
        None => finding("mappings", State::Poor, "the limit cannot be read"),
    }
}

/// Puts, gets and evicts an object by URL.
fn service(url: &str) -> Finding {
    let tried = || -> Result<String, Error> {
        let connector = proxystore::open(url)?;
        let begun = std::time::Instant::now();
        let key = connector.put_bytes(b"doctor")?;
        let same = connector.get_vec(&key)?.as_deref() == Some(b"doctor");
        connector.evict(&key)?;
        let took = begun.elapsed();
        if !same {
            return Err(Error::new(
                proxystore::ErrorKind::Io,
                "what was put did not come back",
            ));
        }
        Ok(format!("put, got and evicted an object in {took:.1?}"))
    };
    // The URL may hold a password.
    let what = url.split("://").next().unwrap_or("service").to_owned();
    match tried() {
        Ok(says) => finding(&what, State::Good, says),
        Err(error) => finding(&what, State::Bad, error.to_string()),
    }
}

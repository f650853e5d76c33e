//! What the processes of a program did with their stores, each in a file of its own, line by line.
//!
//! A program that is started with `PROXYSTORE_TRACE=<directory>` leaves there one file for each of
//! its processes: a line of JSON that says which process it is, then a line for each operation. A
//! line is one `write` to a file opened for appending, so threads take no lock, and a process that
//! is killed loses nothing but the operation under way. A file ends at [`LIMIT`] bytes.
//!
//! In Python, `proxystore.store.metrics.report` makes a page of such a directory.

use crate::{Error, Result, fork};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The environment variable that names the directory.
pub const VARIABLE: &str = "PROXYSTORE_TRACE";

/// Most bytes of one process's file: some 400,000 operations.
pub const LIMIT: u64 = 64 << 20;

/// One operation that has ended.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    /// Its name, such as `store.put`.
    pub operation: &'a str,
    /// When it began.
    pub start: Instant,
    /// How long it took.
    pub took: Duration,
    /// How long named parts of it took.
    pub parts: &'a [(&'a str, Duration)],
    /// Length of the object's frame, if it was moved.
    pub bytes: Option<u64>,
    /// Whether the cache had the object, if it was asked.
    pub hit: Option<bool>,
}

impl<'a> Event<'a> {
    /// An operation without parts, of which nothing is known but its time.
    #[must_use]
    pub fn new(operation: &'a str, start: Instant, took: Duration) -> Self {
        Self {
            operation,
            start,
            took,
            parts: &[],
            bytes: None,
            hit: None,
        }
    }
}

/// Writes the operations of one store.
#[derive(Debug)]
pub struct Tracer {
    /// The store's name, as JSON.
    store: String,
}

impl Tracer {
    /// The tracer of a store, or `None` if the variable is not set.
    ///
    /// # Errors
    /// If no file can be made in the directory.
    pub fn of_store(name: &str) -> Result<Option<Self>> {
        let Some(directory) = directory() else {
            return Ok(None);
        };
        Writer::of_this_process(&directory)?;
        let mut store = String::new();
        push_text(&mut store, name);
        Ok(Some(Self { store }))
    }

    /// Writes an operation that has ended. What cannot be written is left out.
    pub fn record(&self, event: &Event<'_>) {
        let found = WRITER.load(Ordering::Acquire);
        // SAFETY: a writer is never freed.
        let writer = match unsafe { found.as_ref() } {
            Some(writer) if writer.generation == fork::generation() => writer,
            // A forked child: it gets a file of its own.
            _ => match directory().map(|directory| Writer::of_this_process(&directory)) {
                Some(Ok(writer)) => writer,
                _ => return,
            },
        };
        writer.append(&self.line(event, writer.clock(event.start)));
    }

    /// `start` is since 1970.
    fn line(&self, event: &Event<'_>, start: Duration) -> String {
        let mut line = String::with_capacity(256);
        // Writing to a string does not fail.
        let _ = write!(
            line,
            r#"{{"op":"{}","store":{},"thread":{},"start":{},"took":{}"#,
            event.operation,
            self.store,
            thread(),
            start.as_nanos(),
            event.took.as_nanos()
        );
        if let Some(bytes) = event.bytes {
            let _ = write!(line, r#","bytes":{bytes}"#);
        }
        if let Some(hit) = event.hit {
            let _ = write!(line, r#","hit":{hit}"#);
        }
        for (part, took) in event.parts {
            let _ = write!(line, r#","{part}":{}"#, took.as_nanos());
        }
        line.push_str("}\n");
        line
    }
}

/// What an operation of this crate's store tells while it runs.
#[derive(Default)]
pub(crate) struct Moved {
    pub(crate) bytes: Option<u64>,
    pub(crate) hit: Option<bool>,
}

/// Does an operation, and writes it down if the program is traced.
pub(crate) fn traced<T>(
    tracer: &Option<Tracer>,
    operation: &'static str,
    work: impl FnOnce(&mut Moved) -> Result<T>,
) -> Result<T> {
    let mut moved = Moved::default();
    let Some(tracer) = tracer else {
        return work(&mut moved);
    };
    let start = Instant::now();
    let done = work(&mut moved)?;
    tracer.record(&Event {
        operation,
        start,
        took: start.elapsed(),
        parts: &[],
        bytes: moved.bytes,
        hit: moved.hit,
    });
    Ok(done)
}

/// The file of one process.
struct Writer {
    generation: u64,
    file: File,
    written: AtomicU64,
    /// When the file was made, by both clocks: what is nested in time stays nested.
    opened: Instant,
    opened_at: Duration,
}

/// The writer of this process, or after a fork that of its parent. Never freed: a process has one.
static WRITER: AtomicPtr<Writer> = AtomicPtr::new(null_mut());

impl Writer {
    fn of_this_process(directory: &Path) -> Result<&'static Self> {
        let generation = fork::generation();
        let found = WRITER.load(Ordering::Acquire);
        // SAFETY: a writer is never freed.
        if let Some(writer) = unsafe { found.as_ref() }
            && writer.generation == generation
        {
            return Ok(writer);
        }
        let (path, file) = create(directory)?;
        let writer = Self {
            generation,
            file,
            written: AtomicU64::new(0),
            opened: Instant::now(),
            opened_at: now(),
        };
        writer.append(&head());
        let made = Box::into_raw(Box::new(writer));
        match WRITER.compare_exchange(found, made, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: from `Box::into_raw`, and from now on never freed.
            Ok(_) => Ok(unsafe { &*made }),
            Err(first) => {
                // Another thread was quicker.
                // SAFETY: from `Box::into_raw`, and seen by nobody else.
                drop(unsafe { Box::from_raw(made) });
                let _ = std::fs::remove_file(path);
                // SAFETY: a writer is never freed, and one that was put there is not null.
                Ok(unsafe { &*first })
            }
        }
    }

    /// A moment as the time since 1970; the operation that opens the file began before it.
    fn clock(&self, moment: Instant) -> Duration {
        let after = moment.saturating_duration_since(self.opened);
        let before = self.opened.saturating_duration_since(moment);
        (self.opened_at + after).saturating_sub(before)
    }

    fn append(&self, line: &str) {
        let length = line.len() as u64;
        let before = self.written.fetch_add(length, Ordering::Relaxed);
        if before + length <= LIMIT {
            // A full disk shall not stop the program: its trace ends there.
            if (&self.file).write_all(line.as_bytes()).is_err() {
                self.written.fetch_add(LIMIT, Ordering::Relaxed);
            }
        } else if before <= LIMIT {
            let _ = (&self.file).write_all(b"{\"cut\":true}\n");
        }
    }
}

fn directory() -> Option<PathBuf> {
    let value = std::env::var_os(VARIABLE)?;
    (!value.is_empty()).then(|| value.into())
}

fn create(directory: &Path) -> Result<(PathBuf, File)> {
    let failed = |error: std::io::Error| {
        let place = directory.display();
        Error::io(error, format!("writing a trace to {VARIABLE}={place}"))
    };
    std::fs::create_dir_all(directory).map_err(failed)?;
    let name = format!(
        "{}-{}-{:x}.jsonl",
        host(),
        std::process::id(),
        now().as_nanos()
    );
    let path = directory.join(name);
    let mut options = OpenOptions::new();
    let file = options.append(true).create_new(true).open(&path);
    Ok((path, file.map_err(failed)?))
}

/// The first line: which process this is. Arguments are left out, since they may hold secrets.
fn head() -> String {
    let mut arguments = std::env::args_os();
    let mut program = arguments.next().unwrap_or_default();
    // An interpreter's script tells more.
    if let Some(script) = arguments.next()
        && Path::new(&script).is_file()
    {
        program = script;
    }
    let program = Path::new(&program).file_name().unwrap_or_default();
    let mut line = format!(
        r#"{{"proxystore_trace":1,"pid":{},"host":"#,
        std::process::id()
    );
    push_text(&mut line, &host());
    line.push_str(r#","program":"#);
    push_text(&mut line, &program.to_string_lossy());
    let _ = writeln!(line, r#","start":{}}}"#, now().as_nanos());
    line
}

fn now() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}

/// The name of this host, without what no file name may have.
fn host() -> String {
    let mut name = [0_u8; 256];
    // SAFETY: the buffer is as long as said.
    let result = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) };
    let length = name.iter().position(|byte| *byte == 0).unwrap_or(0);
    if result != 0 || length == 0 {
        return "host".to_owned();
    }
    String::from_utf8_lossy(&name[..length]).replace('/', "_")
}

#[cfg(target_os = "linux")]
fn thread() -> u64 {
    // SAFETY: it takes nothing and cannot fail.
    let id = unsafe { libc::syscall(libc::SYS_gettid) };
    id.unsigned_abs()
}

#[cfg(not(target_os = "linux"))]
fn thread() -> u64 {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::pthread_self() as u64 }
}

/// Appends a text as JSON has it.
fn push_text(to: &mut String, text: &str) {
    to.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                to.push('\\');
                to.push(letter);
            }
            control if u32::from(control) < 0x20 => {
                let _ = write!(to, "\\u{:04x}", u32::from(control));
            }
            other => to.push(other),
        }
    }
    to.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_as_json() {
        let mut line = String::new();
        push_text(&mut line, "a\"b\\c\nd\u{e9}");
        assert_eq!(line, "\"a\\\"b\\\\c\\u000ad\u{e9}\"");
    }

    #[test]
    fn one_operation_is_one_line() {
        let tracer = Tracer {
            store: "\"s\"".to_owned(),
        };
        let event = Event {
            operation: "store.get",
            start: Instant::now(),
            took: Duration::from_nanos(1500),
            parts: &[("connector", Duration::from_nanos(900))],
            bytes: Some(3),
            hit: Some(false),
        };
        let line = tracer.line(&event, Duration::from_nanos(42));
        assert!(line.starts_with(r#"{"op":"store.get","store":"s","thread":"#));
        let end = r#","start":42,"took":1500,"bytes":3,"hit":false,"connector":900}"#;
        assert!(line.trim_end().ends_with(end), "{line}");
        assert_eq!(line.matches('\n').count(), 1);
    }
}

//! The daemon's log: lines in a file that is replaced when it has grown, or on the standard error.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// A file longer than this becomes `log.txt.1`, which becomes `log.txt.2`, and so on.
const LONGEST: u64 = 10_000_000;
/// Older files that are kept.
const KEPT: u32 = 3;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For who looks for a mistake.
    Debug,
    /// What happened.
    Info,
    /// What somebody may have to do something about.
    Warning,
    /// What went wrong here.
    Error,
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warning" | "warn" => Ok(Self::Warning),
            "error" | "critical" => Ok(Self::Error),
            _ => Err("one of DEBUG, INFO, WARNING, ERROR, CRITICAL".to_owned()),
        }
    }
}

static LEVEL: AtomicU8 = AtomicU8::new(Level::Warning as u8);
static TARGET: Mutex<Option<Target>> = Mutex::new(None);

struct Target {
    path: PathBuf,
    file: File,
    len: u64,
    longest: u64,
}

impl Target {
    fn open(path: &Path, longest: u64) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self {
            len: file.metadata()?.len(),
            path: path.to_owned(),
            file,
            longest,
        })
    }

    fn write(&mut self, line: &str) -> std::io::Result<()> {
        if self.len > self.longest {
            let named = |number: u32| {
                let mut name = self.path.clone().into_os_string();
                name.push(format!(".{number}"));
                PathBuf::from(name)
            };
            for number in (1..KEPT).rev() {
                let _ = fs::rename(named(number), named(number + 1));
            }
            fs::rename(&self.path, named(1))?;
            *self = Self::open(&self.path, self.longest)?;
        }
        self.len += line.len() as u64;
        self.file.write_all(line.as_bytes())
    }
}

/// Sets how much is written, and to which file; without one it goes to the standard error.
///
/// # Errors
/// If the file cannot be written.
pub fn start(level: Level, path: Option<&Path>) -> std::io::Result<()> {
    let target = path.map(|path| Target::open(path, LONGEST)).transpose()?;
    LEVEL.store(level as u8, Ordering::Relaxed);
    *TARGET.lock().unwrap_or_else(PoisonError::into_inner) = target;
    Ok(())
}

/// Writes a line.
pub fn write(level: Level, text: fmt::Arguments<'_>) {
    if (level as u8) < LEVEL.load(Ordering::Relaxed) {
        return;
    }
    let name = match level {
        Level::Debug => "DEBUG",
        Level::Info => "INFO",
        Level::Warning => "WARNING",
        Level::Error => "ERROR",
    };
    let line = format!("{} {name} {text}\n", timestamp(SystemTime::now()));
    let mut target = TARGET.lock().unwrap_or_else(PoisonError::into_inner);
    let written = match target.as_mut() {
        Some(target) => target.write(&line),
        None => std::io::stderr().write_all(line.as_bytes()),
    };
    // A full disk must not end the daemon.
    drop(written);
}

/// A line of [`Level::Info`].
pub fn info(text: fmt::Arguments<'_>) {
    write(Level::Info, text);
}

/// A line of [`Level::Warning`].
pub fn warning(text: fmt::Arguments<'_>) {
    write(Level::Warning, text);
}

/// `2026-01-31T23:59:59.123Z`.
#[must_use]
pub fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, rest) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Days to a date, by Howard Hinnant's algorithm for years from 1970 on.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60,
        since.subsec_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_767_225_599, "2025-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn files_rotate() {
        let dir = std::env::temp_dir().join(format!("endpoint-log-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("log.txt");
        let mut target = Target::open(&path, 100).unwrap();
        for number in 0..200 {
            target.write(&format!("line {number}\n")).unwrap();
        }
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1 + KEPT as usize);
        assert!(fs::read_to_string(&path).unwrap().ends_with("line 199\n"));
        fs::remove_dir_all(&dir).unwrap();
    }
}

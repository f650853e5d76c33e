//! Showing that something goes on, on terminals and for large transfers.

use crate::Failure;
use crate::traffic::{Traffic, Way};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Read, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// Smaller transfers are over before a bar could be seen.
const LARGE: u64 = 16 << 20;
/// What takes less shows nothing.
const LONG: Duration = Duration::from_millis(300);
/// How much is read or written between two updates.
const PIECE: usize = 4 << 20;

/// A bar over a known length, or a count if there is none.
fn bar(doing: &'static str, len: Option<u64>) -> ProgressBar {
    let wanted = std::io::stderr().is_terminal() && len.is_none_or(|len| len >= LARGE);
    let target = if wanted {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(len, target).with_message(doing);
    styled(bar, template(len))
}

fn template(len: Option<u64>) -> &'static str {
    match len {
        Some(_) => {
            "{msg} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}"
        }
        None => "{spinner} {msg} {decimal_bytes} {decimal_bytes_per_sec}",
    }
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Everything that a reader gives.
pub(crate) fn read_all(mut reader: impl Read, len: Option<u64>) -> Result<Vec<u8>, Failure> {
    let bar = bar("reading", len);
    let mut bytes = Vec::with_capacity(usize::try_from(len.unwrap_or(0))?);
    loop {
        let got = reader.by_ref().take(PIECE as u64).read_to_end(&mut bytes)?;
        bar.inc(got as u64);
        if got == 0 {
            bar.finish_and_clear();
            return Ok(bytes);
        }
    }
}

/// Writes everything.
pub(crate) fn write_all(mut writer: impl Write, bytes: &[u8]) -> Result<(), Failure> {
    let bar = bar("writing", Some(bytes.len() as u64));
    for piece in bytes.chunks(PIECE) {
        writer.write_all(piece)?;
        bar.inc(piece.len() as u64);
    }
    writer.flush()?;
    bar.finish_and_clear();
    Ok(())
}

/// Runs one call that cannot be looked into. If it takes long, what goes over its connections is
/// shown: as a bar where it is known how much will, as a count elsewhere, and as a sign of life where
/// there are none.
pub(crate) fn during<R>(
    doing: &'static str,
    way: Way,
    len: Option<u64>,
    call: impl FnOnce() -> R,
) -> R {
    if !std::io::stderr().is_terminal() {
        return call();
    }
    let (done, waiting) = mpsc::channel::<()>();
    let mut traffic = Traffic::new(way);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let over = |time| waiting.recv_timeout(time) != Err(RecvTimeoutError::Timeout);
            if over(LONG) {
                return;
            }
            let target = ProgressDrawTarget::stderr();
            let bar = ProgressBar::with_draw_target(len, target).with_message(doing);
            let bar = styled(bar, "{spinner} {msg} {elapsed}");
            loop {
                let bytes = traffic.since();
                if bytes > 0 && bar.position() == 0 {
                    styled(bar.clone(), template(len));
                }
                // A service's own words around the bytes, and what it asks for again, count too.
                bar.set_position(len.map_or(bytes, |len| bytes.min(len)));
                bar.tick();
                if over(LONG / 3) {
                    return bar.finish_and_clear();
                }
            }
        });
        let result = call();
        drop(done);
        result
    })
}

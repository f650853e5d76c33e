//! What the text of an option can stand for.

use std::path::PathBuf;
use std::time::Duration;

/// What an option's text can stand for.
pub trait OptionValue: Sized {
    /// For "the value should be …".
    const EXPECTED: &'static str;
    /// `None` if the text stands for no such value.
    fn from_text(text: &str) -> Option<Self>;
}

impl OptionValue for String {
    const EXPECTED: &'static str = "text";
    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl OptionValue for PathBuf {
    const EXPECTED: &'static str = "a path";
    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.into())
    }
}

impl OptionValue for bool {
    const EXPECTED: &'static str = "true or false";
    fn from_text(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => None,
        }
    }
}

impl OptionValue for u32 {
    const EXPECTED: &'static str = "a whole number from 0 to 4294967295";
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// Seconds, with a fraction if need be; with `ms`, milliseconds.
impl OptionValue for Duration {
    const EXPECTED: &'static str =
        "a time in seconds, such as 2.5, or in milliseconds, such as 500ms";
    fn from_text(text: &str) -> Option<Self> {
        let (number, scale) = if let Some(number) = text.strip_suffix("ms") {
            (number, 1e-3)
        } else {
            (text.strip_suffix('s').unwrap_or(text), 1.0)
        };
        let seconds = number.trim().parse::<f64>().ok()? * scale;
        Self::try_from_secs_f64(seconds).ok()
    }
}

/// A number of bytes, as an option gives it: `1048576`, `500MB`, `2GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "nothing but a number with a unit"
)]
pub struct Bytes(pub u64);

impl OptionValue for Bytes {
    const EXPECTED: &'static str = "a number of bytes, such as 1048576, 500MB or 2GiB";
    fn from_text(text: &str) -> Option<Self> {
        let split = text.find(|letter: char| !letter.is_ascii_digit());
        let (number, unit) = text.split_at(split.unwrap_or(text.len()));
        let scale: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kb" => 1000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            "tib" => 1 << 40,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(scale).map(Self)
    }
}

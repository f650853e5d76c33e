//! `%41` for characters that mean something in a URL.

use std::fmt::Write;

/// Text for the value of an option, or for the path or the host of a URL.
///
/// ```
/// assert_eq!(proxystore::config::percent_encode("/my files"), "/my%20files");
/// ```
#[must_use]
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

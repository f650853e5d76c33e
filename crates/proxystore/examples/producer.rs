//! A producer whose consumer is a Python program, `consumer.py` beside this file:
//!
//! ```console
//! $ cargo run --example producer -- file:///tmp/frames 3 | python crates/proxystore/examples/consumer.py
//! ```

use proxystore::codec::AnyArray;
use proxystore::{Result, Store};
use std::io::Write;

const SIDE: u64 = 512;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next();
    let url = url.as_deref().unwrap_or("file:///tmp/frames");
    let count = arguments.next().and_then(|count| count.parse().ok());
    let store = Store::open("frames", url)?;
    for number in 0..count.unwrap_or(3) {
        let pixels: Vec<f32> = (0..SIDE * SIDE).map(|at| (at + number) as f32).collect();
        let frame = store.proxy(&AnyArray::from_slice(&[SIDE, SIDE], &pixels)?)?;
        // Who uses it first evicts it: nothing stays behind.
        let line = frame.evicting()?.reference()?.to_text();
        if writeln!(std::io::stdout(), "{line}").is_err() {
            return store.evict(frame.key()); // nobody listens any more
        }
    }
    Ok(())
}

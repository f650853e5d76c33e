//! Endpoints that are each other's peers, on loopback: real sockets, real keys, a relay in the process.

#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used)]

mod cable;
mod doors;
mod faults;
mod moves;
mod process;
mod relays;
mod site;

//! The shared-memory connector between real processes: who keeps objects alive, and what becomes
//! of them.

// Trials are tests wherever they stand in this program.
#![allow(clippy::unwrap_used)]

mod lives;
#[path = "../file/mount.rs"]
mod mount;
mod places;
#[path = "../file/role.rs"]
mod role;
mod sessions;
mod spilling;

/// The other side of the trials that start processes; nothing by itself.
#[test]
fn plays_its_role() {
    if let Some(name) = role::current() {
        match name.as_str() {
            "small_shared_memory" | "no_shared_memory" => spilling::play(&name),
            _ => lives::play(&name),
        }
    }
}

//! The connectors of this crate, one feature each, all with the same parts in the same order:
//! what it is, its configuration, opening, the contract, what only it has.

#[cfg(all(feature = "file", not(target_os = "linux")))]
compile_error!(
    "the features `file` and `shared-memory` need Linux: take proxystore with \
     `default-features = false` and the features that you want"
);

#[cfg(feature = "file")]
pub mod file;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "multi")]
pub mod multi;
#[cfg(feature = "object-stores")]
pub mod object_store;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "shared-memory")]
pub mod shared_memory;

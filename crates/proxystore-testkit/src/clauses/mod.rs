//! The trials, by the clause of the contract that they try.

mod basics;
mod batch;
mod concurrency;
mod deferred;
mod isolation;
mod leases;
mod lifecycle;
mod sizes;

use crate::Trial;
use proxystore::Capability;

/// Whether a trial concerns a connector that can do this much.
pub(crate) type Applies = fn(&Capability) -> bool;

/// Every trial there is.
pub(crate) fn all() -> impl Iterator<Item = (Trial, Applies)> {
    basics::TRIALS
        .iter()
        .chain(sizes::TRIALS)
        .chain(isolation::TRIALS)
        .chain(batch::TRIALS)
        .chain(deferred::TRIALS)
        .chain(leases::TRIALS)
        .chain(concurrency::TRIALS)
        .chain(lifecycle::TRIALS)
        .copied()
}

fn always(_: &Capability) -> bool {
    true
}

fn deferred_set(capability: &Capability) -> bool {
    capability.deferred_set
}

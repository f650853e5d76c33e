//! What a connector can do.

/// What a connector can do beyond put, get, exists and evict. The contract suite takes its trials
/// from this, and each connector's own test names what it must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Capability {
    /// A key can be made first and its object be set later.
    pub deferred_set: bool,
    /// A batch costs fewer round trips than its objects one by one.
    pub batch: bool,
    /// The place itself drops objects after a given time: [leases](crate::Payload::with_lease) and
    /// [`touch`](crate::Connector::touch) work.
    pub expiry: bool,
    /// Objects can be [bound](crate::Connector::bind_to_process) to the process that puts them.
    pub process_bound: bool,
    /// A waiting reader is told when an object is set.
    pub notify: bool,
    /// Objects outlive the process that put them.
    pub cross_process: bool,
    /// Objects are reached from other hosts.
    pub cross_host: bool,
    /// An immutable [owner](crate::Payload::with_owner) that a payload names is kept in place of
    /// its bytes.
    pub keeps_owners: bool,
    /// Objects are signed or encrypted on their way: they must not travel in another one.
    pub sealed: bool,
    /// Largest object in bytes, where there is a limit.
    pub max_len: Option<u64>,
}

//! Which values travel in the event instead of through a store.

/// Most bytes of values that travel inside one message, unless a single one may be larger: a
/// broker that takes messages of a megabyte takes every batch.
pub const INLINE_AT_MOST: usize = 512 << 10;

/// Chooses, value by value, which ones of one message travel in it.
///
/// ```
/// use proxystore::stream::Inlining;
///
/// let mut inlining = Inlining::new(1000);
/// assert!(inlining.takes(999, true));
/// assert!(!inlining.takes(1000, true)); // too large
/// assert!(!inlining.takes(10, false)); // to be kept in the store
/// assert!(inlining.kept_too(true).takes(10, false));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Inlining {
    below: usize,
    kept_too: bool,
    left: usize,
}

impl Inlining {
    /// Values below this many bytes, but for those that are to stay in their store; 0 for none.
    #[must_use]
    pub fn new(below: usize) -> Self {
        Self {
            below,
            kept_too: false,
            left: below.max(INLINE_AT_MOST),
        }
    }

    /// Whether values that are sent without `evict`, to stay in their store, travel in the event
    /// as well. They are then not in the store.
    #[must_use]
    pub fn kept_too(mut self, yes: bool) -> Self {
        self.kept_too = yes;
        self
    }

    /// Whether the next value of the message travels in it.
    pub fn takes(&mut self, len: usize, evict: bool) -> bool {
        let takes = len < self.below && (evict || self.kept_too) && len <= self.left;
        if takes {
            self.left -= len;
        }
        takes
    }
}

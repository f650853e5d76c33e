//! Which of several connectors an object goes to.

/// Which objects a connector takes.
///
/// ```
/// use proxystore::routing::Policy;
///
/// let policy = Policy::default().max_size(100).subset_tags(["fast"]);
/// assert!(policy.takes(Some(10), Some(&["fast"]), None));
/// assert!(!policy.takes(Some(1000), None, None));
/// assert!(!policy.takes(Some(10), Some(&["fast", "kept"]), None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// Of the connectors that take an object, the one with the highest priority gets it; of those
    /// with the same, the first one.
    pub priority: i64,
    /// Size of the smallest object that it takes, in bytes.
    pub min_size: u64,
    /// Size of the largest.
    pub max_size: u64,
    /// An object's subset tags must all be among these.
    pub subset_tags: Vec<String>,
    /// These must all be among an object's superset tags.
    pub superset_tags: Vec<String>,
    /// Names of the hosts that have the connector, in which `*` stands for any text; `None` for
    /// every host.
    pub hosts: Option<Vec<String>>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            priority: 0,
            min_size: 0,
            max_size: i64::MAX as u64,
            subset_tags: Vec::new(),
            superset_tags: Vec::new(),
            hosts: None,
        }
    }
}

impl Policy {
    /// Sets the priority.
    #[must_use]
    pub fn priority(mut self, priority: i64) -> Self {
        self.priority = priority;
        self
    }

    /// Sets the size of the smallest object.
    #[must_use]
    pub fn min_size(mut self, bytes: u64) -> Self {
        self.min_size = bytes;
        self
    }

    /// Sets the size of the largest object.
    #[must_use]
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = bytes;
        self
    }

    /// Sets the tags that an object's subset tags must be among.
    #[must_use]
    pub fn subset_tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.subset_tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the tags that must be among an object's superset tags.
    #[must_use]
    pub fn superset_tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.superset_tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the names of the hosts that have the connector, in which `*` stands for any text.
    #[must_use]
    pub fn hosts<T: Into<String>>(mut self, patterns: impl IntoIterator<Item = T>) -> Self {
        self.hosts = Some(patterns.into_iter().map(Into::into).collect());
        self
    }

    /// Whether a host has the connector.
    #[must_use]
    pub fn has_host(&self, name: &str) -> bool {
        let found = |patterns: &Vec<String>| patterns.iter().any(|one| matches(one, name));
        self.hosts.as_ref().is_none_or(found)
    }

    /// Whether an object is taken, by what is known of it.
    #[must_use]
    pub fn takes(
        &self,
        size: Option<u64>,
        subset_tags: Option<&[&str]>,
        superset_tags: Option<&[&str]>,
    ) -> bool {
        let has = |tags: &[String], tag: &str| tags.iter().any(|one| one == tag);
        size.is_none_or(|size| (self.min_size..=self.max_size).contains(&size))
            && subset_tags.is_none_or(|tags| tags.iter().all(|tag| has(&self.subset_tags, tag)))
            && superset_tags.is_none_or(|tags| {
                let given = |tag: &String| tags.iter().any(|one| one == tag);
                self.superset_tags.iter().all(given)
            })
    }
}

/// The places of policies, in the order in which they are asked: highest priority first, and of the
/// same priority in the order given.
///
/// ```
/// use proxystore::routing::order;
///
/// assert_eq!(order([0, 5, 0]), [1, 0, 2]);
/// ```
#[must_use]
pub fn order(priorities: impl IntoIterator<Item = i64>) -> Vec<usize> {
    let mut places: Vec<_> = priorities.into_iter().enumerate().collect();
    places.sort_by_key(|(_, priority)| std::cmp::Reverse(*priority));
    places.into_iter().map(|(place, _)| place).collect()
}

/// The name of this host, as [`Policy::has_host`] wants it.
#[must_use]
pub fn host_name() -> String {
    let mut name = [0_u8; 256];
    // SAFETY: the pointer and length describe the array, of which the last byte stays 0.
    let failed = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) } != 0;
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(0);
    if failed {
        return String::new();
    }
    String::from_utf8_lossy(&name[..end]).into_owned()
}

/// Whether a pattern, in which `*` stands for any text, is all of a text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(head) else {
        return false;
    };
    let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    starts.any(|at| matches(rest, &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let policy = Policy::default().min_size(5).max_size(10);
        let taken = |size| policy.takes(size, None, None);
        assert!(taken(None) && taken(Some(5)) && taken(Some(10)));
        assert!(!taken(Some(4)) && !taken(Some(11)));
    }

    #[test]
    fn tags() {
        for (own, asked, subset, superset) in [
            (&[][..], None, true, true),
            (&[], Some(&[][..]), true, true),
            (&[], Some(&["a"]), false, true),
            (&["a"], None, true, true),
            (&["a"], Some(&[]), true, false),
            (&["a"], Some(&["a"]), true, true),
            (&["a"], Some(&["b"]), false, false),
            (&["a"], Some(&["a", "b"]), false, true),
            (&["a", "b"], Some(&["a"]), true, false),
        ] {
            let (own, asked): (&[&str], Option<&[&str]>) = (own, asked);
            let below = Policy::default().subset_tags(own.iter().copied());
            let above = Policy::default().superset_tags(own.iter().copied());
            assert_eq!(below.takes(None, asked, None), subset, "{own:?} {asked:?}");
            assert_eq!(
                above.takes(None, None, asked),
                superset,
                "{own:?} {asked:?}"
            );
        }
    }

    #[test]
    fn hosts() {
        assert!(Policy::default().has_host("any"));
        let policy = Policy::default().hosts(["gpu-*.site", "login"]);
        for (host, has) in [
            ("gpu-1.site", true),
            ("gpu-.site", true),
            ("login", true),
            ("login2", false),
            ("gpu-1", false),
            ("", false),
        ] {
            assert_eq!(policy.has_host(host), has, "{host}");
        }
        assert!(!Policy::default().hosts([""; 0]).has_host("any"));
        assert!(matches("*", "") && matches("a*b*c", "axxbyyc") && !matches("a*b", "ac"));
        assert!(!host_name().is_empty());
    }
}

//! What a producer sends along with a value.

use crate::codec::tree::Value;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Named values that travel in the event: a consumer sees them without the value itself.
///
/// ```
/// use proxystore::stream::Metadata;
///
/// let metadata = Metadata::new().with("sensor", "north").with("number", 7);
/// assert_eq!(metadata.get("number"), Some(&7.into()));
/// assert!(metadata.get("missing").is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata(Vec<(Value, Value)>);

impl Metadata {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value, or replaces the one of this name.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.insert(Value::Str(name.to_owned()), value.into());
        self
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let is_it = |key: &Value| matches!(key, Value::Str(text) if text == name);
        let found = self.0.iter().find(|(key, _)| is_it(key));
        found.map(|(_, value)| value)
    }

    /// All names and values, in order. Python programs may have names that are no text.
    pub fn iter(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds those of another; the other's win.
    pub(super) fn update(&mut self, other: &Self) {
        for (key, value) in &other.0 {
            self.insert(key.clone(), value.clone());
        }
    }

    fn insert(&mut self, key: Value, value: Value) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key, value)),
        }
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Map(pairs) => Ok(Self(pairs)),
            _ => Err(serde::de::Error::custom("metadata that are no map")),
        }
    }
}

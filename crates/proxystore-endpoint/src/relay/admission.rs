//! Who may use a relay.

use crate::identity::PublicKey;
use iroh_relay::server::{Access, AccessControl, ClientRequest};
use proxystore::{Error, ErrorKind, Result};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The pause after which the same endpoint is mentioned again.
const MENTION: Duration = Duration::from_secs(60);

/// Who may use a relay: whoever has the token, or whose key is on the list. With neither, everybody.
#[derive(Clone, Default)]
pub struct Admission {
    /// A file with public keys, one a line, `#` before remarks. Read anew at every connection.
    pub keys: Option<PathBuf>,
    /// A word that endpoints must know.
    pub token: Option<String>,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("keys", &self.keys)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .finish()
    }
}

impl Admission {
    /// Whether the list can be read.
    ///
    /// # Errors
    /// `InvalidConfig` with the line that holds no key.
    pub fn check(&self) -> Result<()> {
        match &self.keys {
            Some(path) => listed(path).map(drop),
            None => Ok(()),
        }
    }

    /// Why an endpoint may not come in, if so.
    fn refusal(&self, key: &PublicKey, token: Option<&str>) -> Option<String> {
        if self.keys.is_none() && self.token.is_none() {
            return None;
        }
        if let (Some(expected), Some(token)) = (&self.token, token)
            && same(expected.as_bytes(), token.as_bytes())
        {
            return None;
        }
        if let Some(path) = &self.keys {
            match listed(path) {
                Ok(keys) if keys.contains(key) => return None,
                Ok(_) => {}
                Err(_) => return Some("the relay cannot read its list of keys".into()),
            }
        }
        Some(match (&self.keys, &self.token, token) {
            (_, Some(_), Some(_)) => "the relay has another token than this endpoint's".into(),
            (None, Some(_), None) => {
                "the relay asks for a token, and this endpoint has none".into()
            }
            (Some(_), Some(_), None) => {
                format!("the key {key} is not on the relay's list, and there was no token")
            }
            _ => format!("the key {key} is not on the relay's list"),
        })
    }
}

impl AccessControl for Admission {
    async fn on_connect(&self, request: &ClientRequest) -> Access {
        let key = PublicKey::from_bytes(*request.endpoint_id().as_bytes());
        match self.refusal(&key, request.auth_token().as_deref()) {
            None => Access::Allow,
            Some(reason) => {
                mention(&key, &reason);
                Access::Deny {
                    reason: Some(reason),
                }
            }
        }
    }
}

/// Tells the relay's people, once a minute for each endpoint: it keeps trying.
fn mention(key: &PublicKey, reason: &str) {
    static MENTIONED: Mutex<Option<HashMap<PublicKey, Instant>>> = Mutex::new(None);
    let mut mentioned = MENTIONED.lock().unwrap_or_else(PoisonError::into_inner);
    let mentioned = mentioned.get_or_insert_default();
    mentioned.retain(|_, at| at.elapsed() < MENTION);
    if mentioned.len() < 1000 && mentioned.insert(*key, Instant::now()).is_none() {
        crate::log::warning(format_args!("refused the endpoint {key}: {reason}"));
    }
}

/// Compares without telling by its time how much was right.
fn same(one: &[u8], other: &[u8]) -> bool {
    let digest = |bytes| ring::digest::digest(&ring::digest::SHA256, bytes);
    let (one, other) = (digest(one), digest(other));
    one.as_ref()
        .iter()
        .zip(other.as_ref())
        .fold(0, |sum, (a, b)| sum | (a ^ b))
        == 0
}

fn listed(path: &Path) -> Result<HashSet<PublicKey>> {
    let text = fs::read_to_string(path).map_err(|error| {
        Error::io(
            error,
            format!("the list of keys {} cannot be read", path.display()),
        )
    })?;
    let mut keys = HashSet::new();
    for (number, line) in text.lines().enumerate() {
        let key = line.split('#').next().unwrap_or_default().trim();
        if key.is_empty() {
            continue;
        }
        keys.insert(key.parse().map_err(|error| {
            Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "the list of keys {}, line {}: {error}",
                    path.display(),
                    number + 1
                ),
            )
        })?);
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tokens_both_and_neither() {
        let path =
            std::env::temp_dir().join(format!("proxystore-relay-keys-{}", std::process::id()));
        let (friend, stranger) = (
            PublicKey::from_bytes([1; 32]),
            PublicKey::from_bytes([2; 32]),
        );
        fs::write(&path, format!("# who\n\n{friend}  # a friend\n")).unwrap();
        let open = Admission::default();
        let keys = Admission {
            keys: Some(path.clone()),
            token: None,
        };
        let token = Admission {
            keys: None,
            token: Some("sesame".into()),
        };
        let both = Admission {
            keys: Some(path.clone()),
            token: Some("sesame".into()),
        };
        for admission in [&open, &keys, &token, &both] {
            admission.check().unwrap();
        }
        assert_eq!(open.refusal(&stranger, None), None);
        assert_eq!(keys.refusal(&friend, None), None);
        assert!(
            keys.refusal(&stranger, Some("sesame"))
                .unwrap()
                .contains("not on the relay's list")
        );
        assert_eq!(token.refusal(&stranger, Some("sesame")), None);
        assert!(
            token
                .refusal(&stranger, Some("sesam"))
                .unwrap()
                .contains("another token")
        );
        assert!(
            token
                .refusal(&stranger, None)
                .unwrap()
                .contains("asks for a token")
        );
        assert_eq!(both.refusal(&friend, None), None);
        assert_eq!(both.refusal(&stranger, Some("sesame")), None);
        assert!(both.refusal(&stranger, None).is_some());
        fs::write(&path, "nonsense\n").unwrap();
        assert!(keys.check().unwrap_err().to_string().contains("line 1"));
        assert!(keys.refusal(&friend, None).is_some());
        fs::remove_file(&path).unwrap();
        assert!(keys.check().is_err());
        assert!(!format!("{both:?}").contains("sesame"));
    }
}

//! How long a broken exchange is tried again.

use super::connect::Peer;
use super::transport::Link;
use proxystore::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout_at};

/// How long a peer that went away is waited for, once its silence has shown it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest time from the last sign of a peer to the error: the caller has it within ten seconds.
const LONGEST: Duration = Duration::from_secs(9);
/// Longest attempt to reach it again: it may be back a moment after an attempt began.
const ATTEMPT: Duration = Duration::from_millis(1500);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Counts the time since an exchange last made progress.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Until when to try again, and what went wrong first; `None` while all is well.
    trouble: Option<(Instant, Error)>,
}

impl Patience {
    /// A link to the peer, a new one where the last one broke.
    ///
    /// # Errors
    /// If there is none: at once on the first attempt, after [`PATIENCE`] on later ones.
    pub(super) async fn link(&mut self, peer: &Arc<Peer>) -> Result<Arc<dyn Link>> {
        loop {
            let Some((until, _)) = &self.trouble else {
                return peer.link().await;
            };
            let until = *until;
            let attempt = until.min(Instant::now() + ATTEMPT);
            if let Ok(Ok(link)) = timeout_at(attempt.into(), peer.link()).await {
                return Ok(link);
            }
            if Instant::now() + PAUSE >= until {
                return Err(self.give_up(peer));
            }
            sleep(PAUSE).await;
        }
    }

    /// The exchange broke. `progressed` says whether it got on since this attempt began.
    pub(super) async fn lost(&mut self, error: Error, progressed: bool, began: Instant) {
        let now = Instant::now();
        if progressed {
            self.trouble = Some((now + PATIENCE, error));
        } else if self.trouble.is_none() {
            self.trouble = Some(((now + PATIENCE).min(began + LONGEST).max(now), error));
        } else {
            sleep(PAUSE).await;
        }
    }

    /// Whether it is time to say that it does not work.
    pub(super) fn is_over(&self) -> bool {
        self.trouble
            .as_ref()
            .is_some_and(|(until, _)| *until <= Instant::now())
    }

    /// The error to say it with.
    pub(super) fn give_up(&mut self, peer: &Peer) -> Error {
        match self.trouble.take() {
            Some((_, error)) => Error::new(
                match error.kind() {
                    ErrorKind::Timeout | ErrorKind::Unreachable => error.kind(),
                    _ => ErrorKind::Unreachable,
                },
                format!(
                    "peer {} went away in the middle and was not back within {} s: {error}",
                    peer.name(),
                    PATIENCE.as_secs()
                ),
            ),
            None => Error::new(
                ErrorKind::Unreachable,
                format!("peer {} went away", peer.name()),
            ),
        }
    }
}

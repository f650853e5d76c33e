//! How it stands with our own relay. A refusal is known here within a second, long before a connection times out.

use super::{RelayAccess, relay_probe};
use iroh::{Endpoint, Watcher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// How long a relay may take before it is looked at what keeps it.
const SILENCE: Duration = Duration::from_secs(1);

/// What is known of the relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    /// None was configured, or it has not answered yet.
    #[default]
    Silent,
    Connected,
    /// It does not let us in, and says why.
    Refused(String),
    /// It cannot be reached.
    Failed(String),
}

/// The relay that this endpoint uses, and how it stands with it.
#[derive(Debug)]
pub(super) struct RelayState {
    access: Option<RelayAccess>,
    state: watch::Sender<State>,
}

impl RelayState {
    pub(super) fn new(relay: Option<&RelayAccess>) -> Self {
        Self {
            access: relay.cloned(),
            state: watch::Sender::new(State::Silent),
        }
    }

    /// Its address, if there is one.
    pub(super) fn url(&self) -> Option<&str> {
        self.access.as_ref().map(|access| access.url.as_str())
    }

    /// In a word or a sentence, for people.
    pub(super) fn describe(&self) -> Option<String> {
        self.url()?;
        Some(match &*self.state.borrow() {
            State::Silent => "not connected yet".into(),
            State::Connected => "connected".into(),
            State::Refused(words) => format!("refuses this endpoint: {words}"),
            State::Failed(words) => format!("cannot be reached: {words}"),
        })
    }

    /// What is wrong with it, if something is.
    pub(super) fn trouble(&self) -> Option<String> {
        if *self.state.borrow() == State::Connected {
            return None;
        }
        Some(format!("the relay {}: {}", self.url()?, self.describe()?))
    }

    /// Ends when the relay has refused us, with why.
    pub(super) async fn refused(&self) -> String {
        let mut state = self.state.subscribe();
        let refused = state
            .wait_for(|state| matches!(state, State::Refused(_)))
            .await
            .is_ok();
        if refused && let Some(words) = self.trouble() {
            return words;
        }
        std::future::pending().await
    }

    /// Follows the endpoint's relay, and tells people of a change for the worse.
    pub(super) async fn follow(self: Arc<Self>, endpoint: Endpoint, log: Arc<super::Log>) {
        let mut watcher = endpoint.home_relay_status();
        let mut now = watcher.get();
        loop {
            let state = match now.first() {
                None => State::Silent,
                Some(status) if status.is_connected() => State::Connected,
                Some(status) => match (status.auth_denied_reason(), status.last_error()) {
                    (Some(words), _) => State::Refused(words.to_owned()),
                    (None, Some(error)) => State::Failed(format!("{error:#}")),
                    (None, None) => State::Silent,
                },
            };
            // What was found out about a silent relay holds until it says something.
            let is_known = matches!(&*self.state.borrow(), State::Failed(_));
            let is_silent = state == State::Silent && !is_known;
            if state != State::Silent || !is_known {
                self.is_now(state, &*log);
            }
            tokio::select! {
                updated = watcher.updated() => match updated {
                    Ok(updated) => now = updated,
                    Err(_) => return,
                },
                words = self.obstacle(), if is_silent => self.is_now(State::Failed(words), &*log),
                () = endpoint.closed() => return,
            }
        }
    }

    fn is_now(&self, state: State, log: &super::Log) {
        let before = self.state.send_replace(state.clone());
        if before != state
            && state != State::Silent
            && let (Some(url), Some(words)) = (self.url(), self.describe())
        {
            log(&format!("relay {url}: {words}"));
        }
    }

    /// Ends when something keeps us from a relay that is silent, with what.
    async fn obstacle(&self) -> String {
        sleep(SILENCE).await;
        if let Some(access) = &self.access
            && let Some(words) = relay_probe::obstacle(access).await
        {
            return words;
        }
        std::future::pending().await
    }
}

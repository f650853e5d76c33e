//! How it stands with our own relay. A refusal is known here within a second, long before a connection times out.

use super::RelayAccess;
use iroh::{Endpoint, Watcher};
use std::sync::Arc;
use tokio::sync::watch;

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
    url: Option<String>,
    state: watch::Sender<State>,
}

impl RelayState {
    pub(super) fn new(relay: Option<&RelayAccess>) -> Self {
        Self {
            url: relay.map(|relay| relay.url.clone()),
            state: watch::Sender::new(State::Silent),
        }
    }

    /// Its address, if there is one.
    pub(super) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// In a word or a sentence, for people.
    pub(super) fn describe(&self) -> Option<String> {
        self.url.as_ref()?;
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
        Some(format!(
            "the relay {}: {}",
            self.url.as_ref()?,
            self.describe()?
        ))
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
            let before = self.state.send_replace(state.clone());
            if before != state
                && state != State::Silent
                && let (Some(url), Some(words)) = (&self.url, self.describe())
            {
                log(&format!("relay {url}: {words}"));
            }
            tokio::select! {
                updated = watcher.updated() => match updated {
                    Ok(updated) => now = updated,
                    Err(_) => return,
                },
                () = endpoint.closed() => return,
            }
        }
    }
}

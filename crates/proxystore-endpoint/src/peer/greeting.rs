//! The first words on a connection: versions, who speaks, and whether they may come in.

use super::channel::{Channel, Failure, unexpected};
use super::wire::{Introduction, Message, VERSIONS};
use super::{Cause, Shared};
use crate::identity::PublicKey;
use proxystore::Result;
use std::sync::Arc;
use std::time::Duration;

/// Longest time for the other side's greeting.
const GREETING: Duration = Duration::from_secs(5);

/// Greets a peer that we called.
pub(super) async fn call(
    channel: &mut Channel,
    shared: &Shared,
    peer: &PublicKey,
) -> Result<Introduction> {
    let hello = Message::Hello {
        versions: VERSIONS,
        introduction: shared.introduction(),
    };
    let greeted = async {
        channel.send(&hello).await?;
        match channel.answer(GREETING).await? {
            Message::Welcome { introduction, .. } => Ok(introduction),
            other => Err(unexpected(&other)),
        }
    };
    greeted
        .await
        .map_err(|failure: Failure| failure.into_error(&peer.short()))
}

/// Answers one who called us. `None` if it was refused, which both sides then know.
pub(super) async fn receive(
    channel: &mut Channel,
    shared: &Arc<Shared>,
    peer: &PublicKey,
    from: &str,
) -> Option<Introduction> {
    let Ok(Some(Message::Hello {
        versions,
        introduction,
    })) = channel.receive(GREETING).await
    else {
        return None;
    };
    let refusal = if let Some(words) = shared.refusal(peer, from) {
        Some((Cause::Denied, words))
    } else {
        unspoken(versions).map(|words| (Cause::Unsupported, words))
    };
    let answer = match &refusal {
        None => Message::Welcome {
            version: VERSIONS.1.min(versions.1),
            introduction: shared.introduction(),
        },
        Some((cause, words)) => Message::Failed {
            cause: *cause,
            words: words.clone(),
        },
    };
    channel.send(&answer).await.ok()?;
    refusal.is_none().then_some(introduction)
}

/// Why there is no version that both speak, if so.
fn unspoken((lowest, highest): (u16, u16)) -> Option<String> {
    if lowest <= VERSIONS.1 && highest >= VERSIONS.0 {
        return None;
    }
    Some(format!(
        "it speaks versions {} to {} of the peer protocol, this endpoint {lowest} to {highest}: update the older one",
        VERSIONS.0, VERSIONS.1
    ))
}

//! What an endpoint does for its peers.

use super::channel::{Channel, Failure};
use super::incoming::Incoming;
use super::wire::{EAGER, Message};
use super::{Cause, Shared};
use crate::draft::Draft;
use crate::identity::PublicKey;
use crate::object::Object;
use crate::objects;
use proxystore::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an object stays at hand after a range of it was asked for.
const AT_HAND: Duration = Duration::from_secs(10);
/// Longest range that is received in one go.
const LONGEST_RANGE: u64 = 64 << 20;

/// Objects of which ranges were asked for: the next range comes from the same copy, whatever happens to the key.
#[derive(Debug, Default)]
pub(super) struct Opened(Mutex<(u64, HashMap<u64, Copy>)>);

#[derive(Debug)]
struct Copy {
    key: String,
    object: Object,
    used: Instant,
}

impl Opened {
    /// Stamps begin anywhere, so that those of an earlier process mean nothing.
    pub(super) fn new(start: u64) -> Self {
        Self(Mutex::new((start, HashMap::new())))
    }

    fn of_stamp(&self, stamp: u64, key: &str) -> Option<(u64, Object)> {
        let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let copy = opened.1.get_mut(&stamp).filter(|copy| copy.key == key)?;
        copy.used = Instant::now();
        Some((stamp, copy.object.clone()))
    }

    fn keep(&self, key: &str, object: &Object) -> u64 {
        let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |copy: &Copy| {
            copy.key == key && std::ptr::eq(copy.object.as_slice(), object.as_slice())
        };
        if let Some((stamp, copy)) = opened.1.iter_mut().find(|(_, copy)| same(copy)) {
            copy.used = Instant::now();
            return *stamp;
        }
        opened.0 = opened.0.wrapping_add(1).max(1);
        let stamp = opened.0;
        opened.1.insert(
            stamp,
            Copy {
                key: key.to_owned(),
                object: object.clone(),
                used: Instant::now(),
            },
        );
        stamp
    }

    /// Lets go of what nobody asked for lately.
    pub(super) fn sweep(&self) {
        let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        opened.1.retain(|_, copy| copy.used.elapsed() < AT_HAND);
    }
}

/// Answers requests until the channel ends, breaks, or is idle for too long.
pub(super) async fn serve(
    shared: Arc<Shared>,
    peer: PublicKey,
    mut channel: Channel,
    idle: Duration,
) {
    while let Ok(Some(request)) = channel.receive(idle).await {
        let answered = match shared.refusal(&peer, "an open connection") {
            Some(words) => {
                let _ = fail(&mut channel, Cause::Denied, words).await;
                return;
            }
            None => answer(&shared, &peer, &mut channel, request).await,
        };
        if answered.is_err() {
            return;
        }
    }
}

async fn fail(
    channel: &mut Channel,
    cause: Cause,
    words: impl Into<String>,
) -> Result<(), Failure> {
    let words = words.into();
    channel.send(&Message::Failed { cause, words }).await
}

async fn report<T>(
    channel: &mut Channel,
    result: Result<T>,
    answer: impl FnOnce(T) -> Message,
) -> Result<(), Failure> {
    match result {
        Ok(value) => channel.send(&answer(value)).await,
        Err(error) => fail(channel, Cause::of(&error), error.to_string()).await,
    }
}

async fn answer(
    shared: &Shared,
    peer: &PublicKey,
    channel: &mut Channel,
    request: Message,
) -> Result<(), Failure> {
    let objects = &shared.objects;
    match request {
        Message::Get {
            key,
            stamp,
            offset,
            length,
            bytes,
        } => get(shared, channel, &key, stamp, (offset, length), bytes).await,
        Message::Put { key, total } => put(shared, peer, channel, key, total).await,
        Message::Write {
            ticket,
            offset,
            length,
        } => write(shared, peer, channel, ticket, offset, length).await,
        Message::Finish { ticket } => {
            let kept = match shared.incoming.finish(peer, ticket) {
                Ok((key, object)) => objects::put(objects, &key, object).await,
                Err(failure) => return fail(channel, failure.0, failure.1).await,
            };
            report(channel, kept, |()| Message::Done).await
        }
        Message::Exists { key } => {
            let found = name(key).map(|key| objects.exists(&key));
            report(channel, found, Message::Answer).await
        }
        Message::Evict { key } => {
            let evicted = match name(key) {
                Ok(key) => objects::evict(objects, &key).await,
                Err(error) => Err(error),
            };
            report(channel, evicted, |()| Message::Done).await
        }
        Message::Ping => channel.send(&Message::Done).await,
        _ => {
            fail(
                channel,
                Cause::BadRequest,
                "that is an answer, not a request",
            )
            .await?;
            Err(super::channel::unexpected(&request))
        }
    }
}

fn name(key: Vec<u8>) -> Result<String> {
    String::from_utf8(key)
        .map_err(|_| Error::new(ErrorKind::InvalidKey, "the key of an object is text"))
}

async fn get(
    shared: &Shared,
    channel: &mut Channel,
    key: &[u8],
    stamp: u64,
    (offset, length): (u64, u64),
    bytes: bool,
) -> Result<(), Failure> {
    let key = match name(key.to_vec()) {
        Ok(key) => key,
        Err(error) => return report(channel, Err::<(), _>(error), |()| Message::Done).await,
    };
    let (stamp, object) = match shared.opened.of_stamp(stamp, &key) {
        Some(found) => found,
        None => match objects::get(&shared.objects, &key).await {
            Ok(Some(object)) if length < object.len() as u64 => {
                (shared.opened.keep(&key, &object), object)
            }
            Ok(Some(object)) => (1, object),
            Ok(None) => return fail(channel, Cause::NotFound, "it has no such object").await,
            Err(error) => return report(channel, Err::<(), _>(error), |()| Message::Done).await,
        },
    };
    let total = object.len() as u64;
    if offset > total {
        let words = format!("byte {offset} of an object of {total}");
        return fail(channel, Cause::BadRequest, words).await;
    }
    let end = offset.saturating_add(length).min(total);
    let found = Message::Found {
        total,
        stamp,
        length: end - offset,
    };
    if bytes {
        return channel.send_with(&found, &object, offset..end).await;
    }
    let range = &object.as_slice()[offset as usize..end as usize];
    let sum = super::wire::checksum(offset, range);
    channel.send(&found).await?;
    channel.send_checksum(sum).await
}

async fn put(
    shared: &Shared,
    peer: &PublicKey,
    channel: &mut Channel,
    key: Vec<u8>,
    total: u64,
) -> Result<(), Failure> {
    let admitted = name(key).and_then(|key| {
        shared.objects.check(total)?;
        Ok((key, Draft::new(total)?))
    });
    if total > EAGER {
        return match admitted {
            Ok((key, draft)) => match shared.incoming.admit(*peer, key, draft) {
                Ok(ticket) => channel.send(&Message::Go { ticket }).await,
                Err((cause, words)) => fail(channel, cause, words).await,
            },
            Err(error) => fail(channel, Cause::of(&error), error.to_string()).await,
        };
    }
    let (key, draft) = match admitted {
        Ok(admitted) => admitted,
        Err(error) => {
            channel.skip_bytes(total).await?;
            return fail(channel, Cause::of(&error), error.to_string()).await;
        }
    };
    let mut bytes = vec![0; total as usize];
    channel.receive_bytes(&mut bytes).await?;
    let kept = match draft.write_at(0, &bytes).and_then(|()| draft.finish()) {
        Ok(object) => objects::put(&shared.objects, &key, object).await,
        Err(error) => Err(error),
    };
    report(channel, kept, |()| Message::Done).await
}

async fn write(
    shared: &Shared,
    peer: &PublicKey,
    channel: &mut Channel,
    ticket: u64,
    offset: u64,
    length: u64,
) -> Result<(), Failure> {
    if length > LONGEST_RANGE {
        fail(channel, Cause::BadRequest, "a range of that length").await?;
        return Err(Failure::Refused(Cause::BadRequest, String::new()));
    }
    let mut slot = match shared.incoming.slot(peer, ticket, offset, length) {
        Ok(Some(slot)) => slot,
        Ok(None) => {
            // It came before; only our answer was lost.
            channel.skip_bytes(length).await?;
            return channel.send(&Message::Done).await;
        }
        Err((cause, words)) => {
            channel.skip_bytes(length).await?;
            return fail(channel, cause, words).await;
        }
    };
    channel.receive_bytes(&mut slot).await?;
    slot.mark(length as usize);
    drop(slot);
    Incoming::written(&shared.incoming, ticket, offset, length);
    channel.send(&Message::Done).await
}

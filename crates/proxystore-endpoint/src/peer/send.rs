//! Giving a peer an object: announced first, then ranges side by side, each tried again on its own.

use super::Cause;
use super::channel::{ANSWER, Failure, KEEP, unexpected};
use super::connect::Peer;
use super::patience::Patience;
use super::transport::{Link, Stripes};
use super::wire::{EAGER, Message};
use crate::object::Object;
use proxystore::{Error, Result};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::task::JoinSet;

/// How often an object is announced anew because the peer has forgotten it.
const ANNOUNCEMENTS: u32 = 3;

/// Gives a peer an object to keep.
pub(super) async fn put(peer: &Arc<Peer>, key: &str, object: Object) -> Result<()> {
    let mut patience = Patience::default();
    let work = Arc::new(Work {
        object,
        state: Mutex::default(),
    });
    let mut announced = 0;
    loop {
        let link = patience.link(peer).await?;
        let began = Instant::now();
        let before = work.gone();
        let failure = match attempt(&work, &link, key, &mut announced).await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        match failure {
            Failure::Refused(Cause::UnknownTicket, _) if announced < ANNOUNCEMENTS => {
                work.state().ticket = None;
            }
            // The connection that broke still holds the range.
            Failure::Refused(cause @ Cause::Busy, words) => {
                let error = Error::new(cause.kind(), words);
                patience.lost(error, work.gone() != before, began).await;
            }
            Failure::Refused(cause, words) => {
                return Err(Failure::Refused(cause, words).into_error(&peer.name()));
            }
            Failure::Lost(error) => {
                peer.discard(&link, &error);
                let progressed = work.gone() != before;
                patience.lost(error, progressed, began).await;
            }
        }
        if patience.is_over() {
            return Err(patience.give_up(peer));
        }
    }
}

struct Work {
    object: Object,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ticket: Option<u64>,
    todo: VecDeque<(u64, u64)>,
    /// Ranges that have gone.
    gone: u64,
}

impl Work {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much has gone; only ever grows.
    fn gone(&self) -> u64 {
        self.state().gone
    }
}

async fn attempt(
    work: &Arc<Work>,
    link: &Arc<dyn Link>,
    key: &str,
    announced: &mut u32,
) -> Result<(), Failure> {
    let total = work.object.len() as u64;
    let announcement = Message::Put {
        key: key.as_bytes().to_vec(),
        total,
    };
    let mut channel = link.open().await?;
    if total <= EAGER {
        channel
            .send_with(&announcement, &work.object, 0..total)
            .await?;
        done(channel.answer(KEEP).await?)?;
        channel.release();
        return Ok(());
    }
    let known = work.state().ticket;
    let ticket = match known {
        Some(ticket) => ticket,
        None => {
            *announced += 1;
            channel.send(&announcement).await?;
            let ticket = match channel.answer(ANSWER).await? {
                Message::Go { ticket } => ticket,
                other => return Err(unexpected(&other)),
            };
            let range = link.stripes().range;
            let mut state = work.state();
            state.ticket = Some(ticket);
            state.todo = (0..total.div_ceil(range))
                .map(|number| (number * range, range.min(total - number * range)))
                .collect();
            ticket
        }
    };
    channel.release();
    let Stripes { lanes, .. } = link.stripes();
    let mut tasks = JoinSet::new();
    let count = lanes.min(work.state().todo.len());
    for _ in 0..count {
        let (work, link) = (Arc::clone(work), Arc::clone(link));
        tasks.spawn(async move { lane(&work, &link, ticket).await });
    }
    let mut failed = Ok(());
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => failed = Err(failure),
            Err(error) => {
                failed = Err(Failure::Lost(
                    Error::new(proxystore::ErrorKind::Io, "a transfer ended early")
                        .with_source(error),
                ));
            }
        }
    }
    failed?;
    let mut channel = link.open().await?;
    channel.send(&Message::Finish { ticket }).await?;
    done(channel.answer(KEEP).await?)?;
    channel.release();
    Ok(())
}

fn done(answer: Message) -> Result<(), Failure> {
    match answer {
        Message::Done => Ok(()),
        other => Err(unexpected(&other)),
    }
}

async fn lane(work: &Work, link: &Arc<dyn Link>, ticket: u64) -> Result<(), Failure> {
    let mut channel = link.open().await?;
    loop {
        let Some((offset, length)) = work.state().todo.pop_front() else {
            break;
        };
        let message = Message::Write {
            ticket,
            offset,
            length,
        };
        let range = offset..offset + length;
        let sent = match channel.send_with(&message, &work.object, range).await {
            Ok(()) => channel.answer(ANSWER).await.and_then(done),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = sent {
            work.state().todo.push_front((offset, length));
            return Err(failure);
        }
        work.state().gone += 1;
    }
    channel.release();
    Ok(())
}

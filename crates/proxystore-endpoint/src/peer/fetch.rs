//! Fetching an object: ranges side by side, each tried again on its own, over whichever way there is.

use super::Cause;
use super::channel::{ANSWER, Channel, Failure, unexpected};
use super::connect::Peer;
use super::patience::Patience;
use super::transport::{Link, Stripes};
use super::wire::{Message, checksum};
use crate::draft::Draft;
use crate::object::Object;
use proxystore::{Error, ErrorKind, Result};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::timeout_at;

/// Bytes that the first request asks for, when nobody knows yet how many there are.
const FIRST: u64 = 1 << 20;
/// How long the other channels may go on once one of them broke: most likely their connection has, too.
const GRACE: Duration = Duration::from_millis(500);

/// An object of a peer, or `None` if it has none of that key.
pub(super) async fn get(peer: &Arc<Peer>, key: &str) -> Result<Option<Object>> {
    let mut patience = Patience::default();
    let mut work: Option<Arc<Work>> = None;
    loop {
        let link = patience.link(peer).await?;
        let began = Instant::now();
        let before = work.as_ref().map(|work| work.come());
        let outcome = match &work {
            None => first(&link, key, &mut work).await,
            Some(work) => rest(work, &link, None).await.map(|()| None),
        };
        let failure = match outcome {
            Ok(Some(object)) => return Ok(Some(object)),
            Ok(None) => match &work {
                Some(work) if work.is_whole() => return work.draft.finish().map(Some),
                _ => Failure::Lost(Error::new(ErrorKind::Unreachable, "the transfer stopped")),
            },
            Err(failure) => failure,
        };
        match failure {
            Failure::Refused(Cause::NotFound, _) if work.is_none() => return Ok(None),
            // Another object is there now: from the beginning.
            Failure::Refused(Cause::Changed, _) if !patience.is_over() => work = None,
            Failure::Refused(cause, words) => {
                return Err(Failure::Refused(cause, words).into_error(&peer.name()));
            }
            Failure::Lost(error) => {
                peer.discard(&link, &error);
                let progressed = work
                    .as_ref()
                    .is_some_and(|work| Some(work.come()) != before);
                patience.lost(error, progressed, began).await;
            }
        }
        if patience.is_over() {
            return Err(patience.give_up(peer));
        }
    }
}

/// A range that is to come, or one that has come and whose source has changed since.
#[derive(Clone, Copy, Debug)]
struct Job {
    offset: u64,
    length: u64,
    /// Whether it has come, and only its checksum is wanted.
    check: bool,
}

struct Work {
    key: Vec<u8>,
    draft: Draft,
    state: Mutex<State>,
}

struct State {
    todo: VecDeque<Job>,
    /// What has come.
    done: Vec<Job>,
    come: u64,
    stamp: u64,
}

/// Asks for the beginning; of a larger object, for the rest too.
async fn first(
    link: &Arc<dyn Link>,
    key: &str,
    work: &mut Option<Arc<Work>>,
) -> Result<Option<Object>, Failure> {
    let mut channel = link.open().await?;
    let request = Message::Get {
        key: key.as_bytes().to_vec(),
        stamp: 0,
        offset: 0,
        length: FIRST,
        bytes: true,
    };
    channel.send(&request).await?;
    let (total, stamp, length) = found(&mut channel).await?;
    if length != FIRST.min(total) {
        return Err(unexpected(&Message::Found {
            total,
            stamp,
            length,
        }));
    }
    let draft = Draft::new(total)
        .map_err(|error| Failure::Refused(Cause::of(&error), error.to_string()))?;
    if length == total {
        let mut slot = draft.slot(0, total).map_err(Failure::Lost)?;
        channel.receive_bytes(&mut slot).await?;
        slot.mark(slot.len());
        drop(slot);
        channel.release();
        return draft.finish().map(Some).map_err(Failure::Lost);
    }
    let range = link.stripes().range;
    let mut todo = VecDeque::new();
    let mut offset = length;
    while offset < total {
        let length = range.min(total - offset);
        todo.push_back(Job {
            offset,
            length,
            check: false,
        });
        offset += length;
    }
    let begun = Job {
        offset: 0,
        length,
        check: false,
    };
    let new = Arc::new(Work {
        key: key.as_bytes().to_vec(),
        draft,
        state: Mutex::new(State {
            todo,
            done: Vec::new(),
            come: 0,
            stamp,
        }),
    });
    *work = Some(Arc::clone(&new));
    rest(&new, link, Some((channel, begun)))
        .await
        .map(|()| None)
}

fn lost(words: &'static str) -> Failure {
    Failure::Lost(Error::new(ErrorKind::Io, words))
}

fn changed() -> Failure {
    Failure::Refused(Cause::Changed, "another object has that key now".to_owned())
}

async fn found(channel: &mut Channel) -> Result<(u64, u64, u64), Failure> {
    match channel.answer(ANSWER).await? {
        Message::Found {
            total,
            stamp,
            length,
        } => Ok((total, stamp, length)),
        other => Err(unexpected(&other)),
    }
}

/// Fetches what is missing over this link. The first failure that a new link would not mend is returned, else any.
async fn rest(
    work: &Arc<Work>,
    link: &Arc<dyn Link>,
    begun: Option<(Channel, Job)>,
) -> Result<(), Failure> {
    let Stripes { lanes, ahead, .. } = link.stripes();
    let mut tasks = JoinSet::new();
    let others = lanes - usize::from(begun.is_some());
    if let Some((channel, job)) = begun {
        let (work, link) = (Arc::clone(work), Arc::clone(link));
        tasks.spawn(async move { lane(&work, &link, ahead, Some((channel, job))).await });
    }
    for _ in 0..others.min(work.state().todo.len()) {
        let (work, link) = (Arc::clone(work), Arc::clone(link));
        tasks.spawn(async move { lane(&work, &link, ahead, None).await });
    }
    let mut failed: Option<(Instant, Failure)> = None;
    loop {
        let ended = match &failed {
            None => tasks.join_next().await,
            Some((until, _)) => match timeout_at((*until).into(), tasks.join_next()).await {
                Ok(ended) => ended,
                Err(_) => break,
            },
        };
        let failure = match ended {
            None => break,
            Some(Ok(Ok(()))) => continue,
            Some(Ok(Err(refused @ Failure::Refused(..)))) => return Err(refused),
            Some(Ok(Err(lost))) => lost,
            Some(Err(_)) => lost("a transfer ended early"),
        };
        failed.get_or_insert((Instant::now() + GRACE, failure));
    }
    tasks.shutdown().await;
    match failed {
        Some((_, failure)) if !work.is_whole() => Err(failure),
        _ => Ok(()),
    }
}

/// Jobs that one lane has asked for; those that did not come are for others, however the lane ends.
struct Asked<'a> {
    work: &'a Work,
    jobs: VecDeque<(Job, u64)>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let mut state = self.work.state();
        for (job, _) in self.jobs.drain(..) {
            state.todo.push_front(job);
        }
    }
}

/// Fetches range after range over one channel.
async fn lane(
    work: &Work,
    link: &Arc<dyn Link>,
    ahead: usize,
    begun: Option<(Channel, Job)>,
) -> Result<(), Failure> {
    let mut asked = Asked {
        work,
        jobs: VecDeque::new(),
    };
    let stamp = work.state().stamp;
    let (mut channel, mut header_read) = match begun {
        Some((channel, job)) => {
            asked.jobs.push_back((job, stamp));
            (channel, true)
        }
        None => (link.open().await?, false),
    };
    loop {
        while asked.jobs.len() < ahead {
            let Some((job, stamp)) = work.take(!asked.jobs.is_empty()) else {
                break;
            };
            asked.jobs.push_back((job, stamp));
            let request = Message::Get {
                key: work.key.clone(),
                stamp,
                offset: job.offset,
                length: job.length,
                bytes: !job.check,
            };
            channel.send(&request).await?;
        }
        let Some((job, stamp)) = asked.jobs.front().copied() else {
            break;
        };
        work.receive(&mut channel, job, stamp, header_read).await?;
        asked.jobs.pop_front();
        header_read = false;
    }
    channel.release();
    Ok(())
}

impl Work {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much of the work is done; only ever grows.
    fn come(&self) -> u64 {
        self.state().come
    }

    fn is_whole(&self) -> bool {
        let state = self.state();
        state.done.iter().map(|job| job.length).sum::<u64>() == self.draft.len()
    }

    /// The next job. A second one for the same channel only while there is enough for the others.
    fn take(&self, second: bool) -> Option<(Job, u64)> {
        let mut state = self.state();
        if second && state.todo.len() < 4 {
            return None;
        }
        let job = state.todo.pop_front()?;
        Some((job, state.stamp))
    }

    /// Receives a range that was asked for. Ranges of another copy than the one before make everything that has come
    /// subject to a check: their checksums must be the same there.
    async fn receive(
        &self,
        channel: &mut Channel,
        job: Job,
        asked: u64,
        header_read: bool,
    ) -> Result<(), Failure> {
        if !header_read {
            let (total, stamp, length) = found(channel).await?;
            if total != self.draft.len() {
                return Err(changed());
            }
            if length != job.length {
                return Err(unexpected(&Message::Found {
                    total,
                    stamp,
                    length,
                }));
            }
            self.follow(asked, stamp)?;
        }
        if job.check {
            let theirs = channel.receive_checksum().await?;
            let ours = self
                .draft
                .look(job.offset, job.length, |bytes| checksum(job.offset, bytes));
            if ours != Some(theirs) {
                return Err(changed());
            }
            self.arrived(job);
            return Ok(());
        }
        let mut slot = self
            .draft
            .slot(job.offset, job.length)
            .map_err(Failure::Lost)?;
        channel.receive_bytes(&mut slot).await?;
        slot.mark(slot.len());
        drop(slot);
        self.arrived(Job { check: true, ..job });
        Ok(())
    }

    fn arrived(&self, job: Job) {
        let mut state = self.state();
        state.come += 1;
        state.done.push(job);
    }

    /// The peer answers from a copy with this stamp.
    fn follow(&self, asked: u64, stamp: u64) -> Result<(), Failure> {
        let mut state = self.state();
        if stamp == state.stamp {
            return Ok(());
        }
        if asked != state.stamp {
            // Asked for before the others noticed the change: once more, with the stamp of now.
            return Err(lost("the object changed while it was asked for"));
        }
        state.stamp = stamp;
        let done = std::mem::take(&mut state.done);
        state.todo.extend(done);
        Ok(())
    }
}

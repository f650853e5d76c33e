//! An object on its way to the service: whole, or in parts side by side.

use super::engine::Line;
use super::failure::Failure;
use crate::Payload;
use crate::blob::{Buffer, gather};
use crate::cutter::Cutter;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::task::JoinSet;

/// Objects up to this many bytes go in one request.
const WHOLE: usize = 16 << 20;
/// Bytes of a part. Services take from 5 MiB on; a connection reaches its speed with some.
const PART: usize = 8 << 20;
/// Most parts of an object, a little less than the services' 10 000; they grow with the object.
const MOST_PARTS: usize = 9_000;
/// Parts on their way at once: so much is copied out of the caller's memory, and no more.
const AT_ONCE: usize = 8;
/// How often an object is sent anew whose service forgot the parts.
const ATTEMPTS: usize = 2;

/// Sends an object; it appears under its name when all of it is there.
pub(super) async fn put(line: &Line, name: &Path, payload: &Payload<'_>) -> Result<(), Failure> {
    if payload.len() <= WHOLE {
        let body = copied(&mut Cutter::new(payload), payload.len())?;
        line.store.put(name, body).await?;
        return Ok(());
    }
    let mut attempt = 1;
    loop {
        match in_parts(line, name, payload).await {
            // Its answer was lost and it was completed, or the service dropped the upload: parts
            // that it does not know cannot be told apart. Sending again is right for both.
            Err(failure) if failure.is_missing() && attempt < ATTEMPTS => attempt += 1,
            outcome => return outcome,
        }
    }
}

async fn in_parts(line: &Line, name: &Path, payload: &Payload<'_>) -> Result<(), Failure> {
    let part_len = PART.max(payload.len().div_ceil(MOST_PARTS));
    let mut upload = Upload {
        inner: Some(line.store.put_multipart(name).await?),
        taken_back: Arc::clone(&line.taken_back),
    };
    let mut cutter = Cutter::new(payload);
    let mut left = payload.len();
    let mut sent = JoinSet::new();
    let outcome = async {
        while left > 0 {
            if sent.len() == AT_ONCE {
                one(&mut sent).await?;
            }
            let len = left.min(part_len);
            let body = copied(&mut cutter, len)?;
            left -= len;
            if let Some(upload) = &mut upload.inner {
                sent.spawn(upload.put_part(body));
            }
        }
        while !sent.is_empty() {
            one(&mut sent).await?;
        }
        if let Some(upload) = &mut upload.inner {
            upload.complete().await?;
        }
        Ok(())
    }
    .await;
    if outcome.is_ok() {
        upload.inner = None;
    } else {
        // No part may arrive after the upload is taken back.
        sent.shutdown().await;
        upload.take_back().await;
    }
    outcome
}

async fn one(sent: &mut JoinSet<object_store::Result<()>>) -> Result<(), Failure> {
    match sent.join_next().await {
        Some(Ok(outcome)) => outcome.map_err(Failure::from),
        Some(Err(error)) => Err(Failure::Request(error.into())),
        None => Ok(()),
    }
}

/// An upload whose parts are taken back unless it was completed, also when its future is dropped.
struct Upload {
    inner: Option<Box<dyn MultipartUpload>>,
    taken_back: Arc<AtomicUsize>,
}

impl Upload {
    async fn take_back(&mut self) {
        if let Some(mut upload) = self.inner.take() {
            // The failure that led here says more.
            let _ = upload.abort().await;
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Handle::try_current();
        if let (Some(mut upload), Ok(runtime)) = (self.inner.take(), runtime) {
            let count = Arc::clone(&self.taken_back);
            count.fetch_add(1, Ordering::AcqRel);
            runtime.spawn(async move {
                let _ = upload.abort().await;
                count.fetch_sub(1, Ordering::AcqRel);
            });
        }
    }
}

/// A copy of the next `len` bytes. They are not sent as they lie: a request that was given up may
/// be held by its connection for longer than the caller keeps them.
fn copied(cutter: &mut Cutter<'_, '_>, len: usize) -> Result<PutPayload, Failure> {
    let mut buffer = Buffer::try_with_len(len).ok_or(Failure::NoMemory(len as u64))?;
    let (pieces, _) = cutter.next_part(len);
    gather::copy(&pieces, &mut buffer);
    Ok(Bytes::from_owner(Sent(buffer)).into())
}

/// Pooled memory as a request's body.
struct Sent(Buffer);

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

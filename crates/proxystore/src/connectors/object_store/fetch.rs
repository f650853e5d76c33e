//! An object on its way to us, into one aligned buffer.

use super::engine::Line;
use super::failure::{self, Failure};
use crate::blob::Buffer;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, ObjectStoreExt};
use std::ops::Range;

/// Bytes of the first request, whose answer tells the size, and of each one after it.
const FIRST: u64 = 8 << 20;
const PART: usize = 8 << 20;
/// Parts on their way at once.
const AT_ONCE: usize = 8;
/// How often an object is read anew that was replaced meanwhile or came broken.
const ATTEMPTS: usize = 8;

/// The object of a name, or nothing.
pub(super) async fn get(line: &Line, name: &Path) -> Result<Option<Buffer>, Failure> {
    let mut attempt = 1;
    loop {
        match once(line, name).await {
            // What begins anew tells whether the object is gone or is another one.
            Err(failure) if is_worth_another(&failure) && attempt < ATTEMPTS => attempt += 1,
            outcome => return outcome,
        }
    }
}

fn is_worth_another(failure: &Failure) -> bool {
    match failure {
        Failure::Torn | Failure::Restless => true,
        failure => failure.is_missing(),
    }
}

async fn once(line: &Line, name: &Path) -> Result<Option<Buffer>, Failure> {
    let first = match ask(line, name, 0..FIRST, None).await {
        Ok(first) => first,
        Err(Failure::Request(error)) if failure::is_missing(&error) => return Ok(None),
        Err(Failure::Request(error)) if failure::is_out_of_range(&error) => {
            return empty(line, name).await;
        }
        Err(failure) => return Err(failure),
    };
    let size = first.meta.size;
    let len = usize::try_from(size).map_err(|_| Failure::NoMemory(size))?;
    let mut buffer = Buffer::try_with_len(len).ok_or(Failure::NoMemory(size))?;
    let tag = first.meta.e_tag.clone();
    let (front, rest) = buffer.split_at_mut(len.min(FIRST as usize));
    let parts = rest.chunks_mut(PART).enumerate().map(|(index, target)| {
        let start = FIRST + (index * PART) as u64;
        let (range, tag) = (start..start + target.len() as u64, tag.as_deref());
        async move {
            let part = ask(line, name, range, tag).await?;
            if part.meta.size != size || part.meta.e_tag.as_deref() != tag {
                return Err(Failure::Restless);
            }
            fill(line, part, target).await
        }
    });
    let others = stream::iter(parts)
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>();
    future::try_join(fill(line, first, front), others).await?;
    Ok(Some(buffer))
}

/// What a range of an empty object cannot say.
async fn empty(line: &Line, name: &Path) -> Result<Option<Buffer>, Failure> {
    match line.store.head(name).await {
        Ok(meta) if meta.size == 0 => Ok(Some(Buffer::with_len(0))),
        Ok(_) => Err(Failure::Restless),
        Err(error) if failure::is_missing(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn ask(
    line: &Line,
    name: &Path,
    range: Range<u64>,
    tag: Option<&str>,
) -> Result<GetResult, Failure> {
    let options = GetOptions {
        range: Some(GetRange::Bounded(range)),
        if_match: tag.map(str::to_owned),
        ..GetOptions::default()
    };
    match line.store.get_opts(name, options).await {
        Ok(found) => Ok(found),
        Err(object_store::Error::Precondition { .. }) => Err(Failure::Restless),
        // The object is a shorter one by now.
        Err(error) if tag.is_some() && failure::is_out_of_range(&error) => Err(Failure::Restless),
        Err(error) => Err(error.into()),
    }
}

/// Receives an answer where it stays.
async fn fill(line: &Line, answer: GetResult, target: &mut [u8]) -> Result<(), Failure> {
    let mut left = target;
    let mut stream = answer.into_stream();
    loop {
        let next = tokio::time::timeout(line.timeout, stream.next());
        let Some(bytes) = next.await.map_err(|_| Failure::Silent)?.transpose()? else {
            break;
        };
        let Some((now, later)) = left.split_at_mut_checked(bytes.len()) else {
            return Err(Failure::Torn);
        };
        now.copy_from_slice(&bytes);
        left = later;
    }
    if left.is_empty() {
        Ok(())
    } else {
        Err(Failure::Torn)
    }
}

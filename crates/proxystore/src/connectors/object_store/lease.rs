//! Objects that go after a time. The services know nothing like it below a day, so that a small
//! object beside each says when its lease ends; who reads looks at it, and who opens removes what
//! has ended.

use super::engine::Line;
use super::failure::{self, Failure};
use super::keyspace::Keyspace;
use crate::Key;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Most ended leases that are looked at in one go.
pub(super) const SWEPT: usize = 1000;
/// Requests on their way at once.
const AT_ONCE: usize = 16;
/// Ends further off than this are as good as none.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// When a lease that begins now ends.
fn end_of(lease: Duration) -> u64 {
    now() + (lease.min(LONGEST).as_millis() as u64).max(1)
}

/// Says when the lease of a key ends. Before its object is there: a writer that dies in between
/// leaves nothing that nobody removes.
pub(super) async fn grant(
    line: &Line,
    keyspace: &Keyspace,
    key: &Key,
    lease: Duration,
) -> Result<(), Failure> {
    let end = end_of(lease);
    let (due, mark) = (keyspace.due(key, end), keyspace.lease(key));
    line.store.put(&due, PutPayload::new()).await?;
    line.store
        .put(&mark, PutPayload::from(end.to_string()))
        .await?;
    Ok(())
}

/// When the lease of a key ends, if it has one.
async fn end(line: &Line, keyspace: &Keyspace, key: &Key) -> Result<Option<u64>, Failure> {
    let found = match line.store.get(&keyspace.lease(key)).await {
        Ok(found) => found.bytes().await,
        Err(error) => Err(error),
    };
    match found {
        Ok(text) => {
            let text = std::str::from_utf8(&text).ok();
            Ok(text.and_then(|text| text.trim().parse().ok()))
        }
        Err(error) if failure::is_missing(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether the lease of a key has not ended.
pub(super) async fn is_alive(line: &Line, keyspace: &Keyspace, key: &Key) -> Result<bool, Failure> {
    Ok(end(line, keyspace, key)
        .await?
        .is_none_or(|end| end > now()))
}

/// Renews the leases of keys, as far as there are objects.
pub(super) async fn touch(
    line: &Line,
    keyspace: &Keyspace,
    keys: &[Key],
    lease: Duration,
) -> Result<Vec<bool>, Failure> {
    let one = |key| async move {
        let object = keyspace.object(key);
        let (there, end) =
            future::try_join(exists(line, &object), end(line, keyspace, key)).await?;
        if !there || end.is_some_and(|end| end <= now()) {
            return Ok(false);
        }
        grant(line, keyspace, key, lease).await?;
        if let Some(end) = end {
            // Who sweeps would find it of no use.
            remove(line, vec![keyspace.due(key, end)]).await?;
        }
        Ok(true)
    };
    stream::iter(keys)
        .map(one)
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

/// Whether there is something of this name.
pub(super) async fn exists(line: &Line, name: &Path) -> Result<bool, Failure> {
    match line.store.head(name).await {
        Ok(_) => Ok(true),
        Err(error) if failure::is_missing(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Removes names, in as few requests as the service takes; those that are not there do no harm.
/// Every one is tried; the first failure is told.
pub(super) async fn remove(line: &Line, names: Vec<Path>) -> Result<(), Failure> {
    if let [name] = names.as_slice() {
        return match line.store.delete(name).await {
            Err(error) if !failure::is_missing(&error) => Err(error.into()),
            _ => Ok(()),
        };
    }
    remove_all(line, stream::iter(names).map(Ok).boxed()).await
}

/// Removes everything that lies in a folder itself.
pub(super) async fn clear(line: &Line, folder: &Path) -> Result<(), Failure> {
    let parent = folder.clone();
    let found = line.store.list(Some(folder)).map_ok(|found| found.location);
    let ours = found.try_filter(move |name| future::ready(Keyspace::is_ours(&parent, name)));
    remove_all(line, ours.boxed()).await
}

async fn remove_all(
    line: &Line,
    names: BoxStream<'static, object_store::Result<Path>>,
) -> Result<(), Failure> {
    let mut removed = line.store.delete_stream(names);
    let mut outcome = Ok(());
    while let Some(one) = removed.next().await {
        if let Err(error) = one
            && !failure::is_missing(&error)
            && outcome.is_ok()
        {
            outcome = Err(error.into());
        }
    }
    outcome
}

/// The first names of those that tell when leases end; where names come in order, those that end
/// first.
pub(super) async fn first_due(line: &Line, keyspace: &Keyspace) -> Result<Vec<Path>, Failure> {
    let listed = line.store.list(Some(&keyspace.due)).take(SWEPT);
    let names = listed.map_ok(|found| found.location);
    Ok(names.try_collect().await?)
}

/// Removes, of the objects behind these names, those whose lease has ended, and says how many
/// names it removed.
pub(super) async fn sweep(
    line: &Line,
    keyspace: &Keyspace,
    names: Vec<Path>,
) -> Result<usize, Failure> {
    let ended: Vec<_> = names
        .into_iter()
        .filter_map(|name| keyspace.due_of(&name).map(|(end, key)| (name, end, key)))
        .filter(|(_, end, _)| *end <= now())
        .collect();
    let count = ended.len();
    let look = |(name, _, key): (Path, u64, Key)| async move {
        // It may have been renewed since, or be of an object that was set anew without one.
        let end = end(line, keyspace, &key).await?;
        let mut names = vec![name];
        if end.is_some_and(|end| end <= now()) {
            names.extend([keyspace.object(&key), keyspace.lease(&key)]);
        }
        Ok::<_, Failure>(names)
    };
    let names: Vec<Vec<Path>> = stream::iter(ended)
        .map(look)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    if count > 0 {
        remove(line, names.concat()).await?;
    }
    Ok(count)
}

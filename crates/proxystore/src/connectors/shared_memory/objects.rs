//! Where an object goes, and where it is looked for: shared memory, then the disk.

use super::control::discharge;
use super::roots::{self, Root, fail};
use super::{KIND, LIMIT_VARIABLE, SPILL_VARIABLE, SharedMemoryConnector, Usage, count};
use crate::connectors::file::recycle;
use crate::connectors::file::{Directory, footprint, statistics};
use crate::{Error, ErrorKind, Key, Payload, Result};
use std::sync::atomic::Ordering;

/// Objects from this length on are not tried where there is no space: half of one written in vain
/// costs more than asking.
const LOOKS_AHEAD_FROM: u64 = 1 << 20;

impl SharedMemoryConnector {
    /// Stores an object under a key that is new and known to nobody.
    pub(super) fn store_fresh(&self, key: &Key, payload: &Payload<'_>) -> Result<()> {
        let control = self.hold.control();
        let bytes = footprint(payload.len() as u64);
        if self.admit(bytes) {
            let published = self.memory.publish_fresh(key, payload);
            self.keep_hold();
            match published {
                Ok(grown) => {
                    self.count_recycled(grown);
                    return Ok(());
                }
                Err(error) => {
                    discharge(&control.used, bytes);
                    if error.kind() != ErrorKind::Full {
                        return Err(error);
                    }
                }
            }
        }
        let spill = self.spill_to_write(key)?;
        spill.publish_fresh(key, payload)?;
        control.spilled.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Stores an object under a key that others may know, and that may have one already.
    pub(super) fn store_over(&self, key: &Key, payload: &Payload<'_>) -> Result<()> {
        let control = self.hold.control();
        let bytes = footprint(payload.len() as u64);
        let before = size_in(&self.memory, key)?;
        if self.admit(bytes) {
            let published = self.memory.publish_over(key, payload);
            self.keep_hold();
            match published {
                Ok(grown) => {
                    discharge(&control.used, before);
                    self.count_recycled(grown);
                    return self.remove_spilled(key);
                }
                Err(error) => {
                    discharge(&control.used, bytes);
                    if error.kind() != ErrorKind::Full {
                        return Err(error);
                    }
                }
            }
        }
        let spill = self.spill_to_write(key)?;
        let spilled_before = size_in(spill, key)?;
        spill.publish_over(key, payload)?;
        control.spilled.fetch_add(bytes, Ordering::Relaxed);
        discharge(&control.spilled, spilled_before);
        // Memory is looked at first: what is there hides the new one until it goes.
        self.remove_from_memory(key)
    }

    pub(super) fn remove(&self, key: &Key) -> Result<()> {
        self.remove_from_memory(key)?;
        self.remove_spilled(key)
    }

    pub(super) fn remove_all(&self) -> Result<()> {
        let control = self.hold.control();
        discharge(&control.used, self.memory.clear_all()?);
        if let Some(spill) = self.spill_to_read()? {
            discharge(&control.spilled, spill.clear_all()?);
        }
        Ok(())
    }

    /// Looks in memory, then on disk, and in memory again: a `set` may have moved the object there
    /// in between.
    pub(super) fn look<T>(
        &self,
        look: impl Fn(&Directory) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let found = look(&self.memory)?;
        self.keep_hold();
        if let Some(found) = found {
            return Ok(Some(found));
        }
        let Some(spill) = self.spill_to_read()? else {
            return Ok(None);
        };
        match look(spill)? {
            Some(found) => Ok(Some(found)),
            None => look(&self.memory),
        }
    }

    /// Where the directory had to be opened anew, somebody closed every descriptor of this process,
    /// as daemons do: the lock went with them and is taken again.
    fn keep_hold(&self) {
        let fd = self.memory.fd();
        if self.memory_fd.load(Ordering::Relaxed) != fd {
            self.memory_fd.store(fd, Ordering::Relaxed);
            self.hold.renew();
        }
    }

    /// Counts an object in if it is to go to shared memory.
    fn admit(&self, bytes: u64) -> bool {
        let control = self.hold.control();
        if bytes >= LOOKS_AHEAD_FROM && !self.has_room_for(bytes) {
            self.empty_all_recycled();
            if !self.has_room_for(bytes) {
                return false;
            }
        }
        if control.charge(bytes) {
            return true;
        }
        let session = self.memory.path().parent();
        session.is_some_and(|session| count::recount(control, session)) && control.charge(bytes)
    }

    /// What is kept of evicted objects goes when there is no room for it beside what is stored: only
    /// after a put, which may have used some of it.
    fn count_recycled(&self, grown: i64) {
        if !self.hold.control().count_recycled(grown) {
            self.empty_all_recycled();
        }
    }

    fn empty_all_recycled(&self) {
        let control = self.hold.control();
        if let Some(session) = self.memory.path().parent()
            && control.recycled.load(Ordering::Relaxed) > 0
        {
            let left = count::empty_recycled(session);
            control.recycled.store(left, Ordering::Relaxed);
        }
    }

    /// Gives what is kept of evicted objects of this place back to the system.
    pub(super) fn empty_recycled(&self) {
        discharge(
            &self.hold.control().recycled,
            recycle::empty(self.memory.fd()),
        );
    }

    /// Whether the file system has the space. Another process may take it meanwhile: then the
    /// write fails, which costs no more than time.
    fn has_room_for(&self, bytes: u64) -> bool {
        statistics(self.memory.fd())
            .is_ok_and(|found| found.f_bavail.saturating_mul(found.f_bsize as u64) >= bytes)
    }

    fn remove_from_memory(&self, key: &Key) -> Result<()> {
        let bytes = size_in(&self.memory, key)?;
        if bytes > 0
            && let Some(grown) = self.memory.remove(key)?
        {
            discharge(&self.hold.control().used, bytes);
            self.count_recycled(grown);
        }
        Ok(())
    }

    fn remove_spilled(&self, key: &Key) -> Result<()> {
        if let Some(spill) = self.spill_to_read()? {
            let bytes = size_in(spill, key)?;
            if bytes > 0 && spill.remove(key)?.is_some() {
                discharge(&self.hold.control().spilled, bytes);
            }
        }
        Ok(())
    }

    /// The name of this session's directory where it spills to.
    /// In memory and on the disk.
    pub(super) fn stored_keys(&self) -> Result<Vec<Key>> {
        let mut keys = self.memory.keys()?;
        if let Some(spill) = self.spill_to_read()? {
            keys.extend(spill.keys()?);
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    fn spill_name(&self) -> String {
        format!("{}.{}", self.session.name, self.origin.mark())
    }

    /// The directory on disk, made if need be. From here on readers look there.
    fn spill_to_write(&self, key: &Key) -> Result<&Directory> {
        let spill = match self.spill.get() {
            Some(spill) => spill,
            None => {
                let made = self.make_spill(key)?;
                self.spill.get_or_init(|| made)
            }
        };
        // Before the object can be seen: whoever knows of it must look here.
        self.hold.control().spills.fetch_add(1, Ordering::Release);
        Ok(spill)
    }

    fn make_spill(&self, key: &Key) -> Result<Directory> {
        let Some(dir) = &self.session.spill_dir else {
            let Usage { used, limit, .. } = self.usage();
            return Err(Error::new(
                ErrorKind::Full,
                format!(
                    "shared memory is full ({used} of {limit} bytes in {}) and there is no directory to spill to: evict objects, raise {LIMIT_VARIABLE}, or name a directory on disk by {SPILL_VARIABLE}",
                    self.session.dir.display(),
                ),
            )
            .with_connector(KIND)
            .with_key(key));
        };
        let root = Root::create(dir)?;
        let name = self.spill_name();
        let path = root.path().join(&name);
        roots::make_at(root.fd(), &name)
            .and_then(|_| roots::make_in(&path, &self.session.place))
            .map_err(|error| fail(error, "making a directory", &path))?;
        Directory::open(&path.join(&self.session.place), KIND)
            .map(|spill| spill.in_a_session().without_recycling())
    }

    /// Whether anything was ever spilled, so that readers must look there.
    pub(super) fn has_spilled(&self) -> bool {
        self.hold.control().spills.load(Ordering::Acquire) != 0
    }

    /// The directory on disk, if anything was ever spilled.
    fn spill_to_read(&self) -> Result<Option<&Directory>> {
        if let Some(spill) = self.spill.get() {
            return Ok(Some(spill));
        }
        if !self.has_spilled() {
            return Ok(None);
        }
        let Some(dir) = &self.session.spill_dir else {
            return Ok(None);
        };
        let Some(root) = Root::open(dir, self.origin.user())? else {
            return Ok(None);
        };
        let session = root.path().join(self.spill_name());
        match Directory::open(&session.join(&self.session.place), KIND) {
            Ok(spill) => Ok(Some(
                self.spill
                    .get_or_init(|| spill.in_a_session().without_recycling()),
            )),
            Err(error) if error.kind() == ErrorKind::Unreachable => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What an object takes in a directory; 0 if it is not there.
fn size_in(directory: &Directory, key: &Key) -> Result<u64> {
    Ok(directory.len_of(key)?.map_or(0, footprint))
}

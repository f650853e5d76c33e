//! Objects in this machine's shared memory: the embedded default.
//!
//! A *session* belongs to a program. The process that makes it, those forked from it, and those
//! that join it later hold it; when none of them lives, the next opener removes its objects. What
//! does not fit in shared memory goes to a directory on disk. `docs/storage.md` has the details.

mod control;
mod fork_lock;
mod hold;
mod limit;
mod listing;
mod origin;
mod roots;
mod session;
mod sweep;

pub use listing::{Holder, SessionStatus, sessions};
pub use session::Session;

use super::file::{Directory, QUICK_UP_TO, footprint, system};
use crate::{Access, Blob, Capability, Connector, Error, ErrorKind, Key, Payload, Result};
use control::{Control, discharge};
use hold::{Hold, Refusal};
use origin::Origin;
use roots::{Root, fail};
use std::ffi::CString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

const KIND: &str = "shared-memory";
/// Where Linux has shared memory.
const SHARED_MEMORY: &str = "/dev/shm";

/// Environment variable: where shared memory is, instead of `/dev/shm`.
pub const DIR_VARIABLE: &str = "PROXYSTORE_SHM_DIR";
/// Environment variable: where to spill to, instead of `$TMPDIR`, `/tmp` or `/var/tmp`.
pub const SPILL_VARIABLE: &str = "PROXYSTORE_SPILL_DIR";
/// Environment variable: most bytes of shared memory.
pub const LIMIT_VARIABLE: &str = "PROXYSTORE_SHM_LIMIT";
/// Environment variable: the session that a process joins instead of making its own, so that what
/// a worker stores lives as long as the program that started it.
pub const SESSION_VARIABLE: &str = "PROXYSTORE_SHM_SESSION";

/// Where and how a [`SharedMemoryConnector`] keeps its objects. What is left out is taken from the
/// environment, and then from the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedMemoryConfig {
    /// Where shared memory is; by default `$PROXYSTORE_SHM_DIR`, then `/dev/shm`.
    pub dir: Option<PathBuf>,
    /// Where to put what does not fit; by default `$PROXYSTORE_SPILL_DIR`, then the first of
    /// `$TMPDIR`, `/tmp` and `/var/tmp` that is on a disk.
    pub spill_dir: Option<PathBuf>,
    /// Most bytes of shared memory for the whole session; by default `$PROXYSTORE_SHM_LIMIT`, then
    /// half of what the file system has free and of what memory this process may use. Only the
    /// process that makes the session decides.
    pub limit: Option<u64>,
    /// The session to store into; by default `$PROXYSTORE_SHM_SESSION` if it lives, then the one
    /// that this process or the one it was forked from made, then a new one.
    pub session: Option<String>,
}

/// Keeps objects in shared memory as long as any process of the program that made them lives.
///
/// ```
/// use proxystore::connectors::shared_memory::{SharedMemoryConfig, SharedMemoryConnector};
/// use proxystore::{Connector, ConnectorExt};
///
/// let connector = SharedMemoryConnector::create(SharedMemoryConfig::default())?;
/// let key = connector.put_bytes(b"hello")?;
///
/// // In another process of this machine:
/// let other = SharedMemoryConnector::join(connector.session())?;
/// assert_eq!(other.get_vec(&key)?.as_deref(), Some(&b"hello"[..]));
/// # connector.close(true)?;
/// # Ok::<(), proxystore::Error>(())
/// ```
pub struct SharedMemoryConnector {
    session: Session,
    hold: Hold,
    memory: Directory,
    /// Opened at first need.
    spill: OnceLock<Directory>,
    closed: AtomicBool,
}

/// What a session holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes in shared memory, in whole pages.
    pub used: u64,
    /// Most of them.
    pub limit: u64,
    /// Bytes on disk.
    pub spilled: u64,
}

impl Usage {
    fn of(control: &Control) -> Self {
        Self {
            used: control.used.load(Ordering::Relaxed),
            limit: control.limit.load(Ordering::Relaxed),
            spilled: control.spilled.load(Ordering::Relaxed),
        }
    }
}

impl SharedMemoryConnector {
    /// Opens a place of its own in this program's session, and makes the session if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] if somebody else's files are in the way,
    /// [`ErrorKind::InvalidConfig`] for a variable that is no number; any kind if neither shared
    /// memory nor the place to spill to can be written.
    pub fn create(config: SharedMemoryConfig) -> Result<Self> {
        let spill_root = match config.spill_dir.or_else(|| path_variable(SPILL_VARIABLE)) {
            Some(path) => Some(absolute(&path)?),
            None => roots::default_spill_root(),
        };
        let (root_path, root) = match config.dir.or_else(|| path_variable(DIR_VARIABLE)) {
            Some(path) => {
                let path = absolute(&path)?;
                let root = Root::create(&path)?;
                (path, root)
            }
            None => default_root(spill_root.as_deref())?,
        };
        sweep::sweep(&root);
        let spill_root = spill_root.filter(|spill| *spill != root_path);
        if let Some(spill_root) = &spill_root
            && let Ok(Some(spill)) = Root::open(spill_root, origin::user())
        {
            sweep::sweep_spilled(&spill, &root);
        }
        let wanted = config
            .session
            .or_else(|| std::env::var(SESSION_VARIABLE).ok());
        let joined = match wanted {
            Some(name) if Key::is_fresh_form(&name) => join_lock(&root, &name)?,
            _ => None,
        };
        let hold = match joined.or_else(|| Hold::own_in(root.path())) {
            Some(hold) => hold,
            None => {
                let limit = match config.limit {
                    Some(limit) => limit,
                    None => limit_variable()?.map_or_else(
                        || {
                            limit::default_limit(root.fd())
                                .map_err(|error| fail(error, "measuring", root.path()))
                        },
                        Ok,
                    )?,
                };
                new_session(&root, limit, spill_root.as_deref())?
            }
        };
        let name = session_name(&hold);
        let place = Key::fresh().to_string();
        let memory = make_place(&root, &name, &place)?;
        let spill_dir = hold.control().spill_path();
        Ok(Self {
            session: Session {
                name,
                place,
                dir: root_path,
                spill_dir: spill_dir.and_then(|path| path.parent().map(Path::to_owned)),
                origin: Origin::here(root.mount()).to_string(),
            },
            hold,
            memory,
            spill: OnceLock::new(),
            closed: AtomicBool::new(false),
        })
    }

    /// Opens a place that another process made.
    ///
    /// # Errors
    /// [`ErrorKind::WrongHost`] on another host or in another container than it was made;
    /// [`ErrorKind::Closed`] if no process of its program lives any more;
    /// [`ErrorKind::PermissionDenied`] for another user's.
    pub fn join(session: &Session) -> Result<Self> {
        session.check()?;
        let origin: Origin = session.origin.parse()?;
        if !origin.is_this_boot() {
            return Err(origin.elsewhere());
        }
        let root = match Root::open(&session.dir, origin.user())? {
            Some(root) if root.mount() == origin.mount() => root,
            Some(_) => return Err(origin.elsewhere()),
            None => {
                // The user's directory is made with the first session and never removed.
                return Err(origin.elsewhere());
            }
        };
        let hold = join_lock(&root, &session.name)?.ok_or_else(|| ended(session))?;
        let path = root.path().join(&session.name).join(&session.place);
        let memory = match Directory::open(&path, KIND) {
            Ok(memory) => memory,
            // Cleared by its owner, maybe to be made again at the next put.
            Err(_) => make_place(&root, &session.name, &session.place)?,
        };
        sweep::sweep(&root);
        Ok(Self {
            session: session.clone(),
            hold,
            memory,
            spill: OnceLock::new(),
            closed: AtomicBool::new(false),
        })
    }

    /// What another process needs to [`join`](Self::join).
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// What the whole session holds, this connector's objects and those of others.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage::of(self.hold.control())
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::new(
                ErrorKind::Closed,
                "the connector was closed, so it stores nothing more: open a new one",
            )
            .with_connector(KIND));
        }
        Ok(())
    }

    fn store(&self, key: &Key, payload: &Payload<'_>, fresh: bool) -> Result<()> {
        self.check_open()?;
        let publish = |directory: &Directory| {
            if fresh {
                directory.publish_fresh(key, payload)
            } else {
                directory.publish_over(key, payload)
            }
        };
        let control = self.hold.control();
        let bytes = footprint(payload.len() as u64);
        let replaced = if fresh {
            0
        } else {
            self.size_of(&self.memory, key)?
        };
        if control.charge(bytes) {
            match publish(&self.memory) {
                Ok(()) => {
                    discharge(&control.used, replaced);
                    if !fresh {
                        self.remove_spilled(key)?;
                    }
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
        let before = if fresh { 0 } else { self.size_of(spill, key)? };
        // Before the object can be seen: whoever knows of it must look here.
        control.spills.fetch_add(1, Ordering::Release);
        publish(spill)?;
        control.spilled.fetch_add(bytes, Ordering::Relaxed);
        discharge(&control.spilled, before);
        if !fresh && replaced > 0 {
            self.memory.remove(key)?;
            discharge(&control.used, replaced);
        }
        Ok(())
    }

    fn size_of(&self, directory: &Directory, key: &Key) -> Result<u64> {
        Ok(directory.len_of(key)?.map_or(0, footprint))
    }

    fn remove_spilled(&self, key: &Key) -> Result<()> {
        if let Some(spill) = self.spill_to_read()? {
            let bytes = self.size_of(spill, key)?;
            if spill.remove(key)? {
                discharge(&self.hold.control().spilled, bytes);
            }
        }
        Ok(())
    }

    /// The name of this session's directory where it spills to.
    fn spill_name(&self) -> Result<String> {
        let origin: Origin = self.session.origin.parse()?;
        Ok(format!("{}.{}", self.session.name, origin.mark()))
    }

    fn spill_to_write(&self, key: &Key) -> Result<&Directory> {
        if let Some(spill) = self.spill.get() {
            return Ok(spill);
        }
        let Usage { used, limit, .. } = self.usage();
        let Some(spill_root) = &self.session.spill_dir else {
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
        let root = Root::create(spill_root)?;
        let name = self.spill_name()?;
        let path = root.path().join(&name);
        let made = c_name(&name)
            .and_then(|name| root.make(&name))
            .and_then(|_| make_in(&path, &self.session.place));
        made.map_err(|error| fail(error, "making a directory", &path))?;
        let spill = Directory::open(&path.join(&self.session.place), KIND)?;
        Ok(self.spill.get_or_init(|| spill))
    }

    /// The directory on disk, if anything was ever spilled.
    fn spill_to_read(&self) -> Result<Option<&Directory>> {
        if let Some(spill) = self.spill.get() {
            return Ok(Some(spill));
        }
        if self.hold.control().spills.load(Ordering::Acquire) == 0 {
            return Ok(None);
        }
        let Some(spill_root) = &self.session.spill_dir else {
            return Ok(None);
        };
        let Some(root) = Root::open(spill_root, origin::user())? else {
            return Ok(None);
        };
        let path = root
            .path()
            .join(self.spill_name()?)
            .join(&self.session.place);
        match Directory::open(&path, KIND) {
            Ok(spill) => Ok(Some(self.spill.get_or_init(|| spill))),
            Err(error) if error.kind() == ErrorKind::Unreachable => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Looks in memory, then on disk, and in memory again: a `set` may have moved the object there
    /// in between.
    fn look<T>(&self, look: impl Fn(&Directory) -> Result<Option<T>>) -> Result<Option<T>> {
        if let Some(found) = look(&self.memory)? {
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
}

impl Connector for SharedMemoryConnector {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn capability(&self) -> Capability {
        Capability {
            deferred_set: true,
            cross_process: true,
            ..Capability::default()
        }
    }

    fn put(&self, payload: &Payload<'_>) -> Result<Key> {
        let key = Key::fresh();
        self.store(&key, payload, true)?;
        Ok(key)
    }

    fn put_batch(&self, payloads: &[Payload<'_>]) -> Result<Vec<Key>> {
        let mut keys = Vec::with_capacity(payloads.len());
        for payload in payloads {
            match self.put(payload) {
                Ok(key) => keys.push(key),
                Err(error) => {
                    // All or none; the failure says more than a second one from here.
                    let _ = self.evict_batch(&keys);
                    return Err(error);
                }
            }
        }
        Ok(keys)
    }

    fn new_key(&self) -> Key {
        Key::fresh()
    }

    fn set(&self, key: &Key, payload: &Payload<'_>) -> Result<()> {
        self.store(key, payload, false)
    }

    fn get(&self, key: &Key, access: Access) -> Result<Option<Blob>> {
        self.look(|directory| directory.fetch(key, access))
    }

    fn get_batch(&self, keys: &[Key], access: Access) -> Result<Vec<Option<Blob>>> {
        keys.iter().map(|key| self.get(key, access)).collect()
    }

    fn exists(&self, key: &Key) -> Result<bool> {
        let found = self.look(|directory| Ok(directory.contains(key)?.then_some(())));
        Ok(found?.is_some())
    }

    fn evict(&self, key: &Key) -> Result<()> {
        let bytes = self.size_of(&self.memory, key)?;
        if bytes > 0 && self.memory.remove(key)? {
            discharge(&self.hold.control().used, bytes);
        }
        self.remove_spilled(key)
    }

    fn evict_batch(&self, keys: &[Key]) -> Result<()> {
        // Every key is tried; the first failure is told.
        let mut result = Ok(());
        for key in keys {
            result = result.and(self.evict(key));
        }
        result
    }

    /// With `clear`, removes the objects of this place, not those that others keep in the same
    /// session. After it nothing more is stored.
    fn close(&self, clear: bool) -> Result<()> {
        self.closed.store(true, Ordering::Relaxed);
        if !clear {
            return Ok(());
        }
        let control = self.hold.control();
        discharge(&control.used, self.memory.clear_all()?);
        if let Some(spill) = self.spill_to_read()? {
            discharge(&control.spilled, spill.clear_all()?);
        }
        Ok(())
    }

    fn is_quick(&self, len: usize) -> bool {
        len <= QUICK_UP_TO
    }
}

impl fmt::Debug for SharedMemoryConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedMemoryConnector({:?})", self.memory)
    }
}

impl fmt::Display for SharedMemoryConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shm://{}/{}", self.session.name, self.session.place)
    }
}

/// Shared memory where it usually is; if there is none that can be written, the place to spill to.
fn default_root(spill_root: Option<&Path>) -> Result<(PathBuf, Root)> {
    let shm = PathBuf::from(SHARED_MEMORY);
    match (Root::create(&shm), spill_root) {
        (Ok(root), _) => Ok((shm, root)),
        (Err(_), Some(spill_root)) => Ok((spill_root.to_owned(), Root::create(spill_root)?)),
        (Err(error), None) => Err(error),
    }
}

fn new_session(root: &Root, limit: u64, spill_root: Option<&Path>) -> Result<Hold> {
    let spill = spill_root.map(|path| path.join(format!("proxystore-{}", origin::user())));
    // A sweeper that meets a lock file between its making and its locking takes it away.
    for _ in 0..100 {
        let name = Key::fresh().to_string();
        let made = c_name(&format!("{name}{}", sweep::LOCK_SUFFIX)).map_err(Refusal::from);
        let path = root.path().join(format!("{name}{}", sweep::LOCK_SUFFIX));
        let held = made
            .and_then(|lock| Hold::create(root.fd(), &lock, path, limit, spill.as_deref()))
            .and_then(|hold| {
                root.make(&c_name(&name)?)?;
                Ok(hold)
            });
        match held {
            Ok(hold) => return Ok(hold),
            Err(Refusal::Gone) => {}
            Err(Refusal::System(error)) => {
                return Err(fail(error, "making a session", root.path()));
            }
        }
    }
    Err(Error::new(
        ErrorKind::Unreachable,
        format!("no session can be made in {}", root.path().display()),
    )
    .with_connector(KIND))
}

fn join_lock(root: &Root, name: &str) -> Result<Option<Hold>> {
    let lock = format!("{name}{}", sweep::LOCK_SUFFIX);
    let path = root.path().join(&lock);
    let held = c_name(&lock)
        .map_err(Refusal::from)
        .and_then(|lock| Hold::join(root.fd(), &lock, path));
    match held {
        Ok(hold) => Ok(Some(hold)),
        Err(Refusal::Gone) => Ok(None),
        Err(Refusal::System(error)) => Err(fail(error, "joining a session", root.path())),
    }
}

fn make_place(root: &Root, name: &str, place: &str) -> Result<Directory> {
    let path = root.path().join(name);
    make_in(&path, place).map_err(|error| fail(error, "making a directory", &path))?;
    Directory::open(&path.join(place), KIND)
}

fn make_in(path: &Path, name: &str) -> io::Result<bool> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    let directory = system::open_at(libc::AT_FDCWD, &system::c_path(path)?, flags, 0)?;
    roots::make_at(std::os::fd::AsRawFd::as_raw_fd(&directory), &c_name(name)?)
}

fn session_name(hold: &Hold) -> String {
    let stem = hold.path().file_stem().and_then(|stem| stem.to_str());
    stem.unwrap_or_default().to_owned()
}

fn c_name(name: &str) -> io::Result<CString> {
    CString::new(name).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| fail(error, "finding the directory", path))
}

fn path_variable(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name)?;
    (!value.is_empty()).then(|| PathBuf::from(value))
}

fn limit_variable() -> Result<Option<u64>> {
    match std::env::var(LIMIT_VARIABLE) {
        Err(_) => Ok(None),
        Ok(text) => text.trim().parse().map(Some).map_err(|_| {
            Error::new(
                ErrorKind::InvalidConfig,
                format!("{LIMIT_VARIABLE} is {text:?}, but a number of bytes is needed"),
            )
            .with_connector(KIND)
        }),
    }
}

fn ended(session: &Session) -> Error {
    Error::new(
        ErrorKind::Closed,
        format!(
            "the program that kept its objects in the shared-memory session {} has ended, and they went with it: for objects that outlive their program use a file, redis or endpoint store",
            session.name
        ),
    )
    .with_connector(KIND)
}

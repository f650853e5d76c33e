//! How a connector comes to its session: making one, or joining one.

use super::hold::{Hold, Refusal};
use super::origin::{self, Origin};
use super::roots::{self, Root, fail};
use super::{
    DIR_VARIABLE, KIND, LIMIT_VARIABLE, SESSION_VARIABLE, SHARED_MEMORY, SPILL_VARIABLE, Session,
    SharedMemoryConfig, SharedMemoryConnector, limit, path_variable, sweep,
};
use crate::connectors::file::Directory;
use crate::{Error, ErrorKind, Key, Result};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

impl SharedMemoryConnector {
    /// Opens a place of its own in this program's session, and makes the session if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] if somebody else's files are in the way,
    /// [`ErrorKind::InvalidConfig`] for a variable that is no number; any kind if neither shared
    /// memory nor the place to spill to can be written.
    pub fn create(config: SharedMemoryConfig) -> Result<Self> {
        let spill = config.spill_dir;
        let spill = spill.or_else(|| std::env::var_os(SPILL_VARIABLE).map(PathBuf::from));
        let dir = config.dir.or_else(|| path_variable(DIR_VARIABLE));
        let limit = match config.limit {
            Some(limit) => Some(limit),
            None => limit_variable()?,
        };
        let wish = Wish {
            session: config.session,
            limit,
            asked_to_spill: spill.is_some(),
            spill_dir: match spill {
                Some(path) if path.as_os_str().is_empty() => None,
                Some(path) => Some(absolute(&path)?),
                None => roots::default_spill_dir(),
            },
        };
        if let Some(dir) = dir {
            return wish.open_in(&absolute(&dir)?);
        }
        // Shared memory where it usually is; if nothing can be written there, the disk.
        let opened = wish.open_in(Path::new(SHARED_MEMORY));
        match (&opened, &wish.spill_dir) {
            (Err(_), Some(disk)) => wish.open_in(disk).or(opened),
            _ => opened,
        }
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
        let mount = || session.dir.metadata().map(|found| found.dev());
        if !origin.is_this_boot() || mount().is_ok_and(|mount| mount != origin.mount()) {
            return Err(origin.elsewhere());
        }
        let root = Root::open(&session.dir, origin.user())?.ok_or_else(|| ended(session))?;
        let hold = join_lock(&root, &session.name)?.ok_or_else(|| ended(session))?;
        let place = root.path().join(&session.name).join(&session.place);
        let memory = match Directory::open(&place, KIND) {
            // Cleared by its owner, maybe to be made again at the next put.
            Err(error) if error.kind() == ErrorKind::Unreachable => {
                make_place(&root, &session.name, &session.place)?
            }
            other => other?,
        };
        sweep::sweep(&root);
        Ok(Self::of(session.clone(), hold, memory, origin))
    }
}

/// What the caller asked for, completed from the environment.
struct Wish {
    session: Option<String>,
    limit: Option<u64>,
    spill_dir: Option<PathBuf>,
    /// The caller named it.
    asked_to_spill: bool,
}

impl Wish {
    fn open_in(&self, dir: &Path) -> Result<SharedMemoryConnector> {
        let root = Root::create(dir)?;
        sweep::sweep(&root);
        let spill_dir = self.spill_dir.as_deref().filter(|spill| *spill != dir);
        if let Some(spill) = spill_dir
            && let Ok(Some(spill)) = Root::open(spill, origin::user())
        {
            sweep::sweep_spilled(&spill, &root);
        }
        let hold = match self.existing(&root)? {
            Some(hold) => hold,
            None => self.make_session(&root, spill_dir)?,
        };
        let name = hold.session_name().to_owned();
        let place = Key::fresh().to_string();
        let memory = make_place(&root, &name, &place)?;
        let origin = Origin::here(root.mount());
        let session = Session {
            name,
            place,
            dir: dir.to_owned(),
            spill_dir: hold.control().spill_dir(),
            origin: origin.to_string(),
        };
        Ok(SharedMemoryConnector::of(session, hold, memory, origin))
    }

    /// A session to share: the one that was named, or the one that this program has already.
    fn existing(&self, root: &Root) -> Result<Option<Hold>> {
        if let Some(name) = &self.session {
            let joined = Key::is_fresh_form(name).then(|| join_lock(root, name));
            let hold = joined.transpose()?.flatten().ok_or_else(|| {
                Error::new(
                    ErrorKind::Closed,
                    format!("there is no session {name:?} in {}", root.path().display()),
                )
                .with_connector(KIND)
            })?;
            return Ok(Some(hold));
        }
        let inherited = std::env::var(SESSION_VARIABLE).ok();
        if let Some(name) = inherited.filter(|name| Key::is_fresh_form(name))
            && let Some(hold) = join_lock(root, &name)?
        {
            return Ok(Some(hold));
        }
        Ok(Hold::own_in(root.path(), |control| {
            let limit = control.limit.load(std::sync::atomic::Ordering::Relaxed);
            self.limit.is_none_or(|wanted| wanted == limit)
                && (!self.asked_to_spill || self.spill_dir == control.spill_dir())
        }))
    }

    fn make_session(&self, root: &Root, spill_dir: Option<&Path>) -> Result<Hold> {
        let failed = |error| fail(error, "making a session", root.path());
        let limit = match self.limit {
            Some(limit) => limit,
            None => limit::default_limit(root.fd()).map_err(failed)?,
        };
        // A sweeper that meets a lock file between its making and its locking takes it away.
        for _ in 0..100 {
            let name = Key::fresh().to_string();
            match Hold::create(root.fd(), root.path(), &name, limit, spill_dir) {
                Ok(hold) => {
                    roots::make_at(root.fd(), &name).map_err(failed)?;
                    return Ok(hold);
                }
                Err(Refusal::Gone) => {}
                Err(Refusal::System(error)) => return Err(failed(error)),
            }
        }
        Err(failed(std::io::ErrorKind::ResourceBusy.into()))
    }
}

fn join_lock(root: &Root, name: &str) -> Result<Option<Hold>> {
    match Hold::join(root.fd(), root.path(), name) {
        Ok(hold) => Ok(Some(hold)),
        Err(Refusal::Gone) => Ok(None),
        Err(Refusal::System(error)) => Err(fail(error, "joining a session", root.path())),
    }
}

fn make_place(root: &Root, name: &str, place: &str) -> Result<Directory> {
    let path = root.path().join(name);
    roots::make_in(&path, place).map_err(|error| fail(error, "making a directory", &path))?;
    Directory::open(&path.join(place), KIND)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| fail(error, "finding the directory", path))
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

//! The database of what persists: a row for each object. One thread writes, all changes that wait
//! in one transaction, so that many small objects share the cost of the disk.

use super::of_disk;
use proxystore::{Error, ErrorKind, Result};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
/// Most changes of one transaction.
const MOST: usize = 1000;

/// What the database has of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Row {
    Value(Vec<u8>),
    File { number: u64, len: u64 },
}

impl Row {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Value(value) => [b"v", value.as_slice()].concat(),
            Self::File { number, len } => {
                [&b"f"[..], &number.to_le_bytes(), &len.to_le_bytes()].concat()
            }
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (b'v', value) => Some(Self::Value(value.to_vec())),
            (b'f', rest) => {
                let (number, len) = rest.split_first_chunk()?;
                Some(Self::File {
                    number: u64::from_le_bytes(*number),
                    len: u64::from_le_bytes(len.try_into().ok()?),
                })
            }
            _ => None,
        }
    }

    fn file(&self) -> Option<u64> {
        match self {
            Self::Value(_) => None,
            Self::File { number, .. } => Some(*number),
        }
    }
}

struct Change {
    key: String,
    /// `None` removes it.
    row: Option<Vec<u8>>,
    /// Gets the number of the file that the key had.
    reply: SyncSender<Result<Option<u64>>>,
}

/// The database, which after a failure of the disk is opened anew: it refuses all work from then on.
struct Opened {
    path: PathBuf,
    database: RwLock<Option<Database>>,
}

pub(super) struct Index {
    opened: Arc<Opened>,
    /// Always there until dropped.
    changes: Option<Sender<Change>>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Index {
    fn drop(&mut self) {
        // The thread ends when nobody can send any more; then the database can be opened again.
        self.changes = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn failed(error: impl Into<redb::Error>) -> Error {
    let error = error.into();
    let kind = match &error {
        redb::Error::Io(io) => of_disk(io),
        _ => ErrorKind::Io,
    };
    let words = match kind {
        ErrorKind::Full => "there is no space left for the endpoint's database",
        _ => "the endpoint's database",
    };
    Error::new(kind, words).with_source(error)
}

impl Opened {
    fn read<T>(&self, work: impl FnOnce(&Database) -> Result<T>) -> Result<T> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        work(database.as_ref().ok_or_else(|| self.lost())?)
    }

    fn lost(&self) -> Error {
        Error::new(
            ErrorKind::Io,
            format!(
                "the endpoint's database {} could not be opened again after the disk failed",
                self.path.display()
            ),
        )
    }

    /// Only the thread that writes calls this.
    fn reopen(&self) {
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // A database is opened once at a time.
        *database = None;
        match Database::create(&self.path) {
            Ok(again) => *database = Some(again),
            Err(error) => crate::log::warning(format_args!("{}: {error}", self.lost())),
        }
    }

    fn is_open(&self) -> bool {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.is_some()
    }
}

impl Index {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let database = Database::create(path).map_err(|error| {
            Error::new(
                ErrorKind::Io,
                format!("opening the database {}", path.display()),
            )
            .with_source(error)
        })?;
        // So that readers find the table.
        let transaction = database.begin_write().map_err(failed)?;
        transaction.open_table(OBJECTS).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        let opened = Arc::new(Opened {
            path: path.to_owned(),
            database: RwLock::new(Some(database)),
        });
        let (changes, waiting) = mpsc::channel();
        let theirs = Arc::clone(&opened);
        let writer = std::thread::Builder::new()
            .name("database".to_owned())
            .spawn(move || write(&theirs, &waiting))
            .map_err(|error| Error::io(error, "starting the database's thread"))?;
        Ok(Self {
            opened,
            changes: Some(changes),
            writer: Some(writer),
        })
    }

    pub(super) fn for_each(&self, mut visit: impl FnMut(&str, Row)) -> Result<()> {
        self.opened.read(|database| {
            let transaction = database.begin_read().map_err(failed)?;
            let table = transaction.open_table(OBJECTS).map_err(failed)?;
            for pair in table.iter().map_err(failed)? {
                let (key, row) = pair.map_err(failed)?;
                if let Some(row) = Row::decode(row.value()) {
                    visit(key.value(), row);
                }
            }
            Ok(())
        })
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Row>> {
        self.opened.read(|database| {
            let transaction = database.begin_read().map_err(failed)?;
            let table = transaction.open_table(OBJECTS).map_err(failed)?;
            let row = table.get(key).map_err(failed)?;
            Ok(row.and_then(|row| Row::decode(row.value())))
        })
    }

    /// Keeps a row; gives the number of the file that it replaces.
    pub(super) fn put(&self, key: &str, row: Row) -> Result<Option<u64>> {
        self.change(key, Some(row.encode()))
    }

    /// Removes a row; gives the number of the file that it had.
    pub(super) fn remove(&self, key: &str) -> Result<Option<u64>> {
        self.change(key, None)
    }

    fn change(&self, key: &str, row: Option<Vec<u8>>) -> Result<Option<u64>> {
        let (reply, answer) = mpsc::sync_channel(1);
        let key = key.to_owned();
        let gone = || Error::new(ErrorKind::Io, "the database's thread has ended");
        let change = Change { key, row, reply };
        let changes = self.changes.as_ref().ok_or_else(gone)?;
        changes.send(change).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

/// Applies changes until nobody can make any more.
fn write(opened: &Opened, waiting: &Receiver<Change>) {
    while let Ok(first) = waiting.recv() {
        let mut changes = vec![first];
        changes.extend(waiting.try_iter().take(MOST - 1));
        if !opened.is_open() {
            opened.reopen();
        }
        let applied = opened.read(|database| apply(database, &changes));
        if applied.is_err() {
            opened.reopen();
        }
        match applied {
            Ok(freed) => {
                for (change, freed) in changes.iter().zip(freed) {
                    let _ = change.reply.send(Ok(freed));
                }
            }
            Err(error) => {
                let text = error.to_string();
                for change in &changes {
                    let _ = change
                        .reply
                        .send(Err(Error::new(error.kind(), text.clone())));
                }
            }
        }
    }
}

fn apply(database: &Database, changes: &[Change]) -> Result<Vec<Option<u64>>> {
    let transaction = database.begin_write().map_err(failed)?;
    let mut freed = Vec::with_capacity(changes.len());
    {
        let mut table = transaction.open_table(OBJECTS).map_err(failed)?;
        for change in changes {
            let old = match &change.row {
                Some(row) => table.insert(change.key.as_str(), row.as_slice()),
                None => table.remove(change.key.as_str()),
            };
            let old = old.map_err(failed)?;
            freed.push(old.and_then(|row| Row::decode(row.value())?.file()));
        }
    }
    transaction.commit().map_err(failed)?;
    Ok(freed)
}

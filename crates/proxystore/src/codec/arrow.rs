//! Arrow's record batches and tables: what Python has as `pyarrow.RecordBatch`, `pyarrow.Table` and
//! `polars.DataFrame`.
//!
//! A put writes the columns from where they lie, and a get lays them over the object's memory:
//! nothing is copied on the way but what the store itself copies. (A column at an address that its
//! type does not take is copied; ours are all at multiples of 64. Text is checked to be UTF-8,
//! which reads all of it.)
//!
//! Streams with compressed buffers are not read, and none is written.

use super::typed::{Decode, Encode, Encoded, Object};
use crate::blob::Region;
use crate::frame::Codec;
use crate::{Blob, Error, ErrorKind, Result};
pub use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamEncoder;
use arrow_schema::ArrowError;
pub use arrow_schema::SchemaRef;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;

/// The labels of what a stream holds.
const TABLE: &[u8] = b"table";
const BATCH: &[u8] = b"batch";

/// A table: record batches of one schema, as many as there are.
///
/// ```
/// use arrow_array::{Float64Array, RecordBatch};
/// use proxystore::Store;
/// use proxystore::codec::arrow::Table;
/// use std::sync::Arc;
///
/// let column = Arc::new(Float64Array::from(vec![1.5, 2.5]));
/// let batch = RecordBatch::try_from_iter([("x", column as _)]).expect("one column");
///
/// let store = Store::in_memory("tables");
/// let key = store.put(&Table::new(batch.schema(), vec![batch.clone(), batch])?)?;
/// let table: Table = store.get(&key)?.expect("just put");
/// assert_eq!(table.row_count(), 4);
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Table {
    /// A table of batches, of which there may be none.
    ///
    /// # Errors
    /// [`ErrorKind::Encode`] if a batch has another schema.
    pub fn new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<Self> {
        match batches.iter().position(|batch| batch.schema() != schema) {
            None => Ok(Self { schema, batches }),
            Some(index) => Err(Error::new(
                ErrorKind::Encode,
                format!(
                    "batch {index} has another schema than its table: {} instead of {schema}",
                    batches[index].schema()
                ),
            )),
        }
    }

    /// All batches that a reader gives.
    ///
    /// # Errors
    /// [`ErrorKind::Encode`], with the reader's error as the source.
    pub fn from_reader(reader: impl RecordBatchReader) -> Result<Self> {
        let schema = reader.schema();
        let batches = reader
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| {
                let message = "the batches of a table cannot be read";
                Error::new(ErrorKind::Encode, message).with_source(error)
            })?;
        Self::new(schema, batches)
    }

    /// Names and types of the columns.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows, in runs.
    #[must_use]
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// The rows, in runs.
    #[must_use]
    pub fn into_batches(self) -> Vec<RecordBatch> {
        self.batches
    }

    /// How many rows there are.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

impl Encode for Table {
    fn encode(&self) -> Result<Encoded<'_>> {
        encode(TABLE, &self.schema, &self.batches)
    }
}

impl Decode for Table {
    fn decode(object: &Object) -> Result<Self> {
        let mut decoder = Stream::of(object, "Table")?;
        let mut batches = Vec::new();
        while let Some(batch) = decoder.next()? {
            batches.push(batch);
        }
        Ok(Self {
            schema: decoder.schema()?,
            batches,
        })
    }
}

impl Encode for RecordBatch {
    fn encode(&self) -> Result<Encoded<'_>> {
        encode(BATCH, self.schema_ref(), std::slice::from_ref(self))
    }
}

/// Reads a table too if it has no more than one batch.
impl Decode for RecordBatch {
    fn decode(object: &Object) -> Result<Self> {
        let mut decoder = Stream::of(object, "RecordBatch")?;
        let Some(batch) = decoder.next()? else {
            return Ok(Self::new_empty(decoder.schema()?));
        };
        if decoder.next()?.is_some() {
            return Err(Error::new(
                ErrorKind::WrongType,
                "the object is a table of several record batches: read it as `arrow::Table`",
            ));
        }
        Ok(batch)
    }
}

fn encode<'a>(label: &[u8], schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Encoded<'a>> {
    let write = || {
        let mut encoder = StreamEncoder::try_new(schema)?;
        let mut pieces = Vec::new();
        for batch in batches {
            pieces.append(&mut encoder.encode(batch)?);
        }
        pieces.append(&mut encoder.finish()?);
        Ok(pieces)
    };
    let pieces = write().map_err(|error: ArrowError| {
        let message = "Arrow cannot write this as a stream";
        Error::new(ErrorKind::Encode, message).with_source(error)
    })?;
    let pieces = pieces.into_iter().map(|piece| Blob::new(Piece(piece)));
    Ok(Encoded::new(Codec::Arrow)
        .short_stream(label)
        .buffer_of_pieces(pieces))
}

/// Batches that lie over an object.
struct Stream {
    rest: Buffer,
    decoder: StreamDecoder,
}

impl Stream {
    fn of(object: &Object, type_name: &str) -> Result<Self> {
        object.expect(Codec::Arrow, type_name)?;
        let memory = object.buffer_blob(0)?;
        let start = NonNull::new(memory.as_ptr()).unwrap_or(NonNull::dangling());
        let len = memory.len();
        // SAFETY: the blob keeps `len` bytes at `start` in place, and the buffer keeps the blob.
        // Nobody writes to them: a view is shared, and a blob of one's own stays here.
        let rest = unsafe {
            Buffer::from_custom_allocation(start, len, Arc::new(AssertUnwindSafe(memory)))
        };
        Ok(Self {
            rest,
            decoder: StreamDecoder::new(),
        })
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        // The decoder panics at some streams that were changed, such as one whose columns lie
        // outside it. It is not used again then.
        let decode = AssertUnwindSafe(|| self.decoder.decode(&mut self.rest));
        let Ok(decoded) = catch_unwind(decode) else {
            return Err(Error::new(
                ErrorKind::InvalidFrame,
                "a corrupted frame: its Arrow stream cannot be read",
            ));
        };
        if let Some(batch) = decoded.map_err(unreadable)? {
            return Ok(Some(batch));
        }
        self.decoder.finish().map_err(unreadable)?;
        Ok(None)
    }

    fn schema(&self) -> Result<SchemaRef> {
        self.decoder.schema().ok_or_else(|| {
            let message = "a corrupted frame: its Arrow stream has no schema";
            Error::new(ErrorKind::InvalidFrame, message)
        })
    }
}

fn unreadable(error: ArrowError) -> Error {
    let (kind, message) = match error {
        ArrowError::NotYetImplemented(_) | ArrowError::InvalidArgumentError(_) => (
            ErrorKind::WrongType,
            "the Arrow stream holds what this library does not read",
        ),
        _ => (
            ErrorKind::InvalidFrame,
            "a corrupted frame: its Arrow stream cannot be read",
        ),
    };
    Error::new(kind, format!("{message}: {error}")).with_source(error)
}

/// A piece of a stream: of a column where it lies, or what stands between columns.
struct Piece(Buffer);

// SAFETY: a buffer keeps its memory readable and in place; it is not offered for writing.
unsafe impl Region for Piece {
    fn start(&self) -> NonNull<u8> {
        NonNull::new(self.0.as_ptr().cast_mut()).unwrap_or(NonNull::dangling())
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_writable(&self) -> bool {
        false
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

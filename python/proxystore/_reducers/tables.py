"""Tables and columns of pyarrow and polars, in Arrow's IPC stream format.

A stream holds no more than the rows of its table, even when the table is a
small slice, and readers in every language take it.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable
from typing import Any

Pieces = tuple[bytes, list[Any]]


class PieceWriter:
    """A file that keeps what is written to it, by reference."""

    closed = False

    def __init__(self) -> None:
        self.pieces: list[Any] = []

    def write(self, piece: Any) -> None:
        """Keeps a piece."""
        self.pieces.append(piece)

    def flush(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing: what was written stays."""


def register_pyarrow(
    reducers: dict[type, Callable[[Any], Any]],
    encoders: dict[type, Callable[[Any], Pieces | None]],
) -> None:
    """Adds what concerns pyarrow."""
    import pyarrow as pa

    encoders[pa.Table] = encode_table
    encoders[pa.RecordBatch] = encode_batch
    reducers[pa.Table] = reduce_table
    reducers[pa.RecordBatch] = reduce_batch
    reducers[pa.ChunkedArray] = reduce_column
    for kind in vars(pa).values():
        if isinstance(kind, type) and issubclass(kind, pa.Array):
            reducers[kind] = reduce_column


def register_polars(
    reducers: dict[type, Callable[[Any], Any]],
    encoders: dict[type, Callable[[Any], Pieces | None]],
) -> None:
    """Adds what concerns polars."""
    import polars as pl

    encoders[pl.DataFrame] = encode_polars
    reducers[pl.DataFrame] = reduce_polars
    reducers[pl.Series] = reduce_polars_series


def _stream(schema: Any, write: Callable[[Any], None]) -> list[Any]:
    import pyarrow as pa

    sink = PieceWriter()
    with (
        pa.PythonFile(sink, 'w') as file,
        pa.ipc.new_stream(file, schema) as writer,
    ):
        write(writer)
    return sink.pieces


def encode_table(table: Any) -> Pieces | None:
    """A table as the pieces of a stream, or `None` if Arrow cannot."""
    import pyarrow as pa

    try:
        return b'table', _stream(table.schema, lambda to: to.write_table(table))
    except pa.ArrowException:
        return None


def encode_batch(batch: Any) -> Pieces | None:
    """A record batch as the pieces of a stream, or `None`."""
    import pyarrow as pa

    try:
        return b'batch', _stream(batch.schema, lambda to: to.write_batch(batch))
    except pa.ArrowException:
        return None


def encode_polars(frame: Any) -> Pieces | None:
    """A data frame as the pieces of a stream.

    `None` if Arrow has no form of it that comes back as the same types.
    """
    import polars as pl

    if sys.modules.get('pyarrow') is None:
        sink = io.BytesIO()
        try:
            frame.write_ipc_stream(sink)
        except (pl.exceptions.PolarsError, TypeError):
            return None
        return b'polars', [sink.getbuffer()]
    import pyarrow as pa

    try:
        table = frame.to_arrow(compat_level=pl.CompatLevel.newest())
        empty = pl.from_arrow(table.slice(0, 0))
        if getattr(empty, 'schema', None) != frame.schema:
            return None
        return b'polars', _stream(table.schema, lambda to: to.write_table(table))
    except (pa.ArrowException, pl.exceptions.PolarsError, TypeError):
        return None


def decode(label: bytes, memory: Any) -> Any:
    """The table of a stream.

    Args:
        label: What it was when it was written: `b'table'`, `b'batch'` or
            `b'polars'`.
        memory: The stream, over which the table's columns lie.
    """
    if label == b'polars':
        return _decode_polars(memory)
    import pyarrow as pa

    with pa.ipc.open_stream(pa.py_buffer(memory)) as reader:
        if label == b'batch':
            return reader.read_next_batch()
        return reader.read_all()


def _decode_polars(memory: Any) -> Any:
    import polars as pl

    try:
        import pyarrow as pa
    except ImportError:
        return pl.read_ipc_stream(io.BytesIO(memory))
    with pa.ipc.open_stream(pa.py_buffer(memory)) as reader:
        return pl.from_arrow(reader.read_all(), rechunk=False)


def _is_slice(column: Any) -> bool:
    # pyarrow pickles a column's buffers whole, whatever part of them is in use.
    return bool(2 * column.nbytes < column.get_total_buffer_size())


def _reduced(pieces: Pieces | None) -> Any:
    if pieces is None:
        return NotImplemented
    label, parts = pieces
    stream = b''.join(memoryview(part) for part in parts)
    return rebuild_table, (label, pickle.PickleBuffer(stream))


def rebuild_table(label: bytes, memory: Any) -> Any:
    """The table of a stream that lies within a pickled object."""
    return decode(label, memory)


def reduce_table(table: Any) -> Any:
    """A small slice as a stream; pyarrow's own way for others."""
    return _reduced(encode_table(table)) if _is_slice(table) else NotImplemented


def reduce_batch(batch: Any) -> Any:
    """A small slice as a stream; pyarrow's own way for others."""
    return _reduced(encode_batch(batch)) if _is_slice(batch) else NotImplemented


def reduce_column(column: Any) -> Any:
    """A small slice as a stream of one column; pyarrow's own way for others."""
    import pyarrow as pa

    if not _is_slice(column):
        return NotImplemented
    reduced = _reduced(encode_table(pa.table([column], names=[''])))
    if reduced is NotImplemented:
        return NotImplemented
    return rebuild_column, (reduced[1][1], isinstance(column, pa.ChunkedArray))


def rebuild_column(memory: Any, chunked: bool) -> Any:
    """The one column of a stream."""
    column = decode(b'table', memory).column(0)
    if chunked:
        return column
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def reduce_polars(frame: Any) -> Any:
    """A data frame as a stream."""
    return _reduced(encode_polars(frame))


def reduce_polars_series(series: Any) -> Any:
    """A series as a stream of one column."""
    reduced = reduce_polars(series.to_frame())
    if reduced is NotImplemented:
        return NotImplemented
    return rebuild_polars_series, (reduced[1][1],)


def rebuild_polars_series(memory: Any) -> Any:
    """The one column of a stream."""
    return _decode_polars(memory).to_series()

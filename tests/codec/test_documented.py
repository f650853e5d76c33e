"""docs/frame.md describes what is written: a reader made from it alone reads every kind of frame."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from proxystore.exceptions import FrameError
from proxystore.exceptions import NewerFrameError
from proxystore.serialize import SerializationError
from proxystore.serialize import deserialize
from proxystore.serialize import serialize
from proxystore.store import Store

from . import documented
from .test_golden import GOLDEN
from .test_golden import OBJECTS
from .test_golden import same
from .test_golden import tree
from .test_out_of_band import TYPES
from .test_out_of_band import equal

ENVELOPES = {
    'signed': None,
    'signed-bound': 'the-key',
    'encrypted': None,
    'encrypted-bound-zstd': 'the-key',
    'lz4': None,
    'zstd': None,
}
"""And the object's key that each is bound to."""


@pytest.mark.parametrize('name', OBJECTS)
def test_golden_frames(name: str) -> None:
    frame = (GOLDEN / f'{name}.frame').read_bytes()
    assert same(documented.decode(frame), OBJECTS[name]())


@pytest.mark.parametrize('name', TYPES)
def test_frames_that_are_written_today(name: str) -> None:
    frame = serialize(TYPES[name][0])
    assert equal(TYPES[name][0], documented.decode(frame))


def test_every_codec_is_among_them() -> None:
    names = [path for path in GOLDEN.glob('*.frame')]
    codecs = {documented.read(path.read_bytes()).codec for path in names}
    # Golden frames have no deserializer to go with codec 6.
    assert codecs == set(range(documented.FOREIGN))


def test_the_texts_of_an_array_of_objects_are_messagepack() -> None:
    array = TYPES['object array'][0]
    _, _, buffers = documented.read(serialize(array))
    assert documented.MessagePack(buffers[0], []).all() == list(array)


def test_what_a_serializer_of_ones_own_made(tmp_path: Path) -> None:
    url = f'file://{tmp_path}/objects'
    with Store.from_url(url, name='foreign', cache_size=0) as store:
        key = store.put('anything', serializer=lambda _: b'made by hand')
        stored = tmp_path / 'objects' / key.filename
        codec, stream, buffers = documented.read(stored.read_bytes())
    assert (codec, stream, buffers) == (documented.FOREIGN, b'', [b'made by hand'])


@pytest.mark.parametrize('name', ENVELOPES)
def test_golden_envelopes(name: str) -> None:
    envelope = (GOLDEN / f'{name}.envelope').read_bytes()
    frame = documented.open_envelope(envelope, b'\x5f' * 32, ENVELOPES[name])
    assert documented.decode(frame) == 'proxystore ' * 1000


def test_every_golden_envelope_is_tried() -> None:
    assert {path.stem for path in GOLDEN.glob('*.envelope')} == set(ENVELOPES)


@pytest.mark.parametrize(
    'options',
    [
        {'compression': 'lz4'},
        {'compression': 'zstd'},
        {'signing': 'env:FRAME_KEY'},
        {'encryption': 'env:FRAME_KEY'},
        {'encryption': 'env:FRAME_KEY', 'compression': 'zstd'},
    ],
    ids=lambda options: '+'.join(options),
)
def test_envelopes_of_several_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    monkeypatch.setenv('FRAME_KEY', '5f' * 32)
    obj = [bytes(3_000_000), 'text', np.random.default_rng(1).bytes(1_500_000)]
    url = f'file://{tmp_path}/objects'
    with Store.from_url(url, name='sealed', cache_size=0, **options) as store:
        key = store.put(obj)
        envelope = (tmp_path / 'objects' / key.filename).read_bytes()
    assert struct.unpack_from('<I', envelope, 28)[0] > 1
    frame = documented.open_envelope(envelope, b'\x5f' * 32, key.filename)
    assert documented.decode(frame) == obj


# The other way round: what is written by the page is read.


def written() -> dict[str, tuple[bytes, Any]]:
    elements = np.arange(6, dtype='>i2').reshape(2, 3)
    description = struct.pack('<cccBI2Q', b'i', b'>', b'C', 2, 2, 2, 3)
    text_leaf = b'\xc7\x05\x07s' + struct.pack('<I', 1)
    bytes_leaf = b'\xc7\x05\x07B' + struct.pack('<I', 0)
    return {
        'bytes': (documented.write(1, b'', [b'abc']), b'abc'),
        'mutable bytes': (documented.write(1, b'\1', [b'abc']), bytearray(b'abc')),
        'no bytes': (documented.write(1, b'', [b'']), b''),
        'text': (documented.write(2, b'', ['grün'.encode()]), 'grün'),
        'array': (documented.write(3, description, [elements.tobytes()]), elements),
        # Longer forms of integers than need be, which MessagePack allows.
        'tree': (documented.write(4, b'\x93\xc0\xcd\x00\x01\xd3' + b'\xff' * 8, []), [None, 1, -1]),
        'tree with leaves': (
            documented.write(4, b'\x92' + text_leaf + bytes_leaf, [b'one', b'two']),
            ['two', b'one'],
        ),
        'checked': (documented.write(1, b'', [b'abc'], checked=True), b'abc'),
        'checked, several': (
            documented.write(
                4, b'\x92' + text_leaf + bytes_leaf, [b'', b'x' * 100], checked=True
            ),
            ['x' * 100, b''],
        ),
    }  # fmt: skip


@pytest.mark.parametrize('name', written())
def test_frames_written_by_the_page_are_read(name: str) -> None:
    frame, obj = written()[name]
    assert same(deserialize(frame), obj)
    assert same(documented.decode(frame), obj)


OURS = [name for name in OBJECTS if not name.startswith(('arrow', 'pickle'))]


@pytest.mark.parametrize('name', OURS)
def test_writers_agree_on_every_byte(name: str) -> None:
    """All but the stream and the buffers themselves."""
    frame = serialize(OBJECTS[name]())
    assert documented.write(*documented.read(frame)) == frame


CHANGES = {
    'begin': (0, b'P', b'Q'),
    'version': (4, b'\1', b'\2'),
    'codec': (5, b'\4', b'\7'),
    'flags': (6, b'\0', b'\2'),
    'total length': (8, None, b'\xff'),
    'lengths': (16, None, b'\xff'),
    'number of buffers': (24, b'\0', b'\3'),
    'checksum': (28, None, None),
    'stream': (40, None, None),
}


@pytest.mark.parametrize('name', CHANGES)
def test_both_refuse_what_is_wrong(name: str) -> None:
    frame = bytearray(serialize(tree()))
    at, before, after = CHANGES[name]
    assert before is None or frame[at : at + 1] == before
    frame[at] = after[0] if after else frame[at] ^ 1
    with pytest.raises(documented.Refused):
        documented.read(bytes(frame))
    with pytest.raises(SerializationError):
        deserialize(frame)


def test_newer_frames_are_errors_of_their_own() -> None:
    """With a checksum that is right: a newer writer's, not a broken file."""
    for at in (4, 5, 6):
        frame = bytearray(documented.write(1, b'', [b'abc']))
        frame[at] = 40
        frame[28:32] = bytes(4)
        digest = documented.xxhash.xxh3_64_intdigest(bytes(frame[:40]))
        frame[28:32] = struct.pack('<I', digest & 0xFFFFFFFF)
        with pytest.raises(NewerFrameError):
            deserialize(frame)
        with pytest.raises(documented.Refused):
            documented.read(bytes(frame))


def test_a_codec_with_another_number_of_buffers_is_refused() -> None:
    for buffers in ([], [b'a', b'b']):
        for codec in (1, 2, 3, 5, 6):
            frame = documented.write(codec, b'', buffers)
            with pytest.raises(FrameError, match='buffers'):
                deserialize(frame)
            with pytest.raises(documented.Refused, match='buffers'):
                documented.read(frame)

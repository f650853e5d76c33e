"""Frames that were changed at random, with their checksum made right again.

Whatever the bytes, decoding gives an object or a `SerializationError`.
Pickles are left out: changed ones may do anything.
"""

from __future__ import annotations

import pathlib
import random
import struct

import xxhash
from proxystore.serialize import SerializationError
from proxystore.serialize import deserialize

GOLDEN = pathlib.Path(__file__).parent.parent / 'golden'
ROUNDS = 15_000


def seal(frame: bytearray) -> None:
    """Makes length and checksum right again, where that can be."""
    if len(frame) < 32:
        return
    struct.pack_into('<Q', frame, 8, len(frame))
    frame[28:32] = bytes(4)
    (stream,) = struct.unpack_from('<Q', frame, 16)
    (count,) = struct.unpack_from('<I', frame, 24)
    end = 32 + 8 * count + stream
    if end <= len(frame):
        digest = xxhash.xxh3_64_intdigest(bytes(frame[:end]))
        struct.pack_into('<I', frame, 28, digest & 0xFFFFFFFF)


def change(dice: random.Random, frame: bytearray) -> None:
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(16, len(frame))
        match dice.randrange(5):
            case 0:
                frame[at] = dice.randrange(256)
            case 1:
                frame[at] ^= 1 << dice.randrange(8)
            case 2:
                frame[at] = dice.choice([0, 1, 0x7F, 0x80, 0xFF])
            case 3:
                word = dice.choice([0, 1, 2**64 - 1, 2**63 - 1])
                frame[at : at + 8] = struct.pack('<Q', word)[: len(frame) - at]
            case 4:
                frame[at:at] = bytes([dice.randrange(256)])


def test_changed_frames_are_refused_or_read() -> None:
    seeds = {
        path.stem: path.read_bytes()
        for path in sorted(GOLDEN.glob('*.frame'))
        if not path.stem.startswith('pickle') and path.stat().st_size < 4096
    }
    dice = random.Random(0x5EED)
    read = 0
    for _ in range(ROUNDS):
        name = dice.choice(list(seeds))
        frame = bytearray(seeds[name])
        change(dice, frame)
        seal(frame)
        # No pickle, and no foreign content that may be one.
        if frame[5] in (0, 6):
            continue
        try:
            deserialize(frame)
            read += 1
        except SerializationError:
            pass
    assert read > ROUNDS / 20


def test_lengths_that_lie_cost_no_memory() -> None:
    import resource

    def lists(depth: int) -> bytes:
        # Each claims as many elements as there are bytes.
        return b'\xdd\x00\x10\x00\x00' * depth + b'\xc0' * 0x100000

    stream = lists(200)
    frame = bytearray(b'PXF1\x01\x04\x00\x00')
    frame += struct.pack('<QQII', 0, len(stream), 0, 0) + stream
    seal(frame)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        deserialize(frame)
    except SerializationError:
        pass
    else:
        raise AssertionError
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000

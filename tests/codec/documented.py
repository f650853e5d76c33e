"""A reader and a writer of frames, and a reader of envelopes, made from docs/frame.md alone.

Nothing here imports proxystore, and nothing may be copied from it: what the
page does not say, or says wrongly, shows where these and ours disagree.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import pickle
import struct
from typing import Any
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import xxhash
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PICKLE, BYTES, STR, NDARRAY, MESSAGE_PACK, ARROW, FOREIGN = range(7)


class Frame(NamedTuple):
    codec: int
    stream: bytes
    buffers: list[bytes]


class Refused(Exception):
    """What a reader must refuse, and which check found it."""


def check(holds: bool, what: str) -> None:
    if not holds:
        raise Refused(what)


# The frame: "Layout", "Flags", "Checksums", "Reading".


def read(frame: bytes) -> Frame:
    check(len(frame) >= 32 and frame[:4] == b'PXF1', 'begin')
    version, codec, flags, total, stream_len, count, head_sum = struct.unpack_from(
        '<BBHQQII', frame, 4
    )
    check(version <= 1, 'version')
    check(total == len(frame), 'total length')
    has_sum = flags & 1
    at = 32 + 8 * count + 8 * has_sum
    check(at + stream_len <= total, 'lengths')
    lengths = struct.unpack_from(f'<{count}Q', frame, 32)
    stream = frame[at : at + stream_len]
    end = at + stream_len
    buffers = []
    for length in lengths:
        start = (end + 63) // 64 * 64
        end = start + length
        check(end <= total, 'lengths')
        buffers.append(frame[start:end])
    check(end == total, 'lengths')
    head = frame[:28] + bytes(4) + frame[32:at] + stream
    check(xxhash.xxh3_64_intdigest(head) & 0xFFFFFFFF == head_sum, 'checksum')
    check(flags & ~1 == 0, 'flags')
    if has_sum:
        (said,) = struct.unpack_from('<Q', frame, 32 + 8 * count)
        found = xxhash.xxh3_64_intdigest(b''.join(buffers))
        check(said == found, 'checksum of the buffers')
    check(codec <= FOREIGN, 'codec')
    if codec not in (PICKLE, MESSAGE_PACK):
        check(count == 1, 'number of buffers')
    return Frame(codec, stream, buffers)


def write(
    codec: int, stream: bytes, buffers: list[bytes], *, checked: bool = False
) -> bytes:
    table = struct.pack(f'<{len(buffers)}Q', *map(len, buffers))
    if checked:
        table += struct.pack('<Q', xxhash.xxh3_64_intdigest(b''.join(buffers)))
    body = table + stream
    for buffer in buffers:
        body += bytes(-(32 + len(body)) % 64) + buffer
    numbers = (1, codec, int(checked), 32 + len(body), len(stream), len(buffers))
    begin = b'PXF1' + struct.pack('<BBHQQI', *numbers)
    summed = begin + bytes(4) + table + stream
    digest = xxhash.xxh3_64_intdigest(summed) & 0xFFFFFFFF
    return begin + struct.pack('<I', digest) + body


# Codecs.


def array(description: bytes, elements: bytes) -> Any:
    """Codec 3, and the leaves `n` and 8 of codec 4."""
    kind, byte_order, order, dimensions, size = struct.unpack_from(
        '<cccBI', description
    )
    check(dimensions <= 64, 'number of dimensions')
    shape = struct.unpack_from(f'<{dimensions}Q', description, 8)
    unit = description[8 + 8 * dimensions :].decode('ascii')
    letter = kind.decode()
    length = size // 4 if letter == 'U' else size
    text = f'{byte_order.decode()}{letter}{length}' + (f'[{unit}]' if unit else '')
    check(len(elements) == math.prod(shape) * size, 'number of elements')
    found = np.frombuffer(bytearray(elements), np.dtype(text))
    return found.reshape(shape, order=order.decode())


class MessagePack:
    """Codec 4: the values of MessagePack's specification, and the extension types."""

    def __init__(self, data: bytes, buffers: list[bytes]) -> None:
        self.data = data
        self.buffers = buffers
        self.at = 0

    def take(self, count: int) -> bytes:
        part = self.data[self.at : self.at + count]
        check(len(part) == count, 'end of MessagePack')
        self.at += count
        return part

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def all(self) -> Any:
        value = self.value()
        check(self.at == len(self.data), 'bytes behind the value')
        return value

    def value(self) -> Any:
        first = self.take(1)[0]
        if first < 0x80:
            return first
        if first < 0x90:
            return self.map(first & 0x0F)
        if first < 0xA0:
            return self.list(first & 0x0F)
        if first < 0xC0:
            return self.take(first & 0x1F).decode()
        if first >= 0xE0:
            return first - 0x100
        lengths = {0: '>B', 1: '>H', 2: '>I'}
        match first:
            case 0xC0:
                return None
            case 0xC2 | 0xC3:
                return first == 0xC3
            case 0xC4 | 0xC5 | 0xC6:
                return self.take(self.number(lengths[first - 0xC4]))
            case 0xC7 | 0xC8 | 0xC9:
                length = self.number(lengths[first - 0xC7])
                return self.extension(length)
            case 0xCB:
                return self.number('>d')
            case 0xCC | 0xCD | 0xCE | 0xCF:
                return self.number('>' + 'BHIQ'[first - 0xCC])
            case 0xD0 | 0xD1 | 0xD2 | 0xD3:
                return self.number('>' + 'bhiq'[first - 0xD0])
            case 0xD4 | 0xD5 | 0xD6 | 0xD7 | 0xD8:
                return self.extension(1 << (first - 0xD4))
            case 0xD9 | 0xDA | 0xDB:
                return self.take(self.number(lengths[first - 0xD9])).decode()
            case 0xDC | 0xDD:
                return self.list(self.number(lengths[first - 0xDC + 1]))
            case 0xDE | 0xDF:
                return self.map(self.number(lengths[first - 0xDE + 1]))
        raise Refused(f'byte {first:#x}')

    def list(self, length: int) -> Any:
        return [self.value() for _ in range(length)]

    def map(self, length: int) -> Any:
        return {self.value(): self.value() for _ in range(length)}

    def extension(self, length: int) -> Any:
        kind = self.number('b')
        content = self.take(length)
        within = MessagePack(content, self.buffers)
        match kind:
            case 1:
                return int.from_bytes(content, 'little', signed=True)
            case 2:
                return tuple(within.all())
            case 3:
                return set(within.all())
            case 4:
                return frozenset(within.all())
            case 5:
                return complex(*struct.unpack('<dd', content))
            case 6:
                return bytearray(content)
            case 7:
                return self.leaf(content)
            case 8:
                (described,) = struct.unpack_from('<I', content)
                return array(content[4 : 4 + described], content[4 + described :])
        raise Refused(f'extension type {kind}')

    def leaf(self, content: bytes) -> Any:
        letter, number = content[:1], struct.unpack_from('<I', content, 1)[0]
        buffer = self.buffers[number]
        match letter:
            case b'B':
                return buffer
            case b'b':
                return bytearray(buffer)
            case b's':
                return buffer.decode()
            case b'n':
                return array(content[5:], buffer)
        raise Refused(f'leaf {letter!r}')


def arrow(label: bytes, buffer: bytes) -> Any:
    """Codec 5."""
    table = pa.ipc.open_stream(buffer).read_all()
    if label == b'batch':
        (batch,) = table.to_batches()
        return batch
    return pl.from_arrow(table) if label == b'polars' else table


def decode(frame: bytes) -> Any:
    """The object in a frame."""
    codec, stream, buffers = read(frame)
    match codec:
        case 0:
            return pickle.loads(stream, buffers=map(bytearray, buffers))
        case 1:
            check(stream in (b'', b'\1'), 'stream')
            return bytearray(buffers[0]) if stream else buffers[0]
        case 2:
            return buffers[0].decode()
        case 3:
            return array(stream, buffers[0])
        case 4:
            return MessagePack(stream, buffers).all()
        case 5:
            return arrow(stream, buffers[0])
    return buffers[0]


# "The envelope".


def derived(key: bytes, salt: bytes, purpose: str, length: int) -> bytes:
    """HKDF-SHA256; one step is enough for 32 bytes."""
    extracted = hmac.digest(salt or bytes(32), key, 'sha256')
    info = f'proxystore envelope 1: {purpose}'.encode()
    return hmac.digest(extracted, info + b'\1', 'sha256')[:length]


def open_envelope(envelope: bytes, key: bytes, name: str | None = None) -> bytes:
    """What is in an envelope; `name` is the key of the object."""
    check(envelope[:4] == b'PXE1', 'begin')
    version, compression, protection, flags = envelope[4:8]
    check(version == 1, 'version')
    total, content_len, block_len, count = struct.unpack_from('<QQII', envelope, 8)
    check(total == len(envelope), 'total length')
    check(compression <= 2 and protection <= 2 and flags <= 1, 'what is known')
    check(block_len in [1 << power for power in range(16, 23)], 'length of a block')
    check(count == max(1, -(-content_len // block_len)), 'number of blocks')
    head, table_end = envelope[:64], 64 + 20 * count
    entries = list(struct.iter_unpack('<I16s', envelope[64:table_end]))
    at = (table_end + 63) // 64 * 64
    check(not any(envelope[table_end:at]), 'zeros')
    check(at + sum(length for length, _ in entries) == total, 'lengths')
    salt = head[40:64]
    if protection == 0:
        summed = head[:40] + bytes(24) + envelope[64:table_end]
        check(salt == xxhash.xxh3_64_digest(summed)[::-1] + bytes(16), 'checksum')
        check(head[32:40] == bytes(8), 'which key')
    else:
        check(head[32:40] == derived(key, b'', 'key id', 8), 'which key')
        purpose = 'signing' if protection == 1 else 'encryption'
        own = derived(key, salt, purpose, 32)
    bound = (name or '').encode() if flags & 1 else b''
    content = b''
    for number, (length, tag) in enumerate(entries):
        block = envelope[at : at + length]
        at += length
        last = number == count - 1
        nonce = bytes([last, 0, 0, 0]) + number.to_bytes(8, 'big')
        context = (
            struct.pack('<Q', length) + head + struct.pack('<Q', len(bound)) + bound
        )
        if protection == 0:
            found = xxhash.xxh3_128_digest(block, seed=number)[::-1]
            check(tag == found, 'checksum of a block')
        elif protection == 1:
            found = hmac.digest(own, nonce + context + block, hashlib.sha256)[:16]
            check(hmac.compare_digest(tag, found), 'signature of a block')
        else:
            block = AESGCM(own).decrypt(nonce, block + tag, context)
        plain_len = min(block_len, content_len - number * block_len)
        check(length <= plain_len, 'length of a stored block')
        if length < plain_len:
            way = {1: 'lz4_raw', 2: 'zstd'}[compression]
            block = pa.decompress(block, plain_len, codec=way, asbytes=True)
        content += block
    return content

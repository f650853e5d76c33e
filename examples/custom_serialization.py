"""Custom serialization: bytes made by functions of your own.

For one call or for a whole store. See custom_serialization_torch.py for a
PyTorch module.

    python examples/custom_serialization.py
"""

from __future__ import annotations

import json
import lzma
import pickle
from typing import Any

from proxystore.proxy import Proxy
from proxystore.store import Store


def to_compressed_json(obj: Any) -> bytes:
    return lzma.compress(json.dumps(obj).encode())


def from_compressed_json(data: bytes) -> Any:
    return json.loads(lzma.decompress(data))


def same(data: bytes) -> bytes:
    """For data that is serialized already."""
    return data


def main() -> None:
    document = {'lines': ['the same line, again and again'] * 1_000}

    # For one call.
    with Store('one-call', register=True) as store:
        key = store.put(document, serializer=to_compressed_json)
        assert store.get(key, deserializer=from_compressed_json) == document

        # A reader without our deserializer, e.g. one that passes the bytes on.
        key = store.put(document, serializer=to_compressed_json)
        stored = store.get(key, deserializer=same)
        assert isinstance(stored, bytes)
        print(f'{len(json.dumps(document)):,} bytes of JSON stored as {len(stored)}')

        finished = pickle.dumps(document)
        key = store.put(finished, serializer=same)
        assert store.get(key, deserializer=same) == finished

    # For every object of a store: its proxies bring the deserializer along.
    with Store(
        'whole-store',
        serializer=to_compressed_json,
        deserializer=from_compressed_json,
        register=True,
    ) as store:
        p: Proxy[dict[str, list[str]]] = store.proxy(document, populate_target=False)
        assert pickle.loads(pickle.dumps(p)) == document


if __name__ == '__main__':
    main()

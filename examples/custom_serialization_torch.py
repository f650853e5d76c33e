"""Custom serialization of a PyTorch module.

Needs `pip install torch` and a Redis server:

    python examples/custom_serialization_torch.py --port 6379
"""

from __future__ import annotations

import argparse
import io
import pickle
from typing import Any

import torch
from proxystore.proxy import Proxy
from proxystore.serialize import deserialize
from proxystore.serialize import serialize
from proxystore.store.redis import RedisStore


def serialize_torch_model(obj: Any) -> bytes:
    if isinstance(obj, torch.nn.Module):
        buffer = io.BytesIO()
        torch.save(obj, buffer)
        return buffer.getvalue()
    # Fallback for unsupported types.
    return serialize(obj)


def deserialize_torch_model(data: bytes) -> Any:
    if bytes(data[:2]) == b'PK':  # the archives of torch.save
        return torch.load(io.BytesIO(data), weights_only=False)
    return deserialize(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument('--host', default='127.0.0.1')
    parser.add_argument('--port', type=int, default=6379)
    options = parser.parse_args()

    model = torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.ReLU())
    data = torch.ones(2, 64)

    # For one call.
    with RedisStore('models', hostname=options.host, port=options.port) as store:
        key = store.set(model, serializer=serialize_torch_model)
        fetched = store.get(key, deserializer=deserialize_torch_model)
        assert fetched is not None
        assert torch.equal(fetched(data), model(data))

        key = store.set([1, 2, 3], serializer=serialize_torch_model)
        assert store.get(key, deserializer=deserialize_torch_model) == [1, 2, 3]

    # For every object of a store.
    with RedisStore(
        'all-models',
        hostname=options.host,
        port=options.port,
        serializer=serialize_torch_model,
        deserializer=deserialize_torch_model,
    ) as store:
        p: Proxy[torch.nn.Module] = store.proxy(model, populate_target=False)
        message = pickle.dumps(p)
        received = pickle.loads(message)
        assert torch.equal(received(data), model(data))
        print(f'a module sent as {len(message)} bytes')


if __name__ == '__main__':
    main()

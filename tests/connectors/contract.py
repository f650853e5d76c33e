"""Runs the core's contract suite over connectors as Python sees them."""

from __future__ import annotations

import functools
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO
from typing import Any

from proxystore import exceptions

ROOT = Path(__file__).resolve().parents[2]

KINDS = {
    exceptions.ConnectorClosedError: 'Closed',
    exceptions.ConnectorConfigError: 'InvalidConfig',
    exceptions.ConnectorFullError: 'Full',
    exceptions.ConnectorKeyError: 'InvalidKey',
    exceptions.ConnectorPermissionError: 'PermissionDenied',
    exceptions.ConnectorTimeoutError: 'Timeout',
    exceptions.ConnectorUnreachableError: 'Unreachable',
    exceptions.ObjectTooLargeError: 'TooLarge',
}


def kind_of(error: exceptions.ConnectorError) -> str:
    """What the core calls this error; a connector may have classes of its own below ours."""
    found = (KINDS[one] for one in type(error).__mro__ if one in KINDS)
    return next(found, 'Io')


@functools.cache
def program() -> str:
    """The suite as a program, built if need be."""
    command = ['cargo', 'build', '--quiet', '--message-format=json']
    command += ['-p', 'proxystore-testkit', '--bin', 'proxystore-contract']
    built = subprocess.run(
        command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    paths = [m['executable'] for m in messages if m.get('executable')]
    assert len(paths) == 1, paths
    return str(paths[0])


def trials(capabilities: set[str]) -> list[str]:
    """Names of the trials that a connector with these capabilities must pass."""
    command = [program(), 'list', *sorted(capabilities)]
    listed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return listed.stdout.split()


def run_trial(
    name: str,
    connector: Any,
    key_of: Callable[[str], Any],
    capabilities: set[str],
) -> str:
    """Runs one trial; returns what was wrong, nothing if it passed."""
    command = [program(), 'run', name, *sorted(capabilities)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as suite:
        assert suite.stdin is not None
        assert suite.stdout is not None
        while True:
            verb = _read(suite.stdout).decode()
            count = int(_read(suite.stdout))
            blocks = [_read(suite.stdout) for _ in range(count)]
            if verb == 'done':
                return blocks[0].decode()
            try:
                answer = _answer(connector, key_of, verb, blocks)
            except exceptions.ConnectorError as error:
                _write(suite.stdin, kind_of(error).encode())
                answer = [str(error).encode()]
            else:
                _write(suite.stdin, b'ok')
            _write(suite.stdin, str(len(answer)).encode())
            for block in answer:
                _write(suite.stdin, block)
            suite.stdin.flush()


def _answer(
    connector: Any, key_of: Callable[[str], Any], verb: str, blocks: list[bytes]
) -> list[bytes]:
    """Carries out one request."""
    if verb == 'put':
        return [_name(connector.put(blocks[0]))]
    if verb == 'put_batch':
        return [_name(key) for key in connector.put_batch(blocks)]
    if verb == 'new_key':
        return [_name(connector.new_key())]
    if verb in ('close', 'clear'):
        connector.close(clear=verb == 'clear')
        return []
    if verb == 'set':
        connector.set(key_of(blocks[0].decode()), blocks[1])
        return []
    keys = [key_of(block.decode()) for block in blocks]
    if verb == 'get':
        return [_present(connector.get(keys[0]))]
    if verb == 'get_batch':
        return [_present(found) for found in connector.get_batch(keys)]
    if verb == 'exists':
        return [b'+' if connector.exists(keys[0]) else b'-']
    assert verb == 'evict', verb
    connector.evict(keys[0])
    return []


def _name(key: Any) -> bytes:
    return str(getattr(key, 'object_id', key[-1])).encode()


def _present(found: Any) -> bytes:
    return b'-' if found is None else b'+' + bytes(found)


def _read(stream: IO[bytes]) -> bytes:
    length = int.from_bytes(_exactly(stream, 8), 'little')
    return _exactly(stream, length)


def _exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError('the contract suite ended in the middle of a message')
    return data


def _write(stream: IO[bytes], block: bytes) -> None:
    stream.write(len(block).to_bytes(8, 'little') + block)

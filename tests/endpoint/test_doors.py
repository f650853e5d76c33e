"""Who may come in, at every door of a real daemon."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from proxystore.connectors.endpoint import EndpointConnector
from proxystore.exceptions import ConnectorError
from proxystore.exceptions import ConnectorPermissionError

from .conftest import Relay
from .conftest import Site
from .conftest import wait_for

NOBODY = 65534
HELLO = b'PE\x01\x01\x02\0\0\0\0\0\0\0\0\0\0\0\0\0'


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_their_owners_alone(site: Site) -> None:
    old = os.umask(0)
    try:
        site.start('left')
    finally:
        os.umask(old)
    folder = site.home / 'left'
    assert mode(folder) == 0o700
    for name in ('key', 'token', 'socket', 'daemon.run', 'config.toml'):
        assert mode(folder / name) == 0o600, name


@pytest.mark.parametrize('name', ['key', 'token', 'relay-token'])
def test_secrets_that_others_can_read_are_refused(
    site: Site, tmp_path: Path, name: str
) -> None:
    token = tmp_path / 'relay-token'
    token.touch(0o600)
    token.write_text('sesame\n')
    site.start(
        *('left', '--relay-address', 'http://127.0.0.1:9'),
        *('--relay-token-file', str(token)),
    )
    site.stop('left')
    path = token if name == 'relay-token' else site.home / 'left' / name
    path.chmod(0o640)
    refused = site.run('start', 'left')
    assert refused.returncode == 1
    assert f'chmod 600 {path}' in refused.stderr
    path.chmod(0o600)
    site.restart('left')


def test_other_users_are_refused_by_what_the_kernel_says(site: Site) -> None:
    site.start('left')
    path = site.home / 'left' / 'socket'
    # The interpreter may lie where only we can read: it becomes another user once it runs.
    code = (
        'import os, socket, sys\n'
        's = socket.socket(socket.AF_UNIX)\n'
        'if len(sys.argv) > 2: os.setgroups([]); os.setuid(int(sys.argv[2]))\n'
        's.connect(sys.argv[1])\n'
        f's.sendall({HELLO!r})\n'
        'sys.stdout.buffer.write(s.recv(1000))\n'
    )
    command = [sys.executable, '-I', '-c', code, str(path)]
    ours = subprocess.run(command, capture_output=True, check=True).stdout
    assert site.field('left', 'uuid').encode() in ours
    if os.geteuid() != 0:
        # Nobody else's program can be started: the mode of the socket is what there is to see.
        print('another user: not allowed here')
        assert mode(path) == 0o600
        return
    print('another user: nobody')
    command.append(str(NOBODY))
    kept_out = subprocess.run(command, capture_output=True, text=True)
    assert 'PermissionError' in kept_out.stderr, 'the modes keep them out'
    # Even where the modes would let them in.
    for folder in (path, *path.parents):
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(0o777)
    theirs = subprocess.run(command, capture_output=True, check=True).stdout
    assert b"another user's" in theirs
    assert site.field('left', 'uuid').encode() not in theirs


def test_the_network_asks_for_the_token(site: Site) -> None:
    site.start('left')
    run = (site.home / 'left' / 'daemon.run').read_text()
    port = int(run.partition('address=')[2].split()[0].rpartition(':')[2])
    token = (site.home / 'left' / 'token').read_text().strip()
    assert len(token) == 64

    def greet(word: bytes) -> bytes:
        fields = len(word).to_bytes(2, 'little') + word
        hello = b'PE\x01\x01' + len(fields).to_bytes(4, 'little') + bytes(8) + fields
        with socket.create_connection(('127.0.0.1', port), 10) as stream:
            stream.sendall(hello)
            return stream.recv(1000)

    uuid = site.field('left', 'uuid').encode()
    assert uuid in greet(token.encode())
    for wrong in (b'', token[:-1].encode(), token.encode() + b'0', b'0' * 64):
        answer = greet(wrong)
        assert b'token' in answer
        assert uuid not in answer
        assert token.encode() not in answer


def test_without_a_port_there_is_none(site: Site) -> None:
    site.say('configure', 'left', '--host', 'none', '--listen', '127.0.0.1:0')
    site.restart('left')
    assert 'address=\n' in (site.home / 'left' / 'daemon.run').read_text()
    assert not (site.home / 'left' / 'token').exists()


def test_the_list_is_mutual(site: Site) -> None:
    for name in ('left', 'right'):
        site.start(name)
    left, right = EndpointConnector(['left']), EndpointConnector(['right'])
    key = left.put(b'x')
    at = site.field('left', 'tcp')
    # Only one side has agreed: neither gets anything, and both are told.
    site.say('peer', 'add', 'right', site.key('left'), '--address', at)
    with pytest.raises(ConnectorPermissionError, match='peer add') as caught:
        right.get(key)
    assert site.key('right') in str(caught.value), 'what its owner has to add'
    assert f'refused {site.key("right")}' in site.said('left')
    with pytest.raises(ConnectorError, match='peer'):
        left.get(type(key)('x', site.field('right', 'uuid')))
    site.say('peer', 'add', 'left', site.key('right'), '--label', 'right')
    assert right.get(key) == b'x'
    assert 'right' in site.say('peer', 'list', 'left')
    site.say('peer', 'remove', 'left', 'right')
    with pytest.raises(ConnectorPermissionError):
        right.get(key)


def test_relays_ask_for_a_token_or_a_key(
    site: Site, tmp_path: Path, relays: Callable[..., Relay]
) -> None:
    token, keys = tmp_path / 'token', tmp_path / 'keys.txt'
    token.touch(0o600)
    token.write_text('sesame\n')
    site.configure('left')
    site.configure('right')
    listed = {
        line.split()[0]: line.split()[-1] for line in site.say('list').splitlines()
    }
    keys.write_text(f'{listed["left"]}  # by its key\n')
    relay = relays(
        *(f'--keys={keys}', f'--token-file={token}', '--host=127.0.0.1', '--port=0')
    )
    for name, word in (('left', None), ('right', None), ('right', token)):
        config = site.home / name / 'config.toml'
        text = config.read_text().partition('[relay]\n')
        rest = text[2].partition('[')
        section = f'[relay]\naddress = "{relay.url}"\n'
        section += f'token_file = "{word}"\n\n' if word else '\n'
        config.write_text(text[0] + section + rest[1] + rest[2])
        site.restart(name)
        wanted = 'connected' if name == 'left' or word else 'refuses'
        wait_for(
            lambda n=name, w=wanted: (
                w in site.field(n, 'relay').replace('not connected', '')
            ),  # type: ignore[misc]
            f'{name} is not {wanted}: {site.field(name, "relay")}',
            15,
        )
        if wanted == 'refuses':
            assert listed['right'] in relay.log.read_text()
            site.stop('right')
    assert 'sesame' not in relay.log.read_text()
    # The token's file is its owner's alone here too.
    token.chmod(0o644)
    refused = subprocess.run(
        [str(relay.log.parent / 'proxystore-relay'), f'--token-file={token}'],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert refused.returncode == 1
    assert f'chmod 600 {token}' in refused.stderr

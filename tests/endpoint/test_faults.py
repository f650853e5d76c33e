"""Bad luck and bad input at real daemons: full disks, aborted connections, garbage."""

from __future__ import annotations

import os
import random
import resource
import socket
import subprocess
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

import pytest
from proxystore.connectors.endpoint import EndpointConnector
from proxystore.exceptions import ProxyStoreError

from .conftest import Relay
from .conftest import Site
from .conftest import wait_for

MEGABYTE = 1_000_000
ROOM = 8 * MEGABYTE


def mounted(folder: Path) -> bool:
    """Mount a small file system of memory there, where that is allowed."""
    folder.mkdir()
    command = ['mount', '-t', 'tmpfs', '-o', f'size={ROOM}', 'tmpfs', str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, bool]]:
    """A folder with little room, or one whose files a limit of the process keeps small."""
    folder = tmp_path / 'disk'
    is_mounted = mounted(folder)
    print('disk full by', 'a small tmpfs' if is_mounted else 'a limit on files')
    yield folder, is_mounted
    if is_mounted:
        subprocess.run(['umount', '-l', str(folder)], check=True)


def keep_files_small() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM // 2, ROOM // 2))


def fill(put: Callable[[bytes], object], size: int) -> list[object]:
    """Put objects until the disk is full, which is told in words; what was put."""
    kept: list[object] = []
    while len(kept) * size < 10 * ROOM:
        try:
            kept.append(put(os.urandom(size)))
        except ProxyStoreError as error:
            assert getattr(error, 'kind', 'full') == 'full', error
            assert 'space' in str(error) or 'File too large' in str(error), error
            return kept
    raise AssertionError('the disk is never full')


@pytest.mark.parametrize('size', [20_000, MEGABYTE])
def test_a_full_disk_is_told_and_survived(
    site: Site, small_disk: tuple[Path, bool], size: int
) -> None:
    folder, is_mounted = small_disk
    site.configure('left', '--persist')
    config = site.home / 'left' / 'config.toml'
    text = config.read_text().replace(str(site.home / 'left'), str(folder))
    config.write_text(text)
    assert str(folder / 'blobs.db') in text
    # Each file is below the limit, unless it is the database.
    limit = None if is_mounted else keep_files_small
    site.restart('left', preexec_fn=limit)
    connector = EndpointConnector(['left'])
    if not is_mounted and size > 20_000:
        size = ROOM
        with pytest.raises(ProxyStoreError, match='File too large|space'):
            connector.put(bytes(size))
        keys = [connector.put(bytes(MEGABYTE))]
    else:
        keys = fill(connector.put, size)
    assert len(keys) >= 1
    # Others are served, what was kept is there, and room can be made again and again.
    assert all(connector.exists(key) for key in keys)
    for _ in range(3):
        for key in keys[: len(keys) // 2 + 1]:
            connector.evict(key)
        del keys[: len(keys) // 2 + 1]
        for _ in range(2):
            keys.append(connector.put(b'small again'))
        assert connector.get(keys[-1]) == b'small again'
    kept = {key: connector.get(key) for key in keys}
    site.kill('left')
    site.restart('left', preexec_fn=limit)
    again = EndpointConnector(['left'])
    assert {key: again.get(key) for key in keys} == kept


def test_a_full_disk_at_a_peer_is_told_here(
    site: Site, small_disk: tuple[Path, bool]
) -> None:
    folder, is_mounted = small_disk
    site.configure('left', '--persist')
    config = site.home / 'left' / 'config.toml'
    config.write_text(config.read_text().replace(str(site.home / 'left'), str(folder)))
    site.restart('left', preexec_fn=None if is_mounted else keep_files_small)
    site.start('right')
    site.befriend('right', 'left', site.field('left', 'tcp'))
    left, right = EndpointConnector(['left']), EndpointConnector(['right'])
    key = left.put(b'first')
    with pytest.raises(ProxyStoreError, match=r'space|File too large'):
        right.set(key, bytes(2 * ROOM))
    assert left.get(key) == b'first'
    right.set(key, b'second')
    assert left.get(key) == b'second'


def test_where_spilling_fails_others_stay(
    site: Site, small_disk: tuple[Path, bool]
) -> None:
    folder, is_mounted = small_disk
    site.configure('left')
    config = site.home / 'left' / 'config.toml'
    text = config.read_text().replace(
        '[storage]\n', f'[storage]\nmemory_limit = {2 * MEGABYTE}\n'
    )
    assert 'memory_limit' in text
    config.write_text(text)
    (site.home / 'left' / 'spill').symlink_to(folder)
    site.restart('left', preexec_fn=None if is_mounted else keep_files_small)
    connector = EndpointConnector(['left'])
    if is_mounted:
        keys = fill(connector.put, MEGABYTE)
    else:
        keys = [connector.put(bytes(MEGABYTE))]
        with pytest.raises(ProxyStoreError, match='File too large|space'):
            connector.put(bytes(ROOM))
    found = [connector.get(key) for key in keys]
    assert all(one is not None and len(one) == MEGABYTE for one in found)
    connector.evict(keys.pop())
    connector.evict(keys[0])
    assert connector.get(connector.put(b'x')) == b'x'


def test_objects_without_a_byte(site: Site) -> None:
    for name, options in (('left', ['--persist']), ('right', [])):
        site.start(name, *options)
    site.befriend('right', 'left', site.field('left', 'tcp'))
    left, right = EndpointConnector(['left']), EndpointConnector(['right'])
    key = left.put(b'')
    assert left.exists(key)
    assert left.get(key) == b''
    assert right.get(key) == b''
    right.set(key, b'one')
    right.set(key, b'')
    assert left.get_batch([key, key]) == [b'', b'']
    site.kill('left')
    site.restart('left')
    assert EndpointConnector(['left']).get(key) == b''


def descriptors(pid: int) -> int:
    return len(list(Path(f'/proc/{pid}/fd').iterdir()))


def resident(pid: int) -> int:
    """Bytes of memory that are a process's own."""
    for line in Path(f'/proc/{pid}/status').read_text().splitlines():
        if line.startswith('RssAnon:'):
            return int(line.split()[1]) * 1024
    raise AssertionError('no RssAnon')


class Doors:
    """Everywhere that something can be sent to an endpoint."""

    def __init__(self, site: Site, name: str) -> None:
        self.unix = str(site.home / name / 'socket')
        run = (site.home / name / 'daemon.run').read_text()
        address = next(
            line for line in run.splitlines() if line.startswith('address=')
        ).partition('=')[2]
        self.tcp = ('127.0.0.1', int(address.rpartition(':')[2]))
        peer = site.field(name, 'tcp')
        self.peer = ('127.0.0.1', int(peer.rpartition(':')[2]))
        said = site.said(name).partition('metrics at http://127.0.0.1:')[2]
        self.metrics = ('127.0.0.1', int(said.partition('/')[0]))

    def streams(self) -> list[socket.socket]:
        """A connection to each."""
        unix = socket.socket(socket.AF_UNIX)
        unix.connect(self.unix)
        others = (self.tcp, self.peer, self.metrics)
        return [unix, *(socket.create_connection(at, 10) for at in others)]


# What makes a door believe the first of it.
OPENINGS = [
    b'',
    b'PE\x01\x01\x02\0\0\0\0\0\0\0\0\0\0\0\0\0',
    b'PE\x01\x02\xff\xff\xff\xff' + b'\xff' * 8,
    b'PE\x01\x01\x02\0\0\0\0\0\0\0\0\0\0\0\0\0PE\x01\x03\x10\0\0\0' + b'\xff' * 8,
    b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    b'GET /metrics HTTP/1.1\r\n',
    b'GET /relay HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
    b'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n',
]


def send_garbage(chance: random.Random, stream: socket.socket) -> None:
    """Send something, and break off in the way that hurts most."""
    try:
        stream.sendall(
            chance.choice(OPENINGS) + chance.randbytes(chance.randrange(600))
        )
        if chance.random() < 0.3:
            # Ends with a reset.
            linger = b'\x01\0\0\0\0\0\0\0'
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it has heard enough
    stream.close()


def test_a_thousand_aborted_connections_at_every_door(site: Site) -> None:
    site.start('left', '--metrics-port', '0')
    site.start('right')
    site.befriend('right', 'left', site.field('left', 'tcp'))
    pid = site.daemons['left'].pid
    left, right = EndpointConnector(['left']), EndpointConnector(['right'])
    key = left.put(b'still here')
    assert right.get(key) == b'still here'
    doors = Doors(site, 'left')
    chance = random.Random(7)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def round_of(count: int) -> None:
        for number in range(count):
            for stream in doors.streams():
                send_garbage(chance, stream)
            # A QUIC packet begins with a byte such as this.
            first = chance.choice([b'', b'\xc0\0\0\0\x01', b'\xff', b'\x40'])
            udp.sendto(first + chance.randbytes(chance.randrange(1400)), doors.peer)
            if number % 100 == 0:
                assert left.get(key) == b'still here'
                assert right.get(key) == b'still here'

    round_of(250)  # what is made once is made now
    wait_for(lambda: descriptors(pid) < 80, 'connections are kept')
    files, memory = descriptors(pid), resident(pid)
    round_of(1000)
    wait_for(
        lambda: descriptors(pid) <= files + 5, f'{descriptors(pid)} files, then {files}'
    )
    grown = resident(pid) - memory
    # Four thousand connections: at a kilobyte each it would be more.
    assert grown < 4 * MEGABYTE, f'{grown} bytes more'
    assert left.get(key) == right.get(key) == b'still here'
    udp.close()


def test_garbage_at_a_relay(site: Site, relays: Callable[..., Relay]) -> None:
    relay = relays('--open', '--host=127.0.0.1', '--port=0')
    for name in ('left', 'right'):
        site.configure(name, '--relay-address', relay.url)
        config = site.home / name / 'config.toml'
        config.write_text(config.read_text() + '\n[peers]\nrelay_only = true\n')
    for name in ('left', 'right'):
        text = (site.home / name / 'config.toml').read_text()
        # The section may be there already.
        assert text.count('[peers]') <= 2
        if text.count('[peers]') == 2:
            text = text.replace('\n[peers]\nrelay_only = true\n', '')
            text = text.replace('[peers]\n', '[peers]\nrelay_only = true\n')
            (site.home / name / 'config.toml').write_text(text)
        site.restart(name)
    site.befriend('right', 'left')
    wait_for(lambda: 'connected' in site.field('left', 'relay'), 'no relay')
    left, right = EndpointConnector(['left']), EndpointConnector(['right'])
    key = left.put(b'by relay')
    chance = random.Random(8)
    pid = relay.process.pid
    for number in range(1250):
        if number == 250:
            wait_for(lambda: descriptors(pid) < 80, 'connections are kept')
            files, memory = descriptors(pid), resident(pid)
        send_garbage(chance, socket.create_connection(('127.0.0.1', relay.port), 10))
        if number % 250 == 0:
            assert right.get(key) == b'by relay'
    wait_for(lambda: descriptors(pid) <= files + 5, 'connections are kept')
    grown = resident(pid) - memory
    assert grown < 4 * MEGABYTE, f'{grown} bytes more'
    assert right.get(key) == b'by relay'
    assert site.path('right') == 'relay'

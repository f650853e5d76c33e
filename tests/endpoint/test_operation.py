"""Endpoints as they are run: one for each folder, metrics, logs, names of the program."""

from __future__ import annotations

import configparser
import os
import pty
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from proxystore.connectors.endpoint import EndpointConnector

from .conftest import Relay
from .conftest import Site
from .conftest import link
from .conftest import wait_for

DOCS = Path(__file__).parents[2] / 'docs'

# Another host that shares the folder: it has another name, and none of our mounts.
ELSEWHERE = (
    'unshare',
    '--mount',
    '--uts',
    'sh',
    '-c',
    'hostname elsewhere; exec "$@"',
    '-',
)


def another_host(site: Site) -> tuple[str, ...]:
    """What runs a command as if on another host, where that is allowed."""
    for prefix in (ELSEWHERE, ('unshare', '--user', '--map-root-user', *ELSEWHERE[1:])):
        seen = subprocess.run([*prefix, 'hostname'], capture_output=True, text=True)
        if seen.stdout == 'elsewhere\n':
            return prefix
    # The daemon's folder says then that it was started elsewhere.
    for run in site.home.glob('*/daemon.run'):
        run.write_text(re.sub('boot=.*', 'boot=another', run.read_text()))
    return ()


def test_a_second_start_says_who_runs_where_from_another_host_too(site: Site) -> None:
    site.start('left')
    pid, host = str(site.daemons['left'].pid), os.uname().nodename
    key = EndpointConnector(['left']).put(b'x')
    elsewhere = another_host(site)
    print('another host by', elsewhere[:3] or 'its run file')
    for prefix in ((), elsewhere):
        for command in (['start', 'left'], ['start', 'left', '--detach']):
            second = site.run(*command, prefix=prefix)
            assert second.returncode == 1
            assert f'process {pid} on {host}' in second.stderr
            assert 'proxystore-endpoint stop left' in second.stderr
    # It is neither stopped nor removed from there, but seen and used.
    for command, words in (
        (['stop', 'left'], f'runs on {host} (process {pid}): stop it there'),
        (['remove', 'left'], 'stop it first'),
    ):
        refused = site.run(*command, prefix=elsewhere)
        assert refused.returncode == 1
        assert words in refused.stderr
    assert f'RUNNING on {host}' in site.run('list', prefix=elsewhere).stdout
    assert site.run('health', 'left', prefix=elsewhere).stdout == 'ok\n'
    code = (
        'import sys; from proxystore.connectors.endpoint import EndpointConnector as C;'
        'from proxystore.connectors.endpoint import EndpointKey as K;'
        'sys.stdout.buffer.write(C(["left"]).get(K(*sys.argv[1:])))'
    )
    python = shutil.which('python', path=os.path.dirname(os.sys.executable))  # type: ignore[attr-defined]
    assert python is not None
    environment = {**site.environment, 'HTTP_PROXY': 'http://127.0.0.1:9'}
    found = subprocess.run(
        [*elsewhere, python, '-c', code, *map(str, key)],
        env=environment,
        capture_output=True,
    )
    assert found.stdout == b'x', found.stderr


def test_a_daemon_of_a_host_that_locks_do_not_reach(site: Site) -> None:
    site.start('left')
    run = site.home / 'left' / 'daemon.run'
    text = re.sub('boot=.*', 'boot=another', run.read_text())
    text = text.replace(f'host={os.uname().nodename}', 'host=login7')
    site.stop('left')
    assert not run.exists()
    run.write_text(text)
    refused = site.run('start', 'left')
    assert refused.returncode == 1
    assert 'on login7' in refused.stderr
    # It has given no sign of life for a minute.
    silent = time.time() - 60
    os.utime(run, (silent, silent))
    site.restart('left')
    assert site.say('health', 'left') == 'ok\n'


METRIC = re.compile(
    r'(?P<name>[a-z_:][a-z0-9_:]*)(\{(?P<labels>[a-z_]+="[^"\\\n]*"'
    r'(,[a-z_]+="[^"\\\n]*")*)\})? (?P<value>-?[0-9.]+(e[+-]?[0-9]+)?)'
)


def metrics(url: str) -> dict[str, float]:
    """Read a page as Prometheus does, strictly."""
    with urllib.request.urlopen(url, timeout=10) as page:
        assert page.status == 200
        assert page.headers['Content-Type'].startswith('text/plain; version=0.0.4')
        text = page.read().decode()
    assert text.endswith('\n')
    kinds: dict[str, str] = {}
    values: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith('# TYPE '):
            _, _, name, kind = line.split(' ')
            assert kind in ('counter', 'gauge')
            assert name not in kinds, f'{name} twice'
            kinds[name] = kind
            continue
        found = METRIC.fullmatch(line)
        assert found, line
        name = found['name']
        assert name in kinds, f'{name} has no type before it'
        assert name.endswith('_total') == (kinds[name] == 'counter'), line
        series = line.rpartition(' ')[0]
        assert series not in values
        values[series] = float(found['value'])
    return values


def test_metrics_are_served_and_move(site: Site) -> None:
    site.start('left', '--metrics-port', '0')
    site.start('right')
    site.befriend('right', 'left', site.field('left', 'tcp'))
    said = re.search(r'metrics at (http://127\.0\.0\.1:\d+)/metrics', site.said('left'))
    assert said
    url = said[1]
    before = metrics(url + '/metrics')
    left = EndpointConnector(['left'])
    keys = [left.put(bytes(1000)) for _ in range(5)]
    left.get(keys[0])
    assert EndpointConnector(['right']).get(keys[1]) == bytes(1000)
    after = metrics(url + '/metrics')

    def names(page: dict[str, float]) -> set[str]:
        # The way to a peer is in a label, and is found meanwhile.
        return {key.partition('{')[0] for key in page}

    assert names(before) <= names(after)
    name = 'proxystore_endpoint_'

    def moved(field: str) -> float:
        return after[name + field] - before[name + field]

    assert moved('objects') == 5
    assert moved('bytes') == 5000
    assert moved('bytes_in_total') == 5000
    assert moved('bytes_out_total') >= 1000
    assert moved('requests_total') >= 6
    assert after[name + 'connections'] >= 1
    assert after[name + 'peers'] == 1
    assert any(key.startswith(name + 'peer_bytes_per_second{') for key in after)
    left.evict(keys[0])
    assert metrics(url + '/metrics')[name + 'objects'] == after[name + 'objects'] - 1
    with urllib.request.urlopen(url + '/health', timeout=10) as page:
        assert page.read() == b'ok\n'
    with pytest.raises(urllib.error.HTTPError, match='404'):
        urllib.request.urlopen(url + '/other', timeout=10)


def test_log_files_rotate(site: Site) -> None:
    site.configure('left')
    log = site.home / 'left' / 'log.txt'
    for _ in range(5):
        with log.open('a') as file:
            file.write('x' * 99 + '\n' * 1)
            file.truncate(10_000_001)
        site.say('start', 'left', '--detach')
        site.say('stop', 'left')
    names = sorted(path.name for path in log.parent.glob('log.txt*'))
    assert names == ['log.txt', 'log.txt.1', 'log.txt.2', 'log.txt.3']
    assert log.stat().st_size < 10_000
    assert 'serves at' in log.read_text()
    assert log.with_name('log.txt.3').stat().st_size > 10_000_000


@pytest.mark.parametrize(
    'name', ['proxystore', 'proxystore-endpoint', 'proxystore-relay']
)
def test_the_program_is_what_its_link_is_called(tmp_path: Path, name: str) -> None:
    deeper = tmp_path / 'bin'
    deeper.mkdir()
    for folder in (tmp_path, deeper):
        command = [link(folder, name), '--version']
        said = subprocess.run(command, capture_output=True, text=True, check=True)
        assert said.stdout.split()[0] == name
        helped = subprocess.run([command[0], '--help'], capture_output=True, text=True)
        others = {
            'proxystore': 'doctor',
            'proxystore-endpoint': 'check-nat',
            'proxystore-relay': '--token-file',
        }
        for other, word in others.items():
            assert (word in helped.stdout) == (other == name), (name, word)


def test_what_a_host_says_of_its_network(site: Site) -> None:
    said = site.say('check-nat')
    lines = dict(line.split(None, 1) for line in said.splitlines()[:3])
    assert lines['host'] == os.uname().nodename
    assert re.search(r'UDP +\S+:\d+ can be used', said)
    taken = site.run('check-nat', '--host', '192.0.2.1')
    assert taken.returncode == 1
    assert 'cannot be used' in taken.stderr


def test_top_is_a_live_table(site: Site) -> None:
    site.start('left')
    site.start('right')
    site.befriend('right', 'left', site.field('left', 'tcp'))
    key = EndpointConnector(['left']).put(bytes(3_000_000))
    ours, theirs = pty.openpty()
    command = [*site.program(), 'top', 'right', '--interval', '0.2', '--count', '4']
    top = subprocess.Popen(command, env=site.environment, stdout=theirs)
    os.close(theirs)
    seen = b''
    fetched = False
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:
            break  # the other end is closed
        if not piece:
            break
        seen += piece
        if not fetched:
            fetched = True
            right = EndpointConnector(['right'])
            found = right.get(key)
            assert found is not None
            assert len(found) == 3_000_000
    os.close(ours)
    assert top.wait(30) == 0
    screens = seen.decode().split('\x1b[H\x1b[J')[1:]
    assert len(screens) == 4
    assert 'not connected' in screens[0]
    assert 'direct-tls' in screens[-1] or 'quic' in screens[-1]
    assert any(re.search(r'out [1-9][0-9.]* [kM]B/s', screen) for screen in screens)


def test_a_slow_start_is_not_the_daemons(site: Site) -> None:
    site.configure('left', '--persist')
    times = []
    for _ in range(3):
        started = time.perf_counter()
        site.say('start', 'left', '--detach')
        times.append((time.perf_counter() - started) * 1000)
        site.say('stop', 'left')
    print('start --detach until it serves, in milliseconds:', [round(t) for t in times])
    assert min(times) < 5000


def examples(page: str, language: str) -> list[str]:
    """The code blocks of a page in some language."""
    text = (DOCS / page).read_text()
    return re.findall(rf'```{language}\n(.*?)```', text, re.DOTALL)


def test_the_unit_in_the_guide_is_one(tmp_path: Path) -> None:
    (unit,) = [text for text in examples('endpoints.md', 'ini') if '[Service]' in text]
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit)
    assert parser['Service']['ExecStart'].endswith('proxystore-endpoint start %i')
    assert parser['Install']['WantedBy'] == 'default.target'
    analyze = shutil.which('systemd-analyze')
    print('checked by', analyze or 'its fields alone: systemd-analyze is not here')
    if analyze is None:
        return
    path = tmp_path / 'proxystore-endpoint@.service'
    program = link(tmp_path, 'proxystore-endpoint')
    path.write_text(unit.replace('%h/.local/bin/proxystore-endpoint', program))
    instance = tmp_path / 'proxystore-endpoint@left.service'
    instance.write_text(path.read_text())
    result = subprocess.run(
        [analyze, 'verify', '--man=no', str(instance)], capture_output=True, text=True
    )
    ours = [line for line in result.stderr.splitlines() if 'proxystore' in line]
    assert not ours, result.stderr


def test_relays_by_the_options_of_1_1(
    tmp_path: Path, relays: Callable[..., Relay]
) -> None:
    config = tmp_path / 'relay.toml'
    config.write_text('host = "127.0.0.1"\nport = 9\nopen = true\n[auth]\n')
    relay = relays(f'--config={config}', '--port=0', '--log-level=debug')
    assert relay.url.startswith('http://127.0.0.1:')
    assert relay.log.exists()
    config.write_text('[auth]\nmethod = "globus"\n')
    refused = subprocess.run(
        [link(tmp_path, 'proxystore-relay'), '-c', str(config), '--open'],
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 1
    assert 'token_file' in refused.stderr


def test_relays_refuse_loudly_on_both_sides(
    site: Site, tmp_path: Path, relays: Callable[..., Relay]
) -> None:
    keys = tmp_path / 'keys.txt'
    keys.write_text('# nobody yet\n')
    relay = relays(f'--keys={keys}', '--host=127.0.0.1', '--port=0')
    site.start('left', '--relay-address', relay.url)
    key = site.key('left')
    wait_for(lambda: 'refuses' in site.field('left', 'relay'), 'it is not refused', 10)
    assert "not on the relay's list" in site.field('left', 'relay')
    assert "not on the relay's list" in site.said('left')
    assert f'refused the endpoint {key}' in relay.log.read_text()
    # The list may change while it runs.
    keys.write_text(f'{key}  # left\n')
    site.stop('left')
    site.restart('left')
    wait_for(lambda: 'connected' in site.field('left', 'relay'), 'it does not come in')

"""Endpoints of the tests' own: real daemons, children of the test run."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

import pytest
from proxystore import _command


def wait_for(what: Callable[[], bool], words: str, seconds: float = 60) -> None:
    started = time.monotonic()
    while not what():
        assert time.monotonic() - started < seconds, words
        time.sleep(0.01)


def link(folder: Path, name: str) -> str:
    """The program by one of its names, which a link gives it."""
    path = folder / name
    if not path.is_symlink():
        path.symlink_to(_command.find())
    return str(path)


class Site:
    """A folder with endpoints, and what runs there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {**os.environ, 'PROXYSTORE_HOME': str(home)}
        # What daemons are started by: in another network, for example.
        self.prefix: list[str] = []

    def run(
        self, *arguments: str, prefix: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*prefix, *self.program(), *arguments],
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=60,
        )

    def program(self) -> list[str]:
        return [link(self.home.parent, 'proxystore-endpoint')]

    def say(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def start(self, name: str, *options: str) -> None:
        self.configure(name, *options)
        self.restart(name)

    def configure(self, name: str, *options: str) -> None:
        defaults = ['--host', '127.0.0.1', '--listen', '127.0.0.1:0']
        if '--listen' in options:
            del defaults[2:]
        self.say('configure', name, *defaults, *options)

    def restart(
        self, name: str, preexec_fn: Callable[[], None] | None = None
    ) -> subprocess.Popen[bytes]:
        errors = (self.home / f'{name}.errors').open('wb')
        with errors:
            self.daemons[name] = subprocess.Popen(
                [*self.prefix, *self.program(), 'start', name],
                env=self.environment,
                stderr=errors,
                preexec_fn=preexec_fn,
            )
        told = f'pid={self.daemons[name].pid}\n'
        run_file = self.home / name / 'daemon.run'

        def runs() -> bool:
            assert self.daemons[name].poll() is None, f'{name} ended: {self.said(name)}'
            return run_file.exists() and told in run_file.read_text()

        wait_for(runs, f'{name} does not start')
        return self.daemons[name]

    def said(self, name: str) -> str:
        """What a daemon has logged."""
        return (self.home / f'{name}.errors').read_text()

    def field(self, name: str, field: str) -> str:
        """What the status of an endpoint says of something."""
        for line in self.say('status', name).splitlines():
            if line.startswith(f'{field} '):
                return line[len(field) :].strip()
        raise AssertionError(f'the status of {name} has no {field}')

    def key(self, name: str) -> str:
        return self.field(name, 'key')

    def befriend(self, caller: str, other: str, *addresses: str) -> None:
        """Let two in with each other; the first knows where the second is."""
        known = [word for at in addresses for word in ('--address', at)]
        self.say('peer', 'add', caller, self.key(other), '--label', other, *known)
        self.say('peer', 'add', other, self.key(caller), '--label', caller)

    def path(self, name: str) -> str:
        """The way in use to the only peer."""
        return self.say('peers', name).splitlines()[1].split()[2]

    def stop(self, name: str) -> None:
        daemon = self.daemons.pop(name)
        daemon.terminate()
        assert daemon.wait(30) == 0

    def kill(self, name: str) -> None:
        daemon = self.daemons.pop(name)
        daemon.kill()
        daemon.wait()

    def close(self) -> None:
        for daemon in self.daemons.values():
            daemon.send_signal(signal.SIGCONT)
            daemon.terminate()
        for daemon in self.daemons.values():
            assert daemon.wait(30) == 0


class Relay:
    """A relay, and what it logs."""

    def __init__(self, home: Path, *options: str, prefix: list[str] | None = None):
        self.log = home / 'relay.log'
        program = link(home, 'proxystore-relay')
        self.process = subprocess.Popen(
            [*(prefix or []), program, f'--log-dir={home}', *options],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith('relay at '), line
        self.url = line.split()[-1]
        self.port = int(self.url.rpartition(':')[2])

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            assert self.process.wait(30) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    home = tmp_path / 'home'
    home.mkdir()
    monkeypatch.setenv('PROXYSTORE_HOME', str(home))
    site = Site(home)
    yield site
    site.close()


@pytest.fixture
def relays(tmp_path: Path) -> Iterator[Callable[..., Relay]]:
    started: list[Relay] = []

    def start(*options: str, prefix: list[str] | None = None) -> Relay:
        home = tmp_path / f'relay-{len(started)}'
        home.mkdir()
        started.append(Relay(home, *options, prefix=prefix))
        return started[-1]

    yield start
    for relay in started:
        relay.close()

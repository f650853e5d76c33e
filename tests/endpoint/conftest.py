"""Endpoints of the tests' own: real daemons, children of the test run."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from proxystore import _command


class Site:
    """A folder with endpoints, and what runs there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {**os.environ, 'PROXYSTORE_HOME': str(home)}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ['proxystore-endpoint', *arguments],
            executable=_command.find(),
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=60,
        )

    def say(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def start(self, name: str, *options: str) -> None:
        self.say(
            'configure',
            name,
            '--host',
            '127.0.0.1',
            '--listen',
            '127.0.0.1:0',
            *options,
        )
        self.restart(name)

    def restart(self, name: str) -> None:
        self.daemons[name] = subprocess.Popen(
            ['proxystore-endpoint', '--log-level', 'ERROR', 'start', name],
            executable=_command.find(),
            env=self.environment,
        )
        started = time.monotonic()
        told = f'pid={self.daemons[name].pid}\n'
        run_file = self.home / name / 'daemon.run'
        while not (run_file.exists() and told in run_file.read_text()):
            assert self.daemons[name].poll() is None, f'{name} ended'
            assert time.monotonic() - started < 60, f'{name} does not start'
            time.sleep(0.01)

    def kill(self, name: str) -> None:
        daemon = self.daemons.pop(name)
        daemon.kill()
        daemon.wait()

    def close(self) -> None:
        for daemon in self.daemons.values():
            daemon.terminate()
            assert daemon.wait(30) == 0


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    home = tmp_path / 'home'
    home.mkdir()
    monkeypatch.setenv('PROXYSTORE_HOME', str(home))
    site = Site(home)
    yield site
    site.close()

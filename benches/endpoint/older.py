"""ProxyStore 1.1's endpoints and relay on loopback, by their documented commands and options."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from processes import Client
from processes import Daemon
from processes import free_port

PACKAGE = 'proxystore[endpoints]==1.1.0'


def environment(build: Path) -> Path:
    """The virtual environment with 1.1, made at the first call."""
    folder = build / 'v1-endpoints'
    if not (folder / '.done').exists():
        print(f'installing {PACKAGE} ...', file=sys.stderr)
        subprocess.run([sys.executable, '-m', 'venv', str(folder)], check=True)
        install = [str(folder / 'bin' / 'python'), '-m', 'pip', 'install', '--quiet']
        subprocess.run([*install, PACKAGE, 'numpy'], check=True)
        (folder / '.done').touch()
    return folder


class Older:
    """A relay and two endpoints, `here` and `there`."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.bin = home, folder / 'bin'
        self.environment = {'PROXYSTORE_HOME': str(home)}
        port = free_port()
        self.relay = self.daemon('relay', 'relay', f'--port={port}', '--host=127.0.0.1')
        self.relay_address = f'ws://127.0.0.1:{port}'
        self.daemons: dict[str, Daemon] = {}
        self.clients: dict[str, Client] = {}
        self.uuids: dict[str, str] = {}
        self.ports: dict[str, int] = {}

    def daemon(self, log: str, command: str, *arguments: str) -> Daemon:
        program = str(self.bin / f'proxystore-{command}')
        return Daemon(
            [program, *arguments], self.home / f'{log}.log', **self.environment
        )

    def open(self) -> None:
        """Start them; the first get of a peer connects the two."""
        for name in ('here', 'there'):
            command = [str(self.bin / 'proxystore-endpoint'), 'configure', name]
            self.ports[name] = free_port()
            command += ['--host=127.0.0.1', f'--port={self.ports[name]}']
            command.append('--no-relay-auth')
            command += [f'--relay-address={self.relay_address}']
            subprocess.run(
                command,
                env={**os.environ, **self.environment},
                check=True,
                capture_output=True,
            )
            config = self.home / name / 'config.toml'
            lines = config.read_text().splitlines()
            self.uuids[name] = next(
                line.split('"')[1] for line in lines if line.startswith('uuid')
            )
            # Its default asks public servers for its address.
            at = lines.index('[relay]') + 1
            config.write_text('\n'.join([*lines[:at], 'ice_servers = []', *lines[at:]]))
            self.start(name)
        for name in ('here', 'there'):
            self.clients[name] = self.client(name)

    def start(self, name: str) -> None:
        self.daemons[name] = self.daemon(name, 'endpoint', 'start', name, '--no-detach')

    def client(self, name: str) -> Client:
        """A client, as soon as the endpoint answers."""
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', self.ports[name])) == 0:
                    python = str(self.bin / 'python')
                    return Client(python, self.home, self.uuids[name])
            if self.daemons[name].process.poll() is not None:
                break
            time.sleep(0.1)
        log = (self.home / f'{name}.log').read_text()
        raise RuntimeError(f'endpoint {name} of 1.1 does not start: {log[-2000:]}')

    def cold(self, key: list[str]) -> float:
        """Seconds of a small get by an endpoint that has just started."""
        self.clients.pop('here').stop()
        self.daemons.pop('here').stop()
        self.start('here')
        self.clients['here'] = self.client('here')
        return float(self.clients['here'].ask(do='get', key=key)['times'][0])

    def stop(self) -> None:
        for client in self.clients.values():
            client.stop()
        for daemon in [*self.daemons.values(), self.relay]:
            daemon.stop()

"""Our endpoints and our relay on loopback: one that holds the objects, and one for each way to it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from processes import Client
from processes import Daemon
from processes import free_port
from proxystore import _command

HOLDERS = {'holder': '127.0.0.1', 'distant': '::1'}
"""The distant one has no address in common with those who ask it: only the link with the delay leads there."""

WAYS = {
    'tls': 'quic = false',
    'quic': 'direct_tls = false',
    'relay': 'relay_only = true',
    'far tls': 'quic = false',
    'far quic': 'direct_tls = false',
}


class Sites:
    """All of them."""

    def __init__(self, home: Path, certificate: Path) -> None:
        self.home = home
        self.program = _command.find()
        self.environment = {'PROXYSTORE_HOME': str(home)}
        self.daemons: dict[str, Daemon] = {}
        self.links: list[subprocess.Popen[str]] = []
        self.keys: dict[str, str] = {}
        self.addresses: dict[str, str] = {}
        self.clients: dict[str, Client] = {}
        self.certificate = certificate
        port = free_port()
        self.relay_address = f'https://127.0.0.1:{port}'
        command = ['proxystore-relay', '--host=127.0.0.1', f'--port={port}', '--open']
        command += [f'--cert={certificate}/relay.pem', f'--key={certificate}/relay.key']
        log = home / 'relay.log'
        self.relay = Daemon(command, log, executable=self.program)

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            ['proxystore-endpoint', *arguments],
            executable=self.program,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f'proxystore-endpoint {arguments[0]}: {done.stderr}')
        return done.stdout

    def open(self) -> None:
        """Configure and start all endpoints, and introduce them to one another."""
        for name, host in HOLDERS.items():
            self.configure(name, host, '', relay=name == 'holder')
        for name, line in WAYS.items():
            self.configure(slug(name), '127.0.0.1', line, relay=name == 'relay')
        for name in list(self.addresses):
            self.start(name)
        lines = [line.split() for line in self.run('list').splitlines()]
        self.keys = {line[0]: line[-1] for line in lines}
        for name in WAYS:
            holder = 'distant' if name.startswith('far') else 'holder'
            to = self.addresses[holder]
            if holder == 'distant':
                to = f'127.0.0.1:{self.delay(to)}'
            add = ['peer', 'add', slug(name), self.keys[holder]]
            self.run(*add, *([] if name == 'relay' else [f'--address={to}']))
            self.run('peer', 'add', holder, self.keys[slug(name)])
        for name in self.addresses:
            self.clients[name] = self.client(name)
        self.wait_for_relay()

    def configure(self, name: str, host: str, line: str, *, relay: bool) -> None:
        port = free_port(host)
        address = f'[{host}]:{port}' if ':' in host else f'{host}:{port}'
        command = ['configure', name, '--host=none', '--max-object-size=0']
        command.append(f'--listen={address}')
        if relay:
            command.append(f'--relay-address={self.relay_address}')
            command.append(f'--relay-certificate={self.certificate}/root.pem')
        self.run(*command)
        config = self.home / name / 'config.toml'
        text = config.read_text()
        if '[peers]' not in text:
            raise RuntimeError(f'{config} has no section [peers]')
        config.write_text(text.replace('[peers]', f'[peers]\n{line}'))
        self.addresses[name] = address

    def start(self, name: str) -> None:
        command = ['proxystore-endpoint', 'start', name]
        log = self.home / f'{name}.log'
        self.daemons[name] = Daemon(
            command, log, executable=self.program, **self.environment
        )
        for _ in range(400):
            try:
                self.run('health', name)
                return
            except RuntimeError:
                if self.daemons[name].process.poll() is not None:
                    break
                time.sleep(0.025)
        raise RuntimeError(f'{name} does not start: {log.read_text()}')

    def delay(self, address: str) -> str:
        """The port of a link with a delay to an address."""
        host, _, port = address.rpartition(':')
        script = str(Path(__file__).parent / 'delay.py')
        link = subprocess.Popen(
            [sys.executable, script, host.strip('[]'), port],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.links.append(link)
        assert link.stdout
        return link.stdout.readline().strip()

    def wait_for_relay(self) -> None:
        for name in ('holder', 'relay'):
            for _ in range(400):
                if re.search(r'relay\W.*\(connected\)', self.run('status', name)):
                    break
                time.sleep(0.025)
            else:
                raise RuntimeError(f'no relay: {self.run("status", name)}')

    def client(self, name: str) -> Client:
        return Client(sys.executable, self.home, name)

    def cold(self, way: str, key: list[str]) -> float:
        """Seconds of a small get by an endpoint that has just started."""
        name = slug(way)
        self.clients.pop(name).stop()
        self.daemons.pop(name).stop()
        self.start(name)
        self.clients[name] = self.client(name)
        if way == 'relay':
            self.wait_for_relay()
        return float(self.clients[name].ask(do='get', key=key)['times'][0])

    def path(self, way: str) -> str:
        """Which way the last get took, in the daemon's words."""
        return self.run('peers', slug(way))

    def stop(self) -> None:
        for client in self.clients.values():
            client.stop()
        for daemon in [*self.daemons.values(), self.relay]:
            daemon.stop()
        for link in self.links:
            link.terminate()
            link.wait()


def slug(way: str) -> str:
    return way.replace(' ', '-')

"""Hosts for the tests: network namespaces where they are allowed, this one where not."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


class Network:
    """Hosts with cables between them."""

    def __init__(self) -> None:
        self.hosts: list[str] = []

    def name(self, host: str) -> str:
        return f'px{os.getpid()}-{host}'

    def add(self, *hosts: str) -> None:
        """Make hosts."""
        for host in hosts:
            run('ip', 'netns', 'add', self.name(host))
            self.hosts.append(host)
            self.on(host, 'ip', 'link', 'set', 'lo', 'up')

    def on(self, host: str, *command: str) -> None:
        """Run a command in a host's network."""
        run(*self.prefix(host), *command)

    def prefix(self, host: str) -> list[str]:
        """What runs a command in a host's network, with this one's files."""
        return ['nsenter', f'--net=/run/netns/{self.name(host)}']

    def cable(self, one: str, at: str, other: str, there: str) -> tuple[str, str]:
        """Connect two hosts, each with its address and the length of the network's part.

        Returns:
            The interface of each.
        """
        ours, theirs = f'to-{other}'[:15], f'to-{one}'[:15]
        run(
            *('ip', 'link', 'add', ours, 'netns', self.name(one), 'type', 'veth'),
            *('peer', 'name', theirs, 'netns', self.name(other)),
        )
        for host, link, address in ((one, ours, at), (other, theirs, there)):
            self.on(host, 'ip', 'address', 'add', address, 'dev', link)
            self.on(host, 'ip', 'link', 'set', link, 'up')
        return ours, theirs

    def router(self, host: str) -> None:
        """Let a host pass packets on."""
        self.on(host, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward')

    def translate(self, host: str, link: str) -> None:
        """Hide what is behind a host, as the routers of homes and sites do."""
        rules = (
            'add table ip nat;'
            'add chain ip nat out { type nat hook postrouting priority 100; };'
            f'add rule ip nat out oifname "{link}" masquerade;'
            'add table ip filter;'
            'add chain ip filter through { type filter hook forward priority 0; };'
            f'add rule ip filter through iifname "{link}" ct state new drop;'
            'add chain ip filter in { type filter hook input priority 0; };'
            f'add rule ip filter in iifname "{link}" ct state new drop'
        )
        self.on(host, 'nft', rules)

    def slow_down(self, host: str, link: str) -> None:
        """Let 25 MB a second leave by a cable, where the kernel can do so."""
        rate = ('rate', '200mbit', 'burst', '1mb', 'latency', '200ms')
        with contextlib.suppress(subprocess.CalledProcessError, FileNotFoundError):
            self.on(host, 'tc', 'qdisc', 'add', 'dev', link, 'root', 'tbf', *rate)

    def received(self, host: str, link: str) -> int:
        """Bytes that have come to a host by one of its cables."""
        path = '/proc/net/dev'
        command = [*self.prefix(host), 'cat', path]
        text = subprocess.run(command, capture_output=True, text=True).stdout
        for line in text.splitlines():
            if line.strip().startswith(f'{link}:'):
                return int(line.partition(':')[2].split()[0])
        raise AssertionError(f'{host} has no {link}')

    def close(self) -> None:
        for host in self.hosts:
            with contextlib.suppress(subprocess.CalledProcessError):
                run('ip', 'netns', 'delete', self.name(host))


def why_not() -> str | None:
    """Why there can be no hosts of our own here, if so."""
    for program in ('ip', 'nsenter'):
        if shutil.which(program) is None:
            return f'{program} is not here'
    network = Network()
    try:
        network.add('a', 'b')
        network.cable('a', '192.0.2.1/24', 'b', '192.0.2.2/24')
    except subprocess.CalledProcessError as error:
        return str(error.stderr or error).strip()
    finally:
        network.close()
    return None


def can_translate() -> bool:
    """Whether addresses can be translated here."""
    if shutil.which('nft') is None:
        return False
    network = Network()
    try:
        network.add('n')
        network.translate('n', 'lo')
    except subprocess.CalledProcessError:
        return False
    finally:
        network.close()
    return True


def certificate(folder: Path, address: str) -> tuple[Path, Path]:
    """A certificate that a relay signs itself, and its key."""
    paths = folder / 'relay.pem', folder / 'relay.key'
    subprocess.run(
        [
            *('openssl', 'req', '-x509', '-newkey', 'ec', '-nodes', '-days', '2'),
            *('-pkeyopt', 'ec_paramgen_curve:prime256v1', '-subj', '/CN=relay'),
            *('-addext', f'subjectAltName=IP:{address}'),
            *('-addext', 'basicConstraints=critical,CA:FALSE'),
            *('-out', str(paths[0]), '-keyout', str(paths[1])),
        ],
        check=True,
        capture_output=True,
    )
    return paths

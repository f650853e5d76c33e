"""Sites on hosts of their own, behind firewalls, with a relay in between."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from proxystore.connectors.endpoint import EndpointConnector
from proxystore.exceptions import ConnectorError

from . import hosts
from .conftest import Relay
from .conftest import Site
from .conftest import wait_for

LARGE = 40_000_000


class Places:
    """Where sites are: on hosts of their own, or all here."""

    def __init__(self, network: hosts.Network | None) -> None:
        self.network = network

    def start(self, site: Site, name: str, host: str, *options: str) -> None:
        site.prefix = self.prefix(host)
        site.start(name, '--max-object-size', '0', *options)

    def prefix(self, host: str) -> list[str]:
        return self.network.prefix(host) if self.network else []


@pytest.fixture(params=['hosts of their own', 'one host'])
def network(request: pytest.FixtureRequest) -> Iterator[hosts.Network | None]:
    one = 'the test wants it so' if request.param == 'one host' else None
    reason = one or hosts.why_not()
    if reason:
        print(f'hosts: all on the loopback interface, since {reason}')
        yield None
        return
    print('hosts: network namespaces')
    network = hosts.Network()
    yield network
    network.close()


def open_with_relay(
    places: Places,
    relays: Callable[..., Relay],
    tmp_path: Path,
    host: str,
    address: str,
) -> tuple[Relay, Path]:
    """A relay with TLS, which tells endpoints their public address, as one on port 443 does."""
    certificate, key = hosts.certificate(tmp_path, address)
    relay = relays(
        *(f'--cert={certificate}', f'--key={key}', '--open'),
        *(f'--host={address}', '--port=443' if places.network else '--port=0'),
        prefix=places.prefix(host),
    )
    return relay, certificate


def test_two_hosts_and_a_cable(site: Site, network: hosts.Network | None) -> None:
    places, at = Places(network), '127.0.0.1:0'
    if network:
        network.add('a', 'b')
        network.cable('a', '192.0.2.1/24', 'b', '192.0.2.2/24')
        at = '192.0.2.1:7000'
    places.start(site, 'left', 'a', '--listen', at)
    places.start(site, 'right', 'b', '--listen', at.replace('.1:', '.2:'))
    site.befriend('right', 'left', site.field('left', 'tcp'))
    value = os.urandom(3_000_000)
    key = EndpointConnector(['left']).put(value)
    right = EndpointConnector(['right'])
    assert right.get(key) == value
    wait_for(
        lambda: bool(right.get(key)) and site.path('right') == 'direct-tls', 'no TLS'
    )
    if network:
        # Nobody is there any more: an error that says so, well before ten seconds are over.
        network.on('a', 'ip', 'link', 'set', 'to-b', 'down')
        started = time.monotonic()
        with pytest.raises(ConnectorError, match=r'left|192\.0\.2\.1'):
            right.get(key)
        assert time.monotonic() - started < 20
        network.on('a', 'ip', 'link', 'set', 'to-b', 'up')
        wait_for(lambda: exists(right, key), 'it does not come back')


def exists(connector: EndpointConnector, key: Any) -> bool:
    try:
        return connector.exists(key)
    except ConnectorError:
        return False


@pytest.mark.parametrize('firewalls', ['with holes', 'closed'])
def test_two_sites_behind_firewalls_meet_at_a_relay(
    firewalls: str,
    site: Site,
    network: hosts.Network | None,
    relays: Callable[..., Relay],
    tmp_path: Path,
) -> None:
    places, address, listen = Places(network), '127.0.0.1', '127.0.0.1:0'
    if network:
        # a - na - r - nb - b, where na and nb let nobody in who was not called, and r, the world
        # outside, has no way to a and b but through them.
        network.add('a', 'na', 'r', 'nb', 'b')
        address, listen = '198.51.100.1', '0.0.0.0:7000'
        translated = firewalls == 'with holes' and hosts.can_translate()
        print('firewalls:', 'translate addresses' if translated else 'no way through')
        for number, (host, router) in enumerate((('a', 'na'), ('b', 'nb'))):
            inner, outer = 16 * number, f'198.51.100.{16 * (number + 1)}'
            gate = f'203.0.113.{inner + 1}'
            network.cable(host, f'203.0.113.{inner + 2}/28', router, f'{gate}/28')
            network.on(host, 'ip', 'route', 'add', 'default', 'via', gate)
            base, _, last = outer.rpartition('.')
            ours = f'{base}.{int(last) + 1}/28'
            network.cable(router, ours, 'r', f'{base}.{int(last) + 2}/28')
            network.router(router)
            network.on(
                router,
                'ip',
                'route',
                'add',
                'default',
                'via',
                f'{base}.{int(last) + 2}',
            )
            if translated:
                network.translate(router, 'to-r')
            else:
                network.on(
                    'r', 'ip', 'route', 'add', f'203.0.113.{inner}/28', 'via', ours[:-3]
                )
        network.on('r', 'ip', 'address', 'add', f'{address}/32', 'dev', 'lo')
        if translated:
            network.router('r')
    relay, certificate = open_with_relay(places, relays, tmp_path, 'r', address)
    options = ('--relay-address', relay.url, '--relay-certificate', str(certificate))
    for name, host in (('left', 'a'), ('right', 'b')):
        site.configure(name, '--listen', listen, *options)
        if network is None and firewalls == 'closed':
            config = site.home / name / 'config.toml'
            text = config.read_text().replace(
                '[peers]\n', '[peers]\nrelay_only = true\n'
            )
            assert 'relay_only' in text
            config.write_text(text)
        site.prefix = places.prefix(host)
        site.restart(name)
    # Neither knows an address of the other.
    site.befriend('right', 'left')
    for name in ('left', 'right'):
        wait_for(lambda n=name: 'connected' in site.field(n, 'relay'), 'no relay', 30)  # type: ignore[misc]
    value = os.urandom(3_000_000)
    key = EndpointConnector(['left']).put(value)
    right = EndpointConnector(['right'])
    assert right.get(key) == value
    straight = {'quic', 'direct-tls'}
    is_open = firewalls == 'with holes' and (network is None or hosts.can_translate())
    paths = set()
    for _ in range(50 if is_open else 4):
        assert right.get(key) == value
        paths.add(site.path('right'))
        if paths & straight:
            break
        time.sleep(0.2)
    print('ways in use:', paths)
    if not is_open:
        assert paths == {'relay'}
        return
    # Through the holes that both make, or, on one host, straight; now the relay is not missed.
    assert paths & straight, paths
    relay.close()
    assert right.get(key) == value


def test_a_cable_that_breaks_in_the_middle_of_a_get(
    site: Site,
    network: hosts.Network | None,
    relays: Callable[..., Relay],
    tmp_path: Path,
) -> None:
    places, address, listen = Places(network), '127.0.0.1', '127.0.0.1:0'
    if network:
        # A triangle: a straight cable, and another way by the relay's host, which passes nothing on.
        network.add('a', 'b', 'r')
        network.cable('a', '192.0.2.1/28', 'b', '192.0.2.2/28')
        network.slow_down('a', 'to-b')
        network.cable('a', '192.0.2.17/28', 'r', '192.0.2.18/28')
        network.cable('b', '192.0.2.33/28', 'r', '192.0.2.34/28')
        address, listen = '198.51.100.1', '0.0.0.0:7000'
        network.on('r', 'ip', 'address', 'add', f'{address}/32', 'dev', 'lo')
        network.on('a', 'ip', 'route', 'add', 'default', 'via', '192.0.2.18')
        network.on('b', 'ip', 'route', 'add', 'default', 'via', '192.0.2.34')
    relay, certificate = open_with_relay(places, relays, tmp_path, 'r', address)
    options = ('--relay-address', relay.url, '--relay-certificate', str(certificate))
    places.start(site, 'left', 'a', '--listen', listen, *options)
    places.start(site, 'right', 'b', '--listen', listen, *options)
    straight = '192.0.2.1:7000' if network else site.field('left', 'tcp')
    site.befriend('right', 'left', straight)
    for name in ('left', 'right'):
        wait_for(lambda n=name: 'connected' in site.field(n, 'relay'), 'no relay', 30)  # type: ignore[misc]
    value = os.urandom(LARGE)
    key = EndpointConnector(['left']).put(value)
    right = EndpointConnector(['right'])
    assert right.exists(key)
    wait_for(lambda: right.exists(key) and site.path('right') == 'direct-tls', 'no TLS')
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(right.get(key)))
    if network:
        before = network.received('b', 'to-a')
        thread.start()
        wait_for(
            lambda: network.received('b', 'to-a') > before + LARGE // 20, 'no bytes'
        )
        network.on('b', 'ip', 'link', 'set', 'to-a', 'down')
        came = network.received('b', 'to-a') - before
        print(f'cut after {came} bytes of {LARGE}')
        assert came < LARGE, 'it was over before the cable broke'
    else:
        # One host has no cable: the relay goes instead, which nobody may notice.
        thread.start()
        relay.close()
    thread.join(60)
    assert not thread.is_alive()
    assert got[0] == value
    if network:
        assert site.path('right') == 'relay'
        assert network.received('b', 'to-r') > LARGE // 4

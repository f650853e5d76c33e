"""The names of ProxyStore 1.1 that are about endpoints, and the configuration it wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from proxystore.connectors.endpoint import EndpointConnector
from proxystore.connectors.endpoint import EndpointKey
from proxystore.endpoint import config
from proxystore.endpoint import constants
from proxystore.endpoint import exceptions
from proxystore.endpoint.commands import EndpointStatus
from proxystore.endpoint.commands import get_status
from proxystore.utils.environment import hostname

from .conftest import Site

OLDER = """
name = "left"
uuid = "5a0f2d1e-93ac-4ad7-9e1f-0d3a1c6b7e55"
port = 1
host_type = "ip"

[relay]
address = "wss://relay.example.org"
ice_servers = [
    { urls = "stun:stun.example.org", username = "me", credential = "secret" },
]
peer_channels = 2
verify_certificate = true

[relay.auth]
method = "globus"

[relay.auth.kwargs]
a = 1

[storage]
database_path = "blobs.db"
max_object_size = 100000000
"""


def test_a_configuration_that_was_written_by_the_older_one(tmp_path: Path) -> None:
    assert config.ENDPOINT_CONFIG_FILE == 'config.toml'
    (tmp_path / config.ENDPOINT_CONFIG_FILE).write_text(OLDER)
    read = config.read_config(str(tmp_path))
    assert read == config.EndpointConfig(
        name='left',
        uuid='5a0f2d1e-93ac-4ad7-9e1f-0d3a1c6b7e55',
        port=1,
        relay=config.EndpointRelayConfig(
            address='wss://relay.example.org',
            auth=config.EndpointRelayAuthConfig(method='globus', kwargs={'a': 1}),
            ice_servers=[
                config.EndpointRelayICEServerConfig(
                    urls='stun:stun.example.org', username='me', credential='secret'
                )
            ],
            peer_channels=2,
            verify_certificate=True,
        ),
        storage=config.EndpointStorageConfig(
            database_path=config.ENDPOINT_DATABASE_FILE,
            max_object_size=constants.MAX_OBJECT_SIZE_DEFAULT,
        ),
    )
    assert 'secret' not in repr(read)
    config.write_config(read, str(tmp_path / 'again'))
    assert config.read_config(str(tmp_path / 'again')) == read


def test_a_misspelt_field_is_named_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no field 'prot'.*port"):
        config.EndpointConfig(name='a', uuid='u', port=1, prot=2)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match=r"no field 'adress'.*address"):
        config.EndpointConfig(name='a', uuid='u', port=1, relay={'adress': 'x'})  # type: ignore[arg-type]


def test_files_sizes_and_names() -> None:
    assert config.get_log_filepath('/folder') == f'/folder/{config.ENDPOINT_LOG_FILE}'
    assert config.get_pid_filepath('/folder') == f'/folder/{config.ENDPOINT_PID_FILE}'
    assert 0 < constants.MAX_CHUNK_LENGTH < constants.MAX_OBJECT_SIZE_DEFAULT
    names = ('a', 'a-b_1', 'a b', '', 'ä', '../a')
    assert [config.validate_name(name) for name in names] == [True, True] + [False] * 4
    # Most are raised no more; programs that catch them still run.
    for error in (
        exceptions.FileDumpNotAvailableError,
        exceptions.ObjectSizeExceededError,
        exceptions.PeerRequestError,
        exceptions.PeeringNotAvailableError,
    ):
        assert issubclass(error, Exception)


def test_one_that_was_killed_hangs(site: Site) -> None:
    site.start('left')
    assert get_status('left', str(site.home)) is EndpointStatus.RUNNING
    with EndpointConnector(['left']) as connector:
        assert connector.endpoint_host == hostname()
        object_id, endpoint_id = key = connector.put(b'hello')
        assert key == EndpointKey(object_id=object_id, endpoint_id=endpoint_id)
    site.kill('left')
    assert get_status('left', str(site.home)) is EndpointStatus.HANGING

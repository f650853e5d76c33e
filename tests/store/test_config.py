"""Configuration: in and out of TOML, and what is refused, with the nearest known name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pydantic
import pytest
from proxystore.connectors.multi import MultiConnector
from proxystore.exceptions import ConnectorConfigError
from proxystore.store import Store
from proxystore.store.config import ConnectorConfig
from proxystore.store.config import StoreConfig
from proxystore.utils.config import dumps
from proxystore.utils.config import loads

TOML = """\
name = "results"
cache_size = 4
{extra}

[connector]
kind = "file"
{connector}

[connector.options]
store_dir = "{directory}"
clear = false
"""


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / 'deep' / 'store.toml'
    config = StoreConfig(
        name='results',
        connector=ConnectorConfig(
            kind='file', options={'store_dir': str(tmp_path / 'objects')}
        ),
        cache_size=4,
        metrics=True,
    )
    config.write_toml(path)
    assert StoreConfig.from_toml(path) == config
    assert loads(StoreConfig, dumps(config)) == config
    with Store.from_config(config) as store:
        assert store.get(store.put([1])) == [1]
        assert store.metrics is not None
        assert Store.from_config(store.config()).config() == store.config()


@pytest.mark.parametrize(
    ('fields', 'complaint'),
    [
        ({'cache_sise': 1}, "no field 'cache_sise'. Did you mean 'cache_size'?"),
        ({'metric': True}, "no field 'metric'. Did you mean 'metrics'?"),
        ({'colour': 1}, "StoreConfig has no field 'colour'. Fields: name, connector"),
        (
            {'serialiser': None, 'metric': 1},
            "'serialiser', 'metric'. Did you mean 'serializer'? Did you mean 'metrics'?",
        ),
    ],
)
def test_unknown_fields(fields: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    given = {'name': 's', 'connector': {'kind': 'local'}, **fields}
    with pytest.raises(pydantic.ValidationError) as caught:
        StoreConfig(**given)
    assert complaint in str(caught.value)
    path = tmp_path / 'store.toml'
    extra = '\n'.join(
        f'{name} = {json.dumps(value or 0)}' for name, value in fields.items()
    )
    path.write_text(TOML.format(extra=extra, connector='', directory=tmp_path))
    with pytest.raises(ValueError) as from_file:
        StoreConfig.from_toml(path)
    assert complaint in str(from_file.value)


def test_unknown_fields_of_the_connector(tmp_path: Path) -> None:
    complaint = "ConnectorConfig has no field 'option'. Did you mean 'options'?"
    with pytest.raises(ValueError) as caught:
        ConnectorConfig(kind='local', option={})  # type: ignore[call-arg]
    assert complaint in str(caught.value)
    path = tmp_path / 'store.toml'
    path.write_text(TOML.format(extra='', connector='option = 1', directory=tmp_path))
    with pytest.raises(ValueError) as from_file:
        StoreConfig.from_toml(path)
    assert complaint in str(from_file.value)


@pytest.mark.parametrize(
    ('kind', 'options', 'complaint'),
    [
        (
            'redis',
            {'hostnam': '127.0.0.1', 'port': 1},
            "RedisConnector has no option 'hostnam'. Did you mean 'hostname'?",
        ),
        ('file', {'store_dirr': '/x'}, "Did you mean 'store_dir'?"),
        ('file', {}, "FileConnector needs the option 'store_dir'"),
        ('local', {'colour': 1}, "LocalConnector has no option 'colour'. Options:"),
        ('shm', {'spil_dir': '/x'}, "Did you mean 'spill_dir'?"),
        ('globus', {'end_points': {}}, "Did you mean 'endpoints'?"),
    ],
)
def test_unknown_options(kind: str, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConnectorConfigError) as caught:
        ConnectorConfig(kind=kind, options=options).get_connector()
    assert complaint in str(caught.value)


def test_unknown_options_inside_a_multi_connector() -> None:
    path = 'proxystore.connectors.local.LocalConnector'
    with pytest.raises(ConnectorConfigError, match="no option 'x'"):
        MultiConnector.from_config({'a': (path, {'x': 1}, {})})  # type: ignore[typeddict-item]


class Picky:
    """A user's connector whose mistakes are its own to report."""

    def __init__(self, **options: Any) -> None:
        raise TypeError('my own complaint')

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Picky:
        return cls(**config)


def test_a_type_error_of_a_users_connector_passes() -> None:
    config = ConnectorConfig(kind=f'{__name__}.Picky', options={'a': 1})
    with pytest.raises(TypeError, match='my own complaint'):
        config.get_connector()


@pytest.mark.parametrize(
    ('url', 'complaint'),
    [
        ('shmm://', 'Did you mean shm://?'),
        ('shm://?limt=1', "Did you mean 'limit'?"),
        ('shm://?limit=many', "limit='many'"),
        ('memory://?size=1', "no option 'size'. Options: none"),
        ('nonsense', 'no kind of store'),
    ],
)
def test_urls(url: str, complaint: str) -> None:
    with pytest.raises(ConnectorConfigError) as caught:
        Store.from_url(url)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ('fields', 'where'),
    [
        ({'name': 's'}, 'connector'),
        ({'name': 3, 'connector': {'kind': 'local'}}, 'name'),
        (
            {'name': 's', 'connector': {'kind': 'local'}, 'cache_size': -1},
            'cache_size',
        ),
        ({'name': 's', 'connector': {}}, 'connector.kind'),
    ],
)
def test_missing_and_wrong_fields(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        StoreConfig(**fields)
    assert [str(part) for part in caught.value.errors()[0]['loc']] == where.split('.')

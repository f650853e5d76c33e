"""Configuration and commands of endpoints from Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from proxystore import _command
from proxystore.endpoint.commands import EndpointStatus
from proxystore.endpoint.commands import configure_endpoint
from proxystore.endpoint.commands import get_status
from proxystore.endpoint.commands import list_endpoints
from proxystore.endpoint.commands import remove_endpoint
from proxystore.endpoint.commands import start_endpoint
from proxystore.endpoint.commands import stop_endpoint
from proxystore.endpoint.config import EndpointConfig
from proxystore.endpoint.config import EndpointStorageConfig
from proxystore.endpoint.config import get_configs
from proxystore.endpoint.config import read_config
from proxystore.endpoint.config import write_config


def test_from_nothing_to_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    home = str(tmp_path)
    assert get_status('left', home) is EndpointStatus.UNKNOWN
    made = configure_endpoint(
        'left', port=None, relay_server=None, host='none', proxystore_dir=home
    )
    assert made == 0
    assert get_status('left', home) is EndpointStatus.STOPPED
    (config,) = get_configs(home)
    assert (config.name, config.host_type) == ('left', 'none')
    assert start_endpoint('left', detach=True, proxystore_dir=home) == 0
    assert get_status('left', home) is EndpointStatus.RUNNING
    capfd.readouterr()
    assert list_endpoints(proxystore_dir=home) == 0
    assert 'RUNNING' in capfd.readouterr().out
    assert remove_endpoint('left', proxystore_dir=home) == 1
    assert 'stop it first' in capfd.readouterr().err
    assert stop_endpoint('left', proxystore_dir=home) == 0
    assert remove_endpoint('left', proxystore_dir=home) == 0
    assert get_status('left', home) is EndpointStatus.UNKNOWN


def test_files_are_named_from_where_the_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('PROXYSTORE_HOME', str(tmp_path / 'home'))
    command = ['proxystore-endpoint', 'configure', 'left', '--relay-token-file']
    command += ['token', '--relay-certificate', 'certificates/relay.pem']
    subprocess.run(command, executable=_command.find(), check=True)
    # A daemon in the background runs in another folder.
    relay = read_config(str(tmp_path / 'home' / 'left')).relay
    assert relay.token_file == str(tmp_path / 'token')
    assert relay.certificate == str(tmp_path / 'certificates' / 'relay.pem')


def test_what_python_writes_the_daemon_reads(tmp_path: Path) -> None:
    config = EndpointConfig(
        name='left',
        uuid='5a0f2d1e-93ac-4ad7-9e1f-0d3a1c6b7e55',
        port=0,
        host='127.0.0.1',
        host_type='static',
        storage=EndpointStorageConfig(max_object_size=7, memory_limit=1000),
    )
    write_config(config, str(tmp_path / 'left'))
    assert read_config(str(tmp_path / 'left')) == config
    home = str(tmp_path)
    assert start_endpoint('left', detach=True, proxystore_dir=home) == 0
    assert get_status('left', home) is EndpointStatus.RUNNING
    assert stop_endpoint('left', proxystore_dir=home) == 0


def test_wrong_configurations_are_refused(tmp_path: Path) -> None:
    for wrong in ({'name': 'a b'}, {'port': 70000}, {'prot': 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            EndpointConfig(**{'name': 'a', 'uuid': 'u', 'port': 1, **wrong})
    with pytest.raises(FileNotFoundError):
        read_config(str(tmp_path))


@pytest.mark.parametrize('name', ['proxystore', 'proxystore_endpoint'])
def test_console_scripts(name: str) -> None:
    code = f'from proxystore._command import {name}; {name}()'
    command = [sys.executable, '-c', code, '--version']
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout.startswith(name.replace('_', '-')), result.stderr


def test_a_program_that_is_not_there_is_named() -> None:
    code = 'from proxystore._command import proxystore_endpoint as run; run()'
    result = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        env={**os.environ, 'PROXYSTORE_BIN': '/nonexistent/proxystore'},
    )
    assert result.returncode == 1
    assert 'PROXYSTORE_BIN names /nonexistent/proxystore' in result.stderr


def test_where_the_program_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv('PROXYSTORE_BIN', raising=False)
    monkeypatch.setenv('CARGO_HOME', str(tmp_path / 'cargo'))
    monkeypatch.setattr(_command, '__file__', str(tmp_path / 'package' / 'it.py'))
    with pytest.raises(FileNotFoundError, match='cargo install proxystore-cli'):
        _command.find()
    for folder in ('cargo/bin', 'package/_bin'):
        path = tmp_path / folder / 'proxystore'
        path.parent.mkdir(parents=True)
        path.touch()
        assert _command.find() == str(path)
    monkeypatch.setenv('PROXYSTORE_BIN', os.devnull)
    assert _command.find() == os.devnull

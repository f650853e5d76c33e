"""The Globus connector, against a stand-in of the Transfer service over HTTP."""

from __future__ import annotations

import gc
import json
import os
import pickle
import re
import shutil
import socket
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import globus_sdk
import pytest
from click.testing import CliRunner
from globus_sdk.token_storage import SQLiteTokenStorage
from proxystore.connectors import globus
from proxystore.connectors.globus import GlobusConnector
from proxystore.connectors.globus import GlobusEndpoint
from proxystore.connectors.globus import GlobusEndpoints
from proxystore.connectors.globus import GlobusKey
from proxystore.connectors.protocols import Connector
from proxystore.exceptions import ConnectorError
from proxystore.exceptions import ConnectorTimeoutError
from proxystore.globus import app
from proxystore.globus import cli
from proxystore.globus import client
from proxystore.globus import scopes
from proxystore.store import Store

# An application of the SDK keeps its database of tokens open as long as it lives.
pytestmark = pytest.mark.filterwarnings('ignore:unclosed database:ResourceWarning')


@pytest.fixture(autouse=True)
def applications_end_with_their_test() -> Iterator[None]:
    yield
    gc.collect()


class Service(ThreadingHTTPServer):
    """Copies files between folders, as the Transfer service does between sites."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), Handler)
        self.tasks: dict[str, str] = {}
        self.status = 'SUCCEEDED'
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.server_address[1]}'


class Handler(BaseHTTPRequestHandler):
    server: Service

    def log_message(self, *args: Any) -> None: ...

    def answer(self, body: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        name = self.path.partition('?')[0].rpartition('/')[2]
        if 'submission_id' in self.path:
            self.answer({'value': uuid.uuid4().hex})
        elif '/endpoint/' in self.path:
            kind = 'mapped' if name == 'mapped' else 'guest'
            entity = f'GCSv5_{kind}_collection'
            self.answer({'entity_type': entity, 'high_assurance': False})
        else:
            self.answer({'task_id': name, 'status': self.server.tasks[name]})

    def do_POST(self) -> None:
        length = int(self.headers['Content-Length'])
        body = json.loads(self.rfile.read(length))
        action = self.path.rpartition('/')[2]
        self.server.requests.append(action)
        if action == 'mkdir':
            path = Path(body['path'])
            if path.exists():
                code = globus.GLOBUS_MKDIR_EXISTS_ERROR_CODE
                self.answer({'code': code, 'message': 'exists'}, 502)
                return
            path.mkdir(parents=True)
            self.answer({'code': 'DirectoryCreated'})
            return
        for item in body['DATA']:
            if action == 'transfer':
                shutil.copy(item['source_path'], item['destination_path'])
            else:
                Path(item['path']).unlink(missing_ok=True)
        task = uuid.uuid4().hex
        self.server.tasks[task] = self.server.status
        self.answer({'task_id': task, 'code': 'Accepted'}, 202)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    service = Service()
    thread = threading.Thread(target=service.serve_forever, daemon=True)
    thread.start()

    def connect(**kwargs: Any) -> globus_sdk.TransferClient:
        assert kwargs == {'collections': ['here', 'there']}
        return globus_sdk.TransferClient(
            base_url=service.url,
            authorizer=globus_sdk.NullAuthorizer(),
            retry_config=globus_sdk.transport.RetryConfig(max_retries=0),
        )

    monkeypatch.setattr(globus, 'get_transfer_client', connect)
    yield service
    service.shutdown()
    thread.join()
    service.server_close()


@pytest.fixture
def sites(tmp_path: Path) -> tuple[GlobusEndpoints, GlobusEndpoints]:
    """The same two sites, as a host of each sees them."""
    here, there = str(tmp_path / 'here'), str(tmp_path / 'there')
    host = re.escape(socket.gethostname())

    def seen(at_here: bool) -> GlobusEndpoints:
        return GlobusEndpoints(
            [
                GlobusEndpoint('here', here, here, host if at_here else 'no host'),
                GlobusEndpoint('there', there, there, 'no host' if at_here else host),
            ]
        )

    return seen(True), seen(False)


def test_objects_are_carried_to_the_other_site(service: Service, sites: Any) -> None:
    here = GlobusConnector(sites[0], polling_interval=1)
    there = GlobusConnector(sites[1].dict())
    assert isinstance(here, Connector)
    key = here.put(b'hello')
    assert there.get(key) == b'hello'
    assert here.get(key) == b'hello'
    keys = here.put_batch([b'1', memoryview(b'2')])
    assert len({key.task_id for key in keys}) == 1
    assert there.get_batch([*keys, key]) == [b'1', b'2', b'hello']
    assert there.exists(keys[0])
    there.evict(keys[0])
    for connector in (here, there):
        assert not connector.exists(keys[0])
        assert connector.get(keys[0]) is None
    assert service.requests.count('transfer') == 2
    here.close(clear=False)
    assert here.get(key) == b'hello'
    with there:
        assert repr(there).startswith('GlobusConnector(')
    assert not (Path(sites[1]['there'].local_path)).exists()
    here.close()
    here.close()


def test_a_store_and_its_proxies(service: Service, sites: Any) -> None:
    with Store('globus', GlobusConnector(list(sites[0])), register=True) as store:
        proxy = pickle.loads(pickle.dumps(store.proxy({'a': [1]}, evict=True)))
        assert proxy == {'a': [1]}
        config = store.config().connector
        assert config.kind == 'proxystore.connectors.globus.GlobusConnector'
        assert config.get_connector().config() == store.connector.config()


def test_transfers_that_fail_or_take_too_long(service: Service, sites: Any) -> None:
    here = GlobusConnector(sites[0])
    for status, error in (
        ('FAILED', ConnectorError),
        ('ACTIVE', ConnectorTimeoutError),
    ):
        service.status = status
        key = here.put(b'hello')
        there = GlobusConnector(sites[1], timeout=1, polling_interval=1)
        with pytest.raises(error, match='the transfer'):
            there.get(key)
        assert here.get(key) == b'hello'


def test_keys_are_equal_by_their_file() -> None:
    key = GlobusKey('file', 'task')
    assert key == GlobusKey('file', ('a', 'b'))
    assert key == ('file',)
    assert not key != ('file', 1, 2)
    assert key != GlobusKey('other', 'task')
    assert key != 'file'
    assert key != ()
    assert hash(key) == hash(GlobusKey('file', 'other'))
    assert pickle.loads(pickle.dumps(key)).task_id == 'task'


def test_endpoints(tmp_path: Path) -> None:
    first = GlobusEndpoint('1', '/a', '/b', re.compile('node.*'))
    second = GlobusEndpoint('2', '/a', None, 'login')
    both = GlobusEndpoints([first, second])
    assert (len(both), [*both], both['1']) == (2, [first, second], first)
    assert both.get_by_host('node7') is first
    assert hash(first) == hash(GlobusEndpoint('1', '/a', '/b', re.compile('node.*')))
    assert first != second
    assert 'node' in repr(both)
    path = tmp_path / 'endpoints.json'
    path.write_text(json.dumps(both.dict()))
    assert GlobusEndpoints.from_json(str(path)).dict() == both.dict()
    assert GlobusEndpoints.from_dict(both.dict())['2'] == second
    with pytest.raises(KeyError, match='no endpoint has the UUID 3'):
        both['3']
    with pytest.raises(ValueError, match="matches 'another'"):
        both.get_by_host('another')
    with pytest.raises(ValueError, match='at least one'):
        GlobusEndpoints([])
    with pytest.raises(ValueError, match='the same UUID'):
        GlobusEndpoints([first, first])
    for arguments in ((1, '/', '/', ''), ('', 1, '/', ''), ('', '', 1, '')):
        with pytest.raises(TypeError, match='must be a str'):
            GlobusEndpoint(*arguments)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match='compiled pattern'):
        GlobusEndpoint('', '', '', 5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='not int'):
        GlobusConnector(5)  # type: ignore[arg-type]
    mine = re.escape(socket.gethostname())
    nowhere = GlobusConnector([GlobusEndpoint('1', '/', None, mine)], clear=False)
    with pytest.raises(ValueError, match='no local_path'):
        nowhere.put(b'')


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('PROXYSTORE_HOME', str(tmp_path / 'home'))
    monkeypatch.delenv(app.PROXYSTORE_GLOBUS_CLIENT_ID_ENV_NAME, raising=False)
    monkeypatch.delenv(app.PROXYSTORE_GLOBUS_CLIENT_SECRET_ENV_NAME, raising=False)
    return tmp_path / 'home'


def test_who_signs_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not app.is_client_login()
    assert isinstance(app.get_user_app(), globus_sdk.UserApp)
    assert isinstance(app.get_globus_app(), globus_sdk.UserApp)
    with pytest.raises(ValueError, match='Set both'):
        app.get_client_credentials_from_env()
    identity = str(uuid.uuid4())
    with pytest.raises(ValueError, match='belong together'):
        app.get_client_app(identity)
    assert isinstance(app.get_client_app(identity, 'x'), globus_sdk.ClientApp)
    monkeypatch.setenv(app.PROXYSTORE_GLOBUS_CLIENT_ID_ENV_NAME, identity)
    assert not app.is_client_login()
    monkeypatch.setenv(app.PROXYSTORE_GLOBUS_CLIENT_SECRET_ENV_NAME, 'secret')
    assert app.is_client_login()
    assert app.get_client_credentials_from_env() == (identity, 'secret')
    assert isinstance(app.get_globus_app(), globus_sdk.ClientApp)
    assert client.get_confidential_app_auth_client().client_id == identity
    native = client.get_native_app_auth_client(app_name='mine')
    assert native.client_id == app.PROXYSTORE_GLOBUS_CLIENT_ID


def test_tokens_are_the_users_own(home: Path) -> None:
    storage = app.get_token_storage(namespace='mine')
    assert isinstance(storage, SQLiteTokenStorage)
    assert storage.namespace == 'mine'
    assert (home / 'storage.db').stat().st_mode & 0o077 == 0
    app.get_token_storage(home / 'other.db').close()
    storage.close()
    assert sorted(os.listdir(home)) == ['other.db', 'storage.db']


def test_scopes() -> None:
    found = scopes.get_all_scopes_by_resource_server(['one'])
    relay = scopes.ProxyStoreRelayScopes
    assert found.keys() == {
        'auth.globus.org',
        'transfer.api.globus.org',
        relay.resource_server,
    }
    assert [*scopes.get_auth_scopes_by_resource_server()] == ['auth.globus.org']
    assert [*map(str, found[relay.resource_server])] == [relay.relay_all]
    assert (
        found[relay.resource_server]
        == [*scopes.get_relay_scopes_by_resource_server().values()][0]
    )
    (transfer,) = found['transfer.api.globus.org']
    assert '/one/data_access' in str(transfer)
    (plain,) = scopes.get_transfer_scopes_by_resource_server().values()
    assert 'data_access' not in str(plain[0])


def test_a_transfer_client_asks_which_collections_need_a_scope(
    service: Service, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Client(globus_sdk.TransferClient):
        def __init__(self, app: Any) -> None:
            authorizer = globus_sdk.NullAuthorizer()
            super().__init__(base_url=service.url, authorizer=authorizer)

        def add_app_data_access_scope(self, collection_ids: Any) -> Any:
            asked.append(collection_ids)

    monkeypatch.setattr(globus_sdk, 'TransferClient', Client)
    made = client.get_transfer_client(app.get_user_app(), ['mapped', 'guest'])
    assert isinstance(made, Client)
    assert asked == ['mapped']
    assert scopes.uses_data_access(made, 'mapped')
    assert not scopes.uses_data_access(made, 'guest')
    client.get_transfer_client()


def test_the_command_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    class App:
        signed_in = False

        def add_scope_requirements(self, requirements: Any) -> None:
            calls.append('one/data_access' in str(requirements))

        def login_required(self) -> bool:
            return not self.signed_in

        def login(self, *, auth_params: Any, force: bool) -> None:
            calls.append((auth_params.session_required_single_domain, force))

        def logout(self) -> None:
            calls.append('out')

    monkeypatch.setattr(cli, 'get_user_app', App)
    assert sorted(cli.cli.commands) == ['login', 'logout']
    run = CliRunner().invoke
    assert run(cli.login, ['-c', 'one', '-d', 'example.org']).exit_code == 0
    assert run(cli.cli, ['login', '--force']).exit_code == 0
    assert run(cli.logout).exit_code == 0
    App.signed_in = True
    assert 'signed in already' in run(cli.cli, ['login']).output
    assert calls == [True, (['example.org'], False), False, (None, True), 'out', False]

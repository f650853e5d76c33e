"""The checks of `make lint` see what they are for."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[2] / 'scripts'


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f'{name}.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load('check_tree')
    monkeypatch.setattr(module, 'ROOT', tmp_path)
    return module


def test_a_long_file_needs_a_reason(tree: ModuleType, tmp_path: Path) -> None:
    long = tmp_path / 'long.rs'
    long.write_text('//\n' * 501)
    assert any('501 lines' in complaint for complaint in tree.check(long))
    tree.LONGER['long.rs'] = 'a table'
    assert tree.check(long) == []


def test_an_exception_that_is_not_needed_is_named(
    tree: ModuleType, tmp_path: Path
) -> None:
    short = tmp_path / 'short.rs'
    short.write_text('//\n')
    tree.LONGER['short.rs'] = 'it was long'
    assert any('no longer needs' in complaint for complaint in tree.check(short))


@pytest.mark.parametrize(
    'text',
    [
        'see /' + 'root/notes',
        'dir = "/' + 'home/alice/x"',
        'pip install --' + 'index-url https://example.org/simple',
        'host = "192.' + '168.1.7"',
    ],
)
def test_a_machine_must_not_be_named(
    tree: ModuleType, tmp_path: Path, text: str
) -> None:
    page = tmp_path / 'page.md'
    page.write_text(f'one\n{text}\n')
    (complaint,) = tree.check(page)
    assert complaint.startswith('page.md:2: ')


@pytest.mark.parametrize(
    'text', ['a/root/b', 'http://127.0.0.1:6379', '/home/user/data']
)
def test_what_is_common_to_all_machines_may_be_named(
    tree: ModuleType, tmp_path: Path, text: str
) -> None:
    page = tmp_path / 'page.md'
    page.write_text(text)
    assert tree.check(page) == []


def package(name: str, **dependencies: dict[str, object]) -> dict[str, object]:
    entries = []
    for used, changes in dependencies.items():
        entry: dict[str, object] = {
            'name': used.replace('_', '-'),
            'kind': None,
            'optional': False,
            'uses_default_features': True,
            'features': [],
        }
        entries.append(entry | changes)
    return {'name': name, 'dependencies': entries}


@pytest.mark.parametrize(
    ('wrong', 'says'),
    [
        (package('proxystore', pyo3={}), 'must not depend on pyo3'),
        (package('proxystore', proxystore_testkit={}), 'must not depend on'),
        (package('proxystore', tokio={}), 'must be optional'),
        (
            package('proxystore-python', proxystore_endpoint={}),
            'only the client feature',
        ),
        (package('proxystore-new'), 'a new crate'),
    ],
)
def test_a_forbidden_dependency_is_named(wrong: dict[str, object], says: str) -> None:
    law = load('check_import_law')
    ours = [package('proxystore-testkit'), package('proxystore-endpoint')]
    assert any(says in complaint for complaint in law.check_edges([wrong, *ours]))


@pytest.mark.parametrize(
    'right',
    [
        package('proxystore', libc={}, proxystore_testkit={'kind': 'dev'}),
        package('proxystore', tokio={'optional': True}),
        package(
            'proxystore-python',
            proxystore_endpoint={
                'uses_default_features': False,
                'features': ['client'],
            },
        ),
    ],
)
def test_an_allowed_dependency_passes(right: dict[str, object]) -> None:
    law = load('check_import_law')
    ours = [package('proxystore-testkit'), package('proxystore-endpoint')]
    assert law.check_edges([right, *ours]) == []


def count(monkeypatch: pytest.MonkeyPatch, *reports: Path) -> int:
    monkeypatch.setattr('sys.argv', ['count_tests', *map(str, reports)])
    return int(load('count_tests').main())


@pytest.fixture
def rust(tmp_path: Path) -> Path:
    report = tmp_path / 'rust.log'
    report.write_text('test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured\n')
    return report


def test_counts_both_languages(
    rust: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    python = rust.with_name('python.xml')
    python.write_text('<s><testcase/><testcase><skipped message="why"/></testcase></s>')
    assert count(monkeypatch, rust, python) == 0
    output = capsys.readouterr().out
    assert '4 passed, 2 skipped' in output
    assert 'skipped: why' in output


def test_a_suite_without_tests_is_a_failure(
    rust: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = rust.with_name('empty.xml')
    empty.write_text('<testsuites/>')
    assert count(monkeypatch, rust, empty) == 1
    assert 'empty: no test ran' in capsys.readouterr().err


def test_a_failed_test_is_a_failure(
    rust: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rust.write_text('test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured\n')
    assert count(monkeypatch, rust) == 1

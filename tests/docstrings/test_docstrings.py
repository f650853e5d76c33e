"""Every public module has examples, and every example in it is true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import proxystore
import pytest

WITHOUT_EXAMPLE: dict[str, str] = {}
"""Public modules that need none, each with the reason."""


def public_modules() -> list[str]:
    found = pkgutil.walk_packages(proxystore.__path__, 'proxystore.')
    names = (module.name for module in found)
    return ['proxystore', *(name for name in names if '._' not in name)]


@pytest.mark.parametrize('name', public_modules())
def test_examples(name: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
    if name not in WITHOUT_EXAMPLE:
        assert result.attempted > 0, f'{name} has no runnable example'
    else:
        assert result.attempted == 0, f'{name} has an example: take it off the list'

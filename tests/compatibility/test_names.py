"""Every name of ProxyStore 1.1: it is here, takes the same arguments, and a test uses it.

`names.json` is the list: modules, names, parameters and members, of all modules but the internals of
the endpoints and click's commands in `proxystore.endpoint.cli`. A parameter is its name, with `k:` before it if it is given by keyword only, and `=` and
the default after it.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NAMES: dict[str, dict[str, Any]] = json.loads((HERE / 'names.json').read_text())
EXTENSIONS = 'proxystore.ex'  # another package; tests/extensions has its test
CASES = [
    f'{module}:{name}'
    for module, names in NAMES.items()
    if module != EXTENSIONS
    for name in names
]


def load(case: str) -> tuple[dict[str, Any], Any]:
    module, _, name = case.partition(':')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return NAMES[module][name], getattr(importlib.import_module(module), name)


def differences(older: list[str], function: Any, *, is_member: bool) -> list[str]:
    """What of the parameters of 1.1 a function does not take as 1.1 did, and what it adds."""
    found = inspect.signature(function).parameters
    mine = {
        name: each
        for name, each in found.items()
        if not (is_member and name in ('self', 'cls'))
    }
    rest = {each.kind for each in mine.values()}
    told = []
    seen = set()
    order = []
    for parameter in older:
        if is_member and parameter in ('self', 'cls'):
            continue
        star = re.match(r'\*+', parameter)
        if star:
            kind = 'VAR_KEYWORD' if star.group() == '**' else 'VAR_POSITIONAL'
            if kind not in {each.name for each in rest}:
                told.append(f'missing {parameter}')
            continue
        is_keyword = parameter.startswith('k:')
        name, has_default, default = parameter.removeprefix('k:').partition('=')
        name = name.removesuffix('/')
        seen.add(name)
        each = mine.get(name)
        if each is None:
            told.append(f'missing {name}')
            continue
        if is_keyword != (each.kind is each.KEYWORD_ONLY):
            told.append(f'{name}: {each.kind.description}')
        if not is_keyword:
            order.append(name)
        if not has_default and each.default is not each.empty:
            told.append(f'{name}: optional')
        elif has_default and repr(each.default) != default and ' at 0x' not in default:
            told.append(f'{name}: default {default} became {each.default!r}')
    if [name for name in mine if name in order] != order:
        told.append(f'order {order}')
    for name, each in mine.items():
        if name in seen or each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL):
            continue
        required = each.default is each.empty
        told.append(f'{"required" if required else "extra"} {name}')
    return told


@cache
def all_differences() -> dict[str, list[str]]:
    found = {}
    for case in CASES:
        older, obj = load(case)
        module, _, name = case.partition(':')
        if 'parameters' in older:
            found[f'{module}.{name}'] = differences(
                older['parameters'], obj, is_member=False
            )
        for member, parameters in older.get('members', {}).items():
            if parameters is not None:
                found[f'{module}.{name}.{member}'] = differences(
                    parameters, getattr(obj, member), is_member=True
                )
    return {path: told for path, told in found.items() if told}


@pytest.mark.parametrize('case', CASES)
def test_a_name_is_there(case: str) -> None:
    older, obj = load(case)
    kind = older['kind']
    if kind in ('class', 'protocol', 'exception'):
        assert inspect.isclass(obj)
        assert kind != 'exception' or issubclass(obj, BaseException)
    elif kind == 'function':
        assert callable(obj)
    fields = {
        *getattr(obj, 'model_fields', ()),
        *getattr(obj, '__dataclass_fields__', ()),
        *getattr(obj, '__annotations__', ()),
    }
    commands = getattr(obj, 'commands', ())
    for member in older.get('members', ()):
        assert hasattr(obj, member) or member in fields or member in commands, member


def test_every_difference_is_in_the_documentation() -> None:
    page = (ROOT / 'docs' / 'compatibility.md').read_text()
    pages = '\n'.join(each.read_text() for each in (ROOT / 'docs').glob('*.md'))
    missing = []
    for path, told in all_differences().items():
        for difference in told:
            added, _, name = difference.partition(' ')
            where, what = (pages, name) if added == 'extra' else (page, difference)
            if f'`{what}`' not in where and f'{name}=' not in where:
                missing.append(f'{path}: {difference}')
    assert not missing, 'docs/compatibility.md says why:\n' + '\n'.join(missing)


@cache
def used_in_tests() -> set[str]:
    """Every name that the code of a test uses, beyond importing it."""
    used = set()
    for path in (ROOT / 'tests').rglob('*.py'):
        if path == Path(__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Name):
                used.add(node.id)
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.keyword) and node.arg:
                used.add(node.arg)
            elif isinstance(node, ast.FunctionDef):  # of a protocol that it implements
                used.add(node.name)
    return used


@pytest.mark.parametrize('case', CASES)
def test_a_test_uses_it(case: str) -> None:
    older, _ = load(case)
    name = case.partition(':')[2]
    if older['kind'] == 'typevar':
        return  # there is nothing to call
    wanted = {name, *older.get('members', ()), *older.get('attributes', ())}
    text = (ROOT / 'tests' / 'globus' / 'test_globus.py').read_text()
    unused = {
        each
        for each in wanted - used_in_tests()
        if f"'{each.replace('_', '-')}'" not in text
    }
    assert not unused, f'no test uses {", ".join(sorted(unused))} of {case}'

"""What the standard library does with a proxy."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import inspect
import io
import json
import logging
import math
import os
import pathlib
import pydoc
import struct
import unittest.mock
import weakref
import zlib

import pytest
from proxystore.factory import SimpleFactory
from proxystore.proxy import Proxy
from proxystore.proxy import extract
from proxystore.proxy import get_factory
from proxystore.proxy import is_resolved
from proxystore.proxy import resolve


def proxy(target):
    return Proxy(lambda: target)


def test_buffers():
    data = b'some bytes'
    p = proxy(data)
    assert bytes(memoryview(p)) == data
    assert io.BytesIO(p).read() == data
    assert hashlib.sha256(p).digest() == hashlib.sha256(data).digest()
    assert zlib.crc32(p) == zlib.crc32(data)
    assert struct.unpack_from('2s', p) == (b'so',)
    assert b'-'.join([p, p]) == data + b'-' + data
    writable = bytearray(3)
    memoryview(proxy(writable))[0] = 7
    assert writable[0] == 7


def test_files(tmp_path):
    path = tmp_path / 'file'
    for name in (path, str(path)):
        with open(proxy(name), 'wb') as stream:
            assert stream.write(proxy(b'abc')) == 3
        assert pathlib.Path(proxy(name)).read_bytes() == b'abc'
        assert os.stat(os.fspath(proxy(name))).st_size == 3
        assert os.path.join(proxy(name), 'below') == f'{path}/below'


def test_formatting():
    assert f'{proxy(5):05d}' == '00005'
    assert f'{proxy(math.pi):.3f}' == '3.142'
    assert format(proxy('a'), '>3') == '  a'
    assert complex(proxy('1+2j')) == 1 + 2j
    assert pow(2, 3, proxy(5)) == 3


def test_weak_references():
    p = proxy([])
    assert weakref.ref(p)() is p
    assert weakref.proxy(p) == []
    registry = weakref.WeakValueDictionary(p=p)
    del p
    assert 'p' not in registry


def test_copies():
    target = [[1]]
    p = Proxy(SimpleFactory(target))
    resolve(p)
    shallow = copy.copy(p)
    assert type(shallow) is Proxy
    assert not is_resolved(shallow)
    assert get_factory(shallow) is get_factory(p)
    deep = copy.deepcopy(p)
    assert deep == target
    assert extract(deep) is not target


def test_help_and_inspection():
    def documented(a, b=2):
        """Words."""

    p = proxy(documented)
    assert inspect.signature(p) == inspect.signature(documented)
    assert inspect.getdoc(p) == 'Words.'
    assert inspect.isfunction(p)
    assert inspect.getsource(p) == inspect.getsource(documented)
    assert 'Proxy' in pydoc.render_doc(proxy(3))
    assert '(a, b=2)' in pydoc.render_doc(p)
    assert (
        str(inspect.signature(Proxy))
        == '(factory, *, cache_defaults=False, target=None)'
    )
    assert 'factory' in pydoc.render_doc(Proxy)


def test_mock():
    mock = unittest.mock.Mock()
    p = proxy(mock)
    p.method(1, key=2)
    mock.method.assert_called_once_with(1, key=2)
    p.attribute = 3
    assert mock.attribute == 3
    with unittest.mock.patch.object(proxy(os), 'getpid', return_value=-1):
        assert os.getpid() == -1
    assert os.getpid() > 0
    assert proxy(unittest.mock.MagicMock()).__len__() == 0
    specified = unittest.mock.Mock(spec=proxy([]))
    assert hasattr(specified, 'append')
    assert not hasattr(specified, 'upper')


def test_singledispatch():
    @functools.singledispatch
    def name(x):
        return 'other'

    name.register(int, lambda x: 'int')
    name.register(dict, lambda x: 'dict')
    assert [name(proxy(x)) for x in (1, {}, 'a')] == ['int', 'dict', 'other']


def test_classes_behind_proxies():
    assert isinstance([], proxy(list))
    assert isinstance(KeyError(), (int, proxy(LookupError)))
    assert issubclass(KeyError, proxy(LookupError))
    assert issubclass(proxy(KeyError), LookupError)
    with pytest.raises(TypeError):
        isinstance([], proxy(3))

    class Derived(proxy(dict)):
        pass

    assert Derived.__bases__ == (dict,)
    assert proxy(list)[int] == list[int]


def test_context_managers():
    events = []

    @contextlib.contextmanager
    def manager():
        events.append('enter')
        yield 'value'
        events.append('exit')

    with proxy(manager()) as value:
        events.append(value)
    assert events == ['enter', 'value', 'exit']


def test_json_by_extract():
    assert json.dumps({'a': proxy([1])}, default=extract) == '{"a": [1]}'


def test_logging(caplog):
    with caplog.at_level(logging.INFO):
        logging.getLogger('test').info('%s of %d', proxy('value'), proxy(3))
    assert caplog.messages == ['value of 3']


def test_attributes_that_the_target_lacks():
    p = proxy(5)
    for name in (
        '__len__',
        '__iter__',
        '__call__',
        '__getitem__',
        '__enter__',
        '__await__',
    ):
        assert not hasattr(p, name), name
        with pytest.raises(AttributeError, match="'int' object has no attribute"):
            getattr(p, name)
    assert hasattr(p, '__add__')
    assert p.__add__(1) == 6
    assert proxy([]).__hash__ is None


def test_object_setattr():
    p = Proxy(list)
    object.__setattr__(p, '__proxy_default_hash__', 5)
    assert hash(p) == 5
    assert not is_resolved(p)


@pytest.mark.parametrize('argument', [(), (1,), (1, 2, 3)])
def test_setattr_checks_its_arguments(argument):
    with pytest.raises(TypeError):
        Proxy.__setattr__(proxy([]), *argument)


def test_setattr_and_delattr_take_names_only():
    with pytest.raises(TypeError, match='attribute name must be string'):
        Proxy.__setattr__(proxy([]), 1, 2)
    with pytest.raises(TypeError, match='attribute name must be string'):
        Proxy.__delattr__(proxy([]), 1)

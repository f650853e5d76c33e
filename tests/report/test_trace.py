"""Traces: a file for each process, whole also when that is killed, and of bounded size."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from proxystore.connectors.local import LocalConnector
from proxystore.store import Store
from proxystore.store._trace import read_trace
from proxystore.store.metrics import chrome_trace
from proxystore.store.metrics import report

from .conftest import run_traced


@pytest.mark.parametrize('start', ['spawn', 'fork', 'forkserver'])
def test_every_process_has_a_file(start: str, tmp_path: Path) -> None:
    directory = run_traced(tmp_path, start)
    found = read_trace(directory)
    assert (found.damaged, found.cut) == (0, 0)
    files = sorted(directory.iterdir())
    by_process = {each.process for each in found.operations}
    # The program, its two workers, and the child that was killed after a put.
    assert len(files) == len(by_process) == 4
    assert {process.program for process in by_process} >= {'traced_program.py'}
    for file in files:
        head = json.loads(file.read_text().partition('\n')[0])
        assert str(head['pid']) in file.name.split('-')
    count = Counter(each.name for each in found.operations)
    assert count['store.proxy'] == 31
    assert count['store.put'] == 31 + 1 + 1
    assert count['factory.resolve'] >= 32
    assert count['store.evict'] == 30 + 1
    assert 'factory.call' not in count
    operations = Counter(each.process for each in found.operations)
    killed = min(operations, key=lambda process: operations[process])
    (last,) = [each for each in found.operations if each.process == killed]
    assert (last.name, last.thread) == ('store.put', killed.pid)
    # Nothing of one thread overlaps but what is inside something else.
    threads = defaultdict(list)
    for each in found.operations:
        threads[each.process, each.thread].append(each)
    for inside in threads.values():
        for first, second in itertools.pairwise(inside):
            assert second.start >= first.end or second.end <= first.end


def test_what_an_operation_tells(trace: Path) -> None:
    found = read_trace(trace)
    assert {each.store for each in found.operations} == {'<results> & "more"'}
    put = next(each for each in found.operations if each.name == 'store.put')
    assert put.nbytes is not None and 3_000_000 < put.nbytes < 3_001_000
    assert set(put.parts) == {'serialize', 'connector'}
    assert 0 < sum(put.parts.values()) <= put.took
    proxy = next(each for each in found.operations if each.name == 'store.proxy')
    assert proxy.start <= put.start and put.end <= proxy.end
    gets = [each for each in found.operations if each.name == 'store.get']
    assert {each.hit for each in gets} == {True, False}
    assert all((each.nbytes is None) == bool(each.hit) for each in gets)
    program = proxy.process
    threads = {each.thread for each in found.operations if each.process == program}
    assert len(threads) == 2


def test_threads_of_one_process_share_a_file(tmp_path: Path) -> None:
    program = (
        'import threading\n'
        'from proxystore.connectors.local import LocalConnector\n'
        'from proxystore.store import Store\n'
        'store = Store("s", LocalConnector())\n'
        'def work():\n'
        '    for _ in range(500): store.put(b"x")\n'
        'threads = [threading.Thread(target=work) for _ in range(8)]\n'
        'for each in threads: each.start()\n'
        'for each in threads: each.join()\n'
    )
    found = read_trace(run_traced(tmp_path, program=program))
    assert found.damaged == 0
    count = Counter(each.thread for each in found.operations)
    assert sorted(count.values()) == [500] * 8


def test_a_trace_is_bounded(tmp_path: Path) -> None:
    program = (
        'from proxystore.connectors.local import LocalConnector\n'
        'from proxystore.store import Store\n'
        'store = Store("s" * 1_000_000, LocalConnector())\n'
        'for _ in range(80): store.put(b"x")\n'
    )
    directory = run_traced(tmp_path, program=program)
    found = read_trace(directory)
    assert (found.cut, found.damaged, len(found.operations)) == (1, 0, 67)
    (file,) = directory.iterdir()
    assert file.stat().st_size < 65 << 20


def test_lines_that_were_cut_off(trace: Path, tmp_path: Path) -> None:
    for file in trace.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    whole = read_trace(tmp_path)
    with file.open('rb') as lines:
        first = lines.readline()
    (tmp_path / 'torn.jsonl').write_bytes(first + b'{"op":"store.put","sto')
    (tmp_path / 'noise.jsonl').write_bytes(b'\xff\xfe\n[]\n"text"\n{}\n\n')
    (tmp_path / 'headless.jsonl').write_bytes(b'{"op":"store.put"}\n')
    torn = read_trace(tmp_path)
    assert len(torn.operations) == len(whole.operations)
    assert torn.damaged == 1 + 5 + 1
    report(tmp_path / 'report.html', tmp_path)
    assert '7 lines cut off' in (tmp_path / 'report.html').read_text()


def test_a_directory_that_takes_no_trace(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    program = (
        'import warnings\n'
        'from proxystore.connectors.local import LocalConnector\n'
        'from proxystore.store import Store\n'
        'with warnings.catch_warnings(record=True) as caught:\n'
        '    warnings.simplefilter("always")\n'
        '    store = Store("s", LocalConnector())\n'
        'assert store.get(store.put([1])) == [1]\n'
        'print(*[each.message for each in caught])\n'
    )
    ran = subprocess.run(
        [sys.executable, '-c', program],
        env={**os.environ, 'PROXYSTORE_TRACE': str(tmp_path / 'file' / 'trace')},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert 'writing a trace to PROXYSTORE_TRACE=' in ran.stdout


def test_chrome_trace(trace: Path, tmp_path: Path) -> None:
    chrome_trace(tmp_path / 'trace.json', trace)
    found = json.loads((tmp_path / 'trace.json').read_text())
    events: list[dict[str, Any]] = found['traceEvents']
    names = [each for each in events if each['ph'] == 'M']
    assert len(names) == 4
    assert all(each['name'] == 'process_name' for each in names)
    operations = [each for each in events if each['ph'] == 'X']
    assert len(operations) == len(read_trace(trace).operations)
    assert {each['pid'] for each in operations} == {each['pid'] for each in names}
    for each in operations:
        assert each['ts'] > 1e15 and each['dur'] > 0
        assert each['args']['store'] == '<results> & "more"'
    assert any(each['args'].get('cache') == 'hit' for each in operations)


def test_processes_of_one_number_on_two_hosts(trace: Path, tmp_path: Path) -> None:
    for file in trace.iterdir():
        lines = file.read_text()
        (tmp_path / file.name).write_text(lines)
        host = json.loads(lines.partition('\n')[0])['host']
        other = lines.replace(f'"host":"{host}"', '"host":"elsewhere"')
        (tmp_path / f'elsewhere-{file.name}').write_text(other)
    chrome_trace(tmp_path / 'trace.json', tmp_path)
    events = json.loads((tmp_path / 'trace.json').read_text())['traceEvents']
    names = [each for each in events if each['ph'] == 'M']
    assert len({each['pid'] for each in names}) == len(names) == 8


def test_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv('PROXYSTORE_TRACE', raising=False)
    for make in (report, chrome_trace):
        with pytest.raises(FileNotFoundError, match='PROXYSTORE_TRACE'):
            make(tmp_path / 'out', trace=tmp_path)
        with pytest.raises(ValueError, match='Which trace'):
            make(tmp_path / 'out')


def test_report_without_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv('PROXYSTORE_TRACE', raising=False)
    with Store('s', LocalConnector(), metrics=True) as store:
        metrics = store.metrics
        assert metrics is not None
        metrics.report(tmp_path / 'empty.html')
        threads = [
            threading.Thread(target=lambda: store.get(store.put([1]))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        metrics.report(tmp_path / 'report.html')
        assert metrics.aggregate_times()['store.put'].count == 4
    page = (tmp_path / 'report.html').read_text()
    assert '8 operations of 1 process on 1 host' in page
    assert '0 operations of 0 processes' in (tmp_path / 'empty.html').read_text()


def test_a_traced_store_needs_no_metrics(trace: Path) -> None:
    # The program of the trace asked for none, and without either nothing is recorded.
    assert read_trace(trace).operations
    with Store('s', LocalConnector()) as store:
        assert store.metrics is None

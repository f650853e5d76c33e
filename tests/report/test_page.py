"""The report in a browser: it is rendered, and looked at."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import zlib
from collections import Counter
from html import unescape
from pathlib import Path

import pytest
from proxystore.store._trace import read_trace
from proxystore.store.metrics import report

FLAGS = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--hide-scrollbars',
    '--enable-logging=stderr',
]


def browse(page: Path, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which('chromium')
    if program is None:
        pytest.fail(
            'chromium is missing; scripts/install_chromium.sh installs it',
            pytrace=False,
        )
    profile = folder / 'profile'
    shutil.rmtree(profile, ignore_errors=True)
    ran = subprocess.run(
        [program, *FLAGS, f'--user-data-dir={profile}', *flags, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    # What a script of the page complains of is logged with this word.
    assert 'CONSOLE' not in ran.stderr, ran.stderr
    return ran


def pixels(path: Path) -> tuple[int, int, Counter[bytes]]:
    """The width, the height, and how often each colour occurs in a PNG of 8 bits."""
    data = path.read_bytes()
    assert data[:8] == b'\x89PNG\r\n\x1a\n'
    at, body, width, height, depth = 8, b'', 0, 0, 0
    while at < len(data):
        length, kind = struct.unpack_from('>I4s', data, at)
        chunk = data[at + 8 : at + 8 + length]
        if kind == b'IHDR':
            width, height, bits, colour = struct.unpack_from('>IIBB', chunk)
            assert bits == 8 and colour in (2, 6)
            depth = 3 if colour == 2 else 4
        elif kind == b'IDAT':
            body += chunk
        at += length + 12
    lines, stride = zlib.decompress(body), width * depth + 1
    before = bytearray(stride - 1)
    colours: Counter[bytes] = Counter()
    for row in range(height):
        filtered = lines[row * stride]
        line = bytearray(lines[row * stride + 1 : (row + 1) * stride])
        for i in range(len(line)):
            left = line[i - depth] if i >= depth else 0
            up, corner = before[i], before[i - depth] if i >= depth else 0
            if filtered == 1:
                line[i] = (line[i] + left) & 255
            elif filtered == 2:
                line[i] = (line[i] + up) & 255
            elif filtered == 3:
                line[i] = (line[i] + (left + up) // 2) & 255
            elif filtered == 4:
                guess = left + up - corner
                nearest = min(
                    (abs(guess - left), 0, left),
                    (abs(guess - up), 1, up),
                    (abs(guess - corner), 2, corner),
                )
                line[i] = (line[i] + nearest[2]) & 255
        before = line
        colours.update(bytes(line[i : i + 3]) for i in range(0, len(line), depth))
    return width, height, colours


@pytest.fixture(scope='module')
def page(trace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('page') / 'report.html'
    report(path, trace)
    return path


def test_the_document(page: Path, trace: Path, tmp_path: Path) -> None:
    document = browse(page, tmp_path, '--dump-dom').stdout
    assert 'data-ready="yes"' in document  # the script ran to its end
    operations = read_trace(trace).operations
    assert f'{len(operations):,} operations of 4 processes on 1 host' in document
    lanes = re.findall(r'<svg class="lane[^>]*>(.*?)</svg>', document, re.DOTALL)
    threads = {(each.process, each.thread) for each in operations}
    assert len(lanes) == len(threads) == 5
    assert all('<rect' in lane for lane in lanes)
    for kind in ('proxy', 'put', 'resolve', 'get', 'hit', 'evict'):
        assert f'<rect class="k-{kind}"' in document
    # Every operation is in a bar: alone, or counted in one of several.
    drawn = 0
    for lane in lanes:
        for tip in re.findall(r'data-tip="([^"]*)"', lane):
            several = re.match(r'(\d+) \N{MULTIPLICATION SIGN} ', tip)
            drawn += int(several.group(1)) if several else 1
    assert drawn == len(operations)
    titles = re.findall(r'<h2>([^<]*)</h2>', document)
    assert titles == [
        'Timeline',
        'Time of a put',
        'Time of a resolve',
        'Bytes of an object',
        'Gets that the cache answered',
        'Operations',
    ]
    assert 'store <results> & "more"' in unescape(document)
    assert '<results>' not in document


def test_nothing_is_loaded_from_elsewhere(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r'https?:|src=|<link|@import|url\(', text)


@pytest.mark.parametrize('dark', [False, True])
def test_the_picture(dark: bool, page: Path, tmp_path: Path) -> None:
    picture = tmp_path / 'report.png'
    flags = ['--window-size=900,700', f'--screenshot={picture}']
    browse(page, tmp_path, *flags, *['--force-dark-mode'] * dark)
    width, height, colours = pixels(picture)
    assert (width, height) == (900, 700)
    background, often = colours.most_common(1)[0]
    assert often < 0.9 * width * height
    assert (sum(background) < 3 * 80) == dark
    # Bars in the colours of put, resolve and get, of which each theme has its own.
    bars = {
        False: ('2f6fed', '8a5cf6', '12a594'),
        True: ('5b93ff', 'a98bff', '2cc4b3'),
    }
    for colour in bars[dark]:
        assert colours[bytes.fromhex(colour)] > 20, colour

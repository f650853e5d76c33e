"""Writes the frames in tests/golden/.

Run it once for a new version of the frame, never to make a test pass: a
golden file that changes is a frame that older programs cannot read. Files
that exist are left as they are.
"""

from __future__ import annotations

import pathlib
import runpy

from proxystore.serialize import serialize

TESTS = pathlib.Path(__file__).parent.parent / 'tests'
OBJECTS = runpy.run_path(str(TESTS / 'codec' / 'test_golden.py'))['OBJECTS']

for name, make in OBJECTS.items():
    path = TESTS / 'golden' / f'{name}.frame'
    if not path.exists():
        path.write_bytes(serialize(make()))
        print(path)

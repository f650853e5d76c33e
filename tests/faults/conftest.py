"""Faults that come from outside: a clock that is set, a place that loses its room or its rights."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

NOBODY = 65534


class Clock:
    """The time of day of those processes that get its `environment`."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / 'seconds'
        library = folder / 'clock.so'
        source = Path(__file__).with_name('clock.c')
        subprocess.run(
            ['cc', '-shared', '-fPIC', '-O1', '-o', str(library), str(source)],
            check=True,
        )
        self.environment = {
            'LD_PRELOAD': str(library),
            'PROXYSTORE_TEST_CLOCK': str(self.file),
        }
        self.set(0)

    def set(self, seconds: int) -> None:
        """Put it so far from the true time, forward or back."""
        mode = 'r+b' if self.file.exists() else 'wb'
        with self.file.open(mode) as file:
            file.write(seconds.to_bytes(8, sys.byteorder, signed=True))


@pytest.fixture
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    """A clock that is right, until it is set."""
    return Clock(tmp_path_factory.mktemp('clock'))


def as_nobody(work: Callable[[], None]) -> None:
    """Run in a forked child that has no right to everything; root would see no lost right."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            work()
        except BaseException:
            os.write(writer, traceback.format_exc()[-60_000:].encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as said:
        complaint = said.read()
    os.waitpid(child, 0)
    assert not complaint, complaint

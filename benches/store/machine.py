"""What a benchmark says of the machine and of times."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def processor() -> str:
    """The processor's name, where the system tells."""
    for line in Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith('model name'):
            return line.partition(':')[2].strip()
    return platform.machine()


def machine() -> str:
    """Processor, kernel and interpreter."""
    return (
        f'{os.cpu_count()} cores of {processor()}, Linux '
        f'{platform.release().split("-")[0]}, CPython {platform.python_version()}'
    )


def readable(seconds: float) -> str:
    """A time with its unit and three digits."""
    for unit, factor in (('s', 1.0), ('ms', 1e3), ('us', 1e6)):
        if seconds * factor >= 1 or unit == 'us':
            return f'{seconds * factor:.3g} {unit}'
    raise AssertionError

"""Checks that wheels need nothing that no version of glibc promises.

A linker leaves a function that its C library lacks for the running system to
find: `auditwheel` sees no version in that, and the import fails where the
system is as old as the wheel's tag allows. Run by scripts/wheels.sh with the
name of each wheel; needs pyelftools, which comes with auditwheel.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Iterator

from elftools.elf.elffile import ELFFile

OF_PYTHON = ('Py', '_Py')
# Of the loader and the linker; what is weak may be absent.
UNVERSIONED = {'__tls_get_addr'}
NO_VERSION = ('VER_NDX_LOCAL', 'VER_NDX_GLOBAL', 0, 1)


def unpromised(elf: ELFFile) -> Iterator[str]:
    """Functions that must be found elsewhere, and have no version."""
    symbols = elf.get_section_by_name('.dynsym')
    versions = elf.get_section_by_name('.gnu.version')
    for index, symbol in enumerate(symbols.iter_symbols()):
        if symbol['st_shndx'] != 'SHN_UNDEF' or not symbol.name:
            continue
        if symbol['st_info']['bind'] == 'STB_WEAK' or symbol.name in UNVERSIONED:
            continue
        version = versions.get_symbol(index)['ndx'] if versions else 0
        if version in NO_VERSION and not symbol.name.startswith(OF_PYTHON):
            yield symbol.name


def main(wheels: list[str]) -> int:
    """Prints every complaint."""
    complaints = []
    looked_at = 0
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                content = archive.read(name)
                if not content.startswith(b'\x7fELF'):
                    continue
                looked_at += 1
                found = sorted(unpromised(ELFFile(io.BytesIO(content))))
                if found:
                    complaints.append(f'{wheel}: {name} wants {", ".join(found)}')
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    if looked_at < 2 * len(wheels):
        print('a wheel lacks its extension or its program', file=sys.stderr)
        return 1
    return int(bool(complaints))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

"""What a store asks of its objects beyond their form: options that travel."""

from __future__ import annotations

from typing import Any

from proxystore import _core

SEALING: dict[str, Any] = {
    'compression': None,
    'checksum': False,
    'encryption': None,
    'signing': None,
    'pickle': True,
}
"""The options, and what they are if nothing is said."""


def make_seal(
    compression: str | None,
    checksum: bool,
    encryption: str | None,
    signing: str | None,
    pickle: bool,
) -> tuple[_core.Seal | None, dict[str, Any]]:
    """Return what the core does with objects, and the options that differ.

    Keys are read here, so that what is wrong with them shows at once.
    """
    given = {
        'compression': compression,
        'checksum': bool(checksum),
        'encryption': encryption,
        'signing': signing,
        'pickle': bool(pickle),
    }
    differing = {name: value for name, value in given.items() if value != SEALING[name]}
    if compression is encryption is signing is None:
        return None, differing
    return _core.Seal(compression, encryption, signing), differing

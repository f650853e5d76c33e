"""What a mistyped name most likely stands for.

Example:
    >>> did_you_mean('hostnam', ['hostname', 'port'])
    " Did you mean 'hostname'?"
    >>> did_you_mean('colour', ['hostname', 'port'])
    ''
"""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], form: str = '{!r}') -> str:
    """Return a sentence that names the nearest known name, or no text.

    Args:
        name: The name that is not known.
        known: Those that are.
        form: How the nearest one is written.
    """
    import difflib  # for messages of errors only

    near = difflib.get_close_matches(name, list(known), n=1)
    return f' Did you mean {form.format(near[0])}?' if near else ''

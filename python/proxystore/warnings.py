"""Categories of the warnings that proxystore gives.

Example:
    >>> import warnings
    >>> warnings.simplefilter('ignore', category=ExperimentalWarning)
"""

from __future__ import annotations

__all__ = ['ExperimentalWarning']


class ExperimentalWarning(Warning):
    """A feature may change or go in a release that is not a major one."""

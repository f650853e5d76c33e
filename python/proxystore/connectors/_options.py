"""Connectors from their options, with a sentence about a mistake in them."""

from __future__ import annotations

from typing import Any

from proxystore._nearest import did_you_mean
from proxystore.exceptions import ConnectorConfigError


def open_with_options(connector_type: Any, options: dict[str, Any]) -> Any:
    """Call `from_config` of a connector's class.

    Args:
        connector_type: The class.
        options: What it is given.

    Raises:
        ConnectorConfigError: If an option is not known, or one is missing;
            the message names the nearest known one.
    """
    try:
        return connector_type.from_config(options)
    except TypeError as error:
        # Only now: a class may take options that its constructor does not.
        complaint = _complaint(connector_type, options)
        if complaint is None:
            raise
        raise ConnectorConfigError(complaint) from error


def _complaint(connector_type: Any, options: dict[str, Any]) -> str | None:
    import inspect

    try:
        found = inspect.signature(connector_type).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(each.kind is each.VAR_KEYWORD for each in found):
        return None
    name = connector_type.__name__
    known = [each.name for each in found if each.kind is not each.VAR_POSITIONAL]
    for option in options:
        if option not in known:
            return (
                f'{name} has no option {option!r}.{did_you_mean(option, known)} '
                f'Options: {", ".join(known) or "none"}'
            )
    needed = [each.name for each in found if each.default is each.empty]
    for option in needed:
        if option in known and option not in options:
            return f'{name} needs the option {option!r}'
    return None

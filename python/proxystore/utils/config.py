"""Pydantic models in and out of TOML."""

from __future__ import annotations

import sys
from typing import BinaryIO
from typing import TypeVar

import tomli_w
from pydantic import BaseModel

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ['BaseModelT', 'dump', 'dumps', 'load', 'loads']

BaseModelT = TypeVar('BaseModelT', bound=BaseModel)


def dump(model: BaseModel, fp: BinaryIO, *, exclude_none: bool = True) -> None:
    """Write a model to a file as TOML.

    Args:
        model: The model.
        fp: A file that is open for writing bytes.
        exclude_none: Whether fields that are None are left out; TOML has no
            form for them.
    """
    fp.write(dumps(model, exclude_none=exclude_none).encode())


def dumps(model: BaseModel, *, exclude_none: bool = True) -> str:
    """Return a model as TOML.

    Args:
        model: The model.
        exclude_none: Whether fields that are None are left out.
    """
    return tomli_w.dumps(model.model_dump(exclude_none=exclude_none))


def load(model: type[BaseModelT], fp: BinaryIO) -> BaseModelT:
    """Read a model from a file of TOML.

    Args:
        model: Class of the model.
        fp: A file that is open for reading bytes.

    Raises:
        pydantic.ValidationError: If a field is missing, unknown or wrong.
    """
    return loads(model, fp.read().decode())


def loads(model: type[BaseModelT], data: str) -> BaseModelT:
    """Read a model from TOML.

    Args:
        model: Class of the model.
        data: The TOML.

    Raises:
        pydantic.ValidationError: If a field is missing, unknown or wrong.

    Example:
        >>> from pydantic import BaseModel
        >>> class Point(BaseModel):
        ...     x: int
        >>> loads(Point, dumps(Point(x=1)))
        Point(x=1)
    """
    return model.model_validate(tomllib.loads(data))

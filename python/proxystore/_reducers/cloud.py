"""cloudpickle, for what pickle cannot take: lambdas, nested functions."""

# pyright: reportMissingImports=false
from __future__ import annotations

from typing import Any

import cloudpickle

from proxystore._core import reduce_object


class CloudPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle's pickler, with our reducers before its own."""

    def reducer_override(self, obj: Any) -> Any:
        """How an object is pickled."""
        reduced = reduce_object(obj)
        if reduced is NotImplemented:
            return super().reducer_override(obj)
        return reduced

"""What the compiled module has; checked against it by stubtest."""

from typing import Any

__version__: str

def serialize(obj: Any) -> bytes: ...
def deserialize(buffer: bytes | bytearray | memoryview) -> Any: ...
def rebuild_array(
    description: bytes, memory: Any, array_type: type | None = None
) -> Any: ...

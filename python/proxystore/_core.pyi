"""What the compiled module has; checked against it by stubtest."""

__version__: str

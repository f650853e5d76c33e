"""What is put and got, by name and size in bytes."""

from __future__ import annotations

from typing import Any

SIZES = {
    '1 kB': 1_000,
    '100 kB': 100_000,
    '1 MB': 1_000_000,
    '10 MB': 10_000_000,
    '100 MB': 100_000_000,
    '1 GB': 1_000_000_000,
}

# Items of the outer dictionary; each is a dictionary with a list in it.
NESTED = {'nested small': 25_000, 'nested': 100_000}


def repeats(size: int) -> int:
    """Puts and gets in a row that make one measurement: many of what takes microseconds."""
    return (
        100
        if size <= 1_000
        else 20
        if size <= 100_000
        else 5
        if size <= 1_000_000
        else 1
    )


def make(kind: str, size: int) -> Any:
    """An object of a kind; `size` counts for arrays and bytes only."""
    import numpy as np

    if kind == 'array':
        return np.arange(size // 8, dtype=np.float64)
    if kind == 'bytes':
        return b'\x01' * size
    if kind == 'dict':
        return {f'a{i}': np.arange(12_500, dtype=np.float64) for i in range(100)}
    if kind == 'table':
        import pandas as pd

        columns = np.arange(6_000_000, dtype=np.float64).reshape(1_000_000, 6)
        return pd.DataFrame({f'c{i}': columns[:, i].copy() for i in range(6)})
    if kind in NESTED:
        return {
            f'k{i}': {'id': i, 'x': i * 0.5, 'tags': ['a', str(i)]}
            for i in range(NESTED[kind])
        }
    raise ValueError(kind)


def total(kind: str, obj: Any) -> float:
    """Reads all of an object: its sum."""
    if kind == 'array':
        return float((obj.view('f8') if obj.dtype == 'u1' else obj).sum())
    if kind == 'bytes':
        return float(len(obj)) * obj[len(obj) // 2]
    if kind == 'dict':
        return float(sum(array.sum() for array in obj.values()))
    if kind == 'table':
        return float(sum(obj[column].sum() for column in obj))
    return float(sum(entry['x'] for entry in obj.values()))

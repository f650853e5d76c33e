"""A Rust producer and a Python consumer, as two programs of a pipeline."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

CONSUMER = Path(__file__).parents[2] / 'crates/proxystore/examples/consumer.py'


def test_a_pipeline_of_both(
    rust_program: Callable[[str], str], store_dir: Path
) -> None:
    producer = subprocess.Popen(
        [rust_program('producer'), f'file://{store_dir}', '3'], stdout=subprocess.PIPE
    )
    consumer = subprocess.run(
        [sys.executable, CONSUMER],
        stdin=producer.stdout,
        capture_output=True,
        text=True,
    )
    assert producer.stdout is not None
    producer.stdout.close()
    assert producer.wait(60) == 0
    assert consumer.returncode == 0, consumer.stderr
    assert consumer.stdout == '(512, 512) float32: spread 75674\n' * 3
    assert not any(store_dir.glob('[0-9a-z]*')), 'each was evicted at its use'

"""The consumer of `producer.rs`: uses the arrays whose references it is sent."""

from __future__ import annotations

import sys

from proxystore.store.utils import proxy_from_reference

for line in sys.stdin:
    frame = proxy_from_reference(line.strip())
    # An array as any other, and writable: the bytes were mapped, not parsed.
    frame -= frame.mean()
    print(f'{frame.shape} {frame.dtype}: spread {frame.std():.0f}')

"""Plain TCP between two processes: what there is to reach.

python benches/endpoint/plain.py SIZE serves: a byte asks for all of it, another one for 1 kB.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path


class Plain:
    """A connection to a process that sends."""

    def __init__(self, size: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), str(size)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        port = int(self.process.stdout.readline())
        self.socket = socket.create_connection(('127.0.0.1', port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray(size)

    def get(self, large: bool) -> float:
        """Seconds until the last byte."""
        view = memoryview(self.buffer)[: len(self.buffer) if large else 1000]
        began = time.perf_counter()
        self.socket.sendall(b'L' if large else b's')
        while view:
            got = self.socket.recv_into(view)
            if not got:
                raise RuntimeError('the plain sender has ended')
            view = view[got:]
        return time.perf_counter() - began

    def stop(self) -> None:
        self.socket.close()
        self.process.wait(10)


def serve(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    large, small = memoryview(data)[:size], memoryview(data)[:1000]
    with socket.create_server(('127.0.0.1', 0)) as server:
        print(server.getsockname()[1], flush=True)
        connection, _ = server.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while asked := connection.recv(1):
            connection.sendall(large if asked == b'L' else small)


if __name__ == '__main__':
    serve(int(sys.argv[1]))

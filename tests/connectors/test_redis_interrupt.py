"""Ctrl-C while a Redis server keeps silent."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

PROGRAM = """
import signal, sys
from proxystore.connectors.redis import RedisConnector

signal.signal(signal.SIGUSR1, lambda *_: print('handled', flush=True))
try:
    connector = RedisConnector('127.0.0.1', int(sys.argv[1]))
    connector.exists(connector.new_key())
except KeyboardInterrupt:
    print('interrupted', flush=True)
"""


def test_ctrl_c_ends_the_wait_and_other_signals_do_not() -> None:
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
        child = subprocess.Popen(
            [sys.executable, '-c', PROGRAM, str(port)],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            connection, _ = server.accept()
            with connection:
                # It has asked something and waits for the answer, for 30 seconds.
                assert connection.recv(1000)
                assert child.stdout is not None
                for _ in range(3):
                    child.send_signal(signal.SIGUSR1)
                    assert child.stdout.readline() == 'handled\n'
                child.send_signal(signal.SIGINT)
                output, _ = child.communicate(timeout=20)
        finally:
            child.kill()
            child.wait()
    assert output == 'interrupted\n'
    assert child.returncode == 0

"""Processes that the benchmark starts: clients, daemons, and what the system says of them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / 'store'))

from process import Process  # noqa: E402


class Client(Process):
    """A process with a client of one endpoint."""

    def __init__(self, python: str, home: Path, endpoint: str) -> None:
        super().__init__([python, str(HERE / 'worker.py'), str(home), endpoint])


class Daemon:
    """A process that serves until it is stopped."""

    def __init__(
        self,
        command: list[str],
        log: Path,
        *,
        executable: str | None = None,
        **env: str,
    ) -> None:
        with log.open('ab') as output:
            self.idle = 0
            self.process = subprocess.Popen(
                command,
                executable=executable,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **env},
            )

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def processor_time(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f'/proc/{self.process.pid}/stat').read_text().rpartition(')')[2]
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / os.sysconf('SC_CLK_TCK')

    def note_idle(self) -> None:
        """Remember what it has before it has anything to do."""
        self.idle = self.memory('VmRSS')

    def peak_memory(self) -> int:
        """The most bytes that were resident at once, beyond what it had idle."""
        return self.memory('VmHWM') - self.idle

    def memory(self, name: str) -> int:
        text = Path(f'/proc/{self.process.pid}/status').read_text()
        found = re.search(rf'{name}:\s+(\d+) kB', text)
        return int(found[1]) * 1024 if found else 0


def free_port(host: str = '127.0.0.1') -> int:
    """A port that nobody has, for TCP and UDP."""
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    for _ in range(100):
        with socket.socket(family, socket.SOCK_STREAM) as tcp:
            tcp.bind((host, 0))
            port = int(tcp.getsockname()[1])
            with socket.socket(family, socket.SOCK_DGRAM) as udp:
                try:
                    udp.bind((host, port))
                except OSError:
                    continue
                return port
    raise RuntimeError('no port is free')

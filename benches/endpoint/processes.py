"""Processes that the benchmark starts: clients, daemons, and what the system says of them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


class Client:
    """A process with a client of one endpoint."""

    def __init__(self, python: str, home: Path, endpoint: str) -> None:
        self.process = subprocess.Popen(
            [python, str(HERE / 'worker.py'), str(home), endpoint],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.answer()

    def tell(self, do: str, **request: Any) -> None:
        """Ask for something; the answer is read later."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps({'do': do, **request}) + '\n')
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f'{self.process.args} has ended')
        return json.loads(line)

    def ask(self, do: str, **request: Any) -> Any:
        self.tell(do, **request)
        return self.answer()

    def stop(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


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

"""A process that is asked by lines of JSON and answers with them."""

from __future__ import annotations

import json
import subprocess
from typing import Any


class Process:
    """A worker process, once it has said that it is ready."""

    def __init__(self, command: list[str], stderr: int | None = None) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        self.answer()

    def tell(self, **request: Any) -> None:
        """Ask for something; the answer is read later."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(request) + '\n')
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f'{self.process.args} has ended')
        return json.loads(line)

    def ask(self, **request: Any) -> Any:
        self.tell(**request)
        return self.answer()

    def stop(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()

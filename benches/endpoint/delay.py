"""A link with a delay: forwards UDP and TCP of one port, 25 ms later, without a limit of its own.

    python benches/endpoint/delay.py HOST PORT

Prints the port at 127.0.0.1. UDP goes on as the kernel hands it over, in trains of packets (GRO and GSO), so
that a program in Python keeps up with what a gigabit carries. TCP ends at the link on both sides: what is
delayed are its bytes, so its own start is not part of what is measured.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time
from collections import deque
from contextlib import suppress

ONE_WAY = 0.025
SOL_UDP, UDP_SEGMENT, UDP_GRO = 17, 103, 104
BUFFER = 8 << 20
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
TRAIN = 64
"""Most packets that the kernel takes at once."""
MOST_QUEUED = 256 << 20


def roomy(sock: socket.socket) -> None:
    """As much room as we may have."""
    for force, plain in (
        (SO_RCVBUFFORCE, socket.SO_RCVBUF),
        (SO_SNDBUFFORCE, socket.SO_SNDBUF),
    ):
        try:
            sock.setsockopt(socket.SOL_SOCKET, force, BUFFER)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, plain, BUFFER)


class Pipe:
    """One way of a TCP connection."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source, self.target = source, target
        self.queue: deque[tuple[float, memoryview]] = deque()
        self.bytes = 0
        self.over = False

    def wants(self) -> bool:
        return not self.over and self.bytes < MOST_QUEUED

    def receive(self) -> None:
        try:
            data = self.source.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b''
        self.over = not data
        self.bytes += len(data)
        self.queue.append((time.monotonic() + ONE_WAY, memoryview(data)))

    def send(self) -> bool:
        """Send what is due; True if the target takes no more now."""
        while self.queue and self.queue[0][0] <= time.monotonic():
            due, data = self.queue.popleft()
            if not data:
                with suppress(OSError):
                    self.target.shutdown(socket.SHUT_WR)
                continue
            try:
                sent = self.target.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.over = True
                self.queue.clear()
                return False
            self.bytes -= sent
            if sent < len(data):
                self.queue.appendleft((due, data[sent:]))
                return True
        return False


class Link:
    """Both protocols, to one target."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.family = socket.AF_INET6 if ':' in host else socket.AF_INET
        self.tcp = socket.create_server(('127.0.0.1', 0))
        self.udp = self.datagrams(socket.AF_INET)
        self.udp.bind(self.tcp.getsockname())
        self.pipes: list[Pipe] = []
        self.far: dict[tuple[str, int], socket.socket] = {}
        self.near: dict[socket.socket, tuple[str, int]] = {}
        self.packets: deque[
            tuple[float, socket.socket, tuple[str, int] | None, bytes, int]
        ] = deque()

    def datagrams(self, family: int) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setsockopt(SOL_UDP, UDP_GRO, 1)
        roomy(sock)
        sock.setblocking(False)
        return sock

    def accept(self) -> None:
        near, _ = self.tcp.accept()
        far = socket.create_connection(self.target)
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
        self.pipes += [Pipe(near, far), Pipe(far, near)]

    def take(self, sock: socket.socket) -> None:
        """Take all packets that wait at a socket."""
        while True:
            try:
                data, extra, _, source = sock.recvmsg(65535, socket.CMSG_SPACE(4))
            except (BlockingIOError, ConnectionRefusedError):
                return
            size = len(data)
            for level, kind, value in extra:
                if (level, kind) == (SOL_UDP, UDP_GRO):
                    size = struct.unpack('i', value[:4])[0]
            due = time.monotonic() + ONE_WAY
            if sock is self.udp:
                if source not in self.far:
                    far = self.datagrams(self.family)
                    far.connect(self.target)
                    self.far[source] = far
                    self.near[far] = source
                self.packets.append((due, self.far[source], None, data, size))
            else:
                self.packets.append((due, self.udp, self.near[sock], data, size))

    def give(self) -> None:
        """Send the packets that are due."""
        while self.packets and self.packets[0][0] <= time.monotonic():
            _, sock, address, data, size = self.packets.popleft()
            step = size * max(1, min(TRAIN, 65000 // size))
            for start in range(0, len(data), step):
                part = data[start : start + step]
                extra = []
                if len(part) > size:
                    extra = [(SOL_UDP, UDP_SEGMENT, struct.pack('H', size))]
                # A full queue or a peer that has gone: packets get lost, as on any link.
                with suppress(OSError):
                    if address:
                        sock.sendmsg([part], extra, 0, address)
                    else:
                        sock.sendmsg([part], extra)

    def run(self) -> None:
        while True:
            dues = [pipe.queue[0][0] for pipe in self.pipes if pipe.queue]
            if self.packets:
                dues.append(self.packets[0][0])
            wait = max(0.0, min(dues) - time.monotonic()) if dues else None
            full = [pipe.target for pipe in self.pipes if pipe.send()]
            reading = [pipe.source for pipe in self.pipes if pipe.wants()]
            sources = [self.tcp, self.udp, *self.near, *reading]
            ready, _, _ = select.select(sources, full, [], 0.001 if full else wait)
            for sock in ready:
                if sock is self.tcp:
                    self.accept()
                elif sock is self.udp or sock in self.near:
                    self.take(sock)
            for pipe in self.pipes:
                if pipe.source in ready and pipe.wants():
                    pipe.receive()
            self.give()


def main() -> None:
    link = Link(sys.argv[1], int(sys.argv[2]))
    print(link.tcp.getsockname()[1], flush=True)
    link.run()


if __name__ == '__main__':
    main()

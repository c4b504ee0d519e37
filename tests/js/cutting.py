"""A TCP proxy that cuts connections in the middle of a byte stream, as networks do."""

import random
import socket
import struct
import threading
from types import TracebackType
from typing import Self


class CuttingProxy:
    """Use it as a context. Each connection is cut (RST, or a FIN that comes too early) after a random number of the server's
    bytes, until `cuts` have been; the connections after that pass whole. With several targets each connection gets the
    next one."""

    def __init__(self, urls: list[str], *, seed: int, cuts: int, most_bytes: int) -> None:
        self._targets = [(host, int(port)) for host, port in (url.removeprefix("http://").split(":") for url in urls)]
        self._rng = random.Random(seed)
        self._left = cuts
        self._most_bytes = most_bytes
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.connections = 0
        self.cut = 0

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in (self._listening, *self._open):
            _shut(each)
        for thread in list(self._threads):
            thread.join(10)
        self._listening.close()

    def _run(self, target: "threading._Target", *args: object) -> None:  # type: ignore[name-defined]
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(self._targets[self.connections % len(self._targets)])
            self.connections += 1
            budget = self._rng.randrange(1, self._most_bytes) if self._left > 0 else None
            self._left -= 1
            with self._lock:
                self._open |= {client, server}
            self._run(self._pump, client, server, None)
            self._run(self._pump, server, client, budget)

    def _pump(self, source: socket.socket, sink: socket.socket, budget: int | None) -> None:
        """Copies until an end, or until so many bytes; then both ends are cut."""
        try:
            while data := source.recv(65536):
                sink.sendall(data[:budget])
                if budget is not None:
                    budget -= len(data)
                    if budget <= 0:
                        self.cut += 1
                        self._cut(sink)
                        return
        except OSError:
            pass
        finally:
            _shut(source)
            _shut(sink)

    def _cut(self, sink: socket.socket) -> None:
        if self._rng.random() < 0.5:
            sink.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sink.close()


def _shut(each: socket.socket) -> None:
    try:
        each.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass

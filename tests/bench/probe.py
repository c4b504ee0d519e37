"""A viewer that looks at its watch: blocking, one at a time, on keep-alive connections of the standard library."""

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

from tests.harness.client import Frame, parse

SECONDS = 20.0


class Seen(NamedTuple):
    """A frame and when the bytes that completed it had been read; `stamp` is when the simulator wrote it, or 0. All ns."""

    frame: Frame
    at: int
    stamp: int


class Stream:
    """An open event stream; the connection closes with the block."""

    def __init__(self, port: int, id_: str, cursor: str | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        headers = {"accept": "text/event-stream"} | ({"last-event-id": cursor} if cursor else {})
        self._connection.request("GET", f"/v1/generations/{id_}/events", headers=headers)
        self._response = self._connection.getresponse()
        if self._response.status != 200:
            raise RuntimeError(f"events: {self._response.status} {self._response.read(500)!r}")

    def __iter__(self) -> Iterator[Seen]:
        buffer = b""
        while data := self._response.read1(65536):
            at = time.monotonic_ns()
            buffer += data
            while b"\n\n" in buffer:
                block, _, buffer = buffer.partition(b"\n\n")
                if (frame := parse(block.decode())) is not None:
                    yield Seen(frame, at, _stamp(frame))

    def texts(self) -> Iterator[Seen]:
        """Only text."""
        return (seen for seen in self if seen.frame.type == "text")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._connection.close()


class Caller:
    """Calls one server on 127.0.0.1 over one connection."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, data, {"content-type": "application/json"} if data else {})
        response = self._connection.getresponse()
        read = response.read()
        return response.status, json.loads(read) if read else None

    def submit(self, model: str) -> str:
        """The id of a new generation."""
        body = {"model": model, "messages": [{"role": "user", "content": "Tell me something."}]}
        status, answer = self.call("POST", "/v1/generations", body)
        if status != 202:
            raise RuntimeError(f"submit: {status} {answer}")
        return str(answer["id"])

    def cancel(self, id_: str) -> None:
        status, answer = self.call("POST", f"/v1/generations/{id_}/cancel")
        if status not in (200, 202):
            raise RuntimeError(f"cancel: {status} {answer}")


def _stamp(frame: Frame) -> int:
    word = str(frame.data.get("text", "")).partition(" ")[0] if frame.type == "text" else ""
    return int(word) if word.isdigit() and len(word) >= 12 else 0

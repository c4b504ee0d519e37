"""A long document as any ASGI server sees it, message by message."""

import asyncio
from typing import Any, cast

import pytest

from api.delivery.asgi import Stalled
from api.delivery.parts import Parts
from api.delivery.uvicorn_direct import CUT
from tests.harness.clockwork import at_once

Message = dict[str, Any]
LONG = [b"a" * 50_000, b"b" * 50_000, b"c"]


class Server:
    """Takes so many messages, and then nothing. `cuts` is for how long it was told to wait for what is under way."""

    def __init__(self, takes: int = 99) -> None:
        self.takes = takes
        self.sent: list[Message] = []
        self.cuts: list[float] = []

    async def _send(self, message: Message) -> None:
        if len(self.sent) == self.takes:
            await asyncio.Event().wait()
        self.sent.append(message)

    async def _cut(self, seconds: float) -> None:
        self.cuts.append(seconds)

    def get(self, parts: list[bytes], *, cuts: bool = True) -> list[Message]:
        async def answer() -> None:
            response = Parts(parts, headers={"cache-control": "no-store"}, media_type="application/json")
            scope: Message = {"type": "http", "extensions": {CUT: {"cut": self._cut}} if cuts else {}}
            await response(scope, cast(Any, None), cast(Any, self._send))

        at_once(answer())
        return self.sent


def body(data: bytes, **more: bool) -> Message:
    return {"type": "http.response.body", "body": data, **more}


def head(size: int) -> Message:
    headers = [
        (b"cache-control", b"no-store"),
        (b"content-length", b"%d" % size),
        (b"content-type", b"application/json"),
    ]
    return {"type": "http.response.start", "status": 200, "headers": headers}


def test_a_short_document_is_one_message() -> None:
    assert Server().get([b'{"a":', b"1", b"}"]) == [head(7), body(b'{"a":1}')]


def test_a_long_one_is_sent_part_by_part_and_its_length_is_told() -> None:
    first, second, last = LONG
    assert Server().get(LONG) == [head(100_001), body(first, more_body=True), body(second, more_body=True), body(last)]


@pytest.mark.parametrize("takes", [2, 3])
def test_a_client_that_takes_nothing_is_cut_off(takes: int) -> None:
    server = Server(takes)
    assert len(server.get(LONG)) == takes
    assert server.cuts == [0]
    with pytest.raises(Stalled):
        Server(takes).get(LONG, cuts=False)

"""An upstream that is no vendor's, with a protocol of its own: what runs on it knows nothing but worker/upstreams.

Its events are small objects: `{"hello": tokens}`, `{"open": True}`, `{"say": text}`, `{"close": True}`, `{"bye": reason,
"tokens": …}`, `{"over": True}` and, for nothing, `{"hm": True}`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from broker.budgets import NOTHING_TOLD
from broker.events import TEXT, Content, event
from broker.transcript import Kept
from worker.upstreams import Answer, Call, Json, Take, Upstream

START: Json = {"hello": 3}
OPEN: Json = {"open": True}
CLOSE: Json = {"close": True}
USAGE: Json = {"bye": "end_turn", "tokens": 2}
STOP: Json = {"over": True}
PING: Json = {"hm": True}


def text(more: str) -> Json:
    return {"say": more}


WHOLE = [START, OPEN, text("one "), text("two"), CLOSE, USAGE, STOP]


class Telling:
    """One answer. What is told may be an event, an exception to raise, seconds to wait, or a function to call."""

    def __init__(self, call: Call, told: Iterable[Any]) -> None:
        self._told = iter(told)
        self._block = call.keep_blocks - 1 if call.keep_blocks else 0
        self.usage: Json = {}
        self.told = NOTHING_TOLD
        self.stop_reason: str | None = None
        self.whole = False

    async def read(self, take: Take) -> bool:
        for each in self._told:
            if isinstance(each, Exception):
                raise each
            if isinstance(each, int | float):
                await asyncio.sleep(each)
            elif callable(each):
                each()
            elif (contents := self.entries(each)) and not take(contents):
                return False
        return True

    def entries(self, told: Json) -> list[Content]:
        match told:
            case {"hello": int(tokens)}:
                self.usage = {"input_tokens": tokens}
                return [event("message", message={})]
            case {"open": True}:
                return [event("block_start", index=self._block, block={"type": "text", "text": ""})]
            case {"say": str(more)}:
                return [Content(TEXT, more.encode())]
            case {"close": True}:
                self._block += 1
                return [event("block_stop", index=self._block - 1)]
            case {"bye": str(reason), "tokens": int(tokens)}:
                self.usage, self.stop_reason = {**self.usage, "output_tokens": tokens}, reason
                return [event("usage", stop_reason=reason)]
            case {"over": True}:
                self.whole = True
        return []


class Teller(Upstream):
    """Tells the next of `answers` at each call. `open` counts the answers that are being read."""

    def __init__(self, *answers: Iterable[Any]) -> None:
        self.answers = list(answers)
        self.calls: list[Call] = []
        self.open = 0

    def answer_to(self, call: Call) -> AbstractAsyncContextManager[Answer]:
        self.calls.append(call)
        return self._tells(call)

    @asynccontextmanager
    async def _tells(self, call: Call) -> AsyncIterator[Answer]:
        self.open += 1
        try:
            yield Telling(call, self.answers.pop(0))
        finally:
            self.open -= 1

    def resumed(self, body: Json, kept: Kept) -> Call | None:
        """Cannot go on from a text that ends in a dot: nothing is left to say."""
        return None if kept.text.endswith(".") else Call({**body, "told": kept.text}, kept.blocks)

    async def aclose(self) -> None:
        """There is nothing to close."""

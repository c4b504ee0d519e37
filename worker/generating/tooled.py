"""The half of an attempt that server tools need: what the log amounts to so far, and the tools of a turn, side by side.

What it puts is what viewers see: `tool_start` of all calls of the turn together, `tool_progress`, and at each end the result
as a block of its own and `tool_end`. A result is put once, in one piece; from then on it is what the log says."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import orjson
from pydantic_core import to_json

from broker.events import EVENT, Content, Run, event
from broker.ids import EntryId
from broker.tools import ToolCall
from broker.transcript import Block, Transcript
from worker.generating.rounds import RESULT, Rounds, Step, Wanted, untold
from worker.generating.toolbox import Result, Toolbox
from worker.log.writer import Writer

PROGRESS_BYTES: Final = 4096
"""The largest thing that is shown of a tool's progress; a larger one is not shown."""
PROGRESS_EVERY: Final = 0.1
"""Seconds; what a tool tells sooner after the last thing that was shown is not shown."""

Put = Callable[[list[Content]], None]


class Tooled:
    """One attempt's. `transcript` has what the attempt keeps. `put` is the attempt's: it raises when the log would be too
    large."""

    def __init__(self, rounds: Rounds, transcript: Transcript, toolbox: Toolbox, writer: Writer, ordinal: int) -> None:
        self.rounds = rounds
        self._transcript = transcript
        self._toolbox = toolbox
        self._writer = writer
        self._ordinal = ordinal
        self._before = 0

    def applied(self, seq: int, contents: Sequence[Content]) -> None:
        """What was put, from this seq on, belongs to the log."""
        self._transcript.apply(Run(EntryId(self._writer.attempt, seq), contents))

    def asks(self) -> None:
        """The model is asked now."""
        self._before = len(self._transcript.blocks)

    def after_answer(self, stop_reason: str) -> Step:
        return self.rounds.after_answer(self._transcript.blocks, self._before, stop_reason)

    async def use(self, wanted: Sequence[Wanted], put: Put) -> Step:
        """Runs these tools, and the step behind them. Cancelled, it cancels them. Raises what `put` raises."""
        put([self._start(each) for each in wanted])
        tasks = [asyncio.create_task(self._run(each, put)) for each in wanted]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            running = [task for task in tasks if not task.done()]
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)
        return self.rounds.after_tools(self._transcript.blocks)

    def told(self, put: Put) -> None:
        """Tells of ends that an earlier attempt could not tell of."""
        for index, block in untold(self._transcript.blocks):
            put([_end(index, _name(self._transcript.blocks[:index], block), block.head, None, None)])

    def _start(self, wanted: Wanted) -> Content:
        return event("tool_start", index=wanted.index, id=wanted.id, name=wanted.name, input=wanted.input)

    async def _run(self, wanted: Wanted, put: Put) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        call = ToolCall(self._writer.id, wanted.id, self._ordinal)
        progress = _Progress(wanted.id, self._writer, put, clock)
        try:
            result = await self._toolbox.run(wanted.name, wanted.input, call, progress.tell)
        finally:
            progress.over = True
        await self._writer.room()
        self._end(wanted, result, round((clock() - began) * 1000), put)

    def _end(self, wanted: Wanted, result: Result, duration_ms: int, put: Put) -> None:
        """The result as a block, whole, and that it is the end. Nothing is awaited: no other result takes this index."""
        index = len(self._transcript.blocks)
        head = {
            "type": RESULT,
            "tool_use_id": wanted.id,
            "content": result.content,
            **({} if result.error is None else {"is_error": True}),
        }
        put(
            [
                event("block_start", index=index, block=head),
                event("block_stop", index=index),
                _end(index, wanted.name, head, result, duration_ms),
            ]
        )


class _Progress:
    """What is shown of a tool's progress: bounded in size and rate, and nothing behind its end, nor while Redis is behind."""

    def __init__(self, id_: str, writer: Writer, put: Put, clock: Callable[[], float]) -> None:
        self._id = id_
        self._writer = writer
        self._put = put
        self._clock = clock
        self._last = -PROGRESS_EVERY
        self.over = False

    def tell(self, value: object) -> None:
        now = self._clock()
        if self.over or now - self._last < PROGRESS_EVERY or self._writer.crowded:
            return
        try:
            data = to_json(value, inf_nan_mode="null")
        except Exception:  # not JSON: whether that matters, the result tells
            return
        if len(data) > PROGRESS_BYTES:
            return
        self._last = now
        told = orjson.dumps({"type": "tool_progress", "id": self._id, "data": orjson.Fragment(data)})
        self._put([Content(EVENT, told)])


def _end(index: int, name: str, head: dict[str, object], result: Result | None, duration_ms: int | None) -> Content:
    return event(
        "tool_end", index=index, id=head["tool_use_id"], name=name, ok="is_error" not in head, duration_ms=duration_ms,
        error=result.error if result else ("raised" if "is_error" in head else None),
        content=head["content"],
    )  # fmt: skip


def _name(before: Sequence[Block], result: Block) -> str:
    """Of the tool whose result it is."""
    id_ = result.head.get("tool_use_id")
    return next((str(b.head.get("name")) for b in reversed(before) if b.head.get("id") == id_), "")

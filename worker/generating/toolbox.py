"""Where a process runs tools: each for a bounded time, a bounded number at once, and whatever it does, with a result.

A tool that goes on when it should have ended (a thread cannot be stopped, a coroutine may refuse to be) keeps its place until
it ends by itself, and nobody hears of its result. So tools that hang take places, never the process.
"""

import asyncio
import contextlib
import logging
import threading
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, cast

from pydantic_core import to_json

from broker.tools import ToolCall, ToolFailure
from broker.tools.loading import BadInput, Tool
from broker.vocabulary import ToolErrorCode
from worker.settings import WorkerSettings

log = logging.getLogger("respool.tools")

_STOP_SECONDS: Final = 1.0
"""How long a coroutine that is cancelled may take to end."""
_NOT_SENDABLE: Final = "The tool's result cannot be sent."

Progress = Callable[[object], None]


@dataclass(frozen=True, slots=True)
class Result:
    """What the model gets, and what went wrong if it is a failure."""

    content: str
    error: ToolErrorCode | None = None


class Toolbox:
    """One per process. `names` are those that it has."""

    def __init__(self, tools: Mapping[str, Tool], settings: WorkerSettings) -> None:
        self.tools = tools
        self._timeout = settings.tool_timeout
        self._largest = settings.tool_result_bytes
        self._places = asyncio.Semaphore(settings.tools_at_once)
        self._left: set[asyncio.Future[Result]] = set()

    async def run(self, name: str, given: object, call: ToolCall, progress: Progress) -> Result:
        """Runs a tool to its result; never raises for what a tool can do. Cancelled, it cancels the tool, and does not wait
        long for one that goes on all the same."""
        if (tool := self.tools.get(name)) is None:
            return Result("There is no such tool.", "unknown_tool")
        try:
            bound = tool.bound(given, call)
        except BadInput as error:
            return Result(str(error), "invalid_input")
        except Exception as error:  # a validator of its own
            return self._raised(tool, error)
        clock = asyncio.get_running_loop().time
        end = clock() + self._timeout
        try:
            async with asyncio.timeout(self._timeout):
                await self._places.acquire()
        except TimeoutError:
            return Result("So many other tools run that it did not get its turn in time.", "timeout")
        running = self._begin(tool, bound, progress)
        try:
            done, _ = await asyncio.wait({running}, timeout=max(0.0, end - clock()))
        except asyncio.CancelledError:
            await self._stop(tool, running)
            raise
        if not done:
            await self._stop(tool, running)
            return Result(f"It took longer than {self._timeout:g} s, and was stopped.", "timeout")
        return running.result()

    def _begin(self, tool: Tool, bound: Callable[[], object], progress: Progress) -> "asyncio.Future[Result]":
        """Begins to run it; its place is free again when it has ended, however long it takes."""
        running: asyncio.Future[Result]
        if tool.kind == "thread":
            running = self._in_thread(tool, bound)
        else:
            running = asyncio.ensure_future(self._in_loop(tool, bound, progress))
            running.add_done_callback(lambda _: self._places.release())
        self._left.add(running)
        running.add_done_callback(self._left.discard)
        return running

    async def _stop(self, tool: Tool, running: "asyncio.Future[Result]") -> None:
        running.cancel()
        _, pending = await asyncio.wait({running}, timeout=_STOP_SECONDS)
        if pending:
            log.warning("tool %s does not end when it is cancelled", tool.name)

    # -- in the loop

    async def _in_loop(self, tool: Tool, bound: Callable[[], object], progress: Progress) -> Result:
        try:
            if tool.kind == "progress":
                return self._said(await _last_of(cast(AsyncGenerator[object, None], bound()), progress))
            return self._said(await cast(Awaitable[object], bound()))
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            return self._raised(tool, asyncio.CancelledError())  # its own: nobody has cancelled it
        except BaseException as error:  # SystemExit would end the worker
            return self._raised(tool, error)

    # -- in a thread

    def _in_thread(self, tool: Tool, bound: Callable[[], object]) -> "asyncio.Future[Result]":
        """A thread of its own: one that hangs keeps no other waiting, nor the process from its end."""
        loop = asyncio.get_running_loop()
        running: asyncio.Future[Result] = loop.create_future()

        def ended(result: Result) -> None:
            self._places.release()
            if not running.done():
                running.set_result(result)

        def run() -> None:
            try:
                result = self._said(bound())
            except BaseException as error:  # whatever it is, the thread's end must be told
                result = self._raised(tool, error)
            with contextlib.suppress(RuntimeError):  # the loop has gone
                loop.call_soon_threadsafe(ended, result)

        try:
            threading.Thread(target=run, name=f"tool {tool.name}", daemon=True).start()
        except RuntimeError as error:  # the system gives no more threads
            ended(self._raised(tool, error))
        return running

    # -- results

    def _said(self, value: object) -> Result:
        try:
            content = value if isinstance(value, str) else to_json(value, inf_nan_mode="null").decode()
            size = len(content.encode())
        except Exception:  # whatever its own serializers raise
            return Result(_NOT_SENDABLE, "not_sendable")
        if size > self._largest:
            return Result(f"The tool's result is too large: {size} bytes, {self._largest} are allowed.", "too_large")
        return Result(content)

    def _raised(self, tool: Tool, error: BaseException) -> Result:
        """An exception's text may quote a prompt, or a secret: it is told neither to anybody nor to the log."""
        if isinstance(error, ToolFailure):
            told = self._said(str(error))
            return Result(told.content if told.error is None else _NOT_SENDABLE, "raised")
        where = traceback.extract_tb(error.__traceback__)[-1:]
        place = f" ({where[0].filename}:{where[0].lineno})" if where else ""
        log.warning("tool %s raised %s%s", tool.name, type(error).__name__, place)
        return Result(f"The tool failed ({type(error).__name__}).", "raised")


async def _last_of(values: AsyncGenerator[object, None], progress: Progress) -> object:
    last: object = None
    async with aclosing(values):
        async for last in values:
            progress(last)
            await asyncio.sleep(0)  # one that waits for nothing must not keep all others waiting
    return last

"""Where tools run: so many at once, for so long, whatever they do."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from broker.tools import ToolCall
from broker.tools.loading import load
from worker.generating.toolbox import Result, Toolbox
from worker.settings import WorkerSettings

CALL = ToolCall("gen_x", "t1", 1)
TOOLS = load(["tests.harness.tools"])


def scene(what: Callable[[Toolbox], Awaitable[None]], **how: Any) -> None:
    async def run() -> None:
        before = asyncio.all_tasks()
        async with asyncio.timeout(20):
            await what(Toolbox(TOOLS, WorkerSettings(**how)))
        assert asyncio.all_tasks() == before

    asyncio.run(run())


async def made(box: Toolbox, name: str, progress: Callable[[object], None] = print, **given: object) -> Result:
    return await box.run(name, given, CALL, progress)


def test_no_more_run_at_once_than_may() -> None:
    async def what(box: Toolbox) -> None:
        running, most = 0, 0

        def step(value: object) -> None:
            nonlocal running, most
            running += 1 if value == {"step": 0, "filling": "x"} else 0
            most = max(most, running)
            running -= 1 if value == {"step": 1, "filling": "x"} else 0

        results = await asyncio.gather(*(made(box, "steps", step, count=2) for _ in range(6)))
        assert {result.error for result in results} == {None}
        assert most == 2

    scene(what, tools_at_once=2)


def test_a_thread_that_hangs_keeps_its_place_until_it_ends_and_the_next_is_told_that_there_was_none() -> None:
    async def what(box: Toolbox) -> None:
        began = time.monotonic()
        assert (await made(box, "block", seconds=1.0)).error == "timeout"
        late = await made(box, "echo", text="a")
        assert (late.error, "turn" in late.content) == ("timeout", True)
        while (await made(box, "echo", text="a")).error is not None:
            pass
        assert time.monotonic() - began >= 1.0

    scene(what, tools_at_once=1, tool_timeout=0.2)


def test_where_the_system_gives_no_thread_the_call_has_failed_and_its_place_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def what(box: Toolbox) -> None:
        for _ in range(2):
            with monkeypatch.context() as refused:
                refused.setattr(threading.Thread, "start", none)
                assert (await made(box, "block", seconds=0.0)).error == "raised"
        assert (await made(box, "block", seconds=0.0)).error is None

    scene(what, tools_at_once=1)


def test_a_coroutine_that_will_not_end_is_left_alone_after_a_moment(caplog: pytest.LogCaptureFixture) -> None:
    async def what(box: Toolbox) -> None:
        assert (await made(box, "stay", seconds=1.5)).error == "timeout"
        assert "stay does not end" in caplog.text
        while box._left:
            await asyncio.sleep(0.05)

    scene(what, tool_timeout=0.1)


@pytest.mark.parametrize("waits", [False, True], ids=["it runs", "it waits for its turn"])
def test_a_cancel_cancels_the_tool_and_frees_its_place(tmp_path: Path, waits: bool) -> None:
    async def what(box: Toolbox) -> None:
        notes = tmp_path / "notes"
        first = asyncio.create_task(made(box, "nap", file=str(notes), seconds=9))
        second = asyncio.create_task(made(box, "nap", file=str(notes), seconds=9))
        while not notes.exists():
            await asyncio.sleep(0.01)
        for task in (second, first) if waits else (first, second):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert notes.read_text().count("begins") == notes.read_text().count("is cancelled")
        assert await made(box, "echo", text="a") == Result("a")

    scene(what, tools_at_once=1)


def test_what_a_tool_raised_is_in_no_log_and_no_result(caplog: pytest.LogCaptureFixture) -> None:
    async def what(box: Toolbox) -> None:
        result = await made(box, "fail", how="raises")
        assert result == Result("The tool failed (ValueError).", "raised")

    scene(what)
    assert "tool fail raised ValueError (" in caplog.text
    assert "secret" not in caplog.text


def test_a_thread_outlives_neither_the_loop_s_end_nor_the_process() -> None:
    async def what(box: Toolbox) -> None:
        assert (await made(box, "block", seconds=0.5)).error == "timeout"

    scene(what, tool_timeout=0.1)
    (left,) = [thread for thread in threading.enumerate() if thread.name == "tool block"]
    assert left.daemon
    left.join(5)


def test_a_generator_that_waits_for_nothing_lets_others_have_their_turn() -> None:
    async def what(box: Toolbox) -> None:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async def values() -> AsyncIterator[int]:
            for number in range(100):
                yield number

        from worker.generating.toolbox import _last_of

        task = asyncio.create_task(others())
        assert await _last_of(values(), lambda _: None) == 99  # type: ignore[arg-type]
        task.cancel()
        await asyncio.wait({task})
        assert turns > 50

    scene(what)

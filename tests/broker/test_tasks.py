"""Tasks that nobody awaits: what they raise is logged, what is done is let go, the rest ends with its owner."""

import asyncio
import gc
import logging
import weakref
from collections.abc import Coroutine

import pytest

from broker.tasks import Tasks


async def fails() -> None:
    raise ValueError("no")


async def ends() -> None:
    pass


async def waits() -> None:
    await asyncio.Event().wait()


async def spawned(tasks: Tasks, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
    """The task that it is spawned as, when it has run a while."""
    before = asyncio.all_tasks()
    tasks.spawn(work)
    (task,) = asyncio.all_tasks() - before
    await asyncio.wait([task], timeout=0)
    return task


def errors_of(work: Coroutine[None, None, None], *, cancel: bool = False) -> tuple[list[object], bool]:
    """What the loop has to complain of, and whether the task was cancelled."""
    complaints: list[object] = []

    async def run() -> bool:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        tasks = Tasks(logging.getLogger("respool.test"))
        task = await spawned(tasks, work)
        if cancel:
            tasks.cancel()
        await asyncio.wait([task], timeout=5)
        await asyncio.sleep(0)
        return task.cancelled()

    cancelled = asyncio.run(run())
    gc.collect()
    return complaints, cancelled


def test_what_a_task_raises_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    assert errors_of(fails()) == ([], False)
    (said,) = caplog.records
    assert (said.name, said.levelname) == ("respool.test", "ERROR")
    assert said.exc_info
    assert isinstance(said.exc_info[1], ValueError)


def test_a_task_that_ends_or_is_cancelled_with_its_owner_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    assert errors_of(ends()) == ([], False)
    assert errors_of(waits(), cancel=True) == ([], True)
    assert caplog.records == []


def test_a_task_is_held_until_it_is_done_and_no_longer() -> None:
    async def run() -> None:
        tasks = Tasks(logging.getLogger("respool.test"))
        done = weakref.ref(await spawned(tasks, ends()))
        waiting = weakref.ref(await spawned(tasks, waits()))
        await asyncio.sleep(0)
        gc.collect()
        assert done() is None
        assert waiting() is not None
        tasks.cancel()

    asyncio.run(run())

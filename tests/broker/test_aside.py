"""Work beside the loop: one piece at a time, in the order of asking, and nothing of it is lost or done for nobody."""

import asyncio
import threading

import pytest

from broker.aside import Aside


def test_the_loop_goes_on_and_work_takes_turns() -> None:
    async def scene() -> list[str]:
        aside, gone_on, done = Aside(), threading.Event(), list[str]()

        def first() -> None:
            assert gone_on.wait(20)
            done.append("first")

        both = asyncio.gather(aside.run(first), aside.run(lambda: done.append("second")))
        await asyncio.sleep(0)
        assert done == []
        gone_on.set()
        await both
        return done

    assert asyncio.run(scene()) == ["first", "second"]


def test_what_it_raises_reaches_the_one_who_asked() -> None:
    def wrong() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        asyncio.run(Aside().run(wrong))


def test_nothing_is_begun_for_one_who_has_gone() -> None:
    async def scene() -> list[str]:
        aside, go, done = Aside(), threading.Event(), list[str]()
        held = asyncio.create_task(aside.run(lambda: go.wait(20)))
        gone = asyncio.create_task(aside.run(lambda: done.append("gone")))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait((gone,))
        go.set()
        assert await held
        await aside.run(lambda: done.append("last"))
        return done

    assert asyncio.run(scene()) == ["last"]

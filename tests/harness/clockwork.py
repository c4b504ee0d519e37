"""An event loop on which time passes at once: whoever sleeps is woken as soon as nobody else has anything to do. So a test may
wait for hours, and what it asserts does not depend on the machine."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_SELECTED = list[tuple[selectors.SelectorKey, int]]


class _Selector(selectors.DefaultSelector):
    now = 1000.0

    def select(self, timeout: float | None = None) -> _SELECTED:
        found: _SELECTED = super().select(0)
        if not found and timeout is None:
            raise AssertionError("everybody waits for ever")
        if not found:
            self.now += timeout or 0.0
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._instant = _Selector()
        super().__init__(self._instant)

    def time(self) -> float:
        return self._instant.now


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Runs the coroutine; its seconds take none."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(work)

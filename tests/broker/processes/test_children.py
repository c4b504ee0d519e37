"""A parent whose children cannot run says so by its exit code."""

import asyncio

import pytest

from broker.processes.children import CannotRun, Processes


async def unconcerned(_: str) -> None:
    """Nothing is to be done about a child that died."""


def test_a_parent_whose_child_ends_whenever_it_is_started_gives_up() -> None:
    children = Processes(1, lambda _: ("-c", "raise SystemExit(3)"), 1, unconcerned)
    with pytest.raises(CannotRun, match="exit code 3"):
        asyncio.run(children.run())


def test_what_fails_in_the_parent_is_not_swallowed() -> None:
    async def fails(_: str) -> None:
        raise RuntimeError("of our own making")

    with pytest.raises(RuntimeError):
        asyncio.run(Processes(2, lambda _: ("-c", "raise SystemExit(3)"), 1, fails).run())

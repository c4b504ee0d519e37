"""Server tools of the tests: each does one thing that a tool may do. `file` is where a call notes that it was made."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

from broker.tools import ToolCall, ToolFailure


def _note(file: str, said: str) -> None:
    with Path(file).open("a") as notes:
        notes.write(said + "\n")


async def nap(file: str, seconds: float, call: ToolCall) -> str:
    """Sleeps, and says something that it never said before."""
    _note(file, f"{call.key} begins")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        _note(file, f"{call.key} is cancelled")
        raise
    _note(file, f"{call.key} ends")
    return secrets.token_hex(8)


async def skip(file: str, seconds: float) -> str:
    """Does not sleep, and says something that it never said before."""
    return f"{secrets.token_hex(8)} {file} {seconds}"


def block(seconds: float) -> str:
    """Sleeps in a thread."""
    time.sleep(seconds)
    return "slept"


async def steps(count: int, size: int = 1) -> AsyncIterator[dict[str, object]]:
    """Tells of each step."""
    for number in range(count):
        yield {"step": number, "filling": "x" * size}
        await asyncio.sleep(0.12)


async def fail(how: str) -> object:
    """Fails in one way or another."""
    if how == "says":
        raise ToolFailure("Not today.")
    if how == "exits":
        raise SystemExit(3)
    if how == "cancels":
        raise asyncio.CancelledError
    if how == "large":
        return "x" * 100_000
    if how == "odd":
        return object()
    if how == "half":
        return "\ud800"
    raise ValueError("a secret of the tool's own")


async def stay(seconds: float) -> str:
    """Does not let itself be cancelled."""
    end = asyncio.get_running_loop().time() + seconds
    while (left := end - asyncio.get_running_loop().time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            continue
    return "stayed"


async def echo(text: str) -> str:
    """Says what it is told."""
    return text

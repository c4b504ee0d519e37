"""Reads logs page by page: whole, or what they amount to, in slices, from where a transcript is up to the log's end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeAlias

from broker.events import Run
from broker.ids import BEGINNING, EntryId
from broker.store.logs import Logs
from broker.transcript import Transcript
from broker.turns import Turns

_ENTRIES: Final = 1000
_Read: TypeAlias = Callable[[str, EntryId, int], Awaitable[list[Run]]]


async def read_up(logs: Logs, id_: str, transcript: Transcript, turns: Turns) -> bool:
    """Applies what the log has behind the transcript's last entry; the next page is on its way while one is applied. False if
    the log does not have that entry, or loses it meanwhile: then the transcript is of no use. Raises StorageUnavailable."""
    ahead = asyncio.create_task(_page(logs.runs, id_, transcript.last))
    try:
        while runs := await ahead:
            entries = sum(len(run.contents) for run in runs)
            if entries == _ENTRIES:
                ahead = asyncio.create_task(_page(logs.runs, id_, runs[-1].last))
            await turns.take(entries)
            for run in runs:
                transcript.apply(run)
            if entries < _ENTRIES:
                return True
        return runs is not None
    finally:
        ahead.cancel()


async def pages(logs: Logs, id_: str) -> AsyncIterator[list[Run]]:
    """The log from its beginning, as it is stored; less of it where Redis loses it meanwhile. Raises StorageUnavailable."""
    last = BEGINNING
    while runs := await _page(logs.stored_runs, id_, last):
        yield runs
        if sum(len(run.contents) for run in runs) < _ENTRIES:
            return
        last = runs[-1].last


async def _page(read: _Read, id_: str, last: EntryId) -> list[Run] | None:
    """What is behind this entry; None if the log does not have it."""
    if last == BEGINNING:
        return await read(id_, last, _ENTRIES)
    runs = await read(id_, last, _ENTRIES + 1)
    if not runs or runs[0].first != last:
        return None
    (attempt, seq), contents = runs[0]
    rest = [Run(EntryId(attempt, seq + 1), contents[1:])] if len(contents) > 1 else []
    return rest + runs[1:]

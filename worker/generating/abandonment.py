"""Cancels generations that nobody watches any more, where their submitters asked for that.

APIs note in the record that somebody watches (api/viewing/watched.py), every 2 s. Here the worker that runs an attempt asks
Redis once a second how long ago that was, for all of its attempts in a few trips; the verdict is Redis's, by its own clock, and
is kept as a cancel. Nothing of this is on the way of a token.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from broker.errors import BrokerError, StorageRefused
from broker.replies import Watched
from broker.request import Options
from broker.store import log_steps
from broker.store.logs import Logs
from broker.store.lua import Call
from worker.log.writer import Writer

log = logging.getLogger("respool.abandonment")

NOTED_MS: Final = 4000
"""A viewer that was noted so long ago may be there still: the next note may be late."""
_NEVER: Final = Watched(0, 0)
_EVERY_SECONDS: Final = 1.0
_BATCH: Final = 500
_LONGEST_PAUSE_MS: Final = 5000
"""Between two questions. Behind a longer one the grace begins anew: APIs may not have reached Redis either."""


@dataclass(slots=True)
class _Asked:
    """An attempt that may be abandoned, and what the last question about it was answered."""

    writer: Writer
    after_ms: int
    unwatched: bool
    before: Watched = _NEVER

    def call(self) -> Call[Watched]:
        return log_steps.abandon(
            self.writer.id, self.writer.attempt, self.after_ms,
            unwatched=self.unwatched, before=self.before, longest_pause_ms=_LONGEST_PAUSE_MS,
        )  # fmt: skip


class Abandonment:
    """Run it as a task. Between `add` and `remove` an attempt is stopped, as `abandoned`, when nobody has watched its
    generation for as long as its options say. `cancelled` counts those."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._asked: dict[Writer, _Asked] = {}
        self.cancelled = 0

    def add(self, writer: Writer, options: Options) -> None:
        """Nothing is done for a generation that is finished whoever watches."""
        if options.on_abandon == "cancel":
            after_ms = round(options.abandon_after * 1000) + NOTED_MS
            self._asked[writer] = _Asked(writer, after_ms, options.abandon_unwatched)

    def remove(self, writer: Writer) -> None:
        self._asked.pop(writer, None)

    async def run(self) -> None:
        """Asks once a second, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            try:
                await self.ask()
            except BrokerError as error:
                log.warning("not asking who is watched: %s", error)

    async def ask(self) -> None:
        """One round. Raises StorageUnavailable."""
        asked = list(self._asked.values())
        for at in range(0, len(asked), _BATCH):
            batch = asked[at : at + _BATCH]
            replies = await self._logs.abandoned([each.call() for each in batch])
            for each, reply in zip(batch, replies, strict=True):
                if isinstance(reply, StorageRefused):
                    continue
                each.before = reply
                if reply.abandoned:
                    self.cancelled += 1
                    log.info("%s: nobody watches it any more", each.writer.id)
                    each.writer.stop("abandoned")

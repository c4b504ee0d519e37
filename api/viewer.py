"""One open event stream: a cursor and a socket. It has no queue: what it lacks is in the feed's ring or in the log."""

import asyncio
from collections.abc import Callable
from typing import Final

from api.feed import Feed
from api.pages import Page, Pages
from broker.events import local_frame
from broker.ids import BEGINNING, EntryId

KEEP_ALIVE: Final = b": ka\n"
"""A comment line with no blank line behind it: a blank line would be an empty message to some clients."""
_MOST_SEND: Final = 64 * 1024
_RETRY_SECONDS: Final = 0.25


class Dropped(Exception):
    """The stream ends before the generation does, and must not look like an end: the connection is to be cut."""


class Viewer:
    """`next` is called by whoever owns the socket, whenever the socket takes more; the hub only says `wake`.

    `cursor` is the last entry that was handed out; `position` is where that is in the feed's ring, or None while the viewer
    reads the log. `cut` is set by the socket's owner: it ends a send that makes no progress, which began at
    `sending_since`.
    """

    __slots__ = (
        "_local", "_over", "_pages", "_pieces", "_read", "_wake", "cursor", "cut", "ended", "feed", "id", "position",
        "sending_since",
    )  # fmt: skip

    def __init__(self, id_: str, feed: Feed | None, pages: Pages, cursor: EntryId) -> None:
        self.id = id_
        self.feed = feed
        self.cursor = cursor
        self.position: int | None = None
        self.ended = False
        self.sending_since: float | None = None
        self.cut: Callable[[], object] = self.drop
        self._read: tuple[asyncio.Task[Page], EntryId] | None = None
        self._pages = pages
        self._pieces: list[tuple[bytes, EntryId]] = []
        self._local: list[bytes] = []
        self._over = False
        self._wake: asyncio.Future[None] | None = None

    def wake(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def tell(self, frame: bytes) -> None:
        """Says something about the connection itself; only the latest few matter, so they are bounded."""
        if len(self._local) < 8:
            self._local.append(frame)
        self.wake()

    def reset(self, reason: str) -> None:
        """What was handed out is not in the log any more: says so, and begins anew."""
        self.cursor = BEGINNING
        self.position = None
        self._pieces = []
        self.ended = False
        self.tell(local_frame("gap", reason=reason))

    def drop(self) -> None:
        """After what was told, no more."""
        self._over = True
        self.wake()

    async def next(self) -> bytes | None:
        """The next bytes to send, everything that the viewer lacks up to a bound; None after the end. Waits if it lacks
        nothing. Raises Dropped."""
        while True:
            if self._local:
                told = b"".join(self._local)
                self._local.clear()
                return told
            if self._over:
                raise Dropped
            if self._pieces:
                piece, self.cursor = self._pieces.pop(0)
                return piece
            if self.ended:
                return None
            if (ready := self._from_ring()) is not None:
                return ready
            if self.position is not None or not self._from_log():
                await self._sleep()

    def _from_ring(self) -> bytes | None:
        feed = self.feed
        if feed is None:
            return None
        if self.position is None or self.position < feed.base:
            self.position = feed.join(self.cursor)
        if self.position is None or self.position == feed.end:
            return None
        ready, self.position = feed.take(self.position, _MOST_SEND)
        self.cursor = feed.ids[self.position - feed.base - 1]
        self.ended = feed.ended and self.position == feed.end
        return ready

    def _from_log(self) -> bool:
        """Takes the page behind the cursor; False if it is still being read (the viewer is woken then), or if the log has no
        more than the viewer (it is woken when the feed has)."""
        if self._read is None:
            page = self._pages.after(self.id, self.cursor)
            if isinstance(page, asyncio.Task):
                self._read = (page, self.cursor)
                page.add_done_callback(lambda _: self.wake())
                return False
            return self._apply(page)
        read, cursor = self._read
        if not read.done():
            return False
        self._read = None
        if read.cancelled() or read.exception() is not None:
            # Redis is away. The stream stays open; it is tried again.
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self.wake)
            return False
        return self.cursor != cursor or self._apply(read.result())  # or it was reset meanwhile

    def _apply(self, page: Page) -> bool:
        self._pieces = list(page.pieces)
        self.ended = page.ended
        if not page.pieces and self.feed is None:
            # A log that has ended, and does not go on to its end: it expired while it was read.
            self.tell(local_frame("gap", reason="expired"))
            self.drop()
            return True
        return bool(page.pieces)

    async def _sleep(self) -> None:
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

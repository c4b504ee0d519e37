"""One open event stream: a cursor and a socket. It has no queue: what it lacks is in the feed's ring or in the log."""

import asyncio
from collections.abc import Callable
from typing import Final, Literal

from api.feed import Feed, Loan
from api.pages import Page, Pages
from broker.events import local_frame
from broker.ids import BEGINNING, EntryId

KEEP_ALIVE: Final = b": ka\n"
"""A comment line with no blank line behind it: a blank line would be an empty message to some clients."""
RETRY: Final = b"retry: 500\n"
"""Milliseconds after which a browser comes back, said once a stream and only with an event: without it a browser waits for
seconds, and alone it would be an empty message to some clients."""
_DATA: Final = b"data: "
_MOST_SEND: Final = 64 * 1024
_MOST_TOLD: Final = 8
_RETRY_SECONDS: Final = 0.25


class Viewer:
    """Whoever owns the socket calls `take` whenever the socket takes more, and gives the hub a `wake` to say that there is
    more. In the ring the viewer is a `position`; else it reads the log behind its `cursor`, which is not kept up to date
    meanwhile. A socket that lends itself (`lend`) lets the feed write ready chunks to it once the viewer lacks nothing: then it
    is `following`, and not even its position is kept up to date.

    `done` is how the stream ends: `end`, with the generation's end; `cut`, before it, and it must not look like an end.
    `blocked_since` is when the socket was last seen to take nothing; `abort` then ends it from outside. `taken` is a number
    that changes whenever its client has taken something.
    """

    __slots__ = (
        "_begun", "_ended", "_loan", "_over", "_pages", "_pieces", "_read", "_seen", "_told", "abort", "blocked_since",
        "cursor", "done", "feed", "id", "position", "taken", "wake",
    )  # fmt: skip

    def __init__(self, id_: str, feed: Feed | None, pages: Pages, cursor: EntryId) -> None:
        self.id = id_
        self.feed = feed
        self.cursor = cursor
        self.position: int | None = None
        self.done: Literal["end", "cut"] | None = None
        self.blocked_since: float | None = None
        self.wake: Callable[[], None] = _nobody
        self.abort: Callable[[], object] = _nobody
        self.taken: Callable[[], int] = _unknown
        self._seen = -1
        self._begun = False
        self._loan: Loan | None = None
        self._pages = pages
        self._pieces: list[tuple[bytes, EntryId]] = []
        self._read: tuple[asyncio.Task[Page], EntryId] | None = None
        self._told: list[bytes] = []
        self._ended = False
        self._over = False

    def release(self) -> None:
        """Its socket is gone, or has nothing more to write."""
        self.wake = self.abort = _nobody
        self.taken = _unknown
        self.lend(None)

    def lend(self, loan: Loan | None) -> None:
        """Its socket, to write ready chunks to; None while that takes no more."""
        self._loan = loan
        self.halt()

    def halt(self) -> None:
        """If it follows, it does no more: it stands where the feed has shown."""
        if self.feed is not None and self.feed.following.pop(self, None) is not None:
            self.position = self.feed.shown

    # -- the hub's side

    def tell(self, frame: bytes) -> None:
        """Says something about the connection itself. Bounded: a viewer that does not read misses such words."""
        if len(self._told) < _MOST_TOLD:
            self._told.append(frame)
        self.wake()

    def reset(self, reason: str) -> None:
        """What was handed out is not in the log any more: says so, and begins anew."""
        self.halt()
        self.cursor = BEGINNING
        self.position = None
        self._pieces = []
        self._ended = False
        self._told.clear()  # a gap that found no room would be a splice
        self.tell(local_frame("gap", reason=reason))

    def stalls(self, now: float, seconds: float) -> bool:
        """Whether its client has taken nothing for so long, although there is something. Ask about once a second."""
        if self.blocked_since is None:
            return False
        if (taken := self.taken()) != self._seen:
            self._seen, self.blocked_since = taken, now
        return now - self.blocked_since > seconds

    def drop(self) -> None:
        """After what was told, no more."""
        self._over = True
        self.wake()

    # -- the socket's side

    def begin(self, body: bytes) -> bytes:
        """What is sent, with `retry:` in the first event of the stream."""
        if not self._begun and (at := body.find(_DATA)) >= 0:
            self._begun = True
            return body[:at] + RETRY + body[at:]
        return body

    def take(self) -> bytes:
        """The next bytes to send, of everything that the viewer lacks about as much as one write should carry. Nothing if it
        lacks nothing (`wake` tells when that changes), or if the stream is `done`."""
        body = self._next()
        return body if self._begun else self.begin(body)

    def _next(self) -> bytes:
        self.halt()
        while self.done is None:
            if self._told:
                told = b"".join(self._told)
                self._told.clear()
                return told
            if self._over:
                self.done = "cut"
            elif self._pieces:
                piece, self.cursor = self._pieces.pop(0)
                return piece
            elif self._ended:
                self.done = "end"
            elif ready := self._from_ring():
                return ready
            elif not self._ended and (self.position is not None or not self._from_log()):
                self._follow()
                break
        return b""

    def _follow(self) -> None:
        feed = self.feed
        if self._begun and self._loan is not None and feed is not None and self.position == feed.shown:
            feed.following[self] = self._loan

    def _from_ring(self) -> bytes:
        feed = self.feed
        if feed is None:
            return b""
        if self.position is None:
            self.position = feed.join(self.cursor)
        if self.position is None or self.position == feed.end:
            self._ended = feed.ended and self.position is not None
            return b""
        ready, self.position = feed.take(self.position, _MOST_SEND)
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
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, lambda: self.wake())
            return False
        return self.cursor != cursor or self._apply(read.result())  # or it was reset meanwhile

    def _apply(self, page: Page) -> bool:
        if page.rewound:
            self.reset("rewound")
            return True
        self._pieces = list(page.pieces)
        self._ended = page.ended
        if not page.pieces and self.feed is None:
            # A log that had ended does not go on to its end. It expired while it was read; or Redis has lost an end that was
            # not safe yet: then whoever comes back finds a generation that runs.
            if page.gone:
                self.tell(local_frame("gap", reason="expired"))
            self.drop()
            return True
        return bool(page.pieces)


def _nobody() -> None:
    """Nobody owns the socket yet, or any more."""


def _unknown() -> int:
    """Its server does not tell."""
    return 0

"""One open event stream: a cursor and a socket. It has no queue: what it lacks is in the rendition's ring or in the log."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal

from api.dialects import UNKNOWN, State
from api.viewing.admissions import Admission
from api.viewing.pages import Page, Pages
from api.viewing.rendition import Loan, Rendition, View
from broker.ids import BEGINNING, EntryId
from broker.vocabulary import ClosedReason, GapReason

_MOST_SEND: Final = 64 * 1024
_MOST_NOTICES: Final = 8
_RETRY_SECONDS: Final = 0.25


class Viewer:
    """Whoever owns the socket calls `take` whenever the socket takes more, and gives the hub a `wake` to say that there is
    more. In the ring the viewer is a `position`; else it reads the log behind its `cursor`, which is not kept up to date
    meanwhile. A socket that lends itself (`lend`) lets the rendition write to it once the viewer lacks nothing: then it
    follows, and not even its position is kept up to date. A viewer of a log that has ended has no rendition.

    `done` is how the stream ends: `end`, with the generation's end; `cut`, before it, and it must not look like an end.
    `blocked_since` is when the socket was last seen to take nothing; `abort` then ends it from outside. `taken` is a number
    that changes whenever its client has taken something.
    """

    __slots__ = (
        "_begun", "_ended", "_loan", "_midway", "_notices", "_opening", "_over", "_pages", "_pieces", "_read",
        "_seen", "_state", "_was_reset", "abort", "admission", "blocked_since", "cursor", "done", "id", "position",
        "rendition", "taken", "view", "wake",
    )  # fmt: skip

    position: int | None
    _state: State

    def __init__(self, id_: str, view: View, rendition: Rendition | None, pages: Pages, cursor: EntryId) -> None:
        self.id = id_
        self.view = view
        self.rendition = rendition
        self.admission: Admission | None = None
        self.done: Literal["end", "cut"] | None = None
        self.blocked_since: float | None = None
        self.wake: Callable[[], None] = _nothing
        self.abort: Callable[[], object] = _nothing
        self.taken: Callable[[], int] = _unknown
        self._seen = -1
        self._begun = False
        self._loan: Loan | None = None
        self._pages = pages
        self._pieces: list[tuple[bytes, EntryId]] = []
        self._read: tuple[asyncio.Task[Page], EntryId] | None = None
        self._notices: list[bytes] = []
        self._opening: Iterator[bytes] | None = None
        self._midway = False
        self._was_reset = False
        self._ended = False
        self._over = False
        self.move(cursor)

    def release(self) -> None:
        """Its socket is gone, or has nothing more to write."""
        self.wake = self.abort = _nothing
        self.taken = _unknown
        self.lend(None)

    def lend(self, loan: Loan | None) -> None:
        """Its socket, to write to; None while that takes no more."""
        self._loan = loan
        self.halt()

    def halt(self) -> None:
        """If it follows, it does no more: it stands where its rendition has shown."""
        if self.rendition is not None and self.rendition.halt(self):
            self.position = self.rendition.shown

    def open_with(self, frame: Iterable[bytes], cursor: EntryId) -> None:
        """Gives it this frame, in pieces, before all else: that stands for what is up to the cursor. Not if it was told of a
        gap while the frame was made: then it begins anew."""
        if not self._was_reset:
            self._opening = iter(frame)
            self.move(cursor)

    def move(self, cursor: EntryId) -> None:
        """It reads the log from behind the cursor on."""
        self.cursor = cursor
        self.position = None
        self._state = self.view.dialect.behind(cursor)

    def knows(self, state: State) -> None:
        """The state behind its cursor, which else would have to be found out."""
        self._state = state

    # -- the hub's side

    def tell(self, frame: bytes) -> None:
        """Says something about the connection itself, unless its dialect has no word for it. Bounded: a viewer that does not
        read misses such words."""
        if frame and len(self._notices) < _MOST_NOTICES:
            self._notices.append(frame)
        self.wake()

    def reset(self, reason: GapReason) -> None:
        """What was handed out is not in the log any more: says so, and begins anew."""
        self.halt()
        self.move(BEGINNING)
        self._was_reset = True
        self._pieces = []
        self._ended = False
        self._notices.clear()  # a gap that found no room would be a splice
        self.tell(self.view.dialect.gap(reason))

    def withdraw(self) -> None:
        """What was handed out is withdrawn: nothing of it is shown any more that is in hand. A frame that is half sent is never
        ended: the stream is cut."""
        self.halt()
        if self._opening is not None and self._midway:
            self.drop()
        self._opening = self._read = None
        self._was_reset = True
        self._pieces = []

    def shut(self, reason: ClosedReason) -> None:
        """What let its reader in has ended: nothing is shown any more that is in hand, and the stream is cut. Who takes nothing
        just now is not waited for, and a frame that is half sent is never ended."""
        self._end_with(self.view.dialect.closed(reason))

    def erase(self) -> None:
        """Nothing of the generation is there any more, and nothing of it that is in hand is shown: else as `shut`."""
        if not self._over:
            self._end_with(self.view.dialect.gap("erased"))

    def _end_with(self, frame: bytes) -> None:
        midway, blocked = self._midway, self.blocked_since is not None
        self.withdraw()
        self._ended = False
        self._notices.clear()
        if not midway:
            self.tell(frame)
        self.drop()
        if blocked:
            self.abort()

    def goes_on_from(self, newest: EntryId) -> bool:
        """Whether it was given nothing behind this entry. What is on its way to it then, of a log that was longer, it drops,
        and reads anew. Asked of one that reads the log."""
        given = self._opening is not None or (self._ended and not self._pieces)
        if given or self.position is not None or self.cursor > newest:
            return False
        if self._read is not None or self._pieces:
            self._read, self._pieces, self._ended = None, [], False
            self.move(self.cursor)
        return True

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

    @property
    def midway(self) -> bool:
        """Whether it has given a part of a frame: nothing else may be written until it gives the rest."""
        return self._midway

    @property
    def place(self) -> EntryId:
        """The cursor behind all that it was given."""
        self.halt()
        if self.rendition is None or self.position is None:
            return self.cursor
        return self.rendition.id_before(self.position)

    def begin(self, body: bytes) -> bytes:
        """What is sent, with what must be said once a stream."""
        if not self._begun and (first := self.view.dialect.first(body)) is not None:
            self._begun = True
            return first
        return body

    def take(self) -> bytes:
        """The next bytes to send, framed: of everything that the viewer lacks about as much as one write should carry. Nothing
        if it lacks nothing (`wake` tells when that changes), or if the stream is `done`."""
        body = self._next()
        return self.view.framing(body if self._begun else self.begin(body)) if body else b""

    def _next(self) -> bytes:
        self.halt()
        while self.done is None:
            if self._opening is not None:  # nothing may be said in the middle of a frame
                if piece := next(self._opening, b""):
                    self._midway = True
                    return piece
                self._opening = None
                self._midway = False
            if self._notices:
                notices = b"".join(self._notices)
                self._notices.clear()
                return notices
            if self._over:
                self.done = "cut"
            elif self._pieces:
                piece, self.cursor = self._pieces.pop(0)
                if piece:
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
        rendition = self.rendition
        if self._begun and self._loan is not None and rendition is not None and self.position == rendition.shown:
            rendition.follow(self, self._loan)

    def _from_ring(self) -> bytes:
        rendition = self.rendition
        if rendition is None:
            return b""
        if self.position is None:
            self.position = rendition.position_behind(self.cursor, self._state)
        while self.position is not None and self.position < rendition.end:
            ready, self.position = rendition.take(self.position, _MOST_SEND)
            if ready:
                return ready
        self._ended = rendition.ended and self.position is not None
        return b""

    def _from_log(self) -> bool:
        """Takes the page behind the cursor; False if it is still being read (the viewer is woken then), or if the log has no
        more than the viewer (it is woken when its rendition has)."""
        if self._read is None:
            page = self._pages.after(self.id, self.view.dialect, self.cursor, self._state)
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
        learned = self._state is UNKNOWN and page.state is not UNKNOWN
        self._state = page.state
        self._pieces = list(page.pieces)
        self._ended = page.ended
        if not page.pieces and self.rendition is None:
            # A log that had ended does not go on to its end. It expired while it was read; or Redis has lost an end that was
            # not safe yet: then whoever comes back finds a generation that runs.
            if page.gone is not None:
                self.tell(self.view.dialect.gap(page.gone))
            self.drop()
            return True
        return learned or bool(page.pieces)


def _nothing() -> None:
    """Nobody owns the socket yet, or any more."""


def _unknown() -> int:
    """Its server does not tell."""
    return 0

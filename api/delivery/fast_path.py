"""The fast path: the way in for viewers whom the hub can serve from memory: those who come back to a generation that is watched
here, or join it. Whoever drops comes back through it, a whole crowd at once perhaps, so it asks neither Redis nor the router.
Whom it does not let in goes on to the routes, which answer everybody, these viewers too, alike.

Our own protocol class asks it before there is a call of the application (uvicorn_direct.py); on any other server a middleware
does (asgi.py)."""

import re
from collections.abc import Sequence
from typing import Final

from api.access.gate import Policy, Principal
from api.access.origin import Origins
from api.access.peers import DIRECT, Peers
from api.audit.journal import NO_JOURNAL, Journal
from api.dialects.native import NATIVE
from api.dialects.redacted import redacted
from api.intake.negotiate import EVENT_STREAM
from api.viewing.framing import Framing
from api.viewing.hub import Hub
from api.viewing.hubs import Hubs
from api.viewing.rendition import View
from api.viewing.viewer import Viewer
from broker.ids import BEGINNING, GENERATION_ID, EntryId

FAST_PATH: Final = "respool.fast_path"
"""Under which name the application's life span puts it into its state."""
_EVENTS: Final = re.compile(rb"/v1/generations/(%s)/events(?:\?token=[A-Za-z0-9._-]+)?" % GENERATION_ID.encode())
_NO_CURSORS: Final = (None, BEGINNING)
_TAKES_STREAMS: Final = (EVENT_STREAM.encode(), b"*/*")


class FastPath:
    def __init__(
        self, hub: Hub | Hubs, origins: Origins, policy: Policy, journal: Journal = NO_JOURNAL, peers: Peers = DIRECT
    ) -> None:
        self.hub = hub
        self._journal = journal
        self._address = peers.address
        self._authenticate = policy.authenticate
        self._answers_for = origins.answers_for
        self.left = hub.detach

    def admit(
        self, target: bytes, headers: Sequence[tuple[bytes, bytes]], framing: Framing, address: str = "",
        who: Principal | None = None,
    ) -> Viewer | None:  # fmt: skip
        """The viewer that a GET of this target asks for, if nothing needs to be found out for it; it is attached, and `left`
        detaches it. Other views than ours are asked for in a query, and have no quick way; a view link's token
        alone in it has. `address`: the peer's; `who` asks,
        where the gate was asked before."""
        if (match := _EVENTS.fullmatch(target)) is None:
            return None
        cursor: EntryId | None = None
        for name, value in headers:
            if name == b"accept":
                other = value not in _TAKES_STREAMS
            elif name == b"host":
                other = not self._answers_for(value.lower())
            elif name == b"last-event-id":
                other = cursor is not None or (cursor := EntryId.parse(value)) in _NO_CURSORS
            else:
                continue
            if other:
                return None
        if who is None:
            asks = self._authenticate(target, headers)
            if not isinstance(asks, Principal):
                return None
            who = asks.at(self._address(address, headers))
        journal = self._journal
        if "view" not in who.scopes or journal.refuses:
            return None
        id_ = match[1].decode()
        if cursor is None:
            cursor = BEGINNING
        view = View(redacted(NATIVE) if who.redacted else NATIVE, framing)
        if not self.hub.knows(id_, cursor, view, who):
            return None
        journal.note("view", who, id_)
        return self.hub.attach(id_, cursor, view, who=who, ended=False)

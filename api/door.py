"""The way in for viewers whom the hub can serve from memory: those who come back to a generation that is watched here, or join
it. Whoever drops comes back through it, a whole crowd at once perhaps, so it asks neither Redis nor the router."""

import re
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from api.negotiate import EVENT_STREAM
from api.service import Service
from api.stream import EventStream
from broker.ids import BEGINNING, EntryId

_EVENTS: Final = re.compile(r"/v1/generations/(gen_[0-9A-Z]{26})/events", re.ASCII)
_TAKES_STREAMS: Final = (EVENT_STREAM.encode(), b"*/*")


class Door:
    """ASGI middleware. What it does not let in goes on to the routes, which answer everybody, these viewers too, alike."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await ((_stream(scope) if scope["type"] == "http" else None) or self._app)(scope, receive, send)


def _stream(scope: Scope) -> EventStream | None:
    """The viewer's stream, if nothing needs to be found out for it."""
    if scope["method"] != "GET" or scope["query_string"] or not (match := _EVENTS.fullmatch(scope["path"])):
        return None
    cursor: EntryId | None = BEGINNING
    for name, value in scope["headers"]:
        if name == b"accept" and value not in _TAKES_STREAMS:
            return None
        if name == b"last-event-id":
            cursor = EntryId.parse(value.decode("latin-1")) if cursor == BEGINNING else None
    service: Service = scope["app"].state.service
    if cursor is None or not service.hub.knows(match[1], cursor):
        return None
    return EventStream(service.hub, service.hub.attach(match[1], cursor, ended=False))

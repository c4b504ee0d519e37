"""ASGI middleware, the outermost one: hosts and origins, on any server."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.direct import CUT
from api.origin import Origins
from api.problems import Problem

NOSNIFF: Final = ("x-content-type-options", "nosniff")
"""Of every answer: no browser takes it for what it does not say. Under our own protocol classes uvicorn adds it, which costs an
event stream nothing."""


class Guard:
    """Answers what `origins` refuses; the rest goes on to the application."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if CUT not in scope.get("extensions", {}):
            send = _with_nosniff(send)
        refused = self._origins.refusal(scope["method"], scope["path"], scope["headers"])
        if refused is None:
            await self._app(scope, receive, send)
        else:
            # What is left of the body is not read.
            await Problem(refused, headers={"Connection": "close"}).response()(scope, receive, send)


def _with_nosniff(send: Send) -> Send:
    header = tuple(part.encode() for part in NOSNIFF)

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), header]}
        await send(message)

    return answer

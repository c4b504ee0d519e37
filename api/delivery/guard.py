"""ASGI middleware, the outermost one: hosts and origins, CORS, on any server."""

from collections.abc import Sequence

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access.origin import PREFLIGHT, SOCKET, Header, Origins
from api.delivery.uvicorn_direct import CUT
from api.intake.problems import Problem
from api.intake.shapes import worded


class Guard:
    """Answers what `origins` refuses, and preflights; the rest goes on to the application. Every answer gets the headers that
    let a page read it, or not; under our own protocol classes uvicorn adds them, for here each event would cost a call."""

    def __init__(self, app: ASGIApp, origins: Origins) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            refused = self._origins.refusal(SOCKET, scope["path"], scope["headers"])
            if refused is not None:
                await worded(Problem(refused), scope["path"], scope["headers"])(scope, receive, send)
            else:
                await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if CUT not in scope.get("extensions", {}):
            send = _with(send, (*self._origins.standing, *self._origins.sharing(scope["headers"])))
        refused = self._origins.refusal(scope["method"], scope["path"], scope["headers"])
        if refused is not None:
            # What is left of the body is not read.
            problem = Problem(refused, headers={"Connection": "close"})
            await worded(problem, scope["path"], scope["headers"])(scope, receive, send)
        elif self._origins.is_preflight(scope["method"], scope["headers"]):
            answer = Response(status_code=204)
            answer.raw_headers.extend(PREFLIGHT)
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _with(send: Send, headers: Sequence[Header]) -> Send:
    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return answer

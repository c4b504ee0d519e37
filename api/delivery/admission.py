"""ASGI middleware, right behind the guard: who asks, on any server, before anything is routed.

What no policy lets in reaches no route, whether that route asks or not; what it lets in finds its `Principal` in the scope.
"""

from collections.abc import Callable, Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from api.access.gate import OPEN, WHO, Header, Policy, Refusal, admitted
from api.intake.problems import Problem


class Admission:
    """`policy` gives the policy of the moment."""

    def __init__(self, app: ASGIApp, policy: Callable[[], Policy]) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN:
            problem = await self._ask(scope)
            if problem is not None:
                if _has_body(scope["headers"]):  # it is not read
                    problem.headers["Connection"] = "close"
                await problem.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _ask(self, scope: Scope) -> Problem | None:
        """Why it is not answered; or None, and the scope says who asks."""
        query: bytes = scope["query_string"]
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        client = scope.get("client")
        try:
            who = await admitted(
                self._policy(), raw + (b"?" + query if query else b""), scope["headers"], client[0] if client else ""
            )
        except Problem as problem:
            return problem
        if isinstance(who, Refusal):
            return who.problem()
        scope[WHO] = who
        return None


def _has_body(headers: Iterable[Header]) -> bool:
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in headers)

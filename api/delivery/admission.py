"""ASGI middleware, right behind the guard: who asks, on any server, before anything is routed.

What no policy lets in reaches no route, whether that route asks or not; what it lets in finds its `Principal` in the scope.
Where nothing may be done that cannot be noted in the audit log, nothing is.
"""

import re
from collections.abc import Callable, Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from api.access.credentials import with_subprotocols
from api.access.gate import OPEN, WHO, Header, Policy, Refusal, admitted
from api.access.peers import DIRECT, Peers
from api.audit.journal import Journal
from api.intake.problems import Code, Problem, from_broker_error
from api.intake.shapes import worded
from broker.errors import BrokerError
from broker.ids import GENERATION_ID

_ID = re.compile(GENERATION_ID, re.ASCII)


class Admission:
    """`policy` and `journal` give those of the moment; `peers` tells whose address a request comes from."""

    def __init__(
        self, app: ASGIApp, policy: Callable[[], Policy], journal: Callable[[], Journal], peers: Peers = DIRECT
    ) -> None:
        self._peers = peers
        self._app = app
        self._policy = policy
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and scope["path"] not in OPEN:
            problem = await self._ask(scope)
            if problem is not None:
                if scope["type"] == "http" and _has_body(scope["headers"]):  # it is not read
                    problem.headers["Connection"] = "close"
                await worded(problem, scope["path"], scope["headers"])(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _ask(self, scope: Scope) -> Problem | None:
        """Why it is not answered; or None, and the scope says who asks."""
        query: bytes = scope["query_string"]
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        client = scope.get("client")
        headers: list[Header] = scope["headers"]
        if scope["type"] == "websocket":
            headers = with_subprotocols(headers)
        address = self._peers.address(client[0] if client else "", headers)
        journal = self._journal()
        if journal.refuses:
            return Problem(Code.AUDIT_UNAVAILABLE)
        try:
            who = await admitted(self._policy(), raw + (b"?" + query if query else b""), headers, address)
        except Problem as problem:
            return problem
        except BrokerError as error:
            return from_broker_error(error)
        if isinstance(who, Refusal):
            refused, about = who.problem(), _ID.search(scope["path"])
            journal.note("deny", None, about[0] if about else "", refused.code, address)
            return refused
        scope[WHO] = who
        return None


def _has_body(headers: Iterable[Header]) -> bool:
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in headers)

"""The application in this process, on the loop of the server that keeps its generations: what a request is answered."""

import asyncio
import json
from dataclasses import dataclass, replace
from functools import cache
from types import TracebackType
from typing import Any, Self, cast

from api.access.gate import ANONYMOUS, Open, Policy
from api.app import create_app
from api.delivery.asgi import Dropped
from api.delivery.fast_path import FAST_PATH, FastPath
from api.dialects.native import NATIVE
from api.routes.service import Service
from api.settings import ApiSettings
from api.viewing.framing import plain
from api.viewing.rendition import View
from broker.ids import BEGINNING
from tests.broker.store.scripted import Server


@dataclass(frozen=True)
class Answer:
    """`cut`: it did not end as it should."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> tuple[int, str]:
        assert self.headers["content-type"] == "application/problem+json"
        return self.status, self.json["code"]

    @property
    def shown(self) -> dict[str, Any]:
        """The document of a success."""
        assert self.status in (200, 202)
        assert self.headers["content-type"] == "application/json"
        assert self.headers["cache-control"] == "no-store"
        return cast("dict[str, Any]", self.json)

    @property
    def events(self) -> list[dict[str, Any]]:
        assert self.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert self.headers["cache-control"] == "no-store"
        assert self.headers["x-accel-buffering"] == "no"
        lines = self.body.decode().split("\n")
        return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]


_app = cache(lambda **settings: create_app(ApiSettings(**settings)))


class Api:
    """The application, on the loop of the server that keeps its generations. Use it as a context."""

    def __init__(self, server: Server, **settings: Any) -> None:
        self._server = server
        self.app = _app(redis_url=server.url, **settings)

    def __enter__(self) -> Self:
        self._life = self.app.router.lifespan_context(self.app)
        self._server.do(self._begin())
        return self

    async def _begin(self) -> None:
        self._state = cast("dict[str, Any]", await self._life.__aenter__())
        async with asyncio.timeout(5):
            while not self.service.hub.statistics().up:
                await asyncio.sleep(0)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.do(self._end())

    async def _end(self) -> None:
        self.app.state.policy = Open()  # it is used again
        await self._life.__aexit__(None, None, None)
        for _ in range(5):  # what was closed in between is closed a turn later
            await asyncio.sleep(0)

    @property
    def service(self) -> Service:
        return cast(Service, self.app.state.cells.services[0])

    def change(self, **parts: Any) -> None:
        """Puts others in the place of some of what the routes work with."""
        self.app.state.cells.services[0] = replace(self.service, **parts)

    def police(self, policy: Policy) -> None:
        """Puts another policy in the place of the application's, on the routes and on the quick way in."""
        self.app.state.policy = policy
        self._state[FAST_PATH] = FastPath(self.service.hub, self.app.state.origins, policy, self.app.state.journal)

    def until_known(self, id_: str) -> None:
        """Waits until the hub can serve its viewers from memory."""
        self._server.do(self._until_known(id_))

    async def _until_known(self, id_: str) -> None:
        async with asyncio.timeout(5):
            while not self.service.hub.knows(id_, BEGINNING, View(NATIVE, plain), ANONYMOUS):
                await asyncio.sleep(0)

    def get(self, target: str, events: int = 99, /, **headers: str) -> Answer:
        return self.ask("GET", target, headers, events=events)

    def post(self, target: str, body: object = None, events: int = 99, /, **headers: str) -> Answer:
        raw = b"" if body is None else json.dumps(body).encode()
        return self.ask("POST", target, {"content-type": "application/json", **headers}, raw, events)

    def ask(self, method: str, target: str, headers: dict[str, str], body: bytes = b"", events: int = 99) -> Answer:
        return self._server.do(self._ask(method, target, headers, body, events))

    async def _ask(self, method: str, target: str, headers: dict[str, str], body: bytes, events: int) -> Answer:
        """Leaves a stream when it has said so many events."""
        path, _, query = target.partition("?")
        given = [
            (b"host", b"localhost"),
            *((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()),
        ]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "headers": given,
            "state": dict(self._state),
        }  # fmt: skip
        sent: list[dict[str, Any]] = []
        requests: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if requests:
                return requests.pop()
            async with asyncio.timeout(5):
                while b"".join(message.get("body", b"") for message in sent).count(b"data: {") < events:
                    await asyncio.sleep(0.001)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        cut = False
        try:
            await self.app(scope, receive, send)
        except Dropped:
            cut = True
        start, *rest = sent
        found = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], found, b"".join(message.get("body", b"") for message in rest), cut)

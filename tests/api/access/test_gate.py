"""Nothing is open: whatever leads to a generation asks the gate, the quick way in too, and what is not yours does not exist."""

import asyncio
import re
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.routing import APIRoute

from api.access.gate import ANONYMOUS, Header, Open, Principal
from api.app import GUARDED
from api.intake.problems import Code, Problem
from broker import keys
from broker.ids import new_generation_id
from broker.request import GenerationRequest
from tests.api.in_process import Answer, Api
from tests.broker.store.scripted import Generation, Server

ASKED: dict[str, Any] = {"model": "sim-1", "messages": [{"role": "user", "content": "Hi"}]}
STREAM = {"accept": "text/event-stream"}
OPEN = {"/healthz", "/readyz", "/openapi.json", "/docs", "/docs/start.js", "/docs/{name}"}
"""They say nothing of a generation, and nothing of who asks."""


class Named:
    """Everybody is who the header X-Name says; who says nothing is refused. `asked` are the targets that it was asked about."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def authenticate(self, target: bytes, headers: Iterable[Header]) -> Principal | Code:
        self.asked.append(target)
        name = dict(headers).get(b"x-name", b"").decode()
        return Principal(name) if name else Code.CROSS_SITE


@pytest.fixture
def policy(api: Api) -> Named:
    """In the place of the open one, on the routes and on the quick way."""
    named = Named()
    api.police(named)
    return named


def routes(api: Api) -> list[tuple[str, str]]:
    """Each method of each path that the application serves."""
    found = [route for route in _flat(api.app.routes) if isinstance(route, APIRoute)]
    assert len(found) > len(OPEN)
    return [(method, route.path) for route in found for method in sorted(route.methods or ())]


def _flat(routes_: Iterable[Any]) -> Iterable[Any]:
    for route in routes_:
        inner = getattr(getattr(route, "original_router", None), "routes", None)
        yield from _flat(inner) if inner is not None else [route]


def ask(api: Api, method: str, path: str, id_: str, events: int = 1, **headers: str) -> Answer:
    target = re.sub(r"\{\w+\}", id_, path)
    body = b'{"model":"sim-1","messages":[{"role":"user","content":"Hi"}]}' if method == "POST" else b""
    given = {"content-type": "application/json", **headers}
    return api.ask(method, target, given, body, events)


def made(api: Api, server: Server, owner: str) -> Generation:
    """A generation of this owner, running, that has said a word and is watched here."""
    request = GenerationRequest.model_validate(ASKED)
    generation = Generation(server, server.do(api.service.submissions.submit(request, None, owner)))
    generation.granted()
    return generation


def test_no_route_is_open_to_whom_the_policy_refuses_but_those_that_say_nothing(
    api: Api, server: Server, policy: Named
) -> None:
    generation = made(api, server, "me")
    for method, path in routes(api):
        policy.asked.clear()
        answer = ask(api, method, path, generation.id)
        if path in OPEN:
            assert answer.status in (200, 422), path  # 422: no such asset
            assert not policy.asked
        else:
            assert answer.code == (403, "cross_site"), (method, path)
            assert policy.asked[-1] == path.replace("{id}", generation.id).encode()
    assert generation.field("state") == "running"
    assert not api.service.hub._feeds


def test_what_is_somebody_elses_does_not_exist(api: Api, server: Server, policy: Named) -> None:
    generation, never = made(api, server, "me"), new_generation_id()
    for method, path in routes(api):
        if "{id}" not in path:
            continue
        theirs, unknown = (ask(api, method, path, id_, x_name="you") for id_ in (generation.id, never))
        assert theirs.code == (404, "not_found")
        assert (theirs.headers, theirs.body) == (unknown.headers, unknown.body)
    assert api.get("/v1/generations", x_name="you").shown == {"data": [], "next_cursor": None}
    assert [each["id"] for each in api.get("/v1/generations", x_name="me").shown["data"]] == [generation.id]
    assert generation.field("cancel") is None
    assert ask(api, "POST", "/v1/generations/{id}/cancel", generation.id, x_name="me").status == 202


def test_the_quick_way_in_is_shut_to_whom_it_is_not_and_asks_for_each(api: Api, server: Server, policy: Named) -> None:
    generation = made(api, server, "me")
    events = f"/v1/generations/{generation.id}/events"
    assert api.get(events, 1, x_name="me").types == ["stream_start"]
    api.until_known(generation.id)
    policy.asked.clear()
    for answer, code in (
        (api.get(events, 1), (403, "cross_site")),
        (api.get(events, 1, x_name="you"), (404, "not_found")),
    ):
        assert answer.code == code
    assert len(policy.asked) == 4, "there, and at the route"
    policy.asked.clear()
    assert api.get(events, 1, x_name="me").types == ["stream_start"]
    assert policy.asked == [events.encode()], "there alone"


def test_a_key_is_its_owners(api: Api, server: Server, policy: Named) -> None:
    mine, again, yours = (
        api.post("/v1/generations", ASKED, x_name=name, idempotency_key="key").shown["id"] for name in ("me", "me", "you")
    )  # fmt: skip
    assert mine == again != yours
    assert server.command("HGET", keys.record(mine), "owner") == b"me"
    stream = api.post("/v1/chat/stream", ASKED, 1, x_name="me", **STREAM)
    assert server.command("HGET", keys.record(stream.headers["generation-id"]), "owner") == b"me"


def test_a_route_that_forgets_to_ask_is_shut_all_the_same(api: Api, policy: Named) -> None:
    request = SimpleNamespace(app=api.app, scope={"raw_path": b"/v1/new", "query_string": b"", "headers": []})
    for router in GUARDED:
        (asks,) = router.dependencies
        assert asks.dependency is not None
        with pytest.raises(Problem):
            asyncio.run(asks.dependency(request))
    assert policy.asked == [b"/v1/new"] * len(GUARDED)


def test_a_query_belongs_to_what_is_asked_for(api: Api, policy: Named) -> None:
    api.get("/v1/generations?limit=1", x_name="me")
    assert policy.asked == [b"/v1/generations?limit=1"]


def test_who_sees_all_sees_what_is_anybodys() -> None:
    assert ANONYMOUS.may_see("")
    assert ANONYMOUS.may_see("me")
    assert Principal("me").may_see("me")
    assert not Principal("me").may_see("")
    assert Open().authenticate(b"/", []) is ANONYMOUS

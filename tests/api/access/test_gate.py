"""Nothing is open: whatever leads to a generation asks the gate, the quick way in too, and what is not yours does not exist."""

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi.routing import APIRoute

from api.access.gate import ALL, ANONYMOUS, OPEN, WHO, Header, Open, Principal, Refusal, Scope
from api.app import GUARDED
from api.intake.problems import Problem
from api.intake.shapes import PROBLEM, shape_of
from broker import keys
from broker.ids import new_generation_id
from broker.request import GenerationRequest
from tests.api.in_process import Answer, Api
from tests.broker.store.scripted import Generation, Server

ASKED: dict[str, Any] = {"model": "sim-1", "messages": [{"role": "user", "content": "Hi"}]}
STREAM = {"accept": "text/event-stream"}
ASSET = "favicon-32x32.png"


class Named:
    """Everybody is who the header X-Name says, and may what X-Scopes says, if it says anything; who says nothing is refused.
    `asked` are the targets that it was asked about. `strangers` must be looked up first."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.strangers: set[str] = set()
        self.looked_up: list[tuple[str, str]] = []

    def authenticate(self, target: bytes, headers: Iterable[Header]) -> Principal | Refusal:
        self.asked.append(target)
        given = {name: value.decode() for name, value in headers}
        name, scopes = given.get(b"x-name", ""), given.get(b"x-scopes")
        if name in self.strangers:
            return Refusal(unknown=name)
        if not name:
            return Refusal()
        return Principal(name, scopes=ALL if scopes is None else frozenset(cast(list[Scope], scopes.split())))

    def holds(self, who: Principal) -> bool:
        return True

    async def look_up(self, refusal: Refusal) -> None:
        self.looked_up.append((refusal.unknown, refusal.address))
        self.strangers.discard(refusal.unknown)


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
    return [(method, route.path_format) for route in found for method in sorted(route.methods or ())]


def _flat(routes_: Iterable[Any]) -> Iterable[Any]:
    for route in routes_:
        inner = getattr(getattr(route, "original_router", None), "routes", None)
        yield from _flat(inner) if inner is not None else [route]


def named(path: str, id_: str) -> str:
    """The path of this generation, by the name that it has there."""
    own = f"resp_{id_.removeprefix('gen_')}" if path.startswith("/v1/responses/") else id_
    return path.replace("{id}", own).replace("{name}", ASSET).replace("{thread}", "a-thread")


def ask(api: Api, method: str, path: str, id_: str, events: int = 1, **headers: str) -> Answer:
    target = named(path, id_)
    body = b'{"model":"sim-1","messages":[{"role":"user","content":"Hi"}]}' if method == "POST" else b""
    given = {"content-type": "application/json", **headers}
    return api.ask(method, target, given, body, events)


def refusal(answer: Answer, path: str) -> tuple[int, str]:
    """Status and code of a problem, in the words of the path's vocabulary."""
    if shape_of(path, ()) is PROBLEM:
        return answer.code
    assert answer.headers["content-type"] == "application/json", path
    told = answer.json.get("error", answer.json)
    return answer.status, told["code"] if "code" in told else told["details"]["error_code"]


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
        if path.replace("{name}", ASSET) in OPEN:
            assert answer.status == 200, path
            assert not policy.asked
        else:
            assert refusal(answer, path) == (401, "unauthenticated"), (method, path)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert policy.asked == [named(path, generation.id).encode()]
    assert api.get("/v1/nowhere").code == api.get("/docs/other").code == (401, "unauthenticated"), "no route was asked"
    assert generation.field("state") == "running"
    assert not api.service.hub._feeds


def test_what_is_somebody_elses_does_not_exist(api: Api, server: Server, policy: Named) -> None:
    generation, never = made(api, server, "me"), new_generation_id()
    for method, path in routes(api):
        if "{id}" not in path:
            continue
        theirs, unknown = (ask(api, method, path, id_, x_name="you") for id_ in (generation.id, never))
        assert refusal(theirs, path) == (404, "not_found"), path
        assert (theirs.headers, theirs.body) == (unknown.headers, unknown.body)
    assert api.get("/v1/generations", x_name="you").shown == {"data": [], "next_cursor": None}
    assert [each["id"] for each in api.get("/v1/generations", x_name="me").shown["data"]] == [generation.id]
    assert generation.field("cancel") is None
    assert ask(api, "POST", "/v1/generations/{id}/cancel", generation.id, x_name="me").status == 202


def test_what_was_somebody_elses_and_has_expired_never_was(api: Api, server: Server, policy: Named) -> None:
    generation, never = made(api, server, "me"), new_generation_id()
    server.command("DEL", keys.record(generation.id), keys.log(generation.id))
    for method, path in routes(api):
        if "{id}" not in path:
            continue
        theirs, unknown = (ask(api, method, path, id_, x_name="you") for id_ in (generation.id, never))
        assert refusal(theirs, path) == (404, "not_found"), path
        assert (theirs.headers, theirs.body) == (unknown.headers, unknown.body)
    assert api.get(f"/v1/generations/{generation.id}", x_name="me").code == (410, "expired")


def test_the_quick_way_in_is_shut_to_whom_it_is_not_and_asks_for_each(api: Api, server: Server, policy: Named) -> None:
    generation = made(api, server, "me")
    events = f"/v1/generations/{generation.id}/events"
    assert api.get(events, 1, x_name="me").types == ["stream_start"]
    api.until_known(generation.id)
    policy.asked.clear()
    for answer, code in (
        (api.get(events, 1), (401, "unauthenticated")),
        (api.get(events, 1, x_name="you"), (404, "not_found")),
    ):
        assert answer.code == code
    assert policy.asked == [events.encode()] * 2
    policy.asked.clear()
    assert api.get(events, 1, x_name="me").types == ["stream_start"]
    assert policy.asked == [events.encode()], "once, for all that is behind it"


def test_a_key_is_its_owners(api: Api, server: Server, policy: Named) -> None:
    mine, again, yours = (
        api.post("/v1/generations", ASKED, x_name=name, idempotency_key="key").shown["id"] for name in ("me", "me", "you")
    )  # fmt: skip
    assert mine == again != yours
    assert server.command("HGET", keys.record(mine), "owner") == b"me"
    stream = api.post("/v1/chat/stream", ASKED, 1, x_name="me", **STREAM)
    assert server.command("HGET", keys.record(stream.headers["generation-id"]), "owner") == b"me"


def test_a_route_is_shut_where_no_gate_stands_before_it() -> None:
    for router in GUARDED:
        (asks,) = router.dependencies
        assert asks.dependency is not None
        with pytest.raises(Problem):
            asyncio.run(asks.dependency(SimpleNamespace(scope={})))
        assert asyncio.run(asks.dependency(SimpleNamespace(scope={WHO: ANONYMOUS}))) is ANONYMOUS


def test_a_route_needs_what_it_says_it_needs_and_says_what_is_missing(api: Api, server: Server, policy: Named) -> None:
    generation, never = made(api, server, "me"), new_generation_id()
    seen: set[str] = set()
    for path, methods in api.app.openapi()["paths"].items():
        for method, said in methods.items():
            assert ("security" in said) is (path not in OPEN), path
            needed = set(said.get("security", [{"bearer": []}])[0]["bearer"])
            seen |= needed
            for missing in needed:
                others = " ".join(ALL - {missing})
                for id_ in (generation.id, never):
                    answer = ask(api, method.upper(), path, id_, x_name="me", x_scopes=others)
                    assert refusal(answer, path) == (403, "forbidden"), (method, path)
                    assert missing in answer.body.decode()
    assert seen >= {"submit", "view", "cancel"}
    assert generation.field("cancel") is None


def test_the_quick_way_in_and_streams_of_what_is_submitted_are_for_who_may_view(
    api: Api, server: Server, policy: Named
) -> None:
    generation = made(api, server, "me")
    events = f"/v1/generations/{generation.id}/events"
    assert api.get(events, 1, x_name="me").types == ["stream_start"]
    api.until_known(generation.id)
    assert api.get(events, 1, x_name="me", x_scopes="submit cancel").code == (403, "forbidden")
    submits = {"x_name": "me", "x_scopes": "submit"}
    assert api.post("/v1/generations", ASKED, 1, **submits, **STREAM).code == (403, "forbidden")
    assert api.post("/v1/generations", ASKED, **submits).status == 202


def test_a_key_that_is_not_known_here_is_looked_up_once_before_it_is_answered(
    api: Api, server: Server, policy: Named
) -> None:
    policy.strangers = {"me", "you"}
    assert api.get("/v1/generations", x_name="me").status == 200
    assert api.get("/v1/generations", x_name="me").status == 200
    assert policy.looked_up == [("me", "")]
    generation = made(api, server, "you")
    events = f"/v1/generations/{generation.id}/events"
    assert api.get(events, 1, x_name="you").types == ["stream_start"]
    policy.strangers = {"you"}
    api.until_known(generation.id)
    assert api.get(events, 1, x_name="you").types == ["stream_start"], "from the quick way in it goes on to the routes"
    assert policy.looked_up[1:] == [("you", ""), ("you", "")]


def test_a_query_belongs_to_what_is_asked_for(api: Api, policy: Named) -> None:
    api.get("/v1/generations?limit=1", x_name="me")
    assert policy.asked == [b"/v1/generations?limit=1"]


def test_who_sees_all_sees_what_is_anybodys() -> None:
    assert ANONYMOUS.may_see("", "a")
    assert ANONYMOUS.may_see("me", "a")
    assert Principal("me").may_see("me", "a")
    assert not Principal("me").may_see("", "a")
    assert Principal("me", only="a").may_see("me", "a")
    assert not Principal("me", only="a").may_see("me", "b")
    assert not Principal("", sees_all=True, only="a").may_see("me", "b")
    assert Open().authenticate(b"/", []) is ANONYMOUS
    assert ANONYMOUS.at("::1") == Principal("", sees_all=True, address="::1")

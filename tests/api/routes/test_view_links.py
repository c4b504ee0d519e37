"""View links on routes: who may make one, what it opens, how it is revoked, and that what is withheld is withheld everywhere."""

from collections.abc import Iterable
from typing import Any, cast

import pytest

from api.access.gate import Header, Principal, Refusal, Scope
from api.access.linked import Linked
from tests.api.in_process import Api
from tests.api.routes.test_generations import GENERATIONS
from tests.broker.store.scripted import Generation, Server

ASKED: dict[str, Any] = {"model": "sim-1", "messages": [{"role": "user", "content": "Hi"}]}


class ByName:
    """Who the header X-Name says may do what X-Scopes says; nobody else is let in."""

    def authenticate(self, target: bytes, headers: Iterable[Header]) -> Principal | Refusal:
        given = {name: value.decode() for name, value in headers}
        scopes = frozenset(cast("list[Scope]", given.get(b"x-scopes", "submit view cancel admin").split()))
        return Principal(name, name, scopes) if (name := given.get(b"x-name", "")) else Refusal()

    def holds(self, who: Principal) -> bool:
        return True

    async def look_up(self, refusal: Refusal) -> None: ...


@pytest.fixture
def keyed(api: Api) -> Api:
    """The server asks for keys."""
    policy = api.app.state.policy
    assert isinstance(policy, Linked)
    api.police(Linked(ByName(), policy._links, policy._revoked))
    return api


def made(api: Api, id_: str, body: object = None, **headers: str) -> dict[str, Any]:
    answer = api.post(f"{GENERATIONS}/{id_}/view-links", body, **headers)
    assert answer.status == 201, answer.body
    assert answer.headers["cache-control"] == "no-store"
    return cast("dict[str, Any]", answer.json)


def mine(server: Server) -> Generation:
    """A generation of tenant `me`, that has said a word."""
    generation = Generation(server)
    generation.create(owner="me")
    attempt = generation.granted()
    generation.append(attempt, 1, b"a")
    return generation

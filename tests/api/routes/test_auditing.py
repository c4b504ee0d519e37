"""What a request leaves in the audit log."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from api.access.gate import ALL, Header, Principal, Refusal, Scope
from tests.api.audit.kept import Kept
from tests.api.in_process import Answer, Api
from tests.api.routes.test_generations import ASKED, GENERATIONS

STREAM = {"accept": "text/event-stream"}


class Keys:
    """`x-name` is the tenant and the key; `x-scopes` what it may do."""

    def authenticate(self, target: bytes, headers: Iterable[Header]) -> Principal | Refusal:
        given = {name: value.decode() for name, value in headers}
        if (name := given.get(b"x-name")) is None:
            return Refusal()
        scopes: Any = frozenset(given[b"x-scopes"].split()) if b"x-scopes" in given else ALL
        held: frozenset[Scope] = scopes
        return Principal(name, key=f"key_{name}", scopes=held)

    def holds(self, who: Principal) -> bool:
        return True

    async def look_up(self, refusal: Refusal) -> None:
        """Nothing is unknown."""


@pytest.fixture
def kept(api: Api) -> Kept:
    kept = Kept()
    api.app.state.journal = kept
    api.police(Keys())
    return kept


def submitted(api: Api, kept: Kept, name: str = "acme") -> str:
    id_: str = api.post(GENERATIONS, ASKED, x_name=name).shown["id"]
    assert kept.taken() == [("submit", f"key_{name}", id_, "ok")]
    return id_


def test_submits_of_every_kind_are_noted(api: Api, kept: Kept) -> None:
    id_ = submitted(api, kept)
    retried = api.post(f"{GENERATIONS}/{id_}/retry", {}, x_name="acme").shown["id"]
    assert kept.taken() == [("submit", "key_acme", retried, "ok")]
    streamed = api.post(GENERATIONS, ASKED, 1, x_name="acme", **STREAM)
    id_ = streamed.headers["generation-id"]
    assert kept.taken() == [("submit", "key_acme", id_, "ok"), ("view", "key_acme", id_, "ok")]
    chat = api.post(
        "/v1/chat/stream", {"model": "sim-1", "messages": [{"role": "user", "content": "Hi"}]}, 1, x_name="acme"
    )
    id_ = chat.headers["generation-id"]
    assert kept.taken() == [("submit", "key_acme", id_, "ok"), ("view", "key_acme", id_, "ok")]
    body = b"\n".join([json.dumps(ASKED).encode()] * 3 + [b"{}"])
    lines = api.ask("POST", f"{GENERATIONS}/batch", {"content-type": "application/jsonl", "x-name": "acme"}, body).body
    ids = [json.loads(line)["generation"]["id"] for line in lines.splitlines()[:3]]
    assert sorted(kept.taken()) == sorted(("submit", "key_acme", id_, "ok") for id_ in ids)


def test_views_are_noted_the_quick_way_in_too(api: Api, kept: Kept) -> None:
    id_ = submitted(api, kept)
    events = f"{GENERATIONS}/{id_}/events"
    asks: list[Answer] = [
        api.get(events, 1, x_name="acme", **STREAM),
        api.get(f"{events}?view=text", 0, x_name="acme", **STREAM),
        api.get(f"{GENERATIONS}/{id_}", x_name="acme"),
    ]
    assert [answer.status for answer in asks] == [200] * 3
    assert kept.taken() == [("view", "key_acme", id_, "ok")] * 3
    assert api.get(GENERATIONS, x_name="acme").status == 200
    assert kept.taken() == [("list", "key_acme", "", "ok")]


def test_cancels_are_noted_with_what_came_of_them(api: Api, kept: Kept) -> None:
    id_ = submitted(api, kept)
    assert api.post(f"{GENERATIONS}/{id_}/cancel", x_name="acme").status == 200
    assert kept.taken() == [("cancel", "key_acme", id_, "cancelled")]


def test_whoever_may_not_is_noted_with_why(api: Api, kept: Kept) -> None:
    id_ = submitted(api, kept)
    path = f"{GENERATIONS}/{id_}"
    assert api.get(path).status == 401
    assert api.get(path, x_name="acme", x_scopes="submit").status == 403
    assert api.get(f"{path}/events", x_name="other", **STREAM).status == 404
    assert api.post(f"{path}/cancel", x_name="other").status == 404
    assert kept.taken() == [
        ("deny", None, id_, "unauthenticated"),
        ("deny", "key_acme", id_, "forbidden"),
        ("deny", "key_other", id_, "not_found"),
        ("deny", "key_other", id_, "not_found"),
    ]
    assert api.get("/favicon.ico", x_name="acme").status == 404
    assert api.get(f"{GENERATIONS}/no-id-of-ours", x_name="acme").status == 404
    assert kept.taken() == []


def test_nothing_is_done_that_cannot_be_noted_where_it_must_be(api: Api, kept: Kept) -> None:
    id_ = submitted(api, kept)
    kept.refusing = True
    for answer in (
        api.get(f"{GENERATIONS}/{id_}/events", 1, x_name="acme", **STREAM),
        api.get(f"{GENERATIONS}/{id_}", x_name="acme"),
        api.post(GENERATIONS, ASKED, x_name="acme"),
    ):
        assert answer.code == (503, "audit_unavailable")
        assert answer.headers["retry-after"] == "5"
    assert api.get("/healthz").status == 200

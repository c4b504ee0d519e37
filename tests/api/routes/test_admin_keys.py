"""Keys over HTTP: made by whom has one that may, and used."""

from collections.abc import Iterator
from typing import Any

import pytest

from api.keys.issuing import SCOPES
from broker.collecting import Collector
from tests.api.in_process import Answer, Api
from tests.api.keys.keyed import PEPPER, Desk, bearer
from tests.broker.store.scripted import Server

KEYS = "/v1/admin/keys"
ASKED = {"model": "sim-1", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def keyed(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(Collector, "begin", lambda _: None)
    with Api(server, api_key_pepper=PEPPER) as api:
        yield api


@pytest.fixture
def admin(server: Server) -> dict[str, str]:
    return bearer(Desk(server).make("ops", ("admin",)))


def created(answer: Answer) -> dict[str, Any]:
    assert answer.status == 201, answer.body
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json
    return found


def test_who_has_a_key_makes_others_and_they_are_used_at_once(
    keyed: Api, server: Server, admin: dict[str, str]
) -> None:
    made = created(keyed.post(KEYS, {"tenant": "acme", "scopes": ["view", "submit"], "name": "app"}, **admin))
    assert made.pop("key").startswith(f"rsp_{made['id']}_")
    assert made["scopes"] == ["submit", "view"]
    listed = keyed.get(f"{KEYS}?tenant=acme", **admin).shown["data"]
    assert listed == [made | {"state": "live"}]
    assert len(keyed.get(KEYS, **admin).shown["data"]) == 2


def test_generations_are_those_of_the_keys_tenant(keyed: Api, admin: dict[str, str]) -> None:
    mine, yours = (
        {"x_api_key": created(keyed.post(KEYS, {"tenant": tenant, "scopes": list(SCOPES)}, **admin))["key"]}
        for tenant in ("me", "you")
    )
    id_ = keyed.post("/v1/generations", ASKED, **mine).shown["id"]
    assert keyed.get(f"/v1/generations/{id_}", **mine).shown["id"] == id_
    assert keyed.get(f"/v1/generations/{id_}", **yours).code == (404, "not_found")
    assert keyed.get(f"/v1/generations/{id_}", **admin).code == (403, "forbidden")
    assert keyed.get("/v1/generations", **yours).shown["data"] == []


def test_a_key_is_rotated_and_revoked(keyed: Api, admin: dict[str, str]) -> None:
    made = created(keyed.post(KEYS, {"tenant": "acme", "scopes": ["view"], "expires_in_seconds": 3600}, **admin))
    path = f"{KEYS}/{made['id']}"
    new = created(keyed.post(f"{path}/rotate", {"grace_seconds": 60}, **admin))
    for each in (made, new):
        assert keyed.get("/v1/generations", x_api_key=each["key"]).status == 200
    assert keyed.post(f"{path}/rotate", {}, **admin).code == (409, "key_has_ended")
    over = keyed.post(f"{path}/revoke", **admin).shown
    assert (over["state"], over["successor"]) == ("revoked", new["id"])
    for path in (f"{KEYS}/{'a' * 16}", f"{KEYS}/nonsense"):
        assert keyed.post(f"{path}/revoke", **admin).code == (404, "not_found")
        assert keyed.post(f"{path}/rotate", {}, **admin).code == (404, "not_found")
    assert keyed.get(f"{KEYS}?tenant=A", **admin).code == (422, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [{}, {"tenant": "A", "scopes": ["view"]}, {"tenant": "a\n", "scopes": ["view"]}, {"tenant": "a", "scopes": []},
     {"tenant": "a", "scopes": ["all"]}, {"tenant": "a", "scopes": ["view"], "expires_in_seconds": 0},
     {"tenant": "a", "scopes": ["view"], "id": "b"}, {"tenant": "a", "scopes": ["view"], "name": "n" * 65}],
)  # fmt: skip
def test_a_key_that_cannot_be_is_not_made(keyed: Api, admin: dict[str, str], body: object) -> None:
    assert keyed.post(KEYS, body, **admin).code == (422, "invalid_request")


def test_a_tenant_has_so_many_keys_and_no_more(keyed: Api, admin: dict[str, str]) -> None:
    for _ in range(20):
        created(keyed.post(KEYS, {"tenant": "acme", "scopes": ["view"]}, **admin))
    assert keyed.post(KEYS, {"tenant": "acme", "scopes": ["view"]}, **admin).code == (409, "too_many_keys")


def test_who_finds_a_server_open_can_keep_no_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Collector, "begin", lambda _: None)
    for settings in ({}, {"api_key_pepper": PEPPER, "allow_anonymous": True}):
        with Api(server, **settings) as api:
            assert api.get("/v1/generations").status == 200
            for answer in (api.get(KEYS), api.post(KEYS, {"tenant": "a", "scopes": ["view"]})):
                assert answer.code == (403, "forbidden")


def test_a_key_that_is_not_known_while_redis_is_away_is_no_wrong_key(
    keyed: Api, server: Server, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = bearer(Desk(server, pepper=PEPPER).make("you"))
    assert keyed.get(KEYS, **admin).status == 200

    def away(*_: object, **__: object) -> object:
        raise OSError("away")

    monkeypatch.setattr(keyed.service.coordination.redis, "pipeline", away)
    assert keyed.get("/v1/generations", **stranger).code == (503, "redis_unavailable")
    assert keyed.get(KEYS, **admin).status == 503, "known, but Redis is asked"

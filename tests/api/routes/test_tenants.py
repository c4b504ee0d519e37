"""Two tenants through HTTP: each has its own lists, keys and allow-lists, whatever it sends."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from api.access.gate import Header, Principal, Refusal
from broker import keys
from broker.keyed import Keyed
from broker.request import GenerationRequest
from tests.api.in_process import Api
from tests.broker.store.scripted import Server

ASKED: dict[str, Any] = {"model": "sim-1", "messages": [{"role": "user", "content": "Hi"}]}
SECRET = "s" * 32
LISTS = {
    "acme": {"models": ["sim-*"], "tools": ["web_search_*"]},
    "globex": {"models": ["other"], "tools": []},
}


class Named:
    """Everybody is who the header X-Name says."""

    def authenticate(self, target: bytes, headers: Iterable[Header]) -> Principal | Refusal:
        name = dict(headers).get(b"x-name", b"").decode()
        return Principal(name) if name else Refusal()

    def holds(self, who: Principal) -> bool:
        return True

    async def look_up(self, refusal: Refusal) -> None:
        raise AssertionError


def held(server: Server, **settings: Any) -> Iterator[Api]:
    with Api(server, **settings) as api:
        api.police(Named())
        yield api


@pytest.fixture
def both(server: Server) -> Iterator[Api]:
    yield from held(server, secret=SECRET)


@pytest.fixture
def limited(server: Server) -> Iterator[Api]:
    yield from held(server, tenants=json.dumps(LISTS))


def submit(api: Api, name: str, body: Any = ASKED, **headers: str) -> Any:
    return api.post("/v1/generations", body, x_name=name, **headers)


def listed(api: Api, name: str, query: str = "") -> tuple[list[str], str | None]:
    page = api.get(f"/v1/generations{query}", x_name=name).shown
    return [each["id"] for each in page["data"]], page["next_cursor"]


def test_a_cursor_of_one_tenant_shows_another_only_its_own(both: Api) -> None:
    mine = [submit(both, "acme").shown["id"] for _ in range(3)]
    yours = [submit(both, "globex").shown["id"] for _ in range(3)]
    page, cursor = listed(both, "globex", "?limit=1")
    assert page == [yours[2]]
    assert cursor is not None
    assert listed(both, "globex", f"?cursor={cursor}")[0] == [yours[1], yours[0]]
    assert listed(both, "acme", f"?cursor={cursor}")[0] == mine[::-1]
    page, cursor = listed(both, "acme", "?limit=1")
    assert listed(both, "globex", f"?cursor={cursor}")[0] == [], "all of its own came later"
    assert listed(both, "initech")[0] == []


def test_a_list_that_has_what_is_anothers_is_not_believed(both: Api, server: Server) -> None:
    mine = submit(both, "acme").shown["id"]
    server.command("ZADD", keys.index("all", "globex"), 1, mine)
    server.command("PEXPIRE", keys.index("all", "globex"), 60_000)
    assert listed(both, "globex")[0] == []


def test_labels_and_states_of_one_tenant_find_nothing_of_another(both: Api) -> None:
    labelled = {**ASKED, "labels": {"user": "bob"}, "external_id": "x1"}
    mine, yours = (submit(both, name, labelled).shown["id"] for name in ("acme", "globex"))
    for query in ("?label.user=bob", "?external_id=x1", "?state=queued", "?label.user=bob&state=queued"):
        assert listed(both, "acme", query)[0] == [mine]
        assert listed(both, "globex", query)[0] == [yours]


def test_one_key_of_two_tenants_names_two_generations_and_its_body_is_kept_as_nobody_can_guess_it(
    both: Api, server: Server
) -> None:
    key = {"idempotency_key": "k"}
    mine, again, yours = (submit(both, name, **key).shown["id"] for name in ("acme", "acme", "globex"))
    assert mine == again != yours
    assert submit(both, "acme", {**ASKED, "model": "sim-2"}, **key).code == (422, "idempotency_mismatch")
    kept = [server.command("GET", name).decode().split() for name in server.command("KEYS", "respool:idem:*")]
    digest = GenerationRequest.model_validate(ASKED).fingerprint()
    expected = {mine: "acme", yours: "globex"}
    for id_, fingerprint in (each for each in kept if each[0] in expected):
        assert fingerprint != digest
        assert fingerprint == Keyed.parsed(SECRET).fingerprint(expected.pop(id_), digest).partition(",")[0]
    assert not expected


def test_what_was_kept_before_the_secret_was_set_is_known_again(both: Api, server: Server) -> None:
    id_ = submit(both, "acme", idempotency_key="k").shown["id"]
    digest = GenerationRequest.model_validate(ASKED).fingerprint()
    (name,) = (each for each in server.command("KEYS", "respool:idem:*") if id_.encode() in server.command("GET", each))
    server.command("SET", name, f"{id_} {digest}", "PX", keys.IDEMPOTENCY_MS)
    assert submit(both, "acme", idempotency_key="k").shown["id"] == id_
    assert submit(both, "acme", {**ASKED, "model": "x"}, idempotency_key="k").code == (422, "idempotency_mismatch")


def refused(answer: Any, what: str, *places: str) -> None:
    assert answer.code == (403, f"{what}_not_allowed")
    assert [(each["pointer"], each["code"]) for each in answer.json["errors"]] == [
        (each, "not_allowed") for each in places
    ]


def test_a_model_that_is_not_on_a_tenants_list_is_refused_whichever_way_it_asks(limited: Api, server: Server) -> None:
    id_ = submit(limited, "acme").shown["id"]
    before = len(server.command("KEYS", "{gen_*}:record"))
    refused(submit(limited, "globex"), "model", "/model")
    refused(submit(limited, "acme", {**ASKED, "fallback": ["sim-2", "big"]}), "model", "/fallback/1")
    refused(limited.post("/v1/chat/stream", ASKED, x_name="globex"), "model", "/model")
    refused(
        limited.post(f"/v1/generations/{id_}/retry", {"model": "big"}, x_name="acme", content_length="16"),
        "model",
        "/model",
    )
    lines = "\n".join(json.dumps({**ASKED, "model": model}) for model in ("big", "sim-1")).encode()
    batch = limited.ask("POST", "/v1/generations/batch", {"content-type": "application/jsonl", "x-name": "acme"}, lines)
    first, second = (json.loads(line) for line in batch.body.splitlines())
    assert (first["status"], first["problem"]["code"]) == (403, "model_not_allowed")
    assert second["status"] == 202
    assert len(server.command("KEYS", "{gen_*}:record")) == before + 1
    assert submit(limited, "initech").status == 202, "of it nothing is said"


def test_a_tool_that_others_run_must_be_on_the_list_and_a_submitters_own_need_not(limited: Api) -> None:
    search, own = {"type": "web_search_20250305", "name": "web_search"}, {"name": "mine", "input_schema": {}}
    assert submit(limited, "acme", {**ASKED, "tools": [search, own]}).status == 202
    refused(submit(limited, "globex", {**ASKED, "model": "other", "tools": [own, search]}), "tool", "/tools/1")

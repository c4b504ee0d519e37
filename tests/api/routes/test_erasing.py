"""What an erasure leaves: nothing that can be read, and a word that it was."""

import asyncio
from typing import Any

import pytest

from api.viewing.erasures import Erasures
from broker import keys
from broker.errors import ErasedGeneration, StorageUnavailable
from broker.events import TEXT, Content
from broker.store.erasing import Erasing
from broker.store.lua import Argument
from tests.api.access.test_gate import Named
from tests.api.audit.kept import Kept
from tests.api.in_process import Answer, Api
from tests.api.routes.test_generations import ASKED, GENERATIONS
from tests.broker.store.scripted import DONE, Generation, Server

STREAM = {"accept": "text/event-stream"}
CANARY = "canary-of-a-prompt"
PROMPTED: dict[str, Any] = {**ASKED, "messages": [{"role": "user", "content": CANARY}], "labels": {"user": "u1"}}


def submitted(api: Api, /, **fields: Any) -> str:
    id_: str = api.post(GENERATIONS, {**PROMPTED, **fields}).shown["id"]
    return id_


def erase(api: Api, id_: str, **headers: str) -> Answer:
    return api.ask("DELETE", f"{GENERATIONS}/{id_}", headers)


def traces(server: Server, needle: str) -> list[str]:
    """Keys by whose name or content this is found, but for those that forget ids within minutes."""
    found = []
    for raw in server.command("KEYS", "*"):
        key = raw.decode()
        kind = server.command("TYPE", key).decode()
        read: dict[str, tuple[Argument, ...]] = {
            "hash": ("HGETALL", key), "zset": ("ZRANGE", key, 0, -1), "string": ("GET", key), "list": ("LRANGE", key, 0, -1),
            "stream": ("XRANGE", key, "-", "+"),
        }  # fmt: skip
        if needle in key or needle in repr(server.command(*read[kind])):
            found.append(key)
    return sorted(set(found) - {keys.ERASING, keys.ERASED, keys.WAKE})


def begun(server: Server, id_: str, text: str = "canary-of-a-text") -> Generation:
    generation = Generation(server, id_)
    granted: Any = generation.claim()
    generation.append(granted.attempt, 1, Content(TEXT, text.encode()))
    return generation


def ended(server: Server, id_: str) -> None:
    generation = Generation(server, id_)
    granted: Any = generation.claim()
    generation.append(granted.attempt, 1, Content(TEXT, b"canary-of-a-text"))
    generation.finish(granted.attempt, 2, DONE)


@pytest.mark.parametrize("state", ["queued", "running", "completed"])
def test_nothing_stays_but_that_it_was_erased(api: Api, server: Server, state: str) -> None:
    id_ = submitted(api)
    if state != "queued":
        (begun if state == "running" else ended)(server, id_)
    assert keys.record(id_) in traces(server, CANARY)
    receipt = erase(api, id_)
    assert receipt.status == 200
    assert receipt.json == {
        "object": "erasure", "id": id_, "was": state, "complete": True, "durable": receipt.json["durable"],
    }  # fmt: skip
    assert traces(server, CANARY) == traces(server, "canary-of-a-text") == []
    assert traces(server, id_) == [keys.tombstone(id_)]
    for path in (f"{GENERATIONS}/{id_}", f"{GENERATIONS}/{id_}/events"):
        assert api.get(path).code == (410, "erased")
    assert api.post(f"{GENERATIONS}/{id_}/cancel").code == (410, "erased")
    assert api.post(f"{GENERATIONS}/{id_}/retry", {}).code == (410, "erased")
    again = erase(api, id_)
    assert (again.status, again.json["was"], again.json["complete"]) == (200, None, True)


def test_what_there_is_not_cannot_be_erased(api: Api, server: Server) -> None:
    assert erase(api, "gen_" + "0" * 26).code == (404, "not_found")
    id_ = submitted(api)
    server.command("DEL", keys.record(id_))
    assert erase(api, id_).code == (410, "expired")
    assert server.command("ZSCORE", keys.ERASING, id_) is None


def test_its_idempotency_key_makes_nothing_anew(api: Api, server: Server) -> None:
    made = api.post(GENERATIONS, PROMPTED, idempotency_key="k").shown["id"]
    erase(api, made)
    assert api.post(GENERATIONS, PROMPTED, idempotency_key="k").code == (410, "erased")
    assert traces(server, CANARY) == []
    assert api.post(GENERATIONS, PROMPTED, idempotency_key="other").status == 202


def test_another_s_is_not_there_before_nor_after(api: Api) -> None:
    policy = Named()
    api.police(policy)
    id_ = api.post(GENERATIONS, PROMPTED, x_name="acme").shown["id"]
    assert erase(api, id_, x_name="other").code == (404, "not_found")
    assert erase(api, id_, x_name="acme", x_scopes="submit view").code == (403, "forbidden")
    assert erase(api, id_, x_name="acme", x_scopes="cancel").status == 200
    assert erase(api, id_, x_name="other").code == (404, "not_found")
    assert api.get(f"{GENERATIONS}/{id_}", x_name="acme").code == (410, "erased")
    for path in (f"{GENERATIONS}/{id_}", f"{GENERATIONS}/{id_}/events"):
        unknown = api.get(path.replace(id_, "gen_" + "0" * 26), x_name="other")
        assert api.get(path, x_name="other").body == unknown.body


def test_an_attempt_that_runs_writes_nothing_more(api: Api, server: Server) -> None:
    id_ = submitted(api)
    generation = Generation(server, id_)
    granted: Any = generation.claim()
    erase(api, id_)
    assert repr(generation.append(granted.attempt, 1, Content(TEXT, b"canary"))) == "Fenced()"
    assert generation.finish(granted.attempt, 1, DONE).why == "fenced"
    assert getattr(generation.claim(), "why", None) == "unknown"
    with pytest.raises(ErasedGeneration):
        generation.create()
    assert traces(server, id_) == [keys.tombstone(id_)]


def test_by_label_those_go_that_have_it_and_no_others(api: Api, server: Server) -> None:
    kept = Kept()
    api.app.state.journal = kept
    mine = [submitted(api) for _ in range(5)]
    other = submitted(api, labels={"user": "u2"})
    kept.taken()
    assert api.ask("DELETE", GENERATIONS, {}).code == (422, "invalid_request")
    query = f"{GENERATIONS}?label.user=u1&limit=3"
    found = api.ask("DELETE", f"{query}&dry_run=true", {}).json
    assert (found["matched"], found["erased"], found["more"], found["dry_run"]) == (3, 0, True, True)
    first = api.ask("DELETE", query, {}).json
    assert (first["matched"], first["erased"], first["incomplete"], first["failed"]) == (3, 3, 0, 0)
    assert first["more"]
    second = api.ask("DELETE", query, {}).json
    assert (second["erased"], second["more"]) == (2, False)
    assert sorted(kept.taken()) == sorted(("erase", "", id_, "erased") for id_ in mine)
    assert [each["id"] for each in api.get(GENERATIONS).shown["data"]] == [other]
    assert traces(server, "u1") == []


def test_an_erasure_that_was_only_noted_is_completed(api: Api, server: Server) -> None:
    """Its API died behind the first step."""
    id_ = submitted(api)
    ended(server, id_)
    server.command("ZADD", keys.ERASING, 0, id_)
    erasing = Erasing(server.logs, server.coordination, None)
    assert server.do(erasing.complete(10)) == 1
    assert traces(server, CANARY) == []
    assert server.do(erasing.complete(10)) == 0, "it is looked at once more, but not yet"
    server.command("ZADD", keys.ERASING, "XX", 0, id_)
    assert server.do(erasing.complete(10)) == 1
    assert server.command("EXISTS", keys.ERASING) == 0


def test_what_a_failover_brings_back_goes_again(api: Api, server: Server) -> None:
    id_ = submitted(api)
    saved = server.command("DUMP", keys.record(id_))
    erase(api, id_)
    server.command("RESTORE", keys.record(id_), 0, saved)
    server.command("ZADD", keys.DUE, 0, id_)
    server.command("ZADD", keys.ERASING, "XX", 0, id_)
    server.do(Erasing(server.logs, server.coordination, None).complete(10))
    assert traces(server, id_) == [keys.tombstone(id_)]
    assert server.command("ZSCORE", keys.ERASING, id_) is not None, "and is looked at once more"


def test_what_an_api_keeps_goes_from_all_of_them(api: Api, server: Server) -> None:
    id_ = submitted(api)
    generation = Generation(server, id_)
    granted: Any = generation.claim()
    generation.finish(granted.attempt, 1, DONE)
    hub = api.service.hub
    told: list[str] = []
    erasures = Erasures(api.service.erasing, told.extend, lambda: told.append("missed"))
    server.do(erasures.look())
    api.get(f"{GENERATIONS}/{id_}/events")
    api.get(f"{GENERATIONS}/{id_}")
    assert hub.pages.bytes
    assert hub.transcripts.bytes
    erase(api, id_)
    server.do(erasures.look())
    assert told == [id_]

    async def dropped() -> None:
        async with asyncio.timeout(5):
            while hub.pages.bytes or hub.transcripts.bytes:
                await asyncio.sleep(0.01)

    server.do(dropped())


def test_what_was_begun_is_noted_before_anything_is_done(
    api: Api, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API dies then."""
    id_ = submitted(api)

    async def dies(*_: object) -> None:
        raise StorageUnavailable

    monkeypatch.setattr(Erasing, "_erase", dies)
    assert erase(api, id_).code == (503, "redis_unavailable")
    assert server.command("ZSCORE", keys.ERASING, id_) is not None
    monkeypatch.undo()
    server.command("ZADD", keys.ERASING, "XX", 0, id_)
    server.do(Erasing(server.logs, server.coordination, None).complete(10))
    assert traces(server, CANARY) == []

"""Generations whose logs are in the archive: every answer is what it was before, byte for byte, or says plainly that it cannot
be had."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from broker.collecting import Collector
from broker.events import TEXT, THINKING, Content, Entry, event
from broker.record import Ending
from broker.store.agreement import Agreement
from broker.store.archive import open_archive
from broker.store.archiving import Archiving
from tests.api.in_process import Answer, Api
from tests.broker.store.scripted import DONE, Generation, Server
from worker.archiver import Archiver

GENERATIONS = "/v1/generations"
ASKED: dict[str, Any] = {"model": "sim-1", "messages": [{"role": "user", "content": "Hi"}]}
WORDS = 2300
FAILED = Ending.failed("storage_full", "Redis was full.")


@pytest.fixture(autouse=True)
def _no_freeze(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process lives on when the application ends."""
    monkeypatch.setattr(Collector, "begin", lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def api(server: Server, folder: Path) -> Iterator[Api]:
    with Api(server, archive_url=f"file://{folder}", ephemeral=True) as api:
        yield api


class Archived:
    """Has logs taken to the archive, as a worker would."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._archiving = Archiving(server.redis)
        archive, agreement = open_archive(f"file://{folder}"), cast(Agreement, SimpleNamespace(apart=False))
        self._archiver = Archiver(server.logs, self._archiving, archive, agreement, 60.0)

    def take(self, *generations: Generation) -> None:
        self._server.do(self._archiving.look_in({each.id: -1 for each in generations}))
        self._server.do(self._archiver.look())
        for each in generations:
            assert self._server.command("EXISTS", each.keys[1]) == 0


@pytest.fixture
def archived(server: Server, folder: Path) -> Archived:
    return Archived(server, folder)


def long(server: Server, ending: Ending = DONE) -> Generation:
    """Two attempts, some pages, and blocks of two kinds."""
    generation = Generation(server)
    generation.create()
    first = generation.granted()
    thinking = event("block_start", index=0, block={"type": "thinking", "thinking": ""})
    generation.append(first, 1, thinking, Content(THINKING, "\u2028hm".encode()))
    generation.expire_lease()
    second = generation.granted()
    block = event("block_start", index=1, block={"type": "text", "text": ""})
    words = [Content(TEXT, f"wörd {number}\n".encode()) for number in range(WORDS)]
    generation.append(second, 1, block, *words, usage=b'{"output_tokens":9}')
    generation.finish(second, WORDS + 2, ending)
    return generation


def answers(api: Api, id_: str, log: list[Entry]) -> dict[str, Answer]:
    """To all that can be asked of a generation."""
    one = f"{GENERATIONS}/{id_}"
    events = f"{one}/events"
    cursors = [log[at].id for at in (0, 1, 2, 4, 999, 1000, 1001, 2000, len(log) - 2, len(log) - 1)]
    return {
        "the record": api.get(one),
        "the list": api.get(GENERATIONS),
        "the list of a state": api.get(f"{GENERATIONS}?state=completed"),
        "events": api.get(events, 99_999),
        "a snapshot": api.get(f"{events}?from=snapshot", 99_999),
        "text": api.get(f"{events}?view=text", 99_999),
        "a cursor that is none": api.get(events, 99_999, last_event_id="nonsense"),
        "a cursor of another log": api.get(events, 99_999, last_event_id="1-5"),
        "a cancel": api.post(f"{one}/cancel"),
        **{f"from {cursor}": api.get(events, 99_999, last_event_id=str(cursor)) for cursor in cursors},
        **{f"text from {cursor}": api.get(f"{events}?view=text&after={cursor}", 99_999) for cursor in cursors[3:6]},
    }


@pytest.mark.parametrize("ending", [DONE, FAILED, Ending("cancelled")], ids=lambda ending: ending.state)
def test_every_answer_is_what_it_was_byte_for_byte(
    api: Api, server: Server, folder: Path, archived: Archived, ending: Ending
) -> None:
    generation = long(server, ending)
    other = Generation(server, api.post(GENERATIONS, ASKED, idempotency_key="one").shown["id"])
    other.cancel()
    server.do(api.service.file_ended(generation.id))
    server.do(api.service.file_ended(other.id))
    submitted = api.post(GENERATIONS, ASKED, idempotency_key="one")
    log = generation.log
    before = answers(api, generation.id, log)
    archived.take(generation, other)
    forget(api)
    after = answers(api, generation.id, log)
    for name, answer in before.items():
        assert after[name] == answer, name
    again = api.post(GENERATIONS, ASKED, idempotency_key="one")
    assert (again.status, again.shown) == (submitted.status, submitted.shown)
    assert api.post(GENERATIONS, {**ASKED, "max_tokens": 1}, idempotency_key="one").status == 422


def forget(api: Api) -> None:
    """As if this API process had begun just now."""
    hub = api.service.hub
    hub.pages.forget_all()
    hub.transcripts._known.clear()


ABOUT_ITS_TEXT = ("", "/events", "/events?from=snapshot", "/events?view=text")
HELPLESS = (503, "archive_unavailable")


@pytest.mark.parametrize("damage", ["it is missing", "it is cut", "a bit is wrong", "the folder has gone"])
def test_what_the_archive_has_not_is_said_and_never_looks_like_an_end(
    api: Api, server: Server, folder: Path, archived: Archived, damage: str
) -> None:
    generation = long(server)
    end = generation.last
    first = generation.log[0].id
    archived.take(generation)
    (path,) = folder.glob("gen_*")
    whole = path.read_bytes()
    match damage:
        case "it is missing":
            path.unlink()
        case "it is cut":
            path.write_bytes(whole[:-1])
        case "a bit is wrong":
            path.write_bytes(bytes([*whole[:-9], whole[-9] ^ 4, *whole[-8:]]))
        case _:
            folder.rename(folder.with_name("away"))
    one = f"{GENERATIONS}/{generation.id}"
    for target in ABOUT_ITS_TEXT:
        answer = api.get(one + target)
        assert answer.code == HELPLESS, target
        assert answer.headers["retry-after"] == "5"
    assert api.get(f"{one}/events", last_event_id=str(first)).code == HELPLESS
    # What the stub tells needs no archive.
    assert api.get(f"{one}/events", last_event_id=str(end)).status == 204
    assert api.post(f"{one}/cancel").status == 409
    assert api.get(GENERATIONS).status == 200


def test_a_stream_whose_object_cannot_be_had_any_more_waits_and_goes_on(
    api: Api, server: Server, folder: Path, archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there when the stream began."""
    monkeypatch.setattr("broker.store.shelf._AGAIN_SECONDS", 0.05)
    generation = long(server)
    archived.take(generation)
    hidden = folder.with_name("away")
    shelf = api.service.logs._shelf
    assert shelf is not None
    failures = 0

    async def has(*arguments: Any) -> bool:
        nonlocal failures
        known = await type(api.service.logs).has(api.service.logs, *arguments)
        folder.rename(hidden)
        shelf._kept.clear()
        return known

    fail = shelf._fail

    def count(name: str) -> None:
        nonlocal failures
        failures += 1
        fail(name)
        if failures == 2:
            hidden.rename(folder)

    monkeypatch.setattr(shelf, "_fail", count)
    monkeypatch.setattr(api.service.logs, "has", has)
    answer = api.get(f"{GENERATIONS}/{generation.id}/events", 99_999)
    assert failures == 2
    assert not answer.cut
    assert answer.types[-1] == "stream_end"
    assert answer.types.count("text") == WORDS


def test_what_has_expired_is_gone_as_ever(api: Api, server: Server, archived: Archived) -> None:
    generation = long(server)
    archived.take(generation)
    assert api.get(f"{GENERATIONS}/{generation.id}").status == 200
    server.command("DEL", generation.keys[0])
    for target in ABOUT_ITS_TEXT:
        assert api.get(f"{GENERATIONS}/{generation.id}{target}").code == (410, "expired")


def test_an_api_that_has_no_archive_says_so(server: Server, archived: Archived) -> None:
    generation = long(server)
    archived.take(generation)
    with Api(server, ephemeral=True) as api:
        for target in ABOUT_ITS_TEXT:
            assert api.get(f"{GENERATIONS}/{generation.id}{target}").code == HELPLESS


def test_an_object_is_read_once_for_all_who_ask(api: Api, server: Server, archived: Archived) -> None:
    generation = long(server)
    archived.take(generation)
    for target in ABOUT_ITS_TEXT:
        api.get(f"{GENERATIONS}/{generation.id}{target}", 99_999)
    assert api.service.logs._shelf is not None
    assert api.service.logs._shelf.reads == 1


def test_a_year_may_be_asked_for_where_there_is_an_archive_and_a_week_elsewhere(api: Api, server: Server) -> None:
    week, year = 604_800, 31_536_000
    too_long = {"pointer": "/retention", "code": "out_of_range", "detail": f"must be at most {year}"}
    assert api.post(GENERATIONS, {**ASKED, "retention": year}).status == 202
    assert api.post(GENERATIONS, {**ASKED, "retention": year + 1}).json["errors"] == [too_long]
    with Api(server, ephemeral=True) as other:
        assert other.post(GENERATIONS, {**ASKED, "retention": week}).status == 202
        too_long["detail"] = f"must be at most {week}"
        assert other.post(GENERATIONS, {**ASKED, "retention": week + 1}).json["errors"] == [too_long]

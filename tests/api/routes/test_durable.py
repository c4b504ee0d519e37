"""A generation as a durable stream: read in pages, waited for, followed. Its offsets are the log's cursor."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects.durable import offset_behind, parse_offset
from api.routes import durable
from broker.events import TEXT, Content
from broker.ids import EntryId
from broker.store.appends import AttemptLog
from tests.api.in_process import Answer, Api
from tests.api.routes.test_generations import GENERATIONS, running
from tests.broker.store.scripted import Generation, Server

ids = st.builds(EntryId, st.integers(0, 10**15 - 1), st.integers(0, 10**10 - 1))


def read(api: Api, generation: Generation, query: str = "", events: int = 99, /, **headers: str) -> Answer:
    return api.get(f"{GENERATIONS}/{generation.id}/stream{query}", events, **headers)


def told(answer: Answer) -> tuple[int, str | None, bool, bool]:
    """The status, where to read on, and whether that is all so far, and for ever."""
    headers = answer.headers
    next_offset = headers.get("stream-next-offset")
    return answer.status, next_offset, "stream-up-to-date" in headers, "stream-closed" in headers


@given(ids, ids)
def test_an_offset_is_the_cursor_and_sorts_as_text_as_the_log_does(one: EntryId, other: EntryId) -> None:
    assert parse_offset(offset_behind(one)) == one
    assert (offset_behind(one) < offset_behind(other)) == (one < other)


@pytest.mark.parametrize(
    "offset", ["", "0", "-2", "7-2", "later", "٣" * 15 + "-" + "0" * 10, "0" * 15 + "-" + "0" * 11]
)
def test_what_is_no_offset_is_none(api: Api, server: Server, offset: str) -> None:
    generation, _ = running(server, "a")
    assert read(api, generation, f"?offset={offset}").code == (400, "offset_invalid")
    assert read(api, generation, "?live=sse").code == (400, "offset_invalid")
    assert read(api, generation, "?live=long-poll").code == (400, "offset_invalid")


def test_a_stream_is_read_from_any_offset_to_its_end(api: Api, server: Server) -> None:
    generation, attempt = running(server, "a", "b")
    open_ = read(api, generation)
    assert told(open_) == (200, offset_behind(generation.last), True, False)
    generation.finish(attempt, 4)
    whole = read(api, generation)
    end = offset_behind(generation.last)
    assert told(whole) == (200, end, True, True)
    messages = whole.json
    assert [message["id"] for message in messages] == [str(entry.id) for entry in generation.log]
    assert "".join(message["text"] for message in messages if message["type"] == "text") == "ab"
    for at, entry in enumerate(generation.log):
        assert read(api, generation, f"?offset={offset_behind(entry.id)}").json == messages[at + 1 :]
    head = api.ask("HEAD", f"{GENERATIONS}/{generation.id}/stream", {})
    assert told(head) == (200, end, True, True)
    assert read(api, generation, "?offset=now").json == []


def test_a_page_that_is_full_does_not_say_that_it_is_all(api: Api, server: Server) -> None:
    generation, _ = running(server, *(["a"] * 1200))
    first = read(api, generation)
    status, offset, all_, _ = told(first)
    assert (status, len(first.json), all_) == (200, 1000, False)
    rest = read(api, generation, f"?offset={offset}")
    assert told(rest)[2]
    assert [message["id"] for message in first.json + rest.json] == [str(entry.id) for entry in generation.log]


def test_who_has_what_would_be_answered_is_not_sent_it(api: Api, server: Server) -> None:
    generation, attempt = running(server, "a")
    tag = read(api, generation).headers["etag"]
    again = read(api, generation, "", 99, **{"if-none-match": f'"other", {tag}'})
    assert (again.status, again.body) == (304, b"")
    generation.finish(attempt, 3)
    assert read(api, generation, "", 99, **{"if-none-match": tag}).status == 200


def test_an_offset_that_the_log_does_not_have_is_gone(api: Api, server: Server) -> None:
    generation, attempt = running(server, "a")
    for live in ("", "&live=sse", "&live=long-poll"):
        offset = offset_behind(EntryId(attempt - 1, 0))
        assert read(api, generation, f"?offset={offset}{live}").code == (410, "offset_gone")


def test_followed_it_is_messages_each_with_the_offset_behind_it_and_closes(api: Api, server: Server) -> None:
    generation, attempt = running(server, "a")
    generation.finish(attempt, 3)
    answer = read(api, generation, "?offset=-1&live=sse")
    ids = [entry.id for entry in generation.log]
    blocks = [block for block in answer.body.decode().split("\n\n") if "event:" in block]
    assert [block.split("\n")[-1].startswith("data: [{") for block in blocks] == [True, False] * len(ids)
    assert [event["streamNextOffset"] for event in answer.events] == [offset_behind(id_) for id_ in ids]
    assert [event.get("streamClosed") for event in answer.events] == [None] * (len(ids) - 1) + [True]
    at_the_end = read(api, generation, f"?offset={offset_behind(ids[-1])}&live=sse")
    assert at_the_end.events == answer.events[-1:]


def test_who_lacks_nothing_is_told_so_at_once(api: Api, server: Server) -> None:
    generation, _ = running(server, "a")
    for offset in ("now", offset_behind(generation.last)):
        first = read(api, generation, f"?offset={offset}&live=sse", 1).events[0]
        assert (first["streamNextOffset"], first["upToDate"]) == (offset_behind(generation.last), True)


def polls(api: Api, generation: Generation, attempt: int, query: str, more: str | None) -> Answer:
    """What is answered to one that waits; meanwhile this text comes."""

    async def ask() -> Answer:
        target = f"{GENERATIONS}/{generation.id}/stream{query}"
        asking = asyncio.ensure_future(api._ask("GET", target, {}, b"", 99))
        if more is not None:
            async with asyncio.timeout(5):
                while not api.service.hub.statistics().viewers:
                    await asyncio.sleep(0)
            log = AttemptLog(generation.id, attempt)
            await api._server.appends.send([log.append(3, [Content(TEXT, more.encode())])])
        return await asking

    answer = api._server.do(ask())
    assert api.service.hub.statistics().viewers == 0
    return answer


def test_who_waits_is_answered_when_there_is_more(api: Api, server: Server) -> None:
    generation, attempt = running(server, "a")
    answer = polls(api, generation, attempt, "?offset=now&live=long-poll", "b")
    assert [message["text"] for message in answer.json] == ["b"]
    assert told(answer) == (200, offset_behind(generation.last), True, False)


def test_who_waits_in_vain_is_told_where_it_is_and_a_cursor_that_it_has_not_had(
    api: Api, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "LONG_POLL_SECONDS", 0.05)
    generation, attempt = running(server, "a")
    here = offset_behind(generation.last)
    cursors = list[int]()
    for cursor in ("", "5", f"{10**20}", "9" * 40, "x"):
        answer = polls(api, generation, attempt, f"?offset={here}&live=long-poll&cursor={cursor}", None)
        assert told(answer) == (204, here, True, False)
        cursors.append(int(answer.headers["stream-cursor"]))
    assert cursors[2] == 10**20 + 1
    generation.finish(attempt, 3)
    end = offset_behind(generation.last)
    assert told(read(api, generation, f"?offset={end}&live=long-poll")) == (204, end, True, True)


def test_a_stream_without_anything_yet_is_empty(api: Api, server: Server) -> None:
    generation = Generation(server)
    generation.create()
    answer = read(api, generation)
    assert (answer.json, told(answer)) == ([], (200, offset_behind(EntryId(0, 0)), True, False))
    assert told(api.ask("HEAD", f"{GENERATIONS}/{generation.id}/stream", {}))[:2] == (200, offset_behind(EntryId(0, 0)))

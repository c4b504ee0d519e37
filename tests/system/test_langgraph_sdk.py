"""LangGraph's own SDK, as it comes from its registry, against `/threads`, through real processes."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.client import LangGraphClient, SyncLangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from tests.harness.cutting import CuttingProxy
from tests.harness.stack import Stack, until

FAST = "sim-1?tps=0&tokens=40&ttft_ms=0&seed=3&thinking=1"
PACED = "sim-1?tps=300&tokens=300&ttft_ms=0&seed=5"
SLOW = "sim-1?tps=20&tokens=2000&ttft_ms=20"
MODES: Any = ["values", "updates", "messages", "messages-tuple"]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack() as running:
        yield running


@pytest.fixture
def langgraph(stack: Stack) -> Iterator[SyncLangGraphClient]:
    with get_sync_client(url=stack.urls[0], api_key=None) as client:
        yield client


def new_thread() -> str:
    return str(uuid.uuid4())


def said(*texts: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text} for text in texts]}


def text_of(message: Any) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def test_all_modes_of_a_stream_come_to_what_the_thread_has(langgraph: SyncLangGraphClient) -> None:
    thread = langgraph.threads.create()["thread_id"]
    created: list[Any] = []
    parts = list(
        langgraph.runs.stream(thread, FAST, input=said("Hi"), stream_mode=MODES, on_run_created=created.append)
    )
    assert [parts[0].event, parts[-1].event] == ["metadata", "end"]
    ((run),) = created
    assert (run["thread_id"], parts[0].data["run_id"]) == (thread, run["run_id"])
    values: list[Any] = [part.data for part in parts if part.event == "values"]
    human, answer = values[-1]["messages"]
    assert values[0]["messages"] == [human]
    assert text_of(human) == "Hi"
    chunks = [part.data[0]["content"] for part in parts if part.event == "messages"]
    assert "".join(each for each in chunks if isinstance(each, str)) == text_of(answer) != ""
    told: list[Any] = [part.data for part in parts if part.event in ("messages/complete", "updates")]
    assert told == [[answer], {"model": {"messages": [answer]}}]
    assert answer["usage_metadata"]["output_tokens"] > 0
    assert langgraph.threads.get_state(thread)["values"] == values[-1]
    assert langgraph.threads.get(thread)["status"] == "idle"
    assert langgraph.runs.get(thread, run["run_id"])["status"] == "success"
    assert langgraph.runs.join(thread, run["run_id"]) == values[-1]


def test_a_run_goes_on_with_what_its_thread_has(langgraph: SyncLangGraphClient) -> None:
    thread = new_thread()
    for text in ("One", "Two"):
        run = langgraph.runs.create(thread, FAST, input=said(text), metadata={"team": "a"})
        values = langgraph.runs.join(thread, run["run_id"])
    assert [each["type"] for each in values["messages"]] == ["human", "ai", "human", "ai"]
    assert run["metadata"] == {"team": "a", "langgraph.thread": thread}
    with pytest.raises(UnprocessableEntityError):
        langgraph.runs.create(thread, FAST, input=values)
    with pytest.raises(ConflictError):
        langgraph.threads.create(thread_id=thread)
    assert langgraph.threads.create(thread_id=thread, if_exists="do_nothing")["values"] == values


def test_one_run_after_another_and_any_may_be_cancelled(langgraph: SyncLangGraphClient) -> None:
    thread = new_thread()
    run = langgraph.runs.create(thread, SLOW, input=said("Hi"))["run_id"]
    until(lambda: langgraph.runs.get(thread, run)["status"] == "running", "it runs")
    assert langgraph.threads.get(thread)["status"] == "busy"
    with pytest.raises(ConflictError):
        langgraph.runs.create(thread, FAST, input=said("And?"))
    langgraph.runs.cancel(thread, run, wait=True)
    assert langgraph.runs.get(thread, run)["status"] == "interrupted"
    assert list(langgraph.runs.join_stream(thread, run))[-1].data["error"] == "UserInterrupt"
    assert langgraph.runs.join(thread, run)["__error__"]["error"] == "UserInterrupt"
    langgraph.runs.create(thread, FAST, input=said("And?"))


def test_what_is_not_there_and_what_cannot_be_said_is_raised_by_its_class(langgraph: SyncLangGraphClient) -> None:
    thread = new_thread()
    with pytest.raises(NotFoundError):
        langgraph.threads.get(thread)
    with pytest.raises(UnprocessableEntityError) as caught:
        list(langgraph.runs.stream(thread, FAST, input=said("Hi"), command={"resume": 1}))
    assert caught.value.body["errors"][0]["pointer"] == "/command"  # type: ignore[index]
    with pytest.raises(UnprocessableEntityError):
        langgraph.threads.create(metadata={"a": 1})
    run = langgraph.runs.create(thread, FAST, input=said("Hi"))["run_id"]
    with pytest.raises(NotFoundError):
        langgraph.runs.get(new_thread(), run)


async def _chunks(parts: AsyncIterator[Any]) -> tuple[str, list[str]]:
    text, ids = "", list[str]()
    async for part in parts:
        if part.event == "messages":
            text += part.data[0]["content"]
            ids.append(part.id)
        ended = part.event
    assert ended == "end"
    return text, ids


async def _cut_and_joined(proxied: LangGraphClient, direct: LangGraphClient) -> None:
    thread, runs = new_thread(), list[Any]()
    stream = proxied.runs.stream(
        thread, PACED, input=said("Hi"), stream_mode="messages-tuple", on_run_created=runs.append
    )
    text, ids = await _chunks(stream)
    run = runs[0]["run_id"]
    whole: Any = await direct.runs.join(thread, run)
    assert text == text_of(whole["messages"][-1])
    assert len(set(ids)) == len(ids)
    rest, later = await _chunks(
        direct.runs.join_stream(thread, run, stream_mode="messages-tuple", last_event_id=ids[99])
    )
    assert (later, text.endswith(rest)) == (ids[100:], True)
    (end,) = [
        part async for part in direct.runs.join_stream(thread, run, last_event_id=(await _last(direct, thread, run)))
    ]
    assert end.event == "end"


async def _last(client: LangGraphClient, thread: str, run: str) -> str:
    *_, last = [part.id async for part in client.runs.join_stream(thread, run)]
    return str(last)


@pytest.mark.filterwarnings("ignore:Reconnecting without")
def test_who_is_cut_off_comes_back_by_itself_and_has_all_of_it_once(stack: Stack) -> None:
    """It warns of a cut before the first event."""

    async def scene() -> None:
        async with (
            get_client(url=proxy.url, api_key=None) as proxied,
            get_client(url=stack.urls[0], api_key=None) as direct,
        ):
            await _cut_and_joined(proxied, direct)

    with CuttingProxy(stack.urls, seed=11, cuts=2, most_bytes=30_000) as proxy:
        asyncio.run(scene())
        assert proxy.cut == 2

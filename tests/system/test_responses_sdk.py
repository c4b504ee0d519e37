"""OpenAI's own SDK, as it comes from its registry, against `/v1/responses`, through real processes."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from openai import (
    APIConnectionError,
    APIError,
    AsyncOpenAI,
    ConflictError,
    NotFoundError,
    OpenAI,
    UnprocessableEntityError,
)

from tests.harness.cutting import CuttingProxy
from tests.harness.stack import Stack, until

FAST = "sim-1?tps=0&tokens=40&ttft_ms=0&seed=3"
SLOW = "sim-1?tps=20&tokens=2000&ttft_ms=20"
TOOL: Any = {"type": "function", "name": "lookup", "parameters": {"type": "object"}, "strict": False}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(tools="worker.tools,tests.harness.tools") as running:
        yield running


def sdk(url: str, retries: int = 0) -> OpenAI:
    return OpenAI(api_key="unused", base_url=f"{url}/v1", max_retries=retries)


@pytest.fixture
def openai(stack: Stack) -> OpenAI:
    return sdk(stack.urls[0])


def numbers(events: list[Any]) -> list[int]:
    return [each.sequence_number for each in events]


def test_a_response_is_waited_for_and_retrieved(openai: OpenAI, stack: Stack) -> None:
    made = openai.responses.create(model=FAST, input="Hi", metadata={"team": "a"}, instructions="Brief.")
    assert (made.status, made.error, made.metadata) == ("completed", None, {"team": "a"})
    assert made.usage is not None
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens
    again = openai.responses.retrieve(made.id)
    assert again == made
    record = stack.client().record("gen_" + made.id.removeprefix("resp_"))
    assert record["text"] == made.output_text != ""


def test_a_stream_ends_with_the_response_that_is_there_afterwards(openai: OpenAI) -> None:
    events = list(openai.responses.create(model=FAST + "&thinking=1&citations=1", input="Hi", stream=True))
    assert numbers(events) == list(range(len(events)))
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response == openai.responses.retrieve(last.response.id)
    deltas = "".join(each.delta for each in events if each.type == "response.output_text.delta")
    assert deltas == last.response.output_text


def test_a_stream_that_is_cut_is_resumed_behind_its_last_event(stack: Stack) -> None:
    """At any bytes of it, in any way, again and again: what was joined is the whole, no number is missing or there twice."""
    with CuttingProxy(stack.urls, seed=7, cuts=25, most_bytes=6000, kinds=("reset", "fin", "end")) as proxy:
        cut, whole = sdk(proxy.url), sdk(stack.urls[0])
        model = "sim-1?tps=300&tokens=120&ttft_ms=0&seed=5&thinking=1"
        events: list[Any] = []
        with whole.responses.create(model=model, input="Hi", background=True, stream=True) as stream:
            events.append(next(iter(stream)))
        id_ = events[0].response.id
        while events[-1].type != "response.completed":
            with suppress(APIConnectionError):
                for event in cut.responses.retrieve(id_, stream=True, starting_after=events[-1].sequence_number):
                    events.append(event)
        assert proxy.cut > 10
        assert numbers(events) == list(range(len(events)))
        assert events == list(whole.responses.retrieve(id_, stream=True))


def test_the_helper_of_the_sdk_goes_on_with_a_response(openai: OpenAI) -> None:
    begun = openai.responses.create(model=FAST, input="Hi", background=True)
    assert begun.status in ("queued", "in_progress", "completed")
    with openai.responses.stream(response_id=begun.id, starting_after=5) as stream:
        events = list(stream)
        assert numbers(events) == list(range(6, 6 + len(events)))
        assert stream.get_final_response().output_text == openai.responses.retrieve(begun.id).output_text
    assert not list(openai.responses.retrieve(begun.id, stream=True, starting_after=events[-1].sequence_number))


def test_a_response_is_cancelled_and_its_stream_ends(openai: OpenAI) -> None:
    stream = openai.responses.create(model=SLOW, input="Hi", background=True, stream=True)
    id_ = next(iter(stream)).response.id  # type: ignore[union-attr]  # it is created
    for event in stream:
        if event.type == "response.output_text.delta":
            break
    assert openai.responses.cancel(id_).status == "cancelled"
    *_, last = stream
    assert (last.type, last.response.status) == ("response.incomplete", "cancelled")  # type: ignore[union-attr]
    found = openai.responses.retrieve(id_)
    assert (found.status, found.output_text != "") == ("cancelled", True)
    assert openai.responses.cancel(id_).status == "cancelled"


def test_a_tool_is_called_and_its_result_is_the_next_turn(openai: OpenAI) -> None:
    first = openai.responses.create(model=FAST + "&tool=lookup", input="Look it up", tools=[TOOL], tool_choice="auto")
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert (call.name, call.status) == ("lookup", "completed")
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "42"}
    by_id = openai.responses.create(model=FAST, previous_response_id=first.id, input=[result], tools=[TOOL])
    assert by_id.output_text
    again: Any = [{"role": "user", "content": "Look it up"}, *(item.to_dict() for item in first.output), result]
    assert openai.responses.create(model=FAST, input=again, tools=[TOOL]).status == "completed"


def test_a_tool_of_the_servers_is_a_call_that_was_made(stack: Stack, openai: OpenAI) -> None:
    generation = stack.client().submit(FAST + "&tools=1", server_tools=["clock"])
    id_ = "resp_" + generation.id.removeprefix("gen_")
    events = list(openai.responses.retrieve(id_, stream=True))
    last: Any = events[-1]
    assert [item.type for item in last.response.output][-2:] == ["mcp_call", "message"]
    (call,) = [item for item in last.response.output if item.type == "mcp_call"]
    assert (call.name, call.status, call.output is not None) == ("clock", "completed", True)
    assert openai.responses.retrieve(id_) == last.response
    assert openai.responses.create(model=FAST, previous_response_id=id_, input="And?").status == "completed"


def test_a_response_is_deleted_and_is_no_more(openai: OpenAI) -> None:
    made = openai.responses.create(model=FAST, input="Hi")
    openai.responses.delete(made.id)
    with pytest.raises(APIError) as gone:
        openai.responses.retrieve(made.id)
    assert gone.value.body["code"] == "erased"  # type: ignore[index]
    with pytest.raises(UnprocessableEntityError) as refused:
        openai.responses.create(model=FAST, previous_response_id=made.id, input="Hi")
    assert refused.value.param == "previous_response_id"


def test_what_cannot_be_done_raises_the_class_that_says_so(openai: OpenAI) -> None:
    with pytest.raises(NotFoundError):
        openai.responses.retrieve("resp_" + "0" * 26)
    with pytest.raises(NotFoundError):
        openai.responses.retrieve("resp_of_somebody_else")
    image: Any = {"type": "input_image", "file_id": "f"}
    with pytest.raises(UnprocessableEntityError) as refused:
        openai.responses.create(model=FAST, input=[{"role": "user", "content": [image]}])
    assert refused.value.param == "input[0].content[0].file_id"
    made = openai.responses.create(model=FAST, input="Hi")
    with pytest.raises(ConflictError):
        openai.responses.cancel(made.id)
    with pytest.raises(UnprocessableEntityError) as beyond:
        openai.responses.retrieve(made.id, stream=True, starting_after=100_000)
    assert beyond.value.param == "starting_after"


def test_a_failure_of_the_model_is_a_failed_response(openai: OpenAI) -> None:
    failed = openai.responses.create(model="sim-1?fail=400", input="Hi")
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.message.startswith("upstream_invalid_request")
    *_, last = openai.responses.create(model="sim-1?fail=400", input="Hi", stream=True)
    assert last.type == "response.failed"
    assert last.response == openai.responses.retrieve(last.response.id)


def test_an_answer_that_begins_anew_raises_in_the_stream(stack: Stack, openai: OpenAI) -> None:
    """What was shown before the crash cannot be taken back: nobody is shown both."""
    generation = stack.client().submit(
        "sim-1?tps=100&tokens=60&ttft_ms=0&fail=cut&at=20&times=1", on_interrupt="restart"
    )
    id_ = "resp_" + generation.id.removeprefix("gen_")
    with pytest.raises(APIError) as raised:
        list(openai.responses.retrieve(id_, stream=True))
    assert raised.value.code == "begun_anew"
    until(lambda: openai.responses.retrieve(id_).status == "completed", "it completes", 20)


def test_one_key_makes_one_response(openai: OpenAI) -> None:
    same = {"Idempotency-Key": "one-of-these"}
    ids = {openai.responses.create(model=FAST, input="Hi", extra_headers=same).id for _ in range(2)}
    assert len(ids) == 1


def test_the_async_client_does_the_same(stack: Stack) -> None:
    async def scene() -> None:
        async with AsyncOpenAI(api_key="unused", base_url=f"{stack.urls[0]}/v1", max_retries=0) as openai:
            stream = await openai.responses.create(model=FAST, input="Hi", stream=True, background=True)
            events = [event async for event in stream]
            assert numbers(events) == list(range(len(events)))
            id_ = events[0].response.id  # type: ignore[union-attr]
            rest = await openai.responses.retrieve(id_, stream=True, starting_after=7)
            assert [event async for event in rest] == events[8:]
            async with openai.responses.stream(model=FAST, input="Hi") as helper:
                final = await helper.get_final_response()
            assert final.output_text == (await openai.responses.retrieve(final.id)).output_text

    asyncio.run(scene())

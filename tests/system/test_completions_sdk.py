"""OpenAI's own SDK, as it comes from its registry, against `/v1/chat/completions`, through real processes."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from openai import (
    APIError,
    APIStatusError,
    AsyncOpenAI,
    BadRequestError,
    OpenAI,
    RateLimitError,
    UnprocessableEntityError,
)
from openai.types.chat import ChatCompletionChunk

from tests.harness.client import frames
from tests.harness.stack import Stack, until

FAST = "sim-1?tps=0&tokens=40&ttft_ms=0&seed=3"
HI: Any = [{"role": "user", "content": "Hi"}]
TOOL: Any = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}
PNG = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack() as running:
        yield running


def sdk(stack: Stack, retries: int = 0) -> OpenAI:
    return OpenAI(api_key="unused", base_url=f"{stack.urls[0]}/v1", max_retries=retries)


@pytest.fixture
def openai(stack: Stack) -> OpenAI:
    return sdk(stack)


def generation(completion: str) -> str:
    return "gen_" + completion.removeprefix("chatcmpl-")


def content(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)


def test_a_completion_is_waited_for(openai: OpenAI, stack: Stack) -> None:
    raw = openai.chat.completions.with_raw_response.create(
        model=FAST, messages=[{"role": "developer", "content": "Brief."}, *HI], metadata={"team": "a"}
    )
    made: Any = raw.parse()
    assert made.choices[0].finish_reason == "stop"
    assert made.usage.total_tokens == made.usage.prompt_tokens + made.usage.completion_tokens > 0
    assert raw.headers["respool-generation"] == generation(made.id)
    record = stack.client().record(generation(made.id))
    assert record["text"] == made.choices[0].message.content != ""
    assert record["labels"] == {"team": "a"}


@pytest.mark.parametrize("more", ["", "&thinking=1", "&tool=lookup&thinking=1"])
def test_the_chunks_of_a_stream_come_to_the_whole(openai: OpenAI, more: str) -> None:
    """Twice the same generation, by one key: as the helper of the SDK puts it together, and as it is told whole."""
    key = {"Idempotency-Key": f"twice{more.replace('&', '-').replace('=', '-')}"}
    with openai.chat.completions.stream(
        model=FAST + more, messages=HI, tools=[TOOL], stream_options={"include_usage": True}, extra_headers=key
    ) as stream:
        chunks = [event.chunk for event in stream if event.type == "chunk"]
        final: Any = stream.get_final_completion()
    with sdk_stream(openai, FAST + more, key) as same:
        assert [each.to_dict() for each in same] == [each.to_dict() for each in chunks]
    assert {(each.id, each.created, each.model) for each in chunks} == {(final.id, final.created, FAST + more)}
    assert chunks[-1].choices == []
    assert chunks[-1].usage == final.usage
    assert final.usage.completion_tokens > 0


def sdk_stream(openai: OpenAI, model: str, key: dict[str, str]) -> Any:
    return openai.chat.completions.create(
        model=model, messages=HI, tools=[TOOL], stream=True, stream_options={"include_usage": True}, extra_headers=key
    )


def test_what_is_streamed_and_what_is_waited_for_are_equal(openai: OpenAI) -> None:
    model = FAST + "&tool=lookup&thinking=1"
    with openai.chat.completions.stream(model=model, messages=HI, tools=[TOOL]) as stream:
        streamed: Any = stream.get_final_completion().choices[0]
    whole: Any = openai.chat.completions.create(model=model, messages=HI, tools=[TOOL]).choices[0]
    assert streamed.finish_reason == whole.finish_reason == "tool_calls"
    assert streamed.message.content == whole.message.content
    assert streamed.message.reasoning_content == whole.message.reasoning_content != ""
    assert streamed.message.reasoning_signature == whole.message.reasoning_signature != ""
    (mine,), (theirs,) = streamed.message.tool_calls, whole.message.tool_calls
    assert (mine.function.name, mine.function.arguments) == (theirs.function.name, theirs.function.arguments)


def test_without_include_usage_there_is_no_chunk_of_usage(openai: OpenAI) -> None:
    chunks = list(openai.chat.completions.create(model=FAST, messages=HI, stream=True))
    assert all(each.choices and each.usage is None for each in chunks)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert content(chunks) == openai.chat.completions.create(model=FAST, messages=HI).choices[0].message.content


def test_a_tool_is_called_and_its_result_is_the_next_turn(openai: OpenAI) -> None:
    """The message goes back as it came: with what it says of its thinking, which is no part of OpenAI's own vocabulary."""
    first = openai.chat.completions.create(model=FAST + "&tool=lookup&thinking=1", messages=HI, tools=[TOOL])
    message = first.choices[0].message
    assert message.tool_calls is not None
    (call,) = message.tool_calls
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "42"}
    again: Any = [*HI, message, result, {"role": "user", "content": "And?"}]
    then = openai.chat.completions.create(model=FAST, messages=again, tools=[TOOL], parallel_tool_calls=False)
    assert then.choices[0].message.content


def test_images_are_taken_by_their_address_and_in_the_request(openai: OpenAI) -> None:
    parts: Any = [{"type": "text", "text": "What is it?"}] + [
        {"type": "image_url", "image_url": {"url": url}} for url in (PNG, "https://example.test/a.png")
    ]
    made = openai.chat.completions.create(model=FAST, messages=[{"role": "user", "content": parts}])
    assert made.choices[0].message.content


def test_what_cannot_be_said_is_refused_by_its_name(openai: OpenAI) -> None:
    bodies: Any = (({"seed": 1}, "seed"), ({"n": 2}, "n"), ({"logprobs": True}, "logprobs"))
    for more, param in bodies:
        with pytest.raises(UnprocessableEntityError) as refused:
            openai.chat.completions.create(model=FAST, messages=HI, **more)
        assert refused.value.param is not None
        assert refused.value.param.strip("/") == param
    wrong: Any = [{"role": "user", "content": 7}]
    with pytest.raises(UnprocessableEntityError) as unknown:
        openai.chat.completions.create(model=FAST, messages=wrong)
    assert unknown.value.type == "invalid_request_error"


def test_a_failure_of_the_model_raises_the_class_of_its_status_and_is_not_repeated(stack: Stack) -> None:
    patient = sdk(stack, retries=2)
    with pytest.raises(BadRequestError) as refused:
        patient.chat.completions.create(model="sim-1?fail=400", messages=HI)
    assert refused.value.code == "upstream_invalid_request"
    with pytest.raises(RateLimitError) as limited:
        patient.chat.completions.create(model="sim-1?fail=429&retry_after=0", messages=HI)
    assert limited.value.response.headers["x-should-retry"] == "false"


def test_a_failure_in_mid_stream_raises(openai: OpenAI) -> None:
    seen: list[ChatCompletionChunk] = []
    model = "sim-1?tps=0&ttft_ms=0&tokens=40&fail=error&at=20"
    stream = openai.chat.completions.create(model=model, messages=HI, stream=True)
    with pytest.raises(APIError) as raised:
        seen.extend(stream)
    assert content(seen) != ""
    assert str(raised.value.code).startswith("upstream_")


def test_a_cancel_from_elsewhere_raises_and_what_was_produced_may_be_read(openai: OpenAI, stack: Stack) -> None:
    stream = openai.chat.completions.create(model="sim-1?tps=50&tokens=2000&ttft_ms=0", messages=HI, stream=True)
    chunks = [next(stream), next(stream), next(stream)]
    id_ = stream.response.headers["respool-generation"]
    stack.client().http.post(f"/v1/generations/{id_}/cancel").raise_for_status()
    with pytest.raises(APIError) as raised:
        chunks += list(stream)
    assert raised.value.code == "cancelled"
    until(lambda: stack.client().record(id_)["state"] == "cancelled", "it is cancelled")
    assert stack.client().record(id_)["text"].startswith(content(chunks))


def test_who_was_cut_off_goes_on_by_the_native_route_or_by_its_key(openai: OpenAI, stack: Stack) -> None:
    key = {"Idempotency-Key": "cut-off"}
    with openai.chat.completions.with_streaming_response.create(
        model=FAST, messages=HI, stream=True, extra_headers=key
    ) as response:
        id_ = response.headers["respool-generation"]
        raw = response.http_response.read()
    whole = list(frames(iter([raw])))
    cursor = whole[9].id
    assert cursor is not None
    native = [each for each in stack.client().events(id_, after=cursor) if each.id]
    assert [each.id for each in native] == [each.id for each in stack.client().events(id_) if each.id][-len(native) :]
    behind = openai.chat.completions.create(
        model=FAST, messages=HI, stream=True, extra_headers={**key, "Last-Event-ID": cursor}
    )
    with openai.chat.completions.create(model=FAST, messages=HI, stream=True, extra_headers=key) as again:
        assert list(behind) == list(again)[10:]
    with pytest.raises(APIStatusError) as unknown:
        openai.chat.completions.create(
            model=FAST, messages=HI, stream=True, extra_headers={"Idempotency-Key": "no", "Last-Event-ID": cursor}
        )
    assert unknown.value.status_code == 404


def test_the_async_client_does_the_same(stack: Stack) -> None:
    async def scene() -> None:
        async with AsyncOpenAI(api_key="unused", base_url=f"{stack.urls[0]}/v1", max_retries=0) as openai:
            stream = await openai.chat.completions.create(model=FAST, messages=HI, stream=True)
            chunks = [chunk async for chunk in stream]
            whole = await openai.chat.completions.create(model=FAST, messages=HI)
            assert content(chunks) == whole.choices[0].message.content
            async with openai.chat.completions.stream(model=FAST, messages=HI) as helper:
                final = await helper.get_final_completion()
            assert final.choices[0].message.content == whole.choices[0].message.content

    asyncio.run(scene())

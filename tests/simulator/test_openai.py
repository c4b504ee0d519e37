"""OpenAI's two APIs as the simulator speaks them, read by the real SDK's own types."""

import asyncio
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseCompletedEvent, ResponseReasoningItem
from pydantic import BaseModel

from tests.simulator.sdk import Upstream

RICH = "sim-1?tps=0&ttft_ms=0&tokens=40&seed=3&thinking=1&tool=look&citations=1"


def client(upstream: Upstream) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="sk-not-a-key", max_retries=0, timeout=5)


def check(event: BaseModel) -> None:
    """The SDK takes anything for an event; its types do not."""
    type(event).model_validate(event.model_dump(), strict=False)


def test_every_event_of_responses_is_of_its_type_and_numbered(upstream: Upstream, user_id: str) -> None:
    async def run() -> None:
        async with client(upstream) as sdk:
            asked: dict[str, Any] = {"model": RICH, "input": "Hello", "safety_identifier": user_id}
            stream = await sdk.responses.create(**asked, stream=True)
            events = [event async for event in stream]
            for event in events:
                check(event)
            numbers = [event.sequence_number for event in events]
            assert numbers == sorted(set(numbers))
            last = events[-1]
            assert isinstance(last, ResponseCompletedEvent)
            whole = await sdk.responses.create(**asked)
            assert whole.output_text == last.response.output_text
            said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
            assert said == whole.output_text
            reasoning, _, call = whole.output
            assert isinstance(reasoning, ResponseReasoningItem)
            assert call.type == "function_call"
            check(whole)

    asyncio.run(run())
    assert [record["path"] for record in upstream.records(user_id)] == ["/v1/responses"] * 2


def test_every_chunk_of_chat_is_of_its_type_and_usage_comes_last(upstream: Upstream, user_id: str) -> None:
    async def run() -> None:
        async with client(upstream) as sdk:
            asked: dict[str, Any] = {"model": RICH, "messages": [{"role": "user", "content": "Hello"}], "user": user_id}
            options: Any = {"include_usage": True}
            stream = await sdk.chat.completions.create(**asked, stream=True, stream_options=options)
            chunks = [chunk async for chunk in stream]
            for chunk in chunks:
                check(chunk)
            *_, finish, usage = chunks
            assert (finish.choices[0].finish_reason, usage.choices) == ("tool_calls", [])
            whole = await sdk.chat.completions.create(**asked)
            check(whole)
            said = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
            assert said == whole.choices[0].message.content
            assert usage.usage.completion_tokens == whole.usage.completion_tokens

    asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("400", openai.BadRequestError), ("401", openai.AuthenticationError), ("404", openai.NotFoundError),
        ("429", openai.RateLimitError), ("529", openai.InternalServerError),
    ],
)  # fmt: skip
def test_a_refusal_is_the_sdks_own_error(upstream: Upstream, status: str, error: type[Exception]) -> None:
    async def run() -> None:
        async with client(upstream) as sdk:
            with pytest.raises(error):
                await sdk.responses.create(model=f"sim-1?fail={status}", input="Hello")

    asyncio.run(run())


def test_a_parameter_that_openai_does_not_know_is_refused(upstream: Upstream) -> None:
    async def run() -> None:
        async with client(upstream) as sdk:
            with pytest.raises(openai.BadRequestError, match="Unknown parameter: 'top_k'"):
                await sdk.responses.create(model="sim-1", input="Hello", extra_body={"top_k": 1})

    asyncio.run(run())

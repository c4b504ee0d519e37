"""`/v1/messages` through the official SDK, unmodified: what it makes of Respool is what it makes of the upstream."""

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from anthropic import Anthropic, AsyncAnthropic
from anthropic.types import Message
from openai import OpenAI

from tests.api.keys.keyed import PEPPER
from tests.harness.client import check_log
from tests.harness.stack import Stack

QUICK = "sim-1?tps=0&ttft_ms=0&seed=3&tokens=30"
SAID: Any = [{"role": "user", "content": "Tell me something."}]
TOOL: Any = {"name": "lookup", "description": "Finds.", "input_schema": {"type": "object", "properties": {}}}
KEY = "sk-sim"


@pytest.fixture
def sdk(shared: Stack) -> Iterator[Anthropic]:
    with Anthropic(base_url=shared.url, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def straight(shared: Stack) -> Iterator[Anthropic]:
    """The same SDK, at the upstream."""
    with Anthropic(base_url=shared.upstream_url, api_key=KEY, max_retries=0) as client:
        yield client


def asked(model: str = QUICK, **more: Any) -> Any:
    return {"model": model, "max_tokens": 1000, "messages": SAID, **more}


def shown(message: Message) -> dict[str, Any]:
    """All but what is each call's own: ids, and what the simulator counts by the bytes of the request."""
    told = message.model_dump(exclude={"id": True, "usage": {"input_tokens"}})
    for block in told["content"]:
        block.pop("id", None)
    return told


ANSWERS = {
    "text": asked(),
    "thinking": asked(f"{QUICK}&thinking=1", thinking={"type": "enabled", "budget_tokens": 1024}),
    "tool use": asked(f"{QUICK}&tool=lookup", tools=[TOOL]),
    "citations": asked(f"{QUICK}&citations=1"),
    "max tokens": asked(max_tokens=5),
    "refusal": asked(f"{QUICK}&refuse=1"),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_the_final_message_is_the_one_that_comes_straight_from_the_upstream(
    sdk: Anthropic, straight: Anthropic, what: str
) -> None:
    with straight.messages.stream(**ANSWERS[what]) as stream:
        expected = stream.get_final_message()
    with sdk.messages.stream(**ANSWERS[what]) as stream:
        streamed = stream.get_final_message()
    whole = sdk.messages.create(**ANSWERS[what])
    assert shown(streamed) == shown(expected)
    assert shown(whole) == shown(straight.messages.create(**ANSWERS[what]))
    reasons = {"tool use": "tool_use", "max tokens": "max_tokens", "refusal": "refusal"}
    assert streamed.stop_reason == whole.stop_reason == reasons.get(what, "end_turn")


def test_the_asynchronous_client_gets_the_same(shared: Stack, straight: Anthropic) -> None:
    async def through() -> tuple[Message, Message]:
        async with (
            AsyncAnthropic(base_url=shared.url, api_key=KEY, max_retries=0) as client,
            client.messages.stream(**asked()) as stream,
        ):
            return await stream.get_final_message(), await client.messages.create(**asked())

    streamed, whole = asyncio.run(through())
    assert shown(streamed) == shown(whole) == shown(straight.messages.create(**asked()))


def test_a_generation_that_was_left_is_followed_by_its_id_to_its_end(sdk: Anthropic, shared: Stack) -> None:
    with sdk.messages.with_streaming_response.create(**asked("sim-1?tps=60&tokens=40&seed=3"), stream=True) as response:
        id_ = response.headers["respool-generation"]
        lines = response.iter_lines()
        cursor = next(line for line in lines if line.startswith("id: ")).removeprefix("id: ")
    client = shared.client(1)
    rest = client.events(id_, cursor)
    assert rest[-1].data["status"] == "completed"
    whole = client.events(id_)
    check_log([frame for frame in whole if frame.id])
    logged = [frame for frame in whole if frame.id]
    assert [frame for frame in rest if frame.id] == logged[[frame.id for frame in logged].index(cursor) + 1 :]


def test_a_cancel_from_anywhere_ends_the_stream_with_an_error(sdk: Anthropic, shared: Stack) -> None:
    with sdk.messages.stream(**asked("sim-1?tps=50&tokens=2000")) as stream:
        texts = iter(stream.text_stream)
        next(texts)
        id_ = stream.response.headers["respool-generation"]
        assert shared.client(1).cancel(id_).status_code in (200, 202)
        with pytest.raises(anthropic.APIStatusError, match="cancelled") as raised:
            list(texts)
    assert raised.value.error_code == "cancelled"


@pytest.mark.parametrize(
    ("status", "kind", "type_"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (529, anthropic.OverloadedError, "overloaded_error"),
    ],
)
def test_what_the_upstream_refuses_is_raised_as_it_raises_it(
    start_failing: Anthropic, status: int, kind: type[anthropic.APIStatusError], type_: str
) -> None:
    """Once: the worker has tried again, and the SDK is told not to."""
    with pytest.raises(kind) as raised:
        start_failing.messages.create(**asked(f"{QUICK}&fail={status}", metadata={"user_id": f"{uuid.uuid4()}"}))
    assert (raised.value.status_code, raised.value.type) == (status, type_)
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert raised.value.request_id == raised.value.response.headers["respool-generation"]


@pytest.fixture(scope="module")
def failing() -> Iterator[Stack]:
    with Stack(upstream_tries=1) as stack:
        yield stack


@pytest.fixture
def start_failing(failing: Stack) -> Iterator[Anthropic]:
    with Anthropic(base_url=failing.url, api_key=KEY) as client:
        yield client


def test_an_error_in_mid_stream_is_raised_in_mid_stream(start_failing: Anthropic) -> None:
    model = f"{QUICK}&fail=error&at=9"
    failing = start_failing.messages.stream(**asked(model, extra_body={"on_interrupt": "fail"}))
    with failing as stream, pytest.raises(anthropic.APIStatusError) as raised:
        list(stream)
    assert raised.value.type == "overloaded_error"
    assert raised.value.status_code == 200


def test_what_is_wrong_is_named_in_the_shape_of_messages(sdk: Anthropic) -> None:
    with pytest.raises(anthropic.UnprocessableEntityError, match="/messages") as raised:
        sdk.messages.create(model=QUICK, max_tokens=1, messages=[])
    assert (raised.value.type, raised.value.error_code) == ("invalid_request_error", "invalid_request")
    for more in (
        {"extra_body": {"server_tools": ["clock"]}},
        {"extra_headers": {"anthropic-version": "2022-01-01"}},
        {"extra_headers": {"anthropic-workspace-id": "w"}},
        {"extra_headers": {"anthropic-beta": "no such*"}},
        {"extra_body": {"fallbacks": ["x"]}},
    ):
        with pytest.raises(anthropic.UnprocessableEntityError):
            sdk.messages.create(**asked(), **more)
    with pytest.raises(anthropic.NotFoundError) as missing:
        sdk.get("/v1/messages/nothing", cast_to=object)
    assert missing.value.type == "not_found_error"


def test_all_that_the_sdk_may_ask_for_reaches_the_upstream(sdk: Anthropic, shared: Stack) -> None:
    fields: Any = {
        "system": "Be brief.", "stop_sequences": ["never said"], "service_tier": "auto", "speed": "standard",
        "inference_geo": "eu", "container": "box", "diagnostics": {"previous_message_id": "msg_1"},
        "output_config": {"effort": "low"}, "tool_choice": {"type": "auto"}, "tools": [TOOL],
        "thinking": {"type": "adaptive"}, "cache_control": {"type": "ephemeral"},
    }  # fmt: skip
    more = {"temperature": 0.5, "top_p": 0.9, "top_k": 3, "context_management": {"edits": []}}
    response = sdk.messages.with_raw_response.create(
        **asked(), **fields, extra_body=more, extra_headers={"anthropic-beta": "one-1, two-2"}
    )
    assert response.parse().id.startswith("msg_")
    calls = httpx2.get(f"{shared.upstream_url}/_sim/requests", params={"model": QUICK}).json()
    (call,) = [each for each in calls if each["body"].get("container") == "box"]
    assert {name: call["body"][name] for name in {**fields, **more}} == {**fields, **more}
    assert call["headers"]["anthropic-beta"] == "one-1,two-2"
    assert "betas" not in call["body"]


class Cutting(httpx2.HTTPTransport):
    """Loses the first answer: the request has come to Respool, and what it said is not read."""

    lost: httpx2.Headers | None = None

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        if self.lost is None:
            self.lost = response.headers
            response.close()
            raise httpx2.RemoteProtocolError("cut", request=request)
        return response


@pytest.mark.parametrize("stream", [False, True])
def test_the_sdks_own_repeats_of_a_post_start_no_second_generation(shared: Stack, *, stream: bool) -> None:
    """With one line of docs/clients.md: without it the SDK gives a request no name."""
    transport = Cutting()
    with Anthropic(base_url=shared.url, api_key=KEY, http_client=httpx2.Client(transport=transport)) as client:
        client._idempotency_header = "Idempotency-Key"
        response = client.messages.with_raw_response.create(**asked(), stream=stream)
    assert response.retries_taken == 1
    assert transport.lost is not None
    assert response.headers["respool-generation"] == transport.lost["respool-generation"]


@pytest.fixture(scope="module")
def asking() -> Iterator[Stack]:
    """An API that has the upstream's address and a key for it, and a list of what may be asked for."""
    with Stack(tenants='{"*": {"models": ["sim-1*"]}}') as stack:
        stack.add_api(raw={"ANTHROPIC_BASE_URL": stack.upstream_url, "ANTHROPIC_API_KEY": "simulated"})
        yield stack


def test_tokens_are_counted_and_models_listed_by_the_upstream(asking: Stack) -> None:
    with (
        Anthropic(base_url=asking.urls[1], api_key=KEY, max_retries=0) as sdk,
        OpenAI(base_url=f"{asking.urls[1]}/v1", api_key=KEY, max_retries=0) as other,
    ):
        assert sdk.messages.count_tokens(model="sim-1", messages=SAID).input_tokens > 1
        (listed,) = sdk.models.list().data
        assert (listed.id, listed.display_name, listed.lifecycle) == ("sim-1", "sim-1", "active")
        assert sdk.models.retrieve("sim-1") == listed
        (same,) = other.models.list().data
        assert (same.id, same.object, same.created) == ("sim-1", "model", 1_767_225_600)
        assert other.models.retrieve("sim-1") == same
        with pytest.raises(anthropic.BadRequestError, match="messages: Field required"):
            sdk.post("/v1/messages/count_tokens", body={"model": "sim-1"}, cast_to=object)
        with pytest.raises(anthropic.PermissionDeniedError) as refused:
            sdk.messages.count_tokens(model="sim-2", messages=SAID)
        assert refused.value.error_code == "model_not_allowed"
        with pytest.raises(anthropic.NotFoundError):
            sdk.models.retrieve("sim-2")
        with pytest.raises(openai.NotFoundError):
            other.models.retrieve("sim-2")


def test_an_api_without_a_key_for_the_upstream_says_so(asking: Stack) -> None:
    with Anthropic(base_url=asking.urls[0], api_key=KEY, max_retries=0) as sdk:
        with pytest.raises(anthropic.ServiceUnavailableError) as raised:
            sdk.messages.count_tokens(model="sim-1", messages=SAID)
        assert raised.value.error_code == "no_upstream_key"


def test_who_is_not_known_is_told_so_as_the_sdk_expects(start_stack: Any) -> None:
    stack = start_stack(workers=0, require_keys=1, api_key_pepper=PEPPER)
    with Anthropic(base_url=stack.url, api_key="rsp_none", max_retries=0) as sdk:
        with pytest.raises(anthropic.AuthenticationError) as raised:
            sdk.messages.create(**asked())
        assert raised.value.type == "authentication_error"
        with pytest.raises(anthropic.AuthenticationError):
            sdk.models.list()

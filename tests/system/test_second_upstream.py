"""OpenAI as an upstream, in both of its APIs, through the real SDK and real processes: the same events, the same failures, the
same promises as of Messages."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from broker.request import GenerationRequest
from tests.harness.client import Client, Generation, check_log
from tests.harness.stack import Stack
from tests.system.test_upstream_failures import BREAKS, FAST, PROMPT, REFUSALS, Seen, whole

APIS = ("responses", "chat")
PATHS = {"responses": "/v1/responses", "chat": "/v1/chat/completions"}


def upstream(name: str, kind: str, **more: object) -> dict[str, object]:
    """One that the simulator plays, for models whose names begin with its own."""
    return {
        "name": name,
        "kind": kind,
        "base_url": "{upstream}/v1",
        "key": "ANTHROPIC_API_KEY",
        "models": [f"sim-{name}*"],
        **more,
    }


UPSTREAMS = [
    upstream("responses", "openai-responses"),
    upstream("chat", "openai-chat"),
    upstream("quoting", "openai-responses", continuation="quote"),
    upstream("filling", "openai-chat", continuation="prefill"),
    {"name": "claude", "kind": "anthropic", "models": ["sim-1*", "claude-*"]},
]

SENT = f"sim-responses?{FAST}&fail=cut&at=20&times=1"
LOOK = {"name": "look", "input_schema": {"type": "object", "properties": {"query": {"type": "string"}}}}
WHOLE = "stream" in GenerationRequest.model_fields
"""Whether an answer may be asked for in one piece."""
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        f"{api} refuses {status}": (f"sim-{api}?{FAST}&fail={status}&retry_after=0", {})
        for api in APIS
        for status in REFUSALS
    },
    **{
        f"{api} {kind} and {then}": (
            f"sim-{api}?{FAST}&fail={kind}&at=20&times=1",
            {"on_interrupt": then} | ({"idle_timeout": 1} if kind.startswith("stall") else {}),
        )
        for api in APIS
        for kind in BREAKS
        for then in ("continue", "fail")
    },
    **{f"{api} is rich": (f"sim-{api}?{FAST}&thinking=1&tool=look&citations=1", {"tools": [LOOK]}) for api in APIS},
    **{f"{api} no headers": (f"sim-{api}?fail=slow_headers", {"first_token_timeout": 0.7}) for api in APIS},
    **{f"{api} cut always": (f"sim-{api}?{FAST}&fail=cut&at=7", {}) for api in APIS},
    **{f"{name} goes on": (f"sim-{name}?{FAST}&fail=cut&at=20&times=1", {}) for name in ("quoting", "filling")},
    **{f"{api} cannot say": (f"sim-{api}?{FAST}", {"thinking": {"type": "adaptive", "display": "omitted"}}) for api in APIS},
    **{
        f"{api} in one piece": (f"sim-{api}?{FAST}&thinking=1&tool=look", {"stream": False, "tools": [LOOK]})
        for api in APIS
        if WHOLE
    },
    **{
        f"{api} in one piece with {kind}": (f"sim-{api}?{FAST}&fail={kind}", {"stream": False, "on_interrupt": "fail"})
        for api in APIS
        for kind in ("cut", "fin", "eof", "json", "utf8", "error")
        if WHOLE
    },
    "claude too": (f"sim-1?{FAST}", {}),
}  # fmt: skip


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(upstreams=json.dumps(UPSTREAMS)) as stack:
        yield stack


@pytest.fixture(scope="module")
def submitted(stack: Stack) -> dict[str, Generation]:
    client = stack.client()
    return {name: client.submit(model, PROMPT, **fields) for name, (model, fields) in CASES.items()}


@pytest.fixture
def client(stack: Stack) -> Client:
    return stack.client()


@pytest.fixture
def see(client: Client, stack: Stack, submitted: dict[str, Generation]) -> Any:
    def see(name: str) -> Seen:
        generation = submitted[name]
        events = [frame for frame in client.events(generation.id) if frame.id]
        check_log(events)
        seen = Seen(generation, events, client.record(generation.id), stack.asked(generation.user_id))
        assert seen.record["text"] == seen.text
        return seen

    return see


@pytest.mark.parametrize("api", APIS)
def test_thinking_text_citations_and_a_call_arrive_as_of_messages(see: Any, api: str) -> None:
    seen = see(f"{api} is rich")
    thinking, text, tool = seen.record["content"]
    assert [block["type"] for block in (thinking, text, tool)] == ["thinking", "text", "tool_use"]
    assert text["text"] == "".join(whole(seen.record["model"]))
    assert len(text["citations"]) == 6
    assert (tool["name"], tool["input"]["limit"]) == ("look", 3)
    assert (seen.end["status"], seen.end["stop_reason"]) == ("completed", "tool_use")
    assert seen.end["usage"].keys() >= {"input_tokens", "output_tokens", "cache_read_input_tokens"}
    (call,) = seen.asked
    assert (call["path"], call["stream"], call["closed_by"]) == (PATHS[api], True, "server")
    assert seen.of("message")[0]["message"]["model"] == seen.record["model"]
    assert not {"on_interrupt", "retention", "durability"} & set(call["body"])


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("status", REFUSALS)
def test_a_refusal_is_an_error_with_its_code_after_as_many_tries_as_make_sense(see: Any, api: str, status: str) -> None:
    code, retryable = REFUSALS[status]
    seen = see(f"{api} refuses {status}")
    tries = 4 if retryable else 1
    assert len(seen.asked) == tries
    assert [(told["code"], told["tries"]) for told in seen.of("retrying")] == [(code, n) for n in range(1, tries)]
    assert all(0 <= told["delay_ms"] <= 300 for told in seen.of("retrying")), "the pause that it asks for is kept"
    assert seen.end.items() >= {"type": "error", "code": code, "retryable": retryable, "partial": False}.items()
    assert "simulated" not in seen.end["message"]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("kind", BREAKS)
def test_an_answer_that_breaks_off_is_begun_again_as_these_models_cannot_go_on(see: Any, api: str, kind: str) -> None:
    seen = see(f"{api} {kind} and continue")
    assert [(start["reason"], start["keep_blocks"]) for start in seen.of("stream_start")] == [
        ("start", 0),
        ("restart", 0),
    ]
    assert (seen.end["status"], seen.text) == ("completed", "".join(whole(seen.record["model"])))
    assert [call["continued"] for call in seen.asked] == [None, None]
    if kind.startswith("stall"):
        assert seen.asked[0]["closed_by"] == "client"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("kind", "code"), BREAKS.items())
def test_an_answer_that_breaks_off_is_never_completed(see: Any, api: str, kind: str, code: str) -> None:
    seen = see(f"{api} {kind} and fail")
    assert seen.end.items() >= {"type": "error", "code": code, "retryable": True, "partial": True}.items()
    assert seen.text == "".join(whole(seen.record["model"])[:20])
    assert (len(seen.asked), seen.record["state"]) == (1, "failed")


@pytest.mark.parametrize("api", APIS)
def test_one_that_always_breaks_off_is_begun_again_as_often_as_any(see: Any, api: str) -> None:
    seen = see(f"{api} cut always")
    first, *others = [start["reason"] for start in seen.of("stream_start")]
    assert (first, set(others)) == ("start", {"restart"})
    assert (seen.end["type"], seen.end["code"], len(seen.asked)) == ("error", "upstream_disconnected", 1 + len(others))


@pytest.mark.parametrize("name", ["quoting", "filling"])
def test_where_the_operator_says_how_a_model_goes_on_with_the_very_same_text(see: Any, name: str) -> None:
    seen = see(f"{name} goes on")
    assert [(start["reason"], start["keep_blocks"]) for start in seen.of("stream_start")] == [
        ("start", 0),
        ("continue", 1),
    ]
    assert (seen.end["status"], seen.text) == ("completed", "".join(whole(seen.record["model"])))
    assert seen.asked[1]["continued"] == len("".join(whole(seen.record["model"])[:20]))


@pytest.mark.parametrize("api", APIS)
def test_an_upstream_that_says_nothing_is_given_up_and_its_socket_closed(see: Any, api: str) -> None:
    seen = see(f"{api} no headers")
    assert (seen.end["code"], seen.asked[0]["closed_by"]) == ("first_token_timeout", "client")


@pytest.mark.parametrize("api", APIS)
def test_what_the_models_api_has_no_words_for_is_named_and_nothing_is_asked(see: Any, api: str) -> None:
    seen = see(f"{api} cannot say")
    assert (seen.end["code"], seen.end["retryable"], seen.asked) == ("unsupported_field", False, [])
    assert "`thinking.display`" in seen.end["message"]


@pytest.mark.skipif(not WHOLE, reason="no request can ask for it")
@pytest.mark.parametrize("api", APIS)
def test_an_answer_that_is_not_streamed_has_the_same_blocks(see: Any, api: str) -> None:
    seen, streamed = see(f"{api} in one piece"), see(f"{api} is rich")
    thinking, text, tool = seen.record["content"]
    assert (thinking["thinking"], text["text"]) == tuple(
        streamed.record["content"][index][kind] for index, kind in enumerate(("thinking", "text"))
    )
    assert (tool["name"], tool["input"]["limit"]) == ("look", 3)
    assert (seen.end["stop_reason"], seen.asked[0]["stream"]) == ("tool_use", False)
    assert [len(seen.of(kind)) for kind in ("thinking", "text", "tool_input")] == [1, 1, 1]


@pytest.mark.skipif(not WHOLE, reason="no request can ask for it")
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("kind", ["cut", "fin", "eof", "json", "utf8", "error"])
def test_an_answer_in_one_piece_that_breaks_off_is_never_completed(see: Any, api: str, kind: str) -> None:
    seen = see(f"{api} in one piece with {kind}")
    expected = {
        "eof": "upstream_truncated",
        "error": "upstream_overloaded",
        "json": "upstream_malformed",
        "utf8": "upstream_malformed",
    }
    codes = {expected.get(kind, "upstream_disconnected"), "upstream_unreachable" if kind == "cut" else ""}
    assert (seen.end["type"], seen.end["code"] in codes) == ("error", True), seen.end


def test_a_claude_is_asked_in_its_own_words_beside_them(see: Any) -> None:
    seen = see("claude too")
    assert (seen.end["status"], seen.asked[0]["path"]) == ("completed", "/v1/messages")


@pytest.mark.parametrize("api", APIS)
def test_a_tools_result_goes_back_and_the_model_goes_on(client: Client, stack: Stack, api: str) -> None:
    first = client.submit(f"sim-{api}?{FAST}&thinking=1&tool=look", tools=[LOOK])
    client.events(first.id)
    content = client.record(first.id)["content"]
    result = {"type": "tool_result", "tool_use_id": content[-1]["id"], "content": "rain"}
    messages = [
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "content": content},
        {"role": "user", "content": [result]},
    ]
    second = client.submit(f"sim-{api}?{FAST}", messages=messages, tools=[LOOK])
    assert client.events(second.id)[-1].data["status"] == "completed"
    (call,) = stack.asked(second.user_id)
    sent = call["body"]["input" if api == "responses" else "messages"]
    kinds = [item.get("type") or item["role"] for item in sent]
    if api == "responses":
        assert kinds == ["user", "reasoning", "assistant", "function_call", "function_call_output"]
        assert sent[1]["encrypted_content"].startswith("sim-encrypted-")
        assert sent[4]["call_id"] == sent[3]["call_id"] == content[-1]["id"]
    else:
        assert kinds == ["user", "assistant", "tool"]
        assert sent[2]["tool_call_id"] == sent[1]["tool_calls"][0]["id"] == content[-1]["id"]


@pytest.mark.parametrize("path", ["/v1/generations", "/v1/chat/stream"])
def test_a_model_that_no_upstream_serves_is_refused_at_submit(client: Client, path: str) -> None:
    body = {"model": "gemini-9", "messages": [{"role": "user", "content": "Hi"}]}
    response = client.http.post(path, json=body)
    assert response.status_code == 422
    assert response.json()["errors"] == [
        {"pointer": "/model", "code": "unknown_model", "detail": "is served by no upstream that is configured here"}
    ]
    assert "gemini" not in response.text


def test_no_key_and_no_prompt_is_in_a_log(stack: Stack, see: Any) -> None:
    for name in CASES:
        see(name)
    for child in (*stack.apis, *stack.workers):
        assert "simulated" not in child.log.replace("simulated upstream", "")
        assert PROMPT not in child.log

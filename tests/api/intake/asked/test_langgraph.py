"""What LangGraph's clients ask for, as a request for a generation; or the place that cannot be said."""

from typing import Any

import pytest

from api.intake.asked.langgraph import made, read
from api.intake.problems import Problem
from broker.request import GenerationRequest

HUMAN = {"type": "human", "content": "Hi"}


def asking(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"assistant_id": "sim-1", "input": {"messages": list(messages or (HUMAN,))}, **more}


def request(body: dict[str, Any], *more: Any) -> GenerationRequest:
    return made(read(body, "t-1"), {}, *more)


def refused(body: dict[str, Any]) -> str:
    with pytest.raises(Problem) as caught:
        request(body)
    errors: Any = caught.value.extensions["errors"]
    assert len(errors) == 1
    return str(errors[0]["pointer"])


def test_messages_of_langchain_are_turns() -> None:
    call = {"id": "c", "name": "f", "args": {"x": 1}, "type": "tool_call"}
    asked = request(
        asking(
            {"role": "system", "content": "Brief."},
            {"type": "human", "content": [{"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}]},
            {"type": "ai", "content": "", "tool_calls": [call]},
            {"type": "tool", "tool_call_id": "c", "content": "no", "status": "error"},
            {"type": "human", "content": "So?", "id": "mine"},
        )
    )
    assert asked.system == [{"type": "text", "text": "Brief."}]
    assert [(turn.role, turn.content) for turn in asked.messages] == [
        ("user", [{"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}}]),
        ("assistant", [{"type": "tool_use", "id": "c", "name": "f", "input": {"x": 1}}]),
        (
            "user",
            [
                {"type": "tool_result", "tool_use_id": "c", "content": "no", "is_error": True},
                {"type": "text", "text": "So?"},
            ],
        ),
    ]


def test_a_run_goes_on_with_what_its_thread_has() -> None:
    first = request(asking())
    second = request(asking({"type": "human", "content": "And?"}), first, [{"type": "text", "text": "Hello"}])
    assert [turn.role for turn in second.messages] == ["user", "assistant", "user"]
    assert second.labels == {"langgraph.thread": "t-1"}


def test_fields_of_ours_are_said_by_their_names() -> None:
    config = {"configurable": {"model": "sim-2", "max_tokens": 7}, "recursion_limit": 25}
    asked = request(asking(assistant_id="agent", config=config, context={"temperature": 0.5}, metadata={"a": "b"}))
    assert (asked.model, asked.max_tokens, asked.temperature) == ("sim-2", 7, 0.5)
    assert asked.labels == {"a": "b", "langgraph.thread": "t-1"}
    assert request(asking(on_disconnect="cancel")).on_abandon == "cancel"
    assert read(asking(stream_mode=["values", "messages-tuple"]), "t").modes == {"values", "messages-tuple"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (asking(command={"resume": 1}), "/command"),
        (asking(stream_mode=["values", "debug"]), "/stream_mode/1"),
        (asking(multitask_strategy="enqueue"), "/multitask_strategy"),
        (asking(context={"max_tokens": "7"}), "/context/max_tokens"),
        (asking(config={"configurable": {"thread_ts": "x"}}), "/config/configurable/thread_ts"),
        (asking(context={"model": "sim-2"}), "/assistant_id"),
        (asking({**HUMAN, "id": "t-1:0"}), "/input/messages/0/id"),
        (asking({"type": "ai", "content": "x", "id": "gen_" + "0" * 26 + ":0"}), "/input/messages/0/id"),
        (asking({"type": "function", "content": "x"}), "/input/messages/0/type"),
        (asking(HUMAN, {"type": "system", "content": "x"}), "/input/messages/1/type"),
        ({"assistant_id": "sim-1"}, "/input"),
    ],
)
def test_what_cannot_be_said_is_named(body: dict[str, Any], pointer: str) -> None:
    assert refused(body) == pointer

"""Server tools, through real processes: rounds, what viewers see of them, and what happens to a tool when things go wrong."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest

from broker.events import EVENT, Entry
from broker.ids import EntryId
from broker.transcript import Transcript
from tests.harness.client import Client, Frame, Generation, check_log
from tests.harness.stack import Stack, until

TIMEOUT = 1.5
TOLD = ("tool_start", "tool_progress", "tool_end")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(tools="worker.tools,tests.harness.tools", tool_timeout=TIMEOUT, lease=1, drain=0) as running:
        yield running


@pytest.fixture
def client(stack: Stack) -> Client:
    return stack.client()


def model(given: dict[str, object] | None = None, **how: object) -> str:
    how = {"tokens": 4, "tps": 0, "ttft_ms": 0, "tools": 1, **how}
    return "sim-1?" + urlencode(how | ({"input": json.dumps(given)} if given is not None else {}))


def of(events: list[Frame], type_: str) -> list[dict[str, Any]]:
    return [frame.data for frame in events if frame.type == type_]


def asked(stack: Stack, generation: Generation) -> list[dict[str, Any]]:
    """What upstream was asked, call by call."""
    response = httpx2.get(f"{stack.upstream_url}/_sim/requests", params={"user_id": generation.user_id})
    return [call["body"] for call in response.json()]


def ended(client: Client, tool: str, given: dict[str, object], **fields: Any) -> dict[str, Any]:
    """The `tool_end` of a generation that calls the tool once, and ends well whatever the tool did."""
    generation = client.submit(model(given), server_tools=[tool], **fields)
    events = client.events(generation.id)
    check_log(events)
    assert (events[-1].type, events[-1].data["stop_reason"]) == ("stream_end", "end_turn")
    (end,) = of(events, "tool_end")
    (result,) = [block for block in client.record(generation.id)["content"] if block["type"] == "tool_result"]
    assert result["content"] == end["content"]
    assert result.get("is_error", False) is not end["ok"]
    assert end["ok"] is (end["error"] is None)
    return end


def test_tools_run_side_by_side_round_by_round_and_all_of_it_is_shown_and_kept(stack: Stack, client: Client) -> None:
    generation = client.submit(model(tools=2, calls=2), server_tools=["clock", "calculator"])
    events = client.events(generation.id)
    check_log(events)
    assert events[-1].data["stop_reason"] == "end_turn"
    starts, ends = of(events, "tool_start"), of(events, "tool_end")
    assert [(start["name"], start["input"]) for start in starts] == [
        ("clock", {"timezone": "Europe/Berlin"}), ("calculator", {"expression": "(2 + 3) * 4"}),
    ] * 2  # fmt: skip
    assert len({start["id"] for start in starts}) == 4
    assert {end["content"] for end in ends if end["name"] == "calculator"} == {"20"}
    assert all(end["ok"] and end["error"] is None and end["duration_ms"] >= 0 for end in ends)

    record = client.record(generation.id)
    kinds = [block["type"] for block in record["content"]]
    a_round = ["text", "tool_use", "tool_use", "tool_result", "tool_result"]
    assert kinds == [*a_round, *a_round, "text"]
    for end in ends:
        block = record["content"][end["index"]]
        assert (block["tool_use_id"], block["content"]) == (end["id"], end["content"])
    for start in starts:
        assert record["content"][start["index"]]["id"] == start["id"]

    calls = asked(stack, generation)
    assert [len(call["messages"]) for call in calls] == [1, 3, 5]
    assert {tool["name"] for tool in calls[0]["tools"]} == {"clock", "calculator"}
    assert calls[2]["messages"][:3] == calls[1]["messages"]
    results = calls[2]["messages"][4]["content"]
    assert {block["tool_use_id"] for block in results} == {start["id"] for start in starts[2:]}
    told = [event["usage"] for event in of(events, "usage")]
    assert record["usage"]["output_tokens"] == sum(usage["output_tokens"] for usage in told)
    messages = [event["message"]["usage"] for event in of(events, "message")]
    assert record["usage"]["input_tokens"] == sum(usage["input_tokens"] for usage in messages)
    assert record["text"] == "".join(event["text"] for event in of(events, "text"))


def test_a_reader_that_knows_nothing_of_tools_has_the_same_blocks(client: Client) -> None:
    generation = client.submit(model(calls=2), server_tools=["echo"])
    known = [frame for frame in client.events(generation.id)[:-1] if frame.type not in TOLD]
    entries = [Entry(EntryId(1, seq), *_stored(frame)) for seq, frame in enumerate(known)]
    assert Transcript(entries).content == client.record(generation.id)["content"]


def _stored(frame: Frame) -> tuple[bytes, bytes]:
    match frame.type:
        case "text":
            return b"t", frame.data["text"].encode()
        case "tool_input":
            return b"i", frame.data["partial_json"].encode()
    return EVENT, json.dumps(frame.data).encode()


def test_what_a_tool_yields_is_shown_and_the_last_of_it_is_its_result(client: Client) -> None:
    generation = client.submit(model({"count": 3}), server_tools=["steps"])
    events = client.events(generation.id)
    (end,) = of(events, "tool_end")
    told = [event["data"] for event in of(events, "tool_progress")]
    assert told == [{"step": number, "filling": "x"} for number in range(3)]
    assert json.loads(end["content"]) == told[-1]
    assert {event["id"] for event in of(events, "tool_progress")} == {end["id"]}


def test_what_is_large_is_a_result_and_no_progress(client: Client) -> None:
    generation = client.submit(model({"count": 1, "size": 5000}), server_tools=["steps"])
    events = client.events(generation.id)
    assert not of(events, "tool_progress")
    assert len(of(events, "tool_end")[0]["content"]) > 5000


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        ("says", "raised", "Not today."),
        ("raises", "raised", "The tool failed (ValueError)."),
        ("exits", "raised", "The tool failed (SystemExit)."),
        ("cancels", "raised", "The tool failed (CancelledError)."),
        ("odd", "not_sendable", "The tool's result cannot be sent."),
        ("half", "not_sendable", "The tool's result cannot be sent."),
        ("large", "too_large", "The tool's result is too large: 100000 bytes, 65536 are allowed."),
    ],
)
def test_a_tool_that_fails_is_a_result_and_the_model_goes_on(client: Client, how: str, error: str, says: str) -> None:
    end = ended(client, "fail", {"how": how})
    assert (end["ok"], end["error"], end["content"]) == (False, error, says)


@pytest.mark.parametrize(("tool", "longer"), [("nap", False), ("block", False), ("stay", True)])
def test_a_tool_that_takes_too_long_is_a_result(client: Client, tmp_path: Path, tool: str, longer: bool) -> None:
    given: dict[str, object] = {"seconds": 4} | ({"file": str(tmp_path / "notes")} if tool == "nap" else {})
    end = ended(client, tool, given)
    assert (end["ok"], end["error"]) == (False, "timeout")
    assert end["duration_ms"] >= TIMEOUT * 1000


def test_an_input_that_is_not_as_the_schema_says_is_told_to_the_model(client: Client) -> None:
    end = ended(client, "echo", {"text": 5, "more": 1})
    assert end["error"] == "invalid_input"
    assert "text" in end["content"]
    assert "more" in end["content"]


def test_a_tool_that_nobody_has_offered_is_told_to_the_model_as_often_as_rounds_are_allowed(client: Client) -> None:
    generation = client.submit("sim-1?tokens=2&tps=0&ttft_ms=0&tool=magic", server_tools=["echo"], max_tool_rounds=2)
    events = client.events(generation.id)
    check_log(events)
    assert [end["error"] for end in of(events, "tool_end")] == ["unknown_tool"] * 2
    assert (events[-1].type, events[-1].data["code"]) == ("error", "tool_rounds_exceeded")
    assert client.record(generation.id)["error"]["retryable"] is False


def test_as_many_rounds_as_are_allowed_are_not_too_many(client: Client) -> None:
    generation = client.submit(model(tools=2), server_tools=["clock"], max_tool_rounds=2)
    assert client.events(generation.id)[-1].data["stop_reason"] == "end_turn"
    generation = client.submit(model(tools=3), server_tools=["clock"], max_tool_rounds=2)
    assert client.events(generation.id)[-1].data["code"] == "tool_rounds_exceeded"


def test_tools_of_the_client_end_the_generation_when_the_server_s_have_run(stack: Stack, client: Client) -> None:
    look_up = {"name": "look_up", "description": "Looks up.", "input_schema": {"type": "object", "properties": {}}}
    generation = client.submit(model(calls=2, tools=5), tools=[look_up], server_tools=["clock"])
    events = client.events(generation.id)
    check_log(events)
    assert [start["name"] for start in of(events, "tool_start")] == ["clock"]
    assert (events[-1].type, events[-1].data["stop_reason"]) == ("stream_end", "tool_use")
    _, theirs, ours, result = client.record(generation.id)["content"]
    assert (theirs["name"], ours["name"], result["tool_use_id"]) == ("look_up", "clock", ours["id"])
    assert len(asked(stack, generation)) == 1


def test_a_cancel_inside_a_tool_cancels_it(client: Client, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    generation = client.submit(model({"file": str(notes), "seconds": 60}), server_tools=["nap"], total_timeout=30)
    until(notes.exists, "the tool begins")
    client.cancel(generation.id)
    events = client.events(generation.id)
    check_log(events)
    assert (events[-1].type, events[-1].data["status"]) == ("stream_end", "cancelled")
    until(lambda: "is cancelled" in notes.read_text(), "the tool is cancelled", TIMEOUT / 2)
    assert not of(events, "tool_end")


def test_the_total_time_ends_a_generation_inside_a_tool_and_its_silence_does_not(
    client: Client, tmp_path: Path
) -> None:
    given: dict[str, object] = {"file": str(tmp_path / "notes"), "seconds": 1.2}
    silent = client.submit(model(given), server_tools=["nap"], idle_timeout=0.5, first_token_timeout=0.5)
    late = client.submit(model(given), server_tools=["nap"], total_timeout=0.6)
    assert client.events(silent.id)[-1].data["stop_reason"] == "end_turn"
    assert client.events(late.id)[-1].data["code"] == "total_timeout"
    record = client.record(silent.id)
    assert record["attempt"] == 1, "a lease of one second was renewed meanwhile"


@pytest.mark.parametrize("on_interrupt", ["continue", "restart"])
def test_a_worker_that_dies_inside_a_tool_leaves_what_has_ended(
    stack: Stack, client: Client, tmp_path: Path, on_interrupt: str
) -> None:
    """Two calls: one has ended, the nap has not."""
    notes = tmp_path / "notes"
    given = {"file": str(notes), "seconds": 1.0}
    generation = client.submit(
        model(given, calls=2), server_tools=["skip", "nap"], on_interrupt=on_interrupt, max_tool_rounds=1
    )
    with client.stream(generation.id) as events:
        next(frame for frame in events if frame.type == "tool_end")
        until(notes.exists, "the nap begins")
        stack.workers[-1].kill()
    stack.add_worker()
    events_ = client.events(generation.id)
    check_log(events_)
    assert events_[-1].data["stop_reason"] == "end_turn"
    made = [line.split()[0] for line in notes.read_text().splitlines() if line.endswith("begins")]
    assert len(made) == 2
    again = on_interrupt == "restart"
    assert (made[0] == made[1]) is not again, "the same call is known by its id; a new answer has new calls"
    skips = [start for start in of(events_, "tool_start") if start["name"] == "skip"]
    assert len(skips) == 1 + again
    second = of(events_, "stream_start")[1]
    assert (second["reason"], second["keep_blocks"]) == (("restart", 0) if again else ("continue", 4))
    assert len(client.record(generation.id)["content"]) == 6


def test_a_worker_that_dies_between_rounds_leaves_the_last_one_and_no_tool_is_run_twice(
    stack: Stack, client: Client, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    given = {"file": str(notes), "seconds": 0.0}
    generation = client.submit(model(given, tools=2, ttft_ms=700), server_tools=["nap"])
    with client.stream(generation.id) as events:
        first = next(frame for frame in events if frame.type == "tool_end").data
        stack.workers[-1].kill()
    stack.add_worker()
    events_ = client.events(generation.id)
    check_log(events_)
    assert events_[-1].data["stop_reason"] == "end_turn"
    assert of(events_, "stream_start")[1]["reason"] == "continue"
    assert [end["content"] for end in of(events_, "tool_end") if end["id"] == first["id"]] == [first["content"]]
    assert len([line for line in notes.read_text().splitlines() if line.endswith("begins")]) == 2
    content = client.record(generation.id)["content"]
    assert [block["type"] for block in content] == ["text", "tool_use", "tool_result"] * 2 + ["text"]
    last = asked(stack, generation)[-1]["messages"]
    assert last[2]["content"][0]["content"] == first["content"]


def test_a_tool_that_there_is_not_is_refused_with_its_place(client: Client) -> None:
    def refused(**fields: object) -> list[tuple[str, str]]:
        body = {"model": "sim-1", "messages": [{"role": "user", "content": "hi"}], **fields}
        response = client.http.post("/v1/generations", json=body)
        assert response.status_code == 422
        return [(error["pointer"], error["code"]) for error in response.json()["errors"]]

    assert refused(server_tools=["clock", "magic"]) == [("/server_tools/1", "unknown_tool")]
    assert refused(tools=[{"name": "clock"}], server_tools=["clock"]) == [("/server_tools/0", "not_allowed")]
    assert refused(server_tools=["clock", "clock"]) == [("/server_tools", "not_allowed")]
    assert refused(server_tools=["clock"], max_tool_rounds=0) == [("/max_tool_rounds", "out_of_range")]
    assert refused(server_tools="clock") == [("/server_tools", "wrong_type")]


def test_a_worker_without_a_tool_that_the_api_has_ends_what_names_it(tmp_path: Path) -> None:
    with Stack(workers=0, tools="worker.tools") as running:
        running.add_worker(tools="")
        generation = running.client().submit("sim-1", server_tools=["clock"])
        end = running.client().events(generation.id)[-1]
        assert (end.type, end.data["code"], end.data["retryable"]) == ("error", "tool_unavailable", True)

"""The reader and the examples of the protocol page, against what real processes send."""

import json
import shutil
import subprocess
from typing import Any, Protocol, cast

import pytest

from tests.docs.pages import blocks, page, section
from tests.harness.client import Client, Frame

PROTOCOL = page("docs/protocol.md")
EVERYTHING = "sim-1?tps=0&tokens=40&ttft_ms=0&seed=3&thinking=1&tool=lookup&citations=1"
INTERRUPTED = "&fail=cut&times=1&at="


class Reader(Protocol):
    blocks: list[dict[str, Any]]
    cursor: str | None
    end: dict[str, Any] | None

    def apply(self, event: dict[str, Any], id: str | None = None) -> None: ...


def new_reader() -> Reader:
    """The class that stands on the page."""
    (code,) = blocks(PROTOCOL, "python")
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    return cast(Reader, namespace["Reader"]())


def read(frames: list[Frame]) -> Reader:
    reader = new_reader()
    for frame in frames:
        reader.apply(json.loads(json.dumps(frame.data)), frame.id)
    return reader


def examples() -> dict[str, dict[str, Any]]:
    """The event of each example line, by type."""
    lines = [line for block in blocks(PROTOCOL, "text") for line in block.split("\n")]
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    return {event["type"]: event for event in events}


class JavaScriptReader:
    """The page's class in JavaScript, run by Node on all frames at once."""

    def __init__(self, frames: list[Frame]) -> None:
        code = next(block for block in blocks(PROTOCOL, "js") if "class Reader" in block)
        said = json.dumps([[frame.data, frame.id] for frame in frames])
        code += f"const reader = new Reader(); for (const [event, id] of {said}) reader.apply(event, id);"
        code += "console.log(JSON.stringify(reader))"
        done = subprocess.run(["node", "-"], input=code, capture_output=True, text=True, timeout=30, check=True)
        self.__dict__.update(json.loads(done.stdout))


WAYS: tuple[tuple[Any, ...], ...] = (
    (EVERYTHING, {}),
    (EVERYTHING + INTERRUPTED + "15", {}),
    (EVERYTHING + INTERRUPTED + "15", {"on_interrupt": "restart"}),
    (EVERYTHING + "&fail=error&at=15", {}),
)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node to run the page's JavaScript")
@pytest.mark.parametrize(("model", "options"), WAYS)
def test_the_reader_in_javascript_holds_the_same(client: Client, model: str, options: dict[str, Any]) -> None:
    generation = client.submit(model, **options)
    for query in ({}, {"from": "snapshot"}):
        frames = client.events(generation.id, **query)
        reader = cast(Reader, JavaScriptReader(frames))
        record = client.record(generation.id)
        assert (reader.blocks, reader.cursor) == (record["content"], record["last_event_id"])
        assert reader.end == frames[-1].data


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (EVERYTHING, {}),
        (EVERYTHING + INTERRUPTED + "15", {}),
        (EVERYTHING + INTERRUPTED + "15", {"on_interrupt": "restart"}),
        (EVERYTHING + INTERRUPTED + "5&in=thinking", {}),
        (EVERYTHING + INTERRUPTED + "5&in=tool", {}),
        (EVERYTHING + "&fail=error&at=15", {}),
    ],
    ids=["whole", "cut in text", "cut and restarted", "cut in thinking", "cut in a tool", "failed"],
)
def test_the_reader_holds_at_the_end_what_the_record_says(client: Client, model: str, options: dict[str, Any]) -> None:
    generation = client.submit(model, **options)
    reader = read(client.events(generation.id))
    record = client.record(generation.id)
    assert reader.blocks == record["content"]
    assert reader.cursor == record["last_event_id"]
    assert reader.end is not None


def test_a_reader_that_begins_with_a_snapshot_holds_the_same(client: Client) -> None:
    generation = client.submit("sim-1?tps=100&tokens=80&ttft_ms=0&seed=4&tool=lookup&citations=1")
    with client.stream(generation.id) as events:
        seen = 0
        for frame in events:
            seen += frame.type == "text"
            if seen == 20:
                break
        joined = client.events(generation.id, **{"from": "snapshot"})
    assert joined[0].type == "snapshot"
    assert read(joined).blocks == client.record(generation.id)["content"]


def test_a_reader_that_came_back_with_its_cursor_holds_the_same(client: Client) -> None:
    generation = client.submit(EVERYTHING)
    whole = [frame for frame in client.events(generation.id) if frame.id]
    reader = read(whole[:50])
    for frame in client.events(generation.id, reader.cursor):
        reader.apply(frame.data, frame.id)
    assert reader.blocks == client.record(generation.id)["content"]


def test_a_gap_makes_the_reader_begin_again(client: Client) -> None:
    generation = client.submit(EVERYTHING)
    reader = read(client.events(generation.id))
    replay = client.events(generation.id, "1-1")
    assert replay[0].data == {"type": "gap", "reason": "unknown_cursor"}
    for frame in replay:
        reader.apply(frame.data, frame.id)
    assert reader.blocks == client.record(generation.id)["content"]


def test_the_examples_have_the_fields_that_events_have(client: Client) -> None:
    whole = client.submit(EVERYTHING)
    seen = (
        client.events(whole.id) + client.events(whole.id, "nonsense") + client.events(whole.id, **{"from": "snapshot"})
    )
    for model in ("sim-1?tokens=2&fail=429&times=1&retry_after=0", "sim-1?fail=400"):
        seen += client.events(client.submit(model).id)
    types = {frame.type for frame in seen}
    assert types >= {
        "stream_start",
        "message",
        "block_start",
        "text",
        "thinking",
        "tool_input",
        "signature",
        "citation",
    }
    assert types >= {"block_stop", "usage", "retrying", "stream_end", "error", "gap", "snapshot"}
    for frame in seen:
        assert frame.data.keys() == examples()[frame.type].keys()


def test_the_example_of_a_record_has_the_fields_that_records_have(client: Client) -> None:
    generation = client.submit("sim-1?tps=0&tokens=2")
    client.events(generation.id)
    (example,) = (json.loads(block) for block in blocks(section(PROTOCOL, "The record"), "json"))
    assert list(client.record(generation.id)) == list(example)


def test_the_example_of_a_problem_is_what_is_answered(client: Client) -> None:
    body = {"model": "m", "max_tokens": 0, "messages": [{"role": "user", "content": "hi"}]}
    (example,) = (json.loads(block) for block in blocks(section(PROTOCOL, "Problems"), "json"))
    assert client.http.post("/v1/generations", json=body).json() == example

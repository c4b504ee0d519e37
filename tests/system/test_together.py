"""What a generation can do, done at once: tools that the server runs, in one piece or streamed, on each kind of upstream, under
guardrails, with a price, labels and chunks."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.client import Client, check_log, text_of
from tests.harness.stack import Stack
from tests.system.test_second_upstream import UPSTREAMS

FAST = "tps=0&ttft_ms=0&tokens=40&tools=2&calls=2"
PRICE = {"input": 3, "output": 15, "currency": "USD"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("together")
    prices, denied = folder / "prices.json", folder / "denied"
    prices.write_text(json.dumps({"sim-*": PRICE}))
    denied.write_text("nobody says this\n")
    with Stack(upstreams=json.dumps(UPSTREAMS), tools="worker.tools", prices=prices, deny_list=denied) as running:
        yield running


@pytest.fixture
def client(stack: Stack) -> Client:
    return stack.client()


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "in one piece"])
@pytest.mark.parametrize("name", ["1", "responses", "chat"])
def test_rounds_of_tools_end_well_on_each_upstream_checked_priced_and_labelled(
    client: Client, name: str, stream: bool
) -> None:
    more: dict[str, Any] = {"server_tools": ["clock", "calculator"], "labels": {"of": "all"}, "priority": "background"}
    generation = client.submit(f"sim-{name}?{FAST}", stream=stream, **more)
    events = client.events(generation.id)
    check_log(events)
    assert events[-1].data["stop_reason"] == "end_turn", events[-1].data
    told = [frame.data for frame in events if frame.type == "tool_end"]
    assert [each["ok"] for each in told] == [True] * 4
    record = client.record(generation.id)
    results = [block for block in record["content"] if block["type"] == "tool_result"]
    assert [each["content"] for each in results] == [each["content"] for each in told]
    assert text_of(events) == record["text"]
    assert (record["labels"], record["cost"]["currency"]) == ({"of": "all"}, "USD")
    assert float(record["cost"]["amount"]) > 0
    words = client.events(generation.id, chunk="word")
    assert text_of(words) == record["text"]
    assert {frame.id for frame in words} <= {frame.id for frame in events}, "a chunk has the id of its last entry"

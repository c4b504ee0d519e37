"""`stream: false` through real processes: the same generation as when it is streamed, in fewer entries."""

from typing import Any

import httpx2
import pytest

from tests.harness.client import Client, check_log, text_of
from tests.harness.stack import Stack, until

QUICK = "sim-1?tps=1000&ttft_ms=0&tokens=60&seed=7"
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": (QUICK, {}),
    "thinking and a tool": (f"{QUICK}&thinking=1&tool=look", {}),
    "slower than a first token may be": ("sim-1?ttft_ms=1500&tps=0&tokens=60&seed=7", {"first_token_timeout": 0.5}),
    **{
        f"{kind} once": (f"{QUICK}&fail={kind}&times=1&retry_after=0", {})
        for kind in ("429", "cut", "fin", "json", "eof", "error")
    },
}


@pytest.mark.parametrize("name", CASES)
def test_it_ends_as_when_it_is_streamed_whatever_breaks_before(client: Client, shared: Stack, name: str) -> None:
    model, fields = CASES[name]
    streamed = client.submit(model.partition("&fail=")[0])
    generation = client.submit(model, stream=False, **fields)
    events = [frame for frame in client.events(generation.id) if frame.id]
    check_log(events)
    record, like = client.record(generation.id), client.http.get(f"/v1/generations/{streamed.id}?wait=20").json()
    assert {call["stream"] for call in shared.asked(generation.user_id)} == {False}
    assert [record[field] for field in ("state", "text", "stop_reason")] == [
        "completed",
        like["text"],
        like["stop_reason"],
    ]
    if "eof" not in name:
        assert [{**block, "id": ""} for block in record["content"]] == [
            {**block, "id": ""} for block in like["content"]
        ]
    assert record["usage"]["output_tokens"] >= like["usage"]["output_tokens"]
    assert text_of(events) == record["text"]
    if name == "plain":
        types = ["stream_start", "message", "block_start", "text", "block_stop", "usage", "stream_end"]
        assert [frame.type for frame in events] == types


def test_a_cancel_closes_the_call_though_nothing_has_come(client: Client, shared: Stack) -> None:
    generation = client.submit("sim-1?ttft_ms=60000&tokens=5", stream=False)
    until(lambda: shared.asked(generation.user_id), "the upstream is called")
    assert client.cancel(generation.id).status_code == 202
    record: dict[str, Any] = httpx2.get(f"{shared.url}/v1/generations/{generation.id}?wait=20", timeout=30).json()
    assert (record["state"], record["text"]) == ("cancelled", "")
    until(lambda: shared.asked(generation.user_id)[0]["closed_by"] == "client", "its socket is closed")


def test_silence_is_bounded_by_the_total(client: Client) -> None:
    generation = client.submit("sim-1?ttft_ms=60000&tokens=5", stream=False, total_timeout=1)
    record = client.http.get(f"/v1/generations/{generation.id}?wait=20").json()
    assert (record["state"], record["error"]["code"]) == ("failed", "total_timeout")

"""Following a generation: every type of event, cursors, gaps, the snapshot of a late joiner."""

import json
from typing import Any

import pytest

from broker.vocabulary import Metrics
from tests.harness.client import Client, Frame, Generation, check_log, frames, text_of
from tests.harness.stack import Stack, until

RICH = "sim-1?tps=0&ttft_ms=0&tokens=40&seed=3&thinking=1&tool=look&citations=1"
ACCEPT = {"accept": "text/event-stream"}


@pytest.fixture(scope="module")
def rich(shared: Stack) -> tuple[Generation, list[Frame]]:
    """A generation with a block of each kind, and its whole log."""
    client = shared.client()
    generation = client.submit(RICH)
    logged = [frame for frame in client.events(generation.id) if frame.id]
    check_log(logged)
    return generation, logged


def frames_of(client: Client, url: str, **request: Any) -> list[Frame]:
    request.setdefault("headers", ACCEPT)
    with client.http.stream("GET", url, **request) as response:
        assert response.status_code == 200
        return list(frames(response.iter_bytes()))


def blocks_of(events: list[Frame]) -> list[dict[str, Any]]:
    """The content blocks as a client without our code would build them from the protocol's rules."""
    blocks: list[dict[str, Any]] = []
    at = -1
    for frame in events:
        match frame.data:
            case {"type": "stream_start", "keep_blocks": keep}:
                del blocks[keep:]
            case {"type": "block_start", "index": index, "block": block}:
                at = index
                if index == len(blocks):
                    blocks.append(dict(block))
            case {"type": "text", "text": text}:
                blocks[at]["text"] += text
            case {"type": "thinking", "thinking": text}:
                blocks[at]["thinking"] += text
            case {"type": "tool_input", "partial_json": piece}:
                blocks[at]["json"] = blocks[at].get("json", "") + piece
            case {"type": "signature", "signature": signature}:
                blocks[at]["signature"] += signature
            case {"type": "citation", "citation": citation}:
                blocks[at].setdefault("citations", []).append(citation)
    for block in blocks:
        if "json" in block:
            block["input"] = json.loads(block.pop("json"))
    return blocks


# ── the types ──


def test_nothing_that_upstream_sends_is_lost(client: Client, rich: tuple[Generation, list[Frame]]) -> None:
    generation, logged = rich
    types = [frame.type for frame in logged]
    assert types[:3] == ["stream_start", "message", "block_start"]
    assert types[-2:] == ["usage", "stream_end"]
    assert {*types} == {
        *("stream_start", "message", "block_start", "thinking", "signature", "block_stop", "text", "citation"),
        *("tool_input", "usage", "stream_end"),
    }
    thinking, text, tool = blocks_of(logged)
    assert thinking["type"] == "thinking"
    assert thinking["thinking"].startswith("Let me think.")
    assert thinking["signature"].startswith("sim-signature-")
    assert [citation["document_index"] for citation in text["citations"]] == [0, 0, 0, 0]
    assert (tool["name"], tool["input"]["limit"]) == ("look", 3)
    assert client.record(generation.id)["content"] == [thinking, text, tool]


def test_the_start_names_the_generation_its_attempt_and_why(rich: tuple[Generation, list[Frame]]) -> None:
    generation, logged = rich
    assert logged[0].data == {
        "type": "stream_start",
        "generation": generation.id,
        "model": RICH,
        "reason": "start",
        "keep_through": None,
        "keep_blocks": 0,
        "attempt": 1,
    }


def test_the_end_tells_status_reason_usage_and_times(rich: tuple[Generation, list[Frame]]) -> None:
    _, logged = rich
    end = logged[-1].data
    deltas = sum(frame.type in ("text", "thinking", "tool_input") for frame in logged)
    assert end.keys() == {"type", "status", "stop_reason", "usage", "cost", "ttft_ms", "total_ms", "metrics", "chunks"}
    metrics = end["metrics"]
    assert metrics.keys() == Metrics.__required_keys__
    assert (metrics["ttft_ms"], metrics["total_ms"], metrics["cache_hit"]) == (end["ttft_ms"], end["total_ms"], False)
    assert 0 <= metrics["queue_ms"] <= metrics["ttft_ms"]
    assert 0 <= metrics["inter_token_ms_p50"] <= metrics["inter_token_ms_p95"]
    assert metrics["tokens_per_second"] is None or metrics["tokens_per_second"] > 0  # None: it came in one read
    assert (end["status"], end["stop_reason"], end["chunks"]) == ("completed", "tool_use", deltas)
    assert 0 <= end["ttft_ms"] <= end["total_ms"] < 20_000
    assert end["usage"]["output_tokens"] >= deltas
    assert end["usage"]["input_tokens"] > 0
    (usage,) = (frame.data for frame in logged if frame.type == "usage")
    assert usage["usage"]["output_tokens"] == end["usage"]["output_tokens"]
    assert usage["stop_reason"] == "tool_use"


def test_max_tokens_and_stop_sequences_are_told_as_the_reason(client: Client) -> None:
    capped = client.events(client.submit("sim-1?tps=0&ttft_ms=0&tokens=40", max_tokens=7).id)
    assert capped[-1].data["stop_reason"] == "max_tokens"
    assert sum(frame.type == "text" for frame in capped) == 7
    model = "sim-1?tps=0&ttft_ms=0&echo=1"
    stopped = client.events(client.submit(model, "one two STOP three", stop_sequences=["STOP"]).id)
    assert stopped[-1].data["stop_reason"] == "stop_sequence"
    assert text_of(stopped) == "one two "
    (usage,) = (frame.data for frame in stopped if frame.type == "usage")
    assert usage["stop_sequence"] == "STOP"


def test_a_token_is_with_the_viewer_long_before_upstream_has_ended(client: Client, shared: Stack) -> None:
    generation = client.submit("sim-1?tps=20&ttft_ms=0&tokens=200")
    with client.stream(generation.id) as events:
        first = next(frame for frame in events if frame.type == "text")
        (asked,) = shared.asked(generation.user_id)
        assert asked["closed_by"] is None
        assert asked["tokens"] < 100
        client.cancel(generation.id)
        assert first.data["text"]


# ── cursors ──


def test_a_cursor_gives_what_follows_it_by_header_and_by_query(
    client: Client, other_client: Client, rich: tuple[Generation, list[Frame]]
) -> None:
    generation, logged = rich
    for index in (0, 1, len(logged) // 2, len(logged) - 2):
        cursor = str(logged[index].id)
        assert client.events(generation.id, cursor) == logged[index + 1 :]
        assert other_client.events(generation.id, after=cursor) == logged[index + 1 :]


def test_the_header_is_newer_than_the_url(client: Client, rich: tuple[Generation, list[Frame]]) -> None:
    generation, logged = rich
    header, query = str(logged[20].id), str(logged[4].id)
    assert client.events(generation.id, header, after=query) == logged[21:]
    assert client.events(generation.id, header, **{"from": "snapshot"}) == logged[21:]


def test_the_terminal_id_as_cursor_is_204(client: Client, rich: tuple[Generation, list[Frame]]) -> None:
    generation, logged = rich
    url, terminal = f"/v1/generations/{generation.id}/events", str(logged[-1].id)
    for response in (
        client.http.get(url, headers={**ACCEPT, "last-event-id": terminal}),
        client.http.get(url, headers=ACCEPT, params={"after": terminal}),
        client.http.get(url, headers={**ACCEPT, "last-event-id": terminal}, params={"from": "snapshot"}),
    ):
        assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize(
    "cursor",
    [
        *(b"x", b"-", b"1", b"1-", b"-1", b"+1-1", b"1-01", b"01-1", b"1-1-1", b"1 -1", b"0x1-1", b"1.0-1", b"$", b"*"),
        *(b"99999999999999999999-0", b"1-99999999999999999999", b"1-1\t", b"1-1, 1-2", b"\xff\xfe", b"\xef\xbc\x91-0"),
        *(b"a" * 10_000, b"'; FLUSHALL", b"%0d%0aFLUSHALL", b"{gen_}:log", b"\xef\xbb\xbf1-1"),
    ],
)
def test_a_malformed_cursor_is_a_gap_and_then_the_whole_log(
    client: Client, rich: tuple[Generation, list[Frame]], cursor: bytes
) -> None:
    generation, logged = rich
    url = f"/v1/generations/{generation.id}/events"
    for way in ({"headers": [*ACCEPT.items(), (b"last-event-id", cursor)]}, {"params": {"after": cursor}}):
        if cursor.strip() != cursor and "headers" in way:
            continue  # HTTP itself strips a header's value
        events = frames_of(client, url, **way)
        assert events[0] == Frame(None, {"type": "gap", "reason": "bad_cursor"})
        assert events[1:] == logged


def test_a_cursor_that_names_nothing_here_is_a_gap_and_then_the_whole_log(
    client: Client, rich: tuple[Generation, list[Frame]]
) -> None:
    generation, logged = rich
    other = [frame for frame in client.events(client.submit("sim-1?tps=0&ttft_ms=0&tokens=5").id) if frame.id]
    attempt = int(str(logged[0].id).split("-")[0])
    behind = f"{attempt}-{len(logged)}"
    for cursor in ("0-0", "1-0", str(other[2].id), behind, f"{attempt + 1}-0", "999999999999999-9999999999"):
        events = client.events(generation.id, cursor)
        assert events[0] == Frame(None, {"type": "gap", "reason": "unknown_cursor"})
        assert events[1:] == logged


def test_a_gap_in_a_running_generation_is_followed_by_replay_and_live(client: Client) -> None:
    generation = client.submit("sim-1?tps=100&ttft_ms=0&tokens=40")
    with client.stream(generation.id) as watched:
        next(frame for frame in watched if frame.type == "text")
        events = client.events(generation.id, "1-1")
    assert events[0].data == {"type": "gap", "reason": "unknown_cursor"}
    check_log(events)
    assert text_of(events) == client.record(generation.id)["text"]


# ── the snapshot ──


def test_a_late_joiner_gets_the_text_so_far_in_one_event_and_then_what_follows(
    client: Client, other_client: Client
) -> None:
    generation = client.submit("sim-1?tps=200&ttft_ms=0&tokens=150&seed=5&thinking=1")
    with client.stream(generation.id) as leader:
        told = []
        for frame in leader:
            told.append(frame)
            if sum(frame.type == "text" for frame in told) == 20:
                break
        with other_client.stream(generation.id, **{"from": "snapshot"}) as events:
            first = next(events)
            assert first.type == "snapshot"
            assert other_client.record(generation.id)["state"] == "running"
            late = [first, *events]
        whole = [*told, *leader]
    logged = [frame for frame in whole if frame.id]
    ids = [frame.id for frame in logged]
    snapshot = late[0]
    until_there = logged[: ids.index(snapshot.id) + 1]
    assert snapshot.data["text"] == text_of(until_there) != ""
    assert snapshot.data["content"] == blocks_of(until_there)
    assert snapshot.data["open"] == 1
    assert late[1:] == logged[len(until_there) :]
    assert text_of(late) == text_of(whole) == client.record(generation.id)["text"]


def test_a_snapshot_of_an_ended_generation_is_all_of_it_and_its_end(
    client: Client, rich: tuple[Generation, list[Frame]]
) -> None:
    generation, logged = rich
    snapshot, end = client.events(generation.id, **{"from": "snapshot"})
    assert snapshot.id == logged[-2].id
    assert snapshot.data["text"] == text_of(logged)
    assert snapshot.data["content"] == blocks_of(logged)
    assert end == logged[-1]


def test_a_snapshots_id_is_a_cursor(client: Client, rich: tuple[Generation, list[Frame]]) -> None:
    generation, logged = rich
    snapshot, _ = client.events(generation.id, **{"from": "snapshot"})
    assert client.events(generation.id, str(snapshot.id)) == logged[-1:]


def test_viewers_come_and_go_without_touching_the_generation(client: Client, shared: Stack) -> None:
    generation = client.submit("sim-1?tps=100&ttft_ms=0&tokens=50")
    for _ in range(10):
        with client.stream(generation.id) as events:
            next(frame for frame in events if frame.type == "text")
    until(lambda: client.record(generation.id)["state"] == "completed", "it ends without a viewer")
    (asked,) = shared.asked(generation.user_id)
    assert (asked["tokens"], asked["closed_by"]) == (50, "server")
    check_log(client.events(generation.id))

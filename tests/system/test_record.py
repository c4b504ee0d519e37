"""Reading generations back: the record, the list, and whether the process is well."""

import uuid
from typing import Any

import pytest

from broker.summary import Failure
from tests.harness.client import Client, check_log, text_of
from tests.harness.stack import Stack, until
from worker.simulator.text import markdown

QUICK = "sim-1?tps=0&ttft_ms=0&tokens=10"


def test_the_record_has_the_output_in_the_shape_of_the_messages_api(client: Client) -> None:
    generation = client.submit("sim-1?tps=0&ttft_ms=0&tokens=30&seed=9&thinking=1&tool=get_weather&citations=1")
    check_log(client.events(generation.id))
    record = client.record(generation.id)
    thinking, text, tool = record["content"]
    assert thinking.keys() == {"type", "thinking", "signature"}
    assert thinking["signature"].startswith("sim-signature-")
    assert text.keys() == {"type", "text", "citations"}
    assert text["text"] == record["text"] == "".join(markdown(9, 30))
    assert len(text["citations"]) == 3
    assert tool.keys() == {"type", "id", "name", "input"}
    assert (tool["name"], tool["input"]["options"]) == ("get_weather", {"exact": True, "languages": ["en", "日本語"]})


def test_the_record_grows_while_it_runs_and_its_last_id_is_a_cursor(client: Client) -> None:
    generation = client.submit("sim-1?tps=100&ttft_ms=0&tokens=40&seed=2&tool=look")
    with client.stream(generation.id) as events:
        told = [next(frame for frame in events if frame.type == "text")]
        record = client.record(generation.id)
        assert record["state"] == "running"
        assert record["finished_at_ms"] is None
        rest = client.events(generation.id, record["last_event_id"])
        told += events
    assert record["text"] + text_of(rest) == client.record(generation.id)["text"]
    assert "".join(markdown(2, 40)).startswith(record["text"])
    assert client.record(generation.id)["last_event_id"] == told[-1].id


def test_a_tool_input_that_was_cut_off_is_kept_as_it_came(client: Client) -> None:
    generation = client.submit("sim-1?tps=0&ttft_ms=0&tokens=5&tool=look", max_tokens=8)
    assert client.events(generation.id)[-1].data["stop_reason"] == "max_tokens"
    (_, tool) = client.record(generation.id)["content"]
    assert tool["input"] == {}
    assert tool["partial_json"].startswith('{"query"')


def test_times_figures_and_the_end_are_in_the_record(client: Client) -> None:
    generation = client.submit("sim-1?tps=200&ttft_ms=50&tokens=10")
    end = client.events(generation.id)[-1].data
    record = client.record(generation.id)
    times = [record[f"{name}_at_ms"] for name in ("created", "started", "first_token", "finished")]
    assert times == sorted(times)
    assert record["ttft_ms"] == times[2] - times[0] == end["ttft_ms"] >= 50
    assert record["total_ms"] == times[3] - times[0] == end["total_ms"]
    assert {name: record[name] for name in ("usage", "stop_reason", "metrics", "chunks")} == {
        name: end[name] for name in ("usage", "stop_reason", "metrics", "chunks")
    }
    assert record["metrics"]["queue_ms"] == times[1] - times[0]
    assert record["metrics"]["tokens_per_second"] > 0
    assert record["error"] is None
    assert (record["state"], record["attempt"]) == ("completed", 1)


def test_a_failed_generation_tells_its_error_and_keeps_its_partial(client: Client) -> None:
    generation = client.submit("sim-1?tps=0&ttft_ms=0&tokens=30&seed=4&fail=error&at=9", on_interrupt="fail")
    end = client.events(generation.id)[-1].data
    record = client.record(generation.id)
    assert record["state"] == "failed"
    assert record["error"] == {name: end[name] for name in Failure.__annotations__}
    assert record["error"]["partial"] is True
    assert record["text"] == "".join(markdown(4, 30)[:9])


def test_the_request_is_not_in_the_record(client: Client) -> None:
    generation = client.submit(QUICK, "canary-5d0c9a", system="canary-5d0c9a")
    client.events(generation.id)
    assert "canary" not in client.http.get(f"/v1/generations/{generation.id}").text
    assert "canary" not in client.http.get("/v1/generations").text


# ── the list ──


def pages(client: Client, most: int = 10_000, **query: Any) -> list[dict[str, Any]]:
    """The pages of a list, until there are `most` rows; fails if a page is larger than asked for."""
    found: list[dict[str, Any]] = []
    while True:
        page = client.http.get("/v1/generations", params=query).json()
        assert len(page["data"]) <= query.get("limit", 20)
        found += page["data"]
        if page["next_cursor"] is None or len(found) >= most:
            return found
        query["cursor"] = page["next_cursor"]


def test_the_list_pages_newest_first_without_gap_or_repeat(client: Client, other_client: Client) -> None:
    submitted = [client.submit(QUICK).id for _ in range(7)]
    for each in (client, other_client):
        assert [record["id"] for record in pages(each, most=7, limit=1)] == submitted[::-1]
        assert [record["id"] for record in pages(each, most=7, limit=3)][:7] == submitted[::-1]
        ids = [record["id"] for record in pages(each, limit=100)]
        assert ids[:7] == submitted[::-1]
        assert len(ids) == len(set(ids))


def test_what_is_submitted_while_one_pages_does_not_shift_the_pages(client: Client) -> None:
    submitted = [client.submit(QUICK).id for _ in range(4)]
    first = client.http.get("/v1/generations", params={"limit": 2}).json()
    client.submit(QUICK)
    second = client.http.get("/v1/generations", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [record["id"] for record in (*first["data"], *second["data"])] == submitted[::-1]


def test_the_list_by_state_has_that_state_only(client: Client) -> None:
    model = f"sim-1?tps=20&ttft_ms=0&tokens=2000&seed={uuid.uuid4().int % 10**9}"
    running = client.submit(model)
    done = client.submit(QUICK)
    failed = client.submit("sim-1?fail=400")
    client.events(done.id)
    client.events(failed.id)
    for generation, state in ((running, "running"), (done, "completed"), (failed, "failed")):
        until(lambda g=generation, s=state: g.id in states(client, s), f"it is listed as {state}")  # type: ignore[misc]
    client.cancel(running.id)
    until(lambda: running.id in states(client, "cancelled"), "it is listed as cancelled")
    assert running.id not in states(client, "running")


def states(client: Client, state: str) -> dict[str, str]:
    found = {record["id"]: record["state"] for record in pages(client, state=state, limit=100)}
    assert set(found.values()) <= {state}
    return found


def test_the_list_has_no_output(client: Client) -> None:
    client.events(client.submit(QUICK).id)
    (record,) = client.http.get("/v1/generations", params={"limit": 1}).json()["data"]
    assert not record.keys() & {"text", "content", "request"}
    assert record["events_url"] == f"/v1/generations/{record['id']}/events"


# ── health ──


@pytest.mark.parametrize(("path", "status"), [("/healthz", "ok"), ("/readyz", "ready")])
def test_a_process_that_is_well_says_so(client: Client, shared: Stack, path: str, status: str) -> None:
    response = client.http.get(path)
    assert (response.status_code, response.json()) == (200, {"status": status})
    assert response.headers["cache-control"] == "no-store"

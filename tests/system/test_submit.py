"""Submitting: what comes back, what reaches upstream, and one generation for one idempotency key."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis import Redis

from tests.harness.client import Client, check_log, frames, text_of
from tests.harness.stack import Stack

QUICK = "sim-1?tps=0&ttft_ms=0&tokens=20"

MESSAGES_FIELDS: dict[str, Any] = {
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Read: 日本 \u2028 \x00", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                {"type": "document", "title": "T", "source": {"type": "text", "data": "d"}, "citations": {"enabled": True}},
                {"type": "of_tomorrow", "z": [1, 2.5, None, True, {"b": 1, "a": {}}]},
            ],
        },
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"b": 1, "a": []}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "seen", "is_error": False}]},
    ],
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "max_tokens": 2048,
    "stop_sequences": ["\n\nHuman:", "§"],
    "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"},
    "tools": [
        {
            "name": "look",
            "description": "Looks.",
            "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]},
            "cache_control": {"type": "ephemeral"},
        },
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
    ],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "cache_control": {"type": "ephemeral", "ttl": "5m"},
}  # fmt: skip


def test_a_submit_answers_202_with_the_record_and_where_it_streams(client: Client) -> None:
    response = client.http.post(
        "/v1/generations", json={"model": QUICK, "messages": [{"role": "user", "content": "Hi"}]}
    )
    record = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == f"/v1/generations/{record['id']}"
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert record["state"] in ("queued", "running", "completed")
    assert record["model"] == QUICK
    assert record["events_url"] == f"/v1/generations/{record['id']}/events"
    assert client.http.get(response.headers["location"]).json()["id"] == record["id"]
    check_log(list(frames(iter([client.http.get(record["events_url"]).content]))))


def test_with_accept_event_stream_the_submit_is_the_stream(client: Client) -> None:
    body = {"model": QUICK, "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"accept": "text/event-stream"}
    with client.http.stream("POST", "/v1/generations", json=body, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        location = response.headers["location"]
        events = list(frames(response.iter_bytes()))
    logged = [frame for frame in events if frame.id]
    check_log(logged)
    id_ = location.removeprefix("/v1/generations/")
    assert logged == [frame for frame in client.events(id_) if frame.id]
    assert logged[0].data["generation"] == id_
    assert client.record(id_)["text"] == text_of(events) != ""


def test_every_messages_field_reaches_upstream_as_it_is(client: Client, shared: Stack) -> None:
    user_id = f"user-{uuid.uuid4()}"
    generation = client.submit(QUICK, **MESSAGES_FIELDS, metadata={"user_id": user_id})
    check_log(client.events(generation.id))
    (asked,) = shared.asked(user_id)
    assert asked["status"] == 200
    got = asked["body"]
    assert got.pop("stream") is True
    sent = {**MESSAGES_FIELDS, "model": QUICK, "metadata": {"user_id": user_id}}
    assert got.keys() == sent.keys()
    for name, value in sent.items():
        assert json.dumps(got[name]) == json.dumps(value), f"{name}: its members, their order and their types"


def test_nothing_of_ours_and_nothing_unasked_reaches_upstream(client: Client, shared: Stack) -> None:
    generation = client.submit(
        QUICK,
        on_interrupt="restart",
        first_token_timeout=5,
        idle_timeout=2.5,
        total_timeout=30,
        retention=120,
        system=None,
    )
    assert client.events(generation.id)[-1].data["status"] == "completed"
    (asked,) = shared.asked(generation.user_id)
    assert asked["body"].keys() == {"model", "messages", "max_tokens", "metadata", "stream"}


def test_the_retention_asked_for_is_the_one_it_gets(client: Client, shared: Stack) -> None:
    generation = client.submit(QUICK, retention=60)
    client.events(generation.id)
    with Redis.from_url(shared.server.url) as redis:
        for key in ("record", "log"):
            assert 0 < redis.ttl(f"{{{generation.id}}}:{key}") <= 60


# ── Idempotency-Key ──


def test_the_same_key_and_body_is_the_same_generation_on_either_api(client: Client, other_client: Client) -> None:
    body = {"model": QUICK, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4096}
    reordered = {"messages": [{"content": "Hi", "role": "user"}], "model": QUICK, "system": None}
    headers = {"idempotency-key": str(uuid.uuid4())}
    first = client.http.post("/v1/generations", json=body, headers=headers)
    client.events(first.json()["id"])
    again = other_client.http.post("/v1/generations", json=reordered, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["id"] == first.json()["id"]
    assert again.json()["state"] == "completed"
    assert again.headers["location"] == first.headers["location"]
    other_key = client.http.post("/v1/generations", json=body, headers={"idempotency-key": str(uuid.uuid4())})
    assert other_key.json()["id"] != first.json()["id"]


def test_the_same_key_with_another_body_is_422_and_changes_nothing(client: Client, other_client: Client) -> None:
    headers = {"idempotency-key": str(uuid.uuid4())}
    generation = client.submit(QUICK, headers=headers)
    body = {"model": QUICK, "messages": [{"role": "user", "content": "canary-5d0c9a"}]}
    for path in ("/v1/generations", "/v1/chat/stream"):
        response = other_client.http.post(path, json=body, headers={**headers, "accept": "*/*"})
        assert response.status_code == 422
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["code"] == "idempotency_mismatch"
        assert "canary" not in response.text
    assert client.events(generation.id)[-1].data["status"] == "completed"


def test_a_retried_submit_may_ask_for_the_stream_and_gets_all_of_it(client: Client) -> None:
    body = {"model": QUICK, "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"idempotency-key": str(uuid.uuid4())}
    id_ = client.http.post("/v1/generations", json=body, headers=headers).json()["id"]
    headers["accept"] = "text/event-stream"
    with client.http.stream("POST", "/v1/generations", json=body, headers=headers) as response:
        logged = [frame for frame in frames(response.iter_bytes()) if frame.id]
    check_log(logged)
    assert logged[0].data["generation"] == id_


@pytest.mark.parametrize("attempt", range(3))
def test_concurrent_submits_of_one_key_make_one_generation_and_one_upstream_call(
    client: Client, other_client: Client, shared: Stack, attempt: int
) -> None:
    user_id, key = f"user-{uuid.uuid4()}", f"key-{attempt}-{uuid.uuid4()}"
    body = {"model": QUICK, "messages": [{"role": "user", "content": "Hi"}], "metadata": {"user_id": user_id}}

    def submit(number: int) -> tuple[int, str]:
        http = (client, other_client)[number % 2].http
        response = http.post("/v1/generations", json=body, headers={"idempotency-key": key})
        return response.status_code, response.json()["id"]

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(submit, range(24)))
    assert {status for status, _ in answers} == {202}
    (id_,) = {id_ for _, id_ in answers}
    events = client.events(id_)
    check_log(events)
    assert [frame.data["reason"] for frame in events if frame.type == "stream_start"] == ["start"]
    assert len(shared.asked(user_id)) == 1

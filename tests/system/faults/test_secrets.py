"""Canaries in everything that a submitter sends, Redis failing in every way, logs at DEBUG: not a trace in any log."""

import json
from collections.abc import Iterator

import httpx2
import pytest
import redis

from tests.harness.stack import Stack, until

CANARY = "canary-OOM-MISCONF-7f3a9"
MODEL = "sim-1?ttft_ms=50&tps=30&tokens=60&tool=look&thinking=1"


def body() -> dict[str, object]:
    return {
        "model": MODEL,
        "system": f"{CANARY}-system",
        "messages": [{"role": "user", "content": [{"type": "text", "text": f"OOM {CANARY}-prompt"}]}],
        "metadata": {"user_id": f"{CANARY}-user"},
        "stop_sequences": [f"{CANARY}-stop"],
        "tools": [{"name": "look", "description": f"{CANARY}-tool", "input_schema": {"type": "object"}}],
    }


def break_redis(server: redis.Redis, how: str) -> None:
    match how:
        case "OOM":
            server.config_set("maxmemory", 1)
        case "NOREPLICAS":
            server.config_set("min-replicas-to-write", 1)
        case "NOPERM":
            server.execute_command("ACL SETUSER default -@write")  # type: ignore[no-untyped-call]
        case "WRONGTYPE":
            server.delete("respool:due", "respool:queue")
            server.set("respool:due", "1")
        case "NOSCRIPT":
            server.script_flush()
        case "silent":
            server.client_pause(9000)
        case "gone":
            pass


def mend(server: redis.Redis) -> None:
    server.config_set("maxmemory", 0)
    server.config_set("min-replicas-to-write", 0)
    server.execute_command("ACL SETUSER default +@all")  # type: ignore[no-untyped-call]
    if server.type("respool:due") == b"string":
        server.delete("respool:due")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(apis=2, log_level="DEBUG", pickup_grace=1) as stack:
        yield stack


@pytest.mark.parametrize("how", ["OOM", "NOREPLICAS", "NOPERM", "WRONGTYPE", "NOSCRIPT", "silent", "gone"])
def test_nothing_that_was_submitted_is_in_a_log(stack: Stack, how: str) -> None:
    def submit(url: str, **headers: str) -> httpx2.Response:
        return httpx2.post(f"{url}/v1/generations", json=body(), headers=headers, timeout=30)

    ids = [submit(url).json()["id"] for url in stack.urls]
    until(lambda: all(stack.client().record(id_)["state"] != "queued" for id_ in ids), "they run")
    answers = []
    with redis.Redis.from_url(stack.server.url) as server:
        if how == "gone":
            stack.server.kill()
        else:
            break_redis(server, how)
        try:
            for url in stack.urls:
                answers += [submit(url), submit(url, **{"idempotency-key": f"{CANARY}-key"})]
                answers.append(httpx2.get(f"{url}/v1/generations?cursor={CANARY}", timeout=30))
        finally:
            if how == "gone":
                stack.server.start()
            else:
                until(lambda: _answers(server), "Redis answers", 20)
                mend(server)
    for answer in answers:
        assert CANARY not in answer.text
        if answer.status_code >= 400 and how == "NOREPLICAS":
            assert json.loads(answer.text)["code"] in ("storage_replicas", "invalid_request")
    for child in (*stack.apis, *stack.workers):
        assert child.running
        assert CANARY not in child.log


def _answers(server: redis.Redis) -> bool:
    try:
        return bool(server.ping())
    except redis.RedisError:
        return False

"""Canaries in everything that a submitter sends, Redis failing in every way, logs at DEBUG: not a trace in any log, of ours or
of Redis, in a key's name, a figure or a problem."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import redis

from broker.local.embedded import LOG, EmbeddedServer
from tests.harness.receiver import SECRET
from tests.harness.stack import Stack, until

CANARY = "canary-OOM-MISCONF-7f3a9"
WEBHOOKS: dict[str, Any] = {"webhook_secret": SECRET, "webhook_allow": "http,loopback"}
SCHEMA = {"type": "object", "properties": {"said": {"type": "string", "examples": [f"{CANARY}-output"]}}}
MODEL = "sim-1?ttft_ms=50&tps=30&tokens=60&tool=look&thinking=1"


def body() -> dict[str, object]:
    return {
        "model": MODEL,
        "system": f"{CANARY}-system",
        "messages": [{"role": "user", "content": [{"type": "text", "text": f"OOM {CANARY}-prompt"}]}],
        "metadata": {"user_id": f"{CANARY}-user"},
        "stop_sequences": [f"{CANARY}-stop"],
        "labels": {"user": f"{CANARY}-label"},
        "external_id": f"{CANARY}-external",
        "webhook": {"url": f"http://127.0.0.1:9/{CANARY}-hook?token={CANARY}"},
        "tools": [{"name": "look", "description": f"{CANARY}-tool", "input_schema": SCHEMA}],
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
        case "READONLY":
            server.replicaof("127.0.0.1", 1)
        case "silent":
            server.client_pause(9000)
        case "gone":
            pass


def mend(server: redis.Redis) -> None:
    server.replicaof("NO", "ONE")
    server.config_set("maxmemory", 0)
    server.config_set("min-replicas-to-write", 0)
    server.execute_command("ACL SETUSER default +@all")  # type: ignore[no-untyped-call]
    if server.type("respool:due") == b"string":
        server.delete("respool:due")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Libraries are told to say all they can; Redis too, and to note each command as slow."""
    talkative = {"loglevel": "debug", "slowlog-log-slower-than": "0", "commandlog-request-larger-than": "0"}
    server = EmbeddedServer(tmp_path_factory.mktemp("redis"), config=talkative)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ANTHROPIC_LOG", "OPENAI_LOG", "HTTPX_LOG_LEVEL"):
            patch.setenv(name, "debug")
        with Stack(apis=2, log_level="DEBUG", pickup_grace=1, server=server, **WEBHOOKS) as stack:
            yield stack


@pytest.mark.parametrize("how", ["OOM", "NOREPLICAS", "NOPERM", "WRONGTYPE", "NOSCRIPT", "READONLY", "silent", "gone"])
def test_nothing_that_was_submitted_is_in_a_log(stack: Stack, how: str) -> None:
    def submit(url: str, **headers: str) -> httpx2.Response:
        headers["authorization"] = f"Bearer rsp_{CANARY}-key"
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
                answers.append(httpx2.get(f"{url}/v1/generations?label.user={CANARY}-other", timeout=30))
                answers += [httpx2.get(f"{url}{path}", timeout=30) for path in ("/readyz", f"/v1/{CANARY}")]
                link = f"{url}/v1/generations/{ids[0]}/{CANARY}?token={CANARY}-link"
                answers.append(httpx2.get(link, headers={"cookie": f"__Host-respool={CANARY}"}, timeout=30))
        finally:
            if how == "gone":
                stack.server.start()
            else:
                until(lambda: _answers(server), "Redis answers", 20)
                mend(server)
    for answer in answers:
        assert CANARY not in answer.text or answer.status_code < 400  # labels are told to who has given them
        if answer.status_code >= 400 and how == "NOREPLICAS":
            assert json.loads(answer.text)["code"] in (
                "storage_replicas",
                "invalid_request",
                "not_found",
                "unauthenticated",
            )
    for child in (*stack.apis, *stack.workers):
        assert child.running
        assert CANARY not in child.log
    assert stack.simulator is not None
    assert CANARY not in stack.simulator.log
    said_by_redis(stack)


def said_by_redis(stack: Stack) -> None:
    """Fails if it has a canary anywhere but in values."""
    assert CANARY not in (stack.server.data_dir / LOG).read_text(errors="replace")
    with redis.Redis.from_url(stack.server.url) as server:
        until(lambda: _answers(server), "Redis answers", 20)
        names = list(server.scan_iter())
        assert any(name.startswith(b"respool:tag:") for name in names)
        assert not [name for name in names if CANARY.encode() in name]
        for log in ("slow", "large-request", "large-reply"):
            noted = server.execute_command("COMMANDLOG", "GET", "-1", log)
            assert CANARY not in repr(noted)
        about: Any = server.execute_command("INFO", "everything")
        assert CANARY not in repr(about)
        assert CANARY not in repr(server.client_list())


def _answers(server: redis.Redis) -> bool:
    try:
        return bool(server.ping())
    except redis.RedisError:
        return False

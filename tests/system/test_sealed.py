"""Encryption at rest, by real processes: the main path, and nothing of it can be read in Redis, its file or the archive."""

import base64
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from broker import keys
from tests.harness.client import Client, check_log, text_of
from tests.harness.processes import Child
from tests.harness.receiver import SECRET, Receiver
from tests.harness.stack import Stack, until
from tests.system.faults.watching import PROMPT, whole_text
from tests.system.main_path import MODEL, main_path

ONE, TWO = (base64.b64encode(bytes([each]) * 32).decode() for each in (1, 2))
CANARY = "canary-8e41d"
PATIENCE = 60.0


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("archive")
    with Stack(
        apis=2, workers=2, encryption_keys=f"*/new:{ONE} */old:{TWO}", archive_url=f"file://{folder}", archive_after=1,
        webhook_secret=SECRET, webhook_allow="http,loopback", upstream_tries=1,
    ) as stack:  # fmt: skip
        yield stack


@pytest.fixture
def client(stack: Stack) -> Client:
    return stack.client()


def server_of(stack: Stack) -> redis.Redis:
    return redis.Redis.from_url(stack.server.url)


def everything_in(stack: Stack) -> bytes:
    """All that Redis has, and all that its file has had."""
    with server_of(stack) as server:
        dumped = b"".join(key + (server.dump(key) or b"") for key in server.scan_iter())
        slow = repr(server.slowlog_get(1000)).encode()
    files = b"".join(file.read_bytes() for file in stack.server.data_dir.rglob("*") if file.is_file())
    return dumped + slow + files


def kinds_in(stack: Stack, id_: str) -> set[bytes]:
    with server_of(stack) as server:
        rows: Any = server.xrange(keys.log(id_))
    return {kind for _, fields in rows for kind in fields}


def test_the_main_path_is_as_ever_and_every_token_of_it_sealed(stack: Stack) -> None:
    ids = main_path(stack)
    with server_of(stack) as server:
        for id_ in ids:
            sealed: Any = server.hget(keys.record(id_), "sealed")
            assert sealed.startswith(b"1 */new ")
    found = everything_in(stack)
    assert PROMPT.encode() not in found
    assert not [word for word in whole_text(MODEL).split() if len(word) > 7 and word.encode() in found]


def test_a_canary_that_is_asked_for_and_answered_is_nowhere_at_rest(stack: Stack, client: Client) -> None:
    generation = client.submit(
        "sim-1?tps=0&ttft_ms=0&echo=1&tool=look",
        f"{CANARY} said " * 5,
        system=f"{CANARY} system",
        tools=[{"name": "look", "description": f"{CANARY} tool", "input_schema": {"type": "object"}}],
    )
    check_log(events := client.events(generation.id))
    assert CANARY in text_of(events)
    assert CANARY in client.record(generation.id)["text"]
    assert CANARY.encode() not in everything_in(stack)


def test_the_message_of_a_failure_is_sealed_and_told_everywhere(
    stack: Stack, client: Client, receiver: Receiver
) -> None:
    path = f"/{CANARY[7:]}"
    generation = client.submit(
        "sim-1?fail=400&ttft_ms=0", f"{CANARY} refused", webhook={"url": receiver.url(path), "events": ["failed"]}
    )
    error = client.events(generation.id)[-1].data
    assert error["type"] == "error"
    assert error["message"]
    record = client.record(generation.id)
    (listed,) = [row for row in client.http.get("/v1/generations").json()["data"] if row["id"] == generation.id]
    assert record["error"]["message"] == listed["error"]["message"] == error["message"]
    told = until(lambda: receiver.at(path), "the webhook is told", PATIENCE)
    assert error["message"] in told[0].body.decode()
    with server_of(stack) as server:
        end: Any = server.hget(keys.record(generation.id), "end")
    assert error["message"].encode() not in end
    assert b'"message":"sealed:' in end


def test_the_next_attempt_goes_on_from_what_another_worker_has_sealed(stack: Stack, client: Client) -> None:
    model = "sim-1?ttft_ms=10&tps=100&tokens=200"
    generation = client.submit(model)
    with client.stream(generation.id) as stream:
        next(frame for frame in stream if frame.type == "text")
        killed: Child = next(each for each in stack.workers if each.running)
        killed.signal(signal.SIGKILL)
        stack.add_worker()
        assert list(stream)[-1].data["status"] == "completed"
    assert client.record(generation.id)["text"] == whole_text(model)


def test_what_was_archived_is_read_from_there_and_its_key_is_in_redis_alone(
    stack: Stack, client: Client, tmp_path: Path
) -> None:
    generation = client.submit("sim-1?tps=0&tokens=40&ttft_ms=0&echo=1", f"{CANARY} archived")
    events = [frame for frame in client.events(generation.id) if frame.id]
    with server_of(stack) as server:
        until(lambda: server.hexists(keys.record(generation.id), "archived"), "it is archived", PATIENCE)
        sealed: Any = server.hget(keys.record(generation.id), "sealed")
    other = stack.client(1)
    assert [frame for frame in other.events(generation.id) if frame.id] == events
    again = other.http.post(f"/v1/generations/{generation.id}/retry").json()
    assert CANARY in text_of(client.events(again["id"]))
    folder = Path(stack.environment()["RESPOOL_ARCHIVE_URL"].removeprefix("file://"))
    objects = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file() and generation.id in str(file))
    assert objects
    assert sealed not in objects
    assert CANARY.encode() not in objects


def test_who_has_another_key_or_none_says_so_and_loses_nothing(stack: Stack, client: Client) -> None:
    generation = client.submit("sim-1?tps=0&tokens=20&ttft_ms=0")
    events = [frame for frame in client.events(generation.id) if frame.id]
    wrong, without = stack.add_api(encryption_keys=f"*/new:{TWO}"), stack.add_api(encryption_keys="other/x:" + ONE)
    for url, accepts in ((wrong, False), (without, True)):
        lost = stack.client(stack.urls.index(url))
        body = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]}
        answer = lost.http.post("/v1/generations", json=body)
        if accepts:
            plain = client.record(answer.json()["id"])["id"]
            until(lambda plain=plain: b"t" in kinds_in(stack, plain), "it runs, plain", PATIENCE)  # type: ignore[misc]
        else:
            assert (answer.status_code, answer.json()["code"]) == (503, "encryption_unavailable")
            assert "retry-after" in answer.headers
        for path in ("", "/events"):
            refused = lost.http.get(f"/v1/generations/{generation.id}{path}")
            assert (refused.status_code, refused.json()["code"]) == (503, "payload_unreadable")
        running = client.submit("sim-1?tps=20&tokens=2000&ttft_ms=20").id
        assert lost.cancel(running).status_code in (200, 202)
        assert lost.http.delete(f"/v1/generations/{running}").status_code == 200
        assert client.http.get(f"/v1/generations/{running}").status_code == 410
        assert generation.id in [row["id"] for row in lost.http.get("/v1/generations").json()["data"]]
    assert [frame for frame in client.events(generation.id) if frame.id] == events


def test_what_was_plain_before_stays_readable(stack: Stack, client: Client) -> None:
    stack.add_api(encryption_keys="other/x:" + ONE)
    plain = stack.client(len(stack.urls) - 1)
    generation = plain.submit("sim-1?tps=0&tokens=20&ttft_ms=0")
    check_log(events := client.events(generation.id))
    assert client.record(generation.id)["text"] == text_of(events) != ""
    assert b"T" not in kinds_in(stack, generation.id)

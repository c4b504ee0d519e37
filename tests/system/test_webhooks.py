"""Webhooks, from the submit to the receiver: through HTTP and real processes."""

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from broker import keys
from broker.ids import EntryId
from broker.webhooks import webhook_id
from tests.broker.test_webhooks import refused
from tests.conftest import StartStack
from tests.harness.client import Client
from tests.harness.receiver import OLD_SECRET, SECRET, Receiver
from tests.harness.stack import Stack, until
from worker.webhooks.message import MOST_BYTES

QUICK = "sim-1?tps=0&ttft_ms=0&tokens=10"
ENDLESS = "sim-1?tps=50&ttft_ms=0&tokens=5000"
SETTINGS: dict[str, Any] = {
    "webhook_secret": f"{OLD_SECRET} {SECRET}", "webhook_allow": "http,loopback", "webhook_timeout": 2,
}  # fmt: skip
PATIENCE = 30.0


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(workers=2, **SETTINGS) as stack:
        yield stack


@pytest.fixture
def client(stack: Stack) -> Client:
    return stack.client()


@pytest.fixture
def path() -> str:
    """One that no other test uses. The query is a secret of the submitter's."""
    return f"/{uuid.uuid4().hex}?token=s3cret"


def webhook(client: Client, id_: str) -> dict[str, Any]:
    found: dict[str, Any] = client.record(id_)["webhook"]
    return found


def state(client: Client, id_: str, wanted: str) -> dict[str, Any]:
    """The webhook, in this state."""
    return until(  # type: ignore[no-any-return]
        lambda: (found := webhook(client, id_))["state"] == wanted and found, f"the webhook is {wanted}", PATIENCE
    )


def tried(client: Client, id_: str, tries: int) -> dict[str, Any]:
    return until(  # type: ignore[no-any-return]
        lambda: (found := webhook(client, id_))["tries"] >= tries and found, f"{tries} tries are over", PATIENCE
    )


def sooner(stack: Stack, id_: str) -> None:
    """The next try is now."""
    server = redis.Redis.from_url(stack.server.url)
    until(lambda: server.hget(keys.webhook(id_), "next_at_ms"), "the try is noted", PATIENCE)
    server.hset(keys.webhook(id_), "next_at_ms", "0")
    server.zadd(keys.WEBHOOKS, {id_: 0}, xx=True)


@pytest.mark.parametrize("how", ["completed", "failed", "cancelled"])
def test_each_end_is_told_once_signed_and_without_the_text(
    client: Client, receiver: Receiver, path: str, how: str
) -> None:
    model = {"completed": QUICK, "failed": QUICK + "&fail=400", "cancelled": ENDLESS}[how]
    generation = client.submit(model, webhook={"url": receiver.url(path)})
    if how == "cancelled":
        assert webhook(client, generation.id) == {
            "state": "pending", "tries": 0, "last_status": None, "last_error": None, "next_at_ms": None,
        }  # fmt: skip
        client.cancel(generation.id)
    (received,) = until(lambda: receiver.at(path), "it is told", PATIENCE)
    told = received.told()
    record = client.record(generation.id)
    assert told["type"] == f"generation.{how}"
    assert told["data"] == {
        **{
            name: value for name, value in record.items() if name not in ("text", "content", "last_event_id", "webhook")
        },
        "url": f"/v1/generations/{generation.id}",
    }
    assert received.told(OLD_SECRET) == told, "each secret has signed it"
    assert received.id.startswith(generation.id)
    assert "." not in received.id
    assert len(received.body) <= MOST_BYTES
    assert state(client, generation.id, "delivered") == {
        "state": "delivered", "tries": 1, "last_status": 204, "last_error": None, "next_at_ms": None,
    }  # fmt: skip
    assert len(receiver.at(path)) == 1


def test_a_cancel_before_the_start_is_told(start_stack: StartStack, receiver: Receiver, path: str) -> None:
    stack = start_stack(workers=0, **SETTINGS)
    client = stack.client()
    generation = client.submit(QUICK, webhook={"url": receiver.url(path)}, retention=60)
    client.cancel(generation.id)
    server = redis.Redis.from_url(stack.server.url)
    server.delete(keys.record(generation.id), keys.log(generation.id))  # as when its retention is over
    assert receiver.at(path) == []
    stack.add_worker()
    (received,) = until(lambda: receiver.at(path), "it is told", PATIENCE)
    assert received.told()["data"]["state"] == "cancelled"


def test_an_end_that_nobody_has_filed_is_told(start_stack: StartStack, receiver: Receiver, path: str) -> None:
    """Who ended it died before coordination knew: the sweeper files it."""
    stack = start_stack(workers=0, **SETTINGS)
    client = stack.client()
    generation = client.submit(QUICK, webhook={"url": receiver.url(path)})
    client.cancel(generation.id)
    server = redis.Redis.from_url(stack.server.url)
    assert server.zrem(keys.WEBHOOKS, generation.id) == 1
    server.zrem(keys.EXPIRING, generation.id)
    server.zadd(keys.DUE, {generation.id: 0})
    stack.add_worker()
    assert until(lambda: receiver.at(path), "it is told", PATIENCE)


def test_only_the_ends_that_were_asked_for_are_told(client: Client, receiver: Receiver, path: str) -> None:
    generation = client.submit(QUICK, webhook={"url": receiver.url(path), "events": ["failed", "cancelled"]})
    client.events(generation.id)
    assert webhook(client, generation.id)["state"] == "skipped"
    assert client.http.post(f"/v1/generations/{generation.id}/webhook/redeliver").status_code == 202
    assert len(until(lambda: receiver.at(path), "it is told all the same", PATIENCE)) == 1


def test_what_is_refused_is_tried_again_with_the_same_id_and_bytes(
    stack: Stack, client: Client, receiver: Receiver, path: str
) -> None:
    receiver.reactions[path] = (500, 503, 200)
    generation = client.submit(QUICK, webhook={"url": receiver.url(path)})
    for tries, status in ((1, 500), (2, 503)):
        found = tried(client, generation.id, tries)
        assert (found["state"], found["last_status"], found["last_error"]) == ("pending", status, "refused")
        assert found["next_at_ms"] > client.record(generation.id)["finished_at_ms"]
        sooner(stack, generation.id)
    found = state(client, generation.id, "delivered")
    assert (found["tries"], found["last_status"], found["next_at_ms"]) == (3, 200, None)
    first, *others = receiver.at(path)
    assert len(others) == 2
    assert {(each.id, each.body) for each in others} == {(first.id, first.body)}


def test_a_receiver_that_is_gone_is_not_tried_again(client: Client, receiver: Receiver, path: str) -> None:
    receiver.reactions[path] = (410,)
    generation = client.submit(QUICK, webhook={"url": receiver.url(path)})
    found = state(client, generation.id, "failed")
    assert (found["tries"], found["last_status"], found["last_error"]) == (1, 410, "gone")


def test_a_redirect_is_not_followed(client: Client, receiver: Receiver, path: str) -> None:
    elsewhere = path.replace("?", "-elsewhere?")
    receiver.reactions[path] = ((307, {"location": receiver.url(elsewhere)}),)
    generation = client.submit(QUICK, webhook={"url": receiver.url(path)})
    found = tried(client, generation.id, 1)
    assert (found["state"], found["last_status"], found["last_error"]) == ("pending", 307, "redirected")
    assert receiver.at(elsewhere) == []


def test_a_receiver_that_does_not_answer_is_left_and_one_that_is_not_there_is_named(
    client: Client, receiver: Receiver, path: str
) -> None:
    late = threading.Event()
    receiver.reactions[path] = (lambda: 200 if late.wait(10) else 500,)
    generation = client.submit(QUICK, webhook={"url": receiver.url(path)})
    absent = client.submit(QUICK, webhook={"url": "http://127.0.0.1:9/"})
    assert tried(client, generation.id, 1)["last_error"] == "timeout"
    assert tried(client, absent.id, 1)["last_error"] == "unreachable"
    late.set()


def test_redeliver_tells_an_end_again_with_the_same_id(client: Client, receiver: Receiver, path: str) -> None:
    generation = client.submit(QUICK, webhook={"url": receiver.url(path)})
    state(client, generation.id, "delivered")
    answer = client.http.post(f"/v1/generations/{generation.id}/webhook/redeliver")
    assert answer.status_code == 202
    assert answer.json()["webhook"]["tries"] in (0, 1)
    first, second = until(lambda: (found := receiver.at(path))[1:] and found, "it is told again", PATIENCE)
    assert (first.id, first.body) == (second.id, second.body)
    assert state(client, generation.id, "delivered")["tries"] == 1


def test_redeliver_is_refused_without_a_webhook_and_without_an_end(
    client: Client, receiver: Receiver, path: str
) -> None:
    without, running = client.submit(QUICK), client.submit(ENDLESS, webhook={"url": receiver.url(path)})
    for generation, code in ((without, "no_webhook"), (running, "not_ended")):
        answer = client.http.post(f"/v1/generations/{generation.id}/webhook/redeliver")
        assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert client.http.post(f"/v1/generations/gen_{'0' * 26}/webhook/redeliver").status_code == 404
    assert "webhook" not in client.record(without.id)
    client.cancel(running.id)


@pytest.mark.parametrize(
    ("url", "allow"),
    [
        ("http://example.com/", ""),
        ("https://127.0.0.1/", "http"),
        ("https://[::1]/", ""),
        ("https://169.254.169.254/latest", "http loopback private"),
        ("https://10.0.0.1/", "loopback"),
        ("https://localhost/", ""),
        ("https://user:pass@example.com/", ""),
        ("ftp://example.com/", "http"),
        ("https:///path", ""),
        ("https://exa mple.com/", ""),
        ("https://example.com:99999/", ""),
    ],
)
def test_a_url_of_a_forbidden_form_is_refused_when_it_is_asked_for(url: str, allow: str) -> None:
    assert refused(url, allow) == ("webhook", "url")


def test_without_a_secret_no_webhook_is_accepted(shared: Stack) -> None:
    body = {"model": QUICK, "messages": [{"role": "user", "content": "x"}], "webhook": {"url": "https://example.com/"}}
    answer = shared.client().http.post("/v1/generations", json=body)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["code"]) == ("/webhook", "not_configured")
    assert "RESPOOL_WEBHOOK_SECRET" in error["detail"]


def test_what_is_wrong_with_a_webhook_is_named(client: Client) -> None:
    body = {"model": QUICK, "messages": [{"role": "user", "content": "x"}]}
    for webhook, pointer in (
        ({"url": "https://10.0.0.1/"}, "/webhook/url"),
        ({"url": "http://127.0.0.1/", "events": []}, "/webhook/events"),
        ({"url": "http://127.0.0.1/", "events": ["failed", "failed"]}, "/webhook/events"),
        ({"url": "http://127.0.0.1/", "events": ["queued"]}, "/webhook/events/0"),
        ({}, "/webhook/url"),
    ):
        answer = client.http.post("/v1/generations", json={**body, "webhook": webhook})
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_a_worker_that_is_killed_in_the_middle_of_a_delivery_leaves_it_to_another(
    start_stack: StartStack, receiver: Receiver, path: str
) -> None:
    stack = start_stack(workers=1, **{**SETTINGS, "webhook_timeout": 0.5})
    client = stack.client()
    killed = threading.Event()

    def kill() -> int:
        stack.workers[0].kill()
        killed.set()
        return 200

    receiver.reactions[path] = (kill, 200)
    generation = client.submit(QUICK, webhook={"url": receiver.url(path)})
    assert killed.wait(PATIENCE)
    assert webhook(client, generation.id)["state"] == "pending", "what came of it nobody knows"
    stack.add_worker()
    assert state(client, generation.id, "delivered")["tries"] == 1
    assert len({each.id for each in receiver.at(path)}) == 1
    assert len(receiver.at(path)) == 2


def test_many_ends_are_told_once_each_by_two_workers(client: Client, receiver: Receiver, path: str) -> None:
    generations = [client.submit(QUICK, webhook={"url": receiver.url(path)}) for _ in range(60)]
    for generation in generations:
        state(client, generation.id, "delivered")
    ids = [each.id for each in receiver.at(path)]
    assert len(ids) == len(set(ids)) == len(generations)


def test_a_strictly_durable_end_is_told_when_it_is_safe(
    stack: Stack, client: Client, receiver: Receiver, path: str
) -> None:
    safe: list[bool] = []
    server: Any = redis.Redis.from_url(stack.server.url)
    generation = client.submit(QUICK, webhook={"url": receiver.url(path)}, durability="strict")

    def look() -> int:
        confirmed, end = server.hmget(keys.record(generation.id), "confirmed", "terminal_id")
        safe.append(confirmed == end)
        return 204

    receiver.reactions[path] = (look,)
    state(client, generation.id, "delivered")
    assert safe == [True]


def test_no_log_has_more_of_a_url_than_its_host_and_none_has_a_secret(
    stack: Stack, client: Client, receiver: Receiver, path: str
) -> None:
    receiver.reactions[path] = (500,)
    generation = client.submit(QUICK, webhook={"url": receiver.url(path)})
    tried(client, generation.id, 1)
    until(
        lambda: any(f"{generation.id}: webhook to 127.0.0.1: refused" in each.log for each in stack.workers),
        "it is logged",
    )
    for process in (*stack.workers, *stack.apis):
        assert "s3cret" not in process.log
        assert SECRET not in process.log
        assert SECRET.removeprefix("whsec_") not in process.log


def test_what_was_put_aside_goes_when_it_is_told(stack: Stack, client: Client, receiver: Receiver, path: str) -> None:
    generation = client.submit(QUICK, webhook={"url": receiver.url(path)})
    state(client, generation.id, "delivered")
    server = redis.Redis.from_url(stack.server.url)
    until(lambda: not server.exists(keys.webhook(generation.id)), "what was put aside is gone")
    assert server.zadd(keys.WEBHOOKS, {generation.id: 0}, xx=True) == 0, "Redis may have lost that: one more look, now"
    until(lambda: server.zscore(keys.WEBHOOKS, generation.id) is None, "nobody looks at it any more", PATIENCE)
    assert receiver.at(path)[0].id == webhook_id(generation.id, end_of(server, generation.id))


def end_of(server: Any, id_: str) -> EntryId:
    return EntryId.of_redis(server.hget(keys.record(id_), "terminal_id"))

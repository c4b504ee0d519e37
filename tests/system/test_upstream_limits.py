"""What all workers together ask of an upstream: no more than the operator allows, whoever dies; and of one that is overloaded
nothing, but for one call that sees whether it still is."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any

import httpx2
import pytest

from broker.rate import Rate
from tests.harness.client import Client, Generation
from tests.harness.stack import LEASE, Stack, until
from worker.budgets.teller import LOOK_SECONDS

QUICK = "tps=0&tokens=2"
CONCURRENT, PER_MINUTE, PAUSE = 7, 1200, 0.5
MAX_JOBS = 60
MOST = f"few-1?{QUICK}&concurrent={CONCURRENT}&ttft_ms="


def entry(name: str, **fields: Any) -> dict[str, Any]:
    anthropic = {"kind": "anthropic", "base_url": "{upstream}", "key": "ANTHROPIC_API_KEY"}
    return {"name": name, **anthropic, "models": [f"{name}-*"], **fields}


UPSTREAMS = [
    entry("few", limits={"concurrent": CONCURRENT}),
    entry("one", limits={"concurrent": 1}),
    entry("paced", limits={"requests_per_minute": PER_MINUTE}),
    entry("any", models=["*"]),
]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    upstreams = json.dumps(UPSTREAMS)
    with Stack(
        workers=3, max_jobs=MAX_JOBS, upstreams=upstreams, upstream_breaker_failures=3, upstream_breaker_pause=PAUSE
    ) as stack:
        yield stack


@pytest.fixture
def client(stack: Stack) -> Client:
    return stack.client()


def calls(stack: Stack, model: str) -> dict[str, Any]:
    """What the upstream has counted of this model."""
    found = httpx2.get(f"{stack.upstream_url}/_sim/calls", params={"model": model}, timeout=10).json()
    return found[0] if found else {"running": 0, "most": 0, "answered": 0, "refused": 0}


def times(stack: Stack, model: str) -> list[tuple[float, int]]:
    """When the upstream was called for this model (seconds), and with which status it answered."""
    found = httpx2.get(f"{stack.upstream_url}/_sim/requests", params={"model": model}, timeout=10).json()
    return [(record["at_ns"] / 1e9, record["status"]) for record in found]


def submit_many(stack: Stack, model: str, number: int) -> list[Generation]:
    clients = [stack.client() for _ in range(8)]
    with ThreadPoolExecutor(len(clients)) as pool:
        return list(pool.map(lambda at: clients[at % 8].submit(model), range(number)))


def over(client: Client, id_: str) -> bool:
    return client.record(id_)["state"] not in ("queued", "running")


def ended(client: Client, submitted: list[Generation]) -> set[str]:
    """The states of all of them, when they have ended."""
    for each in submitted:
        until(partial(over, client, each.id), f"{each.id} ends", 60)
    return {client.record(each.id)["state"] for each in submitted}


def reasons(client: Client, id_: str) -> list[str]:
    """Of the waits that its viewers were told of."""
    return [frame.data["reason"] for frame in client.events(id_) if frame.type == "waiting"]


def test_of_1000_calls_by_three_workers_never_more_run_than_may(stack: Stack, client: Client) -> None:
    model = f"{MOST}40"
    submitted = submit_many(stack, model, 1000)
    until(lambda: calls(stack, model)["answered"] == 1000, "all are asked", 60)
    assert ended(client, submitted[::20]) == {"completed"}
    counted = calls(stack, model)
    assert counted["most"] <= CONCURRENT
    assert (counted["refused"], counted["answered"]) == (0, 1000)


def test_no_time_has_more_calls_than_its_share_of_a_minute(stack: Stack, client: Client) -> None:
    model = f"paced-1?{QUICK}"
    assert ended(client, submit_many(stack, model, 60)) == {"completed"}
    rate = Rate.of_calls(PER_MINUTE)
    made = sorted(at for at, _ in times(stack, model))
    assert len(made) == 60
    for first, began in enumerate(made):
        for last in range(first, len(made)):
            may = rate.burst + (made[last] - began) * 1000 / rate.interval
            assert last - first + 1 <= may + 3, "three may have been on their way"
    assert made[-1] - made[0] < 5, "nor does it wait for longer than it must"


def test_who_waits_is_told_why_and_is_cancelled_at_once_and_calls_nobody(stack: Stack, client: Client) -> None:
    model = "one-1?tps=20&tokens=400&ttft_ms=0"
    first = client.submit(model)
    until(lambda: calls(stack, model)["running"] == 1, "the first is asked")
    second = client.submit(model)
    with client.stream(second.id) as frames:
        waiting = next(frame for frame in frames if frame.type == "waiting")
        assert (waiting.data["reason"], waiting.data["model"]) == ("concurrent", model)
        asked = time.monotonic()
        assert client.cancel(second.id).status_code == 202
        assert next(frame for frame in frames if frame.type == "stream_end").data["status"] == "cancelled"
        assert time.monotonic() - asked < 1
    assert stack.asked(second.user_id) == []
    third = client.submit(model)
    client.cancel(first.id)
    until(lambda: stack.asked(third.user_id), "who comes next has its place")
    client.cancel(third.id)


def test_who_waits_for_one_model_keeps_nobody_from_another(stack: Stack, client: Client) -> None:
    model = "one-2?tps=20&tokens=400&ttft_ms=0"
    waiting = submit_many(stack, model, 4 * MAX_JOBS)  # more than all slots of all workers
    until(lambda: calls(stack, model)["running"] == 1, "the first is asked")
    assert ended(client, [client.submit(f"sim-2?{QUICK}")]) == {"completed"}
    last = client.submit(model)
    with client.stream(last.id) as frames:
        assert next(frame for frame in frames if frame.data.get("reason")).data["reason"] == "upstream"
    waiting.append(last)
    for each in waiting:
        client.cancel(each.id)
    assert ended(client, waiting[-20:]) == {"cancelled"}
    assert calls(stack, model)["most"] == 1


def test_all_wait_for_as_long_as_the_upstream_asks_one(stack: Stack, client: Client) -> None:
    model = "sim-1?tps=20&tokens=400&ttft_ms=0&concurrent=1"
    first = client.submit(model)
    until(lambda: calls(stack, model)["running"] == 1, "the first is asked")
    second = client.submit(model)
    until(lambda: calls(stack, model)["refused"] == 1, "the second is refused, for a second")
    time.sleep(2 * LOOK_SECONDS)  # all workers hear of it
    heard = time.monotonic()
    others = [client.submit(model) for _ in range(6)]
    with client.stream(others[0].id) as frames:
        assert next(frame for frame in frames if frame.type == "waiting").data["reason"] == "paused"
    until(lambda: calls(stack, model)["refused"] > 1, "they are refused later")
    refused, *later = [at for at, status in times(stack, model) if status == 429]
    assert min([at for at in later if at > heard]) - refused > 0.99
    for each in (first, second, *others):
        client.cancel(each.id)


def overload(stack: Stack, method: str, model: str) -> None:
    httpx2.request(method, f"{stack.upstream_url}/_sim/overloaded", params={"model": model}, timeout=10)


def test_an_overloaded_upstream_is_asked_by_one_call_at_a_time_until_it_answers(stack: Stack, client: Client) -> None:
    model = f"sim-3?{QUICK}&ttft_ms=300"
    overload(stack, "PUT", model)
    submitted = submit_many(stack, model, 40)
    until(lambda: any("breaker is open" in worker.log for worker in stack.workers), "the breaker opens")
    opened = time.monotonic()
    until(lambda: len([1 for at, _ in times(stack, model) if at > opened + 0.2]) >= 2, "it is probed twice", 15)
    probes = [at for at, _ in times(stack, model) if at > opened + 0.2]
    assert all(later - sooner > PAUSE for sooner, later in pairwise(probes))
    begins = time.monotonic()
    turned = client.submit(model, fallback=[f"sim-4?{QUICK}"])
    assert ended(client, [turned]) == {"completed"}
    assert time.monotonic() - begins < 2, "it does not wait for what is overloaded"
    assert [call["model"] for call in stack.asked(turned.user_id)] == [f"sim-4?{QUICK}"]
    overload(stack, "DELETE", model)
    cleared = time.monotonic()
    assert ended(client, submitted) == {"completed"}
    answered = sorted(at for at, status in times(stack, model) if status == 200)
    assert answered[0] > cleared - 0.1
    assert "overloaded" in {reason for each in submitted for reason in reasons(client, each.id)}


def test_the_places_of_a_worker_that_is_killed_are_free_again(stack: Stack, client: Client) -> None:
    """The last test: there are two workers behind it."""
    model = f"few-2?tps=10&tokens=1000&ttft_ms=0&concurrent={CONCURRENT}"
    submitted = submit_many(stack, model, 3 * CONCURRENT)
    until(lambda: calls(stack, model)["running"] == CONCURRENT, "all places are taken")
    stack.workers[2].kill()
    until(lambda: calls(stack, model)["running"] < CONCURRENT, "the calls of the dead one break off")
    until(lambda: calls(stack, model)["running"] == CONCURRENT, "their places are taken", LEASE + 3)
    counted = calls(stack, model)
    assert (counted["most"], counted["refused"]) == (CONCURRENT, 0)
    for each in submitted:
        client.cancel(each.id)

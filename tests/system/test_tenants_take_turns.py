"""Two tenants and few slots, through real processes: one's many do not hold up another's one, and none has more than it may."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx2
import pytest

from tests.api.keys.keyed import PEPPER, Desk
from tests.broker.store.scripted import Server
from tests.harness.stack import Stack, until

MANY = 40
SHORT = "sim-1?tps=0&ttft_ms=150&tokens=3"
TENANTS = {"many": {}, "one": {}, "held": {"max_running": 1}}


@dataclass
class House:
    stack: Stack
    https: dict[str, httpx2.Client]

    def submit(self, tenant: str, model: str = SHORT, **more: Any) -> str:
        body = {"model": model, "messages": [{"role": "user", "content": "x"}], **more}
        answer = self.https[tenant].post("/v1/generations", json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def record(self, tenant: str, id_: str) -> dict[str, Any]:
        found: dict[str, Any] = self.https[tenant].get(f"/v1/generations/{id_}?wait=20").json()
        assert found["state"] == "completed"
        return found

    def running(self, tenant: str) -> int:
        return len(self.https[tenant].get("/v1/generations?state=running").json()["data"])


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    settings: dict[str, Any] = {"api_key_pepper": PEPPER, "require_keys": 1, "tenants": json.dumps(TENANTS)}
    with Stack(max_jobs=2, queue_limit=MANY + 10, **settings) as stack, Server(stack.server.url) as server:
        desk = Desk(server)
        made = {tenant: desk.make(tenant).text for tenant in TENANTS}
        https = {
            tenant: httpx2.Client(base_url=stack.urls[0], timeout=30, headers={"authorization": f"Bearer {text}"})
            for tenant, text in made.items()
        }
        yield House(stack, https)
        for http in https.values():
            http.close()


def first_queued(house: House, tenant: str, id_: str, enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first that is told of the wait, and is `enough`."""
    with house.https[tenant].stream("GET", f"/v1/generations/{id_}/events") as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                event: dict[str, Any] = json.loads(line.removeprefix("data: "))
                assert event["type"] == "queued", "it is told before it begins"
                if enough(event):
                    return event
    raise AssertionError("it was not told")


def test_one_that_comes_last_is_among_the_first_and_both_are_told_so(house: House) -> None:
    house.record("one", house.submit("one"))  # how long one takes is known
    many = [house.submit("many") for _ in range(MANY)]
    last = house.submit("one")
    assert first_queued(house, "one", last, lambda event: True)["position"] <= 1
    told = house.https["many"].get(f"/v1/generations/{many[-1]}").json()
    assert told["position"] > MANY // 2
    behind = first_queued(house, "many", many[-1], lambda event: event["estimated_wait_ms"] is not None)
    assert behind["position"] > MANY // 2
    assert behind["estimated_wait_ms"] > 1000
    mine = house.record("one", last)["started_at_ms"]
    others = [house.record("many", id_)["started_at_ms"] for id_ in many]
    later = sum(at > mine for at in others)
    assert later > MANY // 2, "it was there after most of them"
    assert others == sorted(others)


def test_a_tenant_has_no_more_slots_than_it_may_and_holds_up_nobody(house: House) -> None:
    held = [house.submit("held", "sim-1?tps=0&ttft_ms=400&tokens=3") for _ in range(4)]
    until(lambda: house.running("held") == 1, "one of them runs")
    others = [house.submit("one") for _ in range(3)]
    for id_ in others:
        house.record("one", id_)
    assert house.running("held") == 1
    starts = [house.record("held", id_) for id_ in held]
    for before, after in pairwise(starts):
        assert after["started_at_ms"] >= before["finished_at_ms"]
    assert starts[-1]["finished_at_ms"] - starts[0]["started_at_ms"] < 8000, "each follows the other at once"


def test_beyond_its_bound_the_queue_is_full(house: House) -> None:
    slow = [house.submit("many", "sim-1?tps=1&tokens=100") for _ in range(MANY + 12)]
    body = {"model": SHORT, "messages": [{"role": "user", "content": "x"}]}
    answer = house.https["one"].post("/v1/generations", json=body)
    assert (answer.status_code, answer.json()["code"]) == (503, "queue_full")
    assert 1 <= int(answer.headers["retry-after"]) <= 600
    for id_ in slow:
        house.https["many"].post(f"/v1/generations/{id_}/cancel")
    until(lambda: house.https["one"].post("/v1/generations", json=body).status_code == 202, "there is room again")

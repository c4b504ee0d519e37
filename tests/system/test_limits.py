"""What a tenant may ask for, over HTTP: to the last one, with several processes and very many who submit at once."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.conftest import StartStack
from tests.harness.stack import Stack

ASKED: dict[str, Any] = {
    "model": "sim-1?tps=0&tokens=1",
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": 100,
}


def race(stack: Stack, many: int, at_once: int = 32) -> Counter[str]:
    """So many submits, by turns to each API; how often each came out how."""
    # Each thread may have a connection to each API: none is closed for another's sake.
    each = at_once * len(stack.urls)
    limits = httpx2.Limits(max_connections=each, max_keepalive_connections=each)
    with ThreadPoolExecutor(at_once) as pool, httpx2.Client(limits=limits) as http:

        def submit(number: int) -> str:
            key = {"Idempotency-Key": f"key-{number}"} if number % 3 == 0 else {}
            url = f"{stack.urls[number % len(stack.urls)]}/v1/generations"
            answer = http.post(url, json=ASKED, headers=key, timeout=60)
            if answer.status_code == 429:
                assert int(answer.headers["retry-after"]) > 0
            return "accepted" if answer.status_code == 202 else str(answer.json()["code"])

        return Counter(pool.map(submit, range(many)))


@pytest.mark.parametrize(
    ("settings", "most", "code"),
    [
        ({"max_queued": 37}, 37, "too_many_queued"),
        ({"requests_per_minute": 0.01, "request_burst": 37}, 37, "rate_limited"),
        ({"tokens_per_day": 37 * 150}, None, "token_budget_spent"),
    ],
    ids=["queued", "requests", "tokens"],
)
def test_a_thousand_who_race_pass_no_limit_by_one(
    start_stack: StartStack, settings: dict[str, Any], most: int | None, code: str
) -> None:
    stack = start_stack(apis=2, workers=0, **settings)
    outcomes = race(stack, 1000)
    assert set(outcomes) == {"accepted", code}
    use = httpx2.get(f"{stack.urls[0]}/v1/limits").json()
    if most is None:
        each, rest = divmod(use["tokens_today"]["used"], outcomes["accepted"])
        assert rest == 0
        most = use["tokens_today"]["limit"] // each
    assert outcomes["accepted"] == most == use["queued"]["used"]


def test_what_is_left_is_told_with_what_was_accepted_and_by_a_route_that_costs_none(start_stack: StartStack) -> None:
    stack = start_stack(requests_per_minute=1, request_burst=3, tokens_per_day=1000)
    with httpx2.Client(base_url=stack.urls[0]) as http:
        accepted = http.post("/v1/generations", json=ASKED)
        assert accepted.headers["ratelimit-policy"] == '"requests";q=3;w=180'
        assert accepted.headers["ratelimit"] == '"requests";r=2;t=60'
        for _ in range(2):
            assert http.get("/v1/generations").status_code == 200
        refused = http.get("/v1/generations")
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert 0 < int(refused.headers["retry-after"]) <= 60
        with http.stream("GET", accepted.json()["events_url"]) as stream:
            assert stream.status_code == 200, "a stream is no request that is counted"
            stream.read()
        use = http.get("/v1/limits").json()
        assert (use["requests"]["burst"], use["requests"]["remaining"]) == (3, 0)
        assert 0 < use["tokens_today"]["used"] < 100, "what it has cost stands in the place of what was reserved"

"""What answers that show no request cost Redis, where requests are as large as they may be."""

from collections.abc import Iterator

import pytest
import redis

from tests.harness.client import Client
from tests.harness.stack import Stack, until

QUICK = "sim-1?tps=0&ttft_ms=0&tokens=10"
LARGE = "x" * 1_000_000
MANY = 50


@pytest.fixture
def stack() -> Iterator[Stack]:
    with Stack() as stack:
        yield stack


def told(server: redis.Redis, figure: str) -> int:
    info: dict[str, int] = server.info("stats")  # type: ignore[assignment]
    return info[figure]


def test_no_list_no_submit_and_no_cancel_reads_the_requests(stack: Stack) -> None:
    client = stack.client()
    ids = [submit(client, f"key-{number}") for number in range(4)]
    for id_ in ids:
        client.events(id_)
    with redis.Redis.from_url(stack.server.url) as server:
        before = told(server, "total_net_output_bytes")
        assert {record["id"] for record in client.http.get("/v1/generations?limit=100").json()["data"]} == {*ids}
        assert submit(client, "key-0") == ids[0]
        assert client.cancel(ids[1]).json()["code"] == "already_ended"
        assert client.record(ids[2])["state"] == "completed"
        assert told(server, "total_net_output_bytes") - before < len(LARGE) / 4


def submit(client: Client, key: str) -> str:
    body = {"model": QUICK, "messages": [{"role": "user", "content": LARGE}]}
    answer = client.http.post("/v1/generations", json=body, headers={"idempotency-key": key})
    return str(answer.json()["id"])


def test_a_page_of_a_list_is_one_trip_to_redis(stack: Stack) -> None:
    client = stack.client()
    for _ in range(MANY):
        client.submit(QUICK)

    def listed(state: str) -> int:
        return len(client.http.get(f"/v1/generations?limit=100&state={state}").json()["data"])

    until(lambda: listed("completed") == MANY, "all are listed as completed")
    with redis.Redis.from_url(stack.server.url) as server:
        before = told(server, "total_reads_processed")
        assert listed("completed") == MANY
        assert told(server, "total_reads_processed") - before < MANY

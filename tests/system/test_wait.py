"""`?wait=` over real sockets: many wait on two processes and are answered together; whoever leaves is forgotten."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx2

from tests.harness.client import Client

MODEL = "sim-1?tps=40&ttft_ms=0&tokens=40"


def test_all_who_wait_are_answered_with_the_whole_text_when_it_has_ended(client: Client, other_client: Client) -> None:
    id_ = client.submit(MODEL).id

    def wait(number: int) -> dict[str, object]:
        url = (client, other_client)[number % 2].url
        with httpx2.Client(timeout=20) as http:
            record: dict[str, object] = http.get(f"{url}/v1/generations/{id_}?wait=30").json()
            return record

    begun = time.monotonic()
    with ThreadPoolExecutor(30) as threads:
        records = list(threads.map(wait, range(30)))
    assert time.monotonic() - begun < 20, "long before the bound"
    assert {str(record["state"]) for record in records} == {"completed"}
    assert {str(record["text"]) for record in records} == {client.record(id_)["text"]}


def test_who_waits_less_than_it_takes_gets_the_record_as_it_is_and_may_ask_again(client: Client) -> None:
    id_ = client.submit("sim-1?tps=20&ttft_ms=0&tokens=200").id
    assert client.http.get(f"/v1/generations/{id_}", params={"wait": 0.2}).json()["state"] in ("queued", "running")
    client.cancel(id_)
    assert client.http.get(f"/v1/generations/{id_}", params={"wait": 30}).json()["state"] == "cancelled"

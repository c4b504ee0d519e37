"""Trying again and going on, through HTTP and real processes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis

from broker import keys
from tests.harness.client import Client, Generation, check_log, text_of
from tests.harness.stack import Stack, until

SHORT = "sim-1?tps=0&ttft_ms=0&tokens=60&seed=3"
ENDLESS = "sim-1?tps=50&ttft_ms=0&tokens=5000&seed=3"


def ask(
    client: Client, id_: str, what: str, changes: Mapping[str, Any] | None = None, key: str = ""
) -> httpx2.Response:
    headers = {"idempotency-key": key} if key else {}
    return client.http.post(f"/v1/generations/{id_}/{what}", json=changes, headers=headers)


def made(answer: httpx2.Response) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    record: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/generations/{record['id']}"
    return record


def ended(client: Client, id_: str) -> dict[str, Any]:
    """The record, behind its end."""
    check_log(client.events(id_))
    return client.record(id_)


def cut_short(client: Client, model: str = SHORT, **fields: Any) -> dict[str, Any]:
    generation = client.submit(model, max_tokens=20, **fields)
    record = ended(client, generation.id)
    assert record["stop_reason"] == "max_tokens"
    return record


@pytest.fixture
def whole(client: Client) -> str:
    return str(ended(client, client.submit(SHORT).id)["text"])


# -- again


def test_a_retry_is_a_new_generation_of_the_same_request(client: Client, shared: Stack, whole: str) -> None:
    first = client.submit(SHORT)
    again = made(ask(client, first.id, "retry"))
    assert again["id"] != first.id
    assert again["retry_of"] == first.id
    record = ended(client, again["id"])
    assert (record["text"], record["retry_of"]) == (whole, first.id)
    assert "retry_of" not in ended(client, first.id)
    calls = until(lambda: (found := shared.asked(first.user_id)) and len(found) == 2 and found, "both have asked")
    assert len(calls) == 2


def test_fields_of_the_body_take_the_place_of_the_earlier_ones(client: Client) -> None:
    first = client.submit(SHORT)
    again = made(ask(client, first.id, "retry", {"max_tokens": 5}))
    assert ended(client, again["id"])["stop_reason"] == "max_tokens"
    answer = ask(client, first.id, "retry", {"max_tokens": 0, "continue_from": "x"})
    assert answer.status_code == 422
    assert {each["pointer"] for each in answer.json()["errors"]} == {"/max_tokens", "/continue_from"}


def test_a_running_one_may_be_tried_again_and_a_key_makes_one_retry(client: Client, other_client: Client) -> None:
    first, other = client.submit(ENDLESS), client.submit(SHORT)
    again = made(ask(client, first.id, "retry", {"model": SHORT}, key=f"again-{first.id}"))
    assert made(ask(other_client, first.id, "retry", {"model": SHORT}, key=f"again-{first.id}"))["id"] == again["id"]
    answer = ask(client, other.id, "retry", {"model": SHORT}, key=f"again-{first.id}")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")
    client.cancel(first.id)


def test_a_retry_can_be_followed_at_once(client: Client, whole: str) -> None:
    first = client.submit(SHORT)
    url = f"/v1/generations/{first.id}/retry"
    with client.http.stream("POST", url, headers={"accept": "text/event-stream"}) as answer:
        assert answer.status_code == 200
        assert answer.headers["generation-id"] != first.id
        assert b'"type":"stream_end"' in answer.read()


def test_what_is_not_there_cannot_be_tried_again(client: Client) -> None:
    for what in ("retry", "continue"):
        assert ask(client, "gen_" + "0" * 26, what).status_code == 404


# -- and on


def test_what_had_reached_its_bound_goes_on_to_its_end(client: Client, whole: str) -> None:
    first = cut_short(client)
    going_on = made(ask(client, first["id"], "continue", {"max_tokens": 500}))
    assert going_on["continue_of"] == first["id"]
    events = client.events(going_on["id"])
    check_log(events)
    assert text_of(events) == whole, "a reader has the whole text"
    record = client.record(going_on["id"])
    assert (record["text"], record["stop_reason"], len(record["content"])) == (whole, "end_turn", 1)
    assert record["text"].startswith(first["text"])
    assert record["chunks"] == sum(event.type == "text" for event in events)


def test_it_may_go_on_in_several_steps(client: Client, whole: str) -> None:
    record = cut_short(client)
    for _ in range(5):
        if record["stop_reason"] != "max_tokens":
            break
        record = ended(client, made(ask(client, record["id"], "continue"))["id"])
    assert record["text"] == whole
    assert ended(client, made(ask(client, record["id"], "retry"))["id"])["text"] == whole, "a retry goes on again"


def test_what_was_cancelled_and_what_failed_goes_on(client: Client, whole: str) -> None:
    slow = client.submit(ENDLESS)
    with client.stream(slow.id) as events:
        next(event for event in events if event.type == "text")
        client.cancel(slow.id)
        list(events)
    partial = client.record(slow.id)["text"]
    answer = ended(client, made(ask(client, slow.id, "continue", {"max_tokens": 30}))["id"])
    assert answer["text"].startswith(partial)
    assert len(answer["text"]) > len(partial)
    broken = client.submit(SHORT + "&fail=cut&at=20&times=1", on_interrupt="fail")
    failed = ended(client, broken.id)
    assert failed["state"] == "failed"
    assert ended(client, made(ask(client, broken.id, "continue"))["id"])["text"] == whole


def test_a_worker_that_dies_while_it_goes_on_takes_nothing_back(start_stack: Any) -> None:
    stack: Stack = start_stack(workers=2)
    client = stack.client()
    first = cut_short(client, "sim-1?tps=40&ttft_ms=0&tokens=80&seed=4")
    going_on = made(ask(client, first["id"], "continue", {"max_tokens": 500}))
    with client.stream(going_on["id"]) as events:
        told = [next(event for event in events if event.type == "text")]
        claimant: Any = redis.Redis.from_url(stack.server.url).hget(keys.record(going_on["id"]), "claimant")
        name = claimant.decode().partition("/")[0]
        next(worker for worker in stack.workers if worker.name == name).kill()
        told += events
    whole = ended(client, client.submit("sim-1?tps=0&ttft_ms=0&tokens=80&seed=4").id)["text"]
    assert client.record(going_on["id"])["text"] == whole == text_of(client.events(going_on["id"]))


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (SHORT, {}),
        ("sim-1?tps=0&ttft_ms=0&tokens=60&fail=400", {}),
        ("sim-1?tps=0&ttft_ms=0&tokens=60&tool=look&fail=cut&in=tool&at=1", {"on_interrupt": "fail"}),
    ],
    ids=["complete", "no text", "a tool"],
)
def test_nothing_goes_on_from_what_is_complete_or_has_no_text_or_a_tool_s_input(
    client: Client, model: str, fields: dict[str, Any]
) -> None:
    generation: Generation = client.submit(model, **fields)
    ended(client, generation.id)
    answer = ask(client, generation.id, "continue")
    assert (answer.status_code, answer.json()["code"]) == (409, "cannot_continue")


def test_nothing_goes_on_from_what_runs_and_the_question_stays(client: Client) -> None:
    slow = client.submit(ENDLESS)
    answer = ask(client, slow.id, "continue")
    assert (answer.status_code, answer.json()["code"]) == (409, "cannot_continue")
    assert answer.json()["state"] in ("queued", "running")
    client.cancel(slow.id)
    first = cut_short(client)
    answer = ask(client, first["id"], "continue", {"messages": [{"role": "user", "content": "x"}], "system": "y"})
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == ["/messages", "/system"]


def test_what_is_in_the_archive_is_tried_again_and_gone_on_from(start_stack: Any, tmp_path: Path) -> None:
    stack: Stack = start_stack(archive_url=tmp_path.as_uri(), archive_after=1)
    client = stack.client()
    first = cut_short(client)
    server = redis.Redis.from_url(stack.server.url)
    until(lambda: server.hget(keys.record(first["id"]), "archived"), "it is in the archive", 60)
    whole = ended(client, made(ask(client, first["id"], "retry", {"max_tokens": 500}))["id"])["text"]
    assert ended(client, made(ask(client, first["id"], "continue", {"max_tokens": 500}))["id"])["text"] == whole

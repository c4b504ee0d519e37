"""A model that refuses before its first token, and the next one that is asked: across upstreams, in the sight of viewers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.client import Client, Frame, check_log, text_of
from tests.harness.stack import Stack
from tests.system.test_second_upstream import UPSTREAMS
from tests.system.test_upstream_failures import FAST, PROMPT, whole

GOOD = f"sim-chat?{FAST}"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(upstreams=json.dumps(UPSTREAMS)) as stack:
        yield stack


@pytest.fixture
def client(stack: Stack) -> Client:
    return stack.client()


class Ran:
    """A generation from its beginning to its end."""

    def __init__(self, stack: Stack, client: Client, model: str, fallback: list[str], **fields: Any) -> None:
        generation = client.submit(model, PROMPT, fallback=fallback, **fields)
        self.events: list[Frame] = [frame for frame in client.events(generation.id) if frame.id]
        check_log(self.events)
        self.record = client.record(generation.id)
        self.calls = [(call["model"], call["status"]) for call in stack.asked(generation.user_id)]
        assert self.record["text"] == text_of(self.events)

    def of(self, type_: str) -> list[dict[str, Any]]:
        return [frame.data for frame in self.events if frame.type == type_]

    @property
    def answered_by(self) -> str | None:
        return self.record["metrics"].get("answered_by")  # type: ignore[no-any-return]


@pytest.mark.parametrize(("status", "calls"), [("429", 4), ("529", 4), ("500", 4), ("404", 1), ("401", 1), ("403", 1)])
@pytest.mark.parametrize("first", ["sim-responses", "sim-1"])
def test_what_one_model_refuses_for_good_the_next_is_asked(
    stack: Stack, client: Client, first: str, status: str, calls: int
) -> None:
    model = f"{first}?{FAST}&fail={status}&retry_after=0"
    ran = Ran(stack, client, model, [GOOD])
    assert [called for called, _ in ran.calls] == [model] * calls + [GOOD]
    *again, over = ran.of("retrying")
    assert [told.get("model") for told in again] == [None] * (calls - 1)
    assert (over["model"], over["tries"], over["delay_ms"]) == (GOOD, calls, 0)
    assert (ran.record["state"], ran.record["text"]) == ("completed", "".join(whole(GOOD)))
    assert (ran.record["model"], ran.answered_by, ran.record["attempt"]) == (model, GOOD, 1)
    assert ran.of("message")[0]["message"]["model"] == GOOD
    assert ran.events[-1].data["metrics"]["answered_by"] == GOOD


def test_one_after_the_other_is_asked_and_the_last_one_s_refusal_is_the_end(stack: Stack, client: Client) -> None:
    models = [f"sim-{name}?{FAST}&fail=404" for name in ("responses", "chat", "1")]
    ran = Ran(stack, client, models[0], models[1:])
    assert [model for model, _ in ran.calls] == models
    assert (ran.record["state"], ran.record["error"]["code"], ran.answered_by) == ("failed", "upstream_not_found", None)


@pytest.mark.parametrize("status", ["400", "413"])
def test_what_is_wrong_with_the_request_is_asked_of_nobody_else(stack: Stack, client: Client, status: str) -> None:
    ran = Ran(stack, client, f"sim-responses?{FAST}&fail={status}", [GOOD])
    assert (ran.record["state"], len(ran.calls)) == ("failed", 1)


@pytest.mark.parametrize("kind", ["cut", "error", "eof"])
def test_behind_the_first_token_no_other_model_answers(stack: Stack, client: Client, kind: str) -> None:
    model = f"sim-responses?{FAST}&fail={kind}&at=5"
    ran = Ran(stack, client, model, [GOOD], on_interrupt="fail")
    assert (ran.record["state"], ran.calls, ran.of("retrying")) == ("failed", [(model, 200)], [])
    assert (ran.record["text"], ran.answered_by) == ("".join(whole(model)[:5]), model)


def test_a_fallback_that_breaks_off_goes_on_itself_where_it_can(stack: Stack, client: Client) -> None:
    first, second = f"sim-responses?{FAST}&fail=404", f"sim-filling?{FAST}&fail=cut&at=20&times=1"
    ran = Ran(stack, client, first, [second])
    assert ran.calls == [(first, 404), (second, 200), (second, 200)]
    assert [(start["model"], start["reason"]) for start in ran.of("stream_start")] == [
        (first, "start"),
        (second, "continue"),
    ]
    assert (ran.record["state"], ran.record["text"]) == ("completed", "".join(whole(second)))
    assert ran.answered_by == second


def test_what_begins_again_begins_with_the_first_model(stack: Stack, client: Client) -> None:
    first, second = f"sim-responses?{FAST}&fail=404&times=1", f"sim-chat?{FAST}&fail=cut&at=20&times=1"
    ran = Ran(stack, client, first, [second])
    assert ran.calls == [(first, 404), (second, 200), (first, 200)]
    assert [(start["model"], start["reason"]) for start in ran.of("stream_start")] == [
        (first, "start"),
        (first, "restart"),
    ]
    assert (ran.record["text"], ran.answered_by) == ("".join(whole(first)), first)


def test_without_a_fallback_nothing_of_it_is_told(stack: Stack, client: Client) -> None:
    generation = client.submit(GOOD, PROMPT)
    end = client.events(generation.id)[-1].data
    assert "answered_by" not in end["metrics"]


def test_a_fallback_that_no_upstream_serves_or_one_too_many_is_refused(client: Client) -> None:
    body = {"model": GOOD, "messages": [{"role": "user", "content": "Hi"}]}
    refused = client.http.post("/v1/generations", json={**body, "fallback": [GOOD, "gemini-9"]})
    assert refused.status_code == 422
    assert [(each["pointer"], each["code"]) for each in refused.json()["errors"]] == [("/fallback/1", "unknown_model")]
    many = client.http.post("/v1/generations", json={**body, "fallback": [GOOD] * 6})
    assert (many.status_code, many.json()["errors"][0]["pointer"]) == (422, "/fallback")

"""Cancelling, with the upstream's own record as the witness. (Cancels of what has not begun: test_waiting.)"""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Literal, cast

import orjson
import pytest
from starlette.requests import Request

from api.access.gate import ANONYMOUS
from api.routes.generations import cancel
from api.routes.service import Service
from api.viewing.hub import Hub
from broker.ids import BEGINNING, new_generation_id
from broker.record import Ending
from broker.store.accepting import Submissions
from broker.store.agreement import Agreement
from broker.store.limiting import Limiter
from broker.store.logs import Logs
from broker.store.strict_end import StrictEnds
from tests.broker.store.scripted import Generation as Scripted
from tests.broker.store.scripted import Server
from tests.harness.client import Client, Generation, check_log, text_of
from tests.harness.stack import Stack, until

SLOW = "sim-1?tps=50&ttft_ms=0&tokens=5000"
QUICK = "sim-1?tps=0&ttft_ms=0&tokens=10"


def closed_by(stack: Stack, generation: Generation) -> list[str]:
    """Who closed each upstream call of a generation, once all are closed."""
    return until(  # type: ignore[no-any-return]
        lambda: (
            (calls := stack.asked(generation.user_id)) and [call["closed_by"] for call in calls if call["closed_by"]]
        ),
        "the upstream's socket is closed",
    )


def test_a_cancel_while_it_runs_closes_the_upstream_and_keeps_the_partial(
    client: Client, other_client: Client, shared: Stack
) -> None:
    generation = client.submit(SLOW)
    with client.stream(generation.id) as events:
        told = [next(frame for frame in events if frame.type == "text")]
        answer = other_client.cancel(generation.id)
        assert answer.status_code == 202
        assert answer.json()["id"] == generation.id
        told += events
    assert closed_by(shared, generation) == ["client"]
    end = told[-1].data
    assert end["type"] == "stream_end"
    assert (end["status"], end["stop_reason"]) == ("cancelled", None)
    assert end["usage"]["input_tokens"] > 0, "what it has cost so far"
    whole = client.events(generation.id)
    check_log(whole)
    record = client.record(generation.id)
    assert record["state"] == "cancelled"
    assert record["text"] == text_of(whole) != ""
    assert record["chunks"] == end["chunks"] == sum(frame.type == "text" for frame in whole)


@pytest.mark.parametrize(
    "model", ["sim-1?ttft_ms=60000", "sim-1?fail=slow_headers", "sim-1?tps=0&ttft_ms=0&fail=stall"]
)
def test_a_cancel_while_upstream_is_silent_closes_it(client: Client, shared: Stack, model: str) -> None:
    generation = client.submit(model)
    until(lambda: shared.asked(generation.user_id), "upstream is called")
    assert client.cancel(generation.id).status_code in (200, 202)
    assert client.events(generation.id)[-1].data["status"] == "cancelled"
    assert closed_by(shared, generation) == ["client"]


class Hasty(Logs):
    """The worker that is told ends its generation before the record can be read."""

    async def cancel(self, id_: str) -> Literal["cancelled", "cancelling"]:
        outcome = await super().cancel(id_)
        if outcome == "cancelling":
            (entry,) = await self.from_(id_, BEGINNING, 2)
            attempt = entry.id.attempt
            assert (await self.finish(id_, attempt, 1, Ending("cancelled"))).why == "ended"
        return outcome


def test_what_ran_when_the_cancel_came_is_202_though_it_has_ended_before_the_answer(server: Server) -> None:
    generation = Scripted(server)
    generation.create()
    generation.granted()
    logs = Hasty(server.redis)
    hub = cast(Hub, SimpleNamespace(strict_ends=StrictEnds(logs)))
    hasty = Service(
        logs, server.coordination, cast(Submissions, None), hub, cast(Agreement, None), cast(Limiter, None), "checked"
    )
    app = SimpleNamespace(state=SimpleNamespace(journal=SimpleNamespace(note=lambda *_: None)))
    request = Request({"type": "http", "headers": [], "app": app})
    answers = [server.do(cancel(ANONYMOUS, None, hasty, generation.id, request)) for _ in range(2)]
    assert [(answer.status_code, orjson.loads(answer.body)["state"]) for answer in answers] == [
        (202, "cancelled"),
        (200, "cancelled"),
    ]


def test_a_cancel_between_two_tries_makes_no_third(client: Client, shared: Stack) -> None:
    generation = client.submit("sim-1?fail=429&retry_after=60")
    with client.stream(generation.id) as events:
        next(frame for frame in events if frame.type == "retrying")
        assert client.cancel(generation.id).status_code in (200, 202)
        (end,) = events
    assert end.data["status"] == "cancelled"
    assert len(shared.asked(generation.user_id)) == 1


@pytest.mark.parametrize(("model", "state"), [(QUICK, "completed"), ("sim-1?fail=400", "failed")])
def test_a_cancel_after_the_end_is_409_and_tells_the_state(client: Client, model: str, state: str) -> None:
    generation = client.submit(model)
    before = client.events(generation.id)
    for _ in range(2):
        answer = client.cancel(generation.id)
        assert answer.status_code == 409
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.json()["code"], answer.json()["state"]) == ("already_ended", state)
    assert client.record(generation.id)["state"] == state
    assert [frame for frame in client.events(generation.id) if frame.id] == [frame for frame in before if frame.id]


def test_a_cancel_of_what_is_cancelled_is_200_and_changes_nothing(client: Client, other_client: Client) -> None:
    generation = client.submit(SLOW)
    client.cancel(generation.id)
    whole = [frame for frame in client.events(generation.id) if frame.id]
    record = client.record(generation.id)
    for each in (client, other_client):
        answer = each.cancel(generation.id)
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
        assert answer.headers["content-type"] == "application/json"
    assert client.events(generation.id) == whole
    assert client.record(generation.id) == record


def test_many_cancels_at_once_are_one_cancel(client: Client, other_client: Client, shared: Stack) -> None:
    generation = client.submit(SLOW)
    with client.stream(generation.id) as events:
        next(frame for frame in events if frame.type == "text")
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda n: (client, other_client)[n % 2].cancel(generation.id), range(16)))
        rest = list(events)
    assert {answer.status_code for answer in answers} <= {200, 202}
    assert [frame.type for frame in rest].count("stream_end") == 1
    check_log(client.events(generation.id))
    assert closed_by(shared, generation) == ["client"]


def test_a_cancel_that_races_with_the_end_agrees_with_what_viewers_see(client: Client, other_client: Client) -> None:
    for delay in range(12):
        generation = client.submit(f"sim-1?tps=0&ttft_ms={delay}&tokens=3")
        answer = other_client.cancel(generation.id)
        events = client.events(generation.id)
        check_log([frame for frame in events if frame.id])
        state = client.record(generation.id)["state"]
        assert events[-1].data["status"] == state
        if answer.status_code == 409:
            assert (state, answer.json()["state"]) == ("completed", "completed")
        elif answer.status_code == 200:
            assert state == "cancelled"
        else:
            assert answer.status_code == 202


def test_an_unknown_generation_cannot_be_cancelled(client: Client) -> None:
    for id_ in (new_generation_id(), "gen_x"):
        answer = client.cancel(id_)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    for id_ in ("..%2f..", "%00"):  # two readers could take such a path differently
        assert client.cancel(id_).status_code == 400

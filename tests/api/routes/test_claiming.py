"""Runs of one thread that are asked for at one moment: one is accepted, whatever becomes of the process that accepts it."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api.routes import claiming
from broker import keys
from broker.errors import OutcomeUnknown, QueueFull
from broker.store.accepting import Submissions, Submitted
from tests.api.in_process import Answer, Api
from tests.broker.store.scripted import Generation, Server

BODY = {"assistant_id": "sim-1", "input": {"messages": [{"role": "user", "content": "Hi"}]}}
Accept = Callable[..., Awaitable[Submitted]]


@pytest.fixture
def thread() -> str:
    return str(uuid.uuid4())


def run(api: Api, thread: str) -> Answer:
    return api.post(f"/threads/{thread}/runs", BODY)


def status(api: Api, thread: str) -> tuple[int, str | None]:
    answer = api.get(f"/threads/{thread}")
    return answer.status, answer.json.get("status")


def end(server: Server, id_: str) -> None:
    generation = Generation(server, id_)
    generation.finish(generation.granted(), 1)


def at_once(api: Api, server: Server, thread: str, times: int) -> list[Answer]:
    async def ask() -> list[Answer]:
        return await asyncio.gather(*(ask_once(api, thread) for _ in range(times)))

    return server.do(ask())


async def ask_once(api: Api, thread: str) -> Answer:
    headers = {"content-type": "application/json"}
    return await api._ask("POST", f"/threads/{thread}/runs", headers, json.dumps(BODY).encode(), 99)


def instead(api: Api, monkeypatch: pytest.MonkeyPatch, accept: Callable[..., Any]) -> None:
    """Has `accept` be called for Submissions.accept, with that one in front."""
    real = Submissions.accept

    async def called(self: Submissions, *args: Any, **named: Any) -> Submitted:
        monkeypatch.setattr(Submissions, "accept", real)
        found: Submitted = await accept(lambda: real(self, *args, **named), args[-1])
        return found

    monkeypatch.setattr(Submissions, "accept", called)


def test_of_many_runs_at_one_moment_one_is_accepted_and_the_others_are_told_which(
    api: Api, server: Server, thread: str
) -> None:
    for _ in range(3):  # the first run, and those behind another
        answers = at_once(api, server, thread, 20)
        (made,) = [answer.json["run_id"] for answer in answers if answer.status == 200]
        refused = [answer for answer in answers if answer.status != 200]
        assert {answer.code for answer in refused} == {(409, "thread_busy")}
        assert {answer.json["generation"] for answer in refused} == {made}
        assert status(api, thread) == (200, "busy")
        end(server, made)
        assert status(api, thread) == (200, "idle")


def test_what_was_refused_leaves_its_thread_as_it_was(
    api: Api, server: Server, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_: Accept, first: Any) -> Submitted:
        await first("gen_" + "0" * 26)
        raise QueueFull(5)

    instead(api, monkeypatch, full)
    assert run(api, thread).status == 503
    assert status(api, thread)[0] == 404
    made = run(api, thread).json["run_id"]
    end(server, made)
    instead(api, monkeypatch, full)
    assert run(api, thread).status == 503
    assert status(api, thread) == (200, "idle")
    assert run(api, thread).status == 200


@pytest.mark.parametrize("runs_before", [0, 1])
@pytest.mark.parametrize(("lasts_ms", "then"), [(keys.CLAIMED_MS, 409), (0, 200)])
def test_a_claim_of_which_nothing_came_ends_by_itself(
    api: Api, server: Server, thread: str, runs_before: int, lasts_ms: int, then: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process died, say, or Redis went away."""
    never = "gen_" + "0" * 26

    async def dies(_: Accept, first: Any) -> Submitted:
        await first(never)
        raise OutcomeUnknown(never)

    for _ in range(runs_before):
        end(server, run(api, thread).json["run_id"])
    before = status(api, thread)
    monkeypatch.setattr(keys, "CLAIMED_MS", lasts_ms)
    instead(api, monkeypatch, dies)
    assert run(api, thread).json["code"] == "outcome_unknown"
    assert status(api, thread) == before, "what never was is not the thread's last run"
    answer = run(api, thread)
    assert answer.status == then
    if then == 409:
        assert (answer.json["code"], answer.json["generation"]) == ("thread_busy", never)


def test_a_run_whose_asker_was_told_nothing_of_it_is_the_threads_last(
    api: Api, server: Server, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    async def made_all_the_same(accept: Accept, _: Any) -> Submitted:
        made.append((await accept()).id)
        raise OutcomeUnknown(made[0])

    instead(api, monkeypatch, made_all_the_same)
    assert run(api, thread).json["code"] == "outcome_unknown"
    assert status(api, thread) == (200, "busy")
    assert run(api, thread).json["generation"] == made[0]
    end(server, made[0])
    assert status(api, thread) == (200, "idle")
    assert run(api, thread).status == 200, "what is there needs no claim to end"


def test_who_stood_still_for_longer_than_its_claim_has_its_run_cancelled(
    api: Api, server: Server, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    late: list[str] = []

    async def stands_still(accept: Accept, first: Any) -> Submitted:
        accepted = await accept()
        late.append(accepted.id)
        return accepted

    real = claiming.Claim.take

    async def overtaken(claim: claiming.Claim, id_: str) -> None:
        """Behind the claim, and before anything is made of it, another comes."""
        monkeypatch.setattr(claiming.Claim, "take", real)
        await real(claim, id_)
        others.append(await ask_once(api, thread))

    others: list[Answer] = []
    monkeypatch.setattr(keys, "CLAIMED_MS", 0)
    monkeypatch.setattr(claiming.Claim, "take", overtaken)
    instead(api, monkeypatch, stands_still)
    answer = run(api, thread)
    (other,) = others
    assert other.status == 200
    assert answer.code == (409, "thread_busy")
    assert answer.json["generation"] == other.json["run_id"]
    assert api.get(f"/v1/generations/{late[0]}").json["state"] == "cancelled"
    assert status(api, thread) == (200, "busy")

"""Appends of many attempts in one trip: each gets its own reply, whatever becomes of the others."""

import pytest

from broker import keys
from broker.errors import StorageRefused
from broker.events import TEXT, Content
from broker.replies import Appended, AppendReply, Behind, Fenced, NotAppended
from broker.store.appends import AttemptLog
from tests.broker.store.scripted import Generation, Server

A = Content(TEXT, b"a")


@pytest.fixture
def generations(server: Server) -> list[Generation]:
    """Three that run."""
    made = [Generation(server) for _ in range(3)]
    for each in made:
        each.create()
    return made


def runs(server: Server, command: str) -> int:
    found = server.command("INFO", "commandstats").get(f"cmdstat_{command}", {"calls": 0})
    return int(found["calls"])


def test_each_append_gets_its_own_reply_in_order(server: Server, generations: list[Generation]) -> None:
    logs = [AttemptLog(each.id, each.granted()) for each in generations]
    generations[1].cancel()
    calls = [
        logs[0].append(1, [A, A]),
        logs[1].append(1, [A], look=True),
        logs[1].append(2, [A]),
        logs[2].append(3, [A]),
        AttemptLog(generations[2].id, 1).append(1, [A]),
    ]
    assert server.do(server.logs.append(calls)) == [
        Appended(2), Appended(1, cancel_pending=True), Appended(2), Behind(0), Fenced(),
    ]  # fmt: skip
    assert [len(each.log) for each in generations] == [3, 3, 1]


def test_a_server_that_has_forgotten_the_script_is_told_it_and_makes_each_call_once(
    server: Server, generations: list[Generation]
) -> None:
    logs = [AttemptLog(each.id, each.granted()) for each in generations]
    server.command("SET", keys.record("odd"), "no record", "PX", 60_000)
    odd = AttemptLog("odd", 1)

    def append(first: int) -> list[AppendReply]:
        return server.do(server.logs.append([odd.append(1, [A]), *(log.append(first, [A, A]) for log in logs)]))

    server.command("SCRIPT", "FLUSH")
    for first in (1, 3):
        before = runs(server, "eval"), runs(server, "exec")
        refused, *appended = append(first)
        assert isinstance(refused, NotAppended)
        assert isinstance(refused.error, StorageRefused)
        assert refused.error.word == "WRONGTYPE"
        assert appended == [Appended(first + 1)] * 3
        assert (runs(server, "eval") - before[0], runs(server, "exec") - before[1]) == (4 if first == 1 else 0, 0)
    assert [[entry.id.seq for entry in each.log] for each in generations] == [[0, 1, 2, 3, 4]] * 3


def test_what_an_append_leaves_out_stays_as_it_was(server: Server, generations: list[Generation]) -> None:
    generation = generations[0]
    log = AttemptLog(generation.id, generation.granted())
    lease = generation.field("lease_until")
    server.do(server.logs.append([log.append(1, [A], usage=b'{"n":1}')]))
    server.do(server.logs.append([log.append(2, [A])]))
    assert (generation.field("usage"), generation.field("lease_until")) == ('{"n":1}', lease)
    server.do(server.logs.append([log.append(3, [A], lease_ms=3_600_000)]))
    assert int(generation.field("lease_until") or 0) > int(lease or 0) + 3_000_000

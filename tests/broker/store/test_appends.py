"""Lane of many attempts in one trip: each gets its own reply, whatever becomes of the others."""

import asyncio
from contextlib import suppress

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import keys
from broker.errors import StorageRefused, StorageUnavailable
from broker.events import TEXT, Content
from broker.local.embedded import EmbeddedServer
from broker.replies import Appended, AppendReply, Behind, Fenced, NotAppended
from broker.store.appends import AttemptLog, Lane
from broker.store.lua import Argument
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
        logs[1].append(1, [A]),
        logs[1].append(2, [A]),
        logs[2].append(3, [A]),
        AttemptLog(generations[2].id, 1).append(1, [A]),
    ]
    assert server.do(server.appends.send(calls)) == [
        Appended(2), Appended(1, cancel_pending=True), Appended(2, cancel_pending=True), Behind(0), Fenced(),
    ]  # fmt: skip
    assert [len(each.log) for each in generations] == [3, 3, 1]


def test_a_server_that_has_forgotten_the_script_is_told_it_and_makes_each_call_once(
    server: Server, generations: list[Generation]
) -> None:
    logs = [AttemptLog(each.id, each.granted()) for each in generations]
    server.command("SET", keys.record("odd"), "no record", "PX", 60_000)
    odd = AttemptLog("odd", 1)

    def append(first: int) -> list[AppendReply]:
        return server.do(server.appends.send([odd.append(1, [A]), *(log.append(first, [A, A]) for log in logs)]))

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
    server.do(server.appends.send([log.append(1, [A], usage=b'{"n":1}')]))
    server.do(server.appends.send([log.append(2, [A])]))
    assert (generation.field("usage"), generation.field("lease_until")) == ('{"n":1}', lease)
    server.do(server.appends.send([log.append(3, [A], lease_ms=3_600_000)]))
    assert int(generation.field("lease_until") or 0) > int(lease or 0) + 3_000_000


def test_a_connection_that_was_lost_is_made_anew_and_nothing_is_written_twice(
    server: Server, generations: list[Generation]
) -> None:
    log = AttemptLog(generations[0].id, generations[0].granted())
    call = log.append(1, [A])
    assert server.do(server.appends.send([call])) == [Appended(1)]
    server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    server.do(asyncio.sleep(0))

    async def until_it_answers() -> list[AppendReply]:
        while True:
            with suppress(StorageUnavailable):
                return await server.appends.send([call, log.append(2, [A])])

    assert server.do(asyncio.wait_for(until_it_answers(), 5)) == [Appended(1), Appended(2)]
    assert [entry.id.seq for entry in generations[0].log] == [0, 1, 2]


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "unix:///nowhere/valkey.sock"])
def test_a_redis_that_is_not_there_is_away(url: str) -> None:
    with pytest.raises(StorageUnavailable) as caught:
        asyncio.run(Lane(url).send([AttemptLog("gen_a", 1).append(1, [A])]))
    assert caught.value.why == "unreachable"


def test_a_redis_that_lets_nobody_in_is_not_taken_for_one_that_is_away(embedded: EmbeddedServer) -> None:
    where = f"unix://somebody:wrong@{embedded.socket_path}"
    with pytest.raises(StorageRefused) as caught:
        asyncio.run(Lane(where).send([AttemptLog("gen_a", 1).append(1, [A])]))
    assert caught.value.word == "WRONGPASS"


def test_a_text_that_reads_like_a_call_is_sent_again_as_it_is(server: Server, generations: list[Generation]) -> None:
    generation = generations[0]
    log = AttemptLog(generation.id, generation.granted())
    text = log.append(1, [A])
    server.command("SCRIPT", "FLUSH")
    assert server.do(server.appends.send([log.append(1, [Content(TEXT, text)])])) == [Appended(1)]
    assert generation.log[-1].value == text


def test_calls_of_any_content_are_one_command_each_and_read_as_they_were_meant() -> None:
    @given(
        st.integers(0, 2**40),
        st.lists(st.tuples(st.sampled_from([b"t", b"k", b"i", b"j"]), st.binary(max_size=50)), max_size=5),
        st.integers(0, 10**7),
        st.binary(max_size=20),
    )
    def each(first: int, contents: list[tuple[bytes, bytes]], lease_ms: int, usage: bytes) -> None:
        call = AttemptLog("gen_a", 7).append(
            first, [Content(*content) for content in contents], lease_ms=lease_ms, usage=usage
        )
        reader = hiredis.Reader()
        reader.feed(call)
        name, _, count, *words = reader.gets()
        names = [keys.record("gen_a"), keys.log("gen_a")]
        assert (name, int(count), reader.gets()) == (b"EVALSHA", len(names), False)
        told: list[Argument] = [*names, keys.live("gen_a"), 7, first, lease_ms, usage]
        assert words == [
            word if isinstance(word, bytes) else str(word).encode()
            for word in [*told, *(part for content in contents for part in content)]
        ]

    each()

"""take.lua takes whose turn it is: held against the same in Python (tests/broker/lines.py), step by step."""

from collections.abc import Iterator
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker import keys
from broker.replies import Over
from broker.store.queue import Job
from broker.waiting import Share, TenantShares
from tests.broker.lines import Lines
from tests.broker.store.scripted import Server

TENANTS = ("", "acme", "beta")
LATER_MS = 3_600_000
SHARE = st.builds(Share, st.sampled_from([0.5, 1.0, 4.0]), st.none() | st.integers(1, 3))
SHARES = st.builds(TenantShares, SHARE, st.dictionaries(st.sampled_from(TENANTS), SHARE))
STEPS = st.lists(st.tuples(st.sampled_from(TENANTS), st.sampled_from("aaaabbtte")), max_size=30)
numbers = count(1)


def drained(server: Server, most: int, shares: TenantShares) -> Iterator[tuple[str, str]]:
    left = 1
    while most and left:
        taken = server.do(server.coordination.take(most, lock_ms=60_000, again_ms=3000, shares=shares))
        left, most = taken.left, most - len(taken.jobs)
        for job in map(Job.of, taken.jobs):
            yield job.owner, job.id


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(shares=SHARES, steps=STEPS)
def test_the_script_takes_whom_the_rule_says(
    server: Server, shares: TenantShares, steps: list[tuple[str, str]]
) -> None:
    server.command("FLUSHDB")
    lines = Lines(shares)
    running: dict[str, list[str]] = {tenant: [] for tenant in TENANTS}
    now = server.now_ms()
    for tenant, do in [*steps, *(("", "t") for _ in range(9))]:
        if do in "ab":
            n = next(numbers)
            place = now - LATER_MS + n if do == "a" else now + LATER_MS + n
            server.do(server.coordination.enqueue(f"gen_{n:09}", 1, place_ms=place, owner=tenant))
            lines.now = now
            lines.add(tenant, f"gen_{n:09}", place)
        elif do == "t":
            taken = list(drained(server, 4, shares))
            assert taken == lines.take(4)
            for who, id_ in taken:
                running[who].append(id_)
        elif running[tenant]:
            ended = running[tenant].pop()
            server.do(server.coordination.unlist([ended], tenant))
            server.do(server.coordination.resume(100))
            lines.end(tenant)
        standing = server.do(server.coordination.standing())
        assert standing.depth == sum(map(len, lines.waiting.values()))
        told = lines.standing()
        for who, line in standing.lines.items():
            assert line[1:4] == told.lines[who][1:4]
    assert server.command("EXISTS", keys.QUEUE) == 0 or lines.bound


def test_who_comes_anew_takes_turns_with_who_was_alone(server: Server) -> None:
    def come(tenant: str) -> None:
        for n in range(10):
            server.do(server.coordination.enqueue(f"gen_{tenant}{n}", 1, owner=tenant))

    come("acme")
    assert len(list(drained(server, 6, TenantShares()))) == 6
    come("beta")
    assert sorted(tenant for tenant, _ in drained(server, 6, TenantShares())) == ["acme"] * 3 + ["beta"] * 3


def test_what_has_begun_has_left_its_slot_and_goes_first_though_its_tenant_has_all_of_them(server: Server) -> None:
    one = TenantShares(own={"acme": Share(most=1)})
    first, second = "gen_a", "gen_b"
    for id_ in (first, second):
        server.do(server.coordination.enqueue(id_, 1, owner="acme"))
    assert list(drained(server, 2, one)) == [("acme", first)]
    standing = server.do(server.coordination.standing())
    assert (standing.lines["acme"].running, standing.in_use) == (1, 1)
    server.do(server.coordination.enqueue(first, 2, owner="acme"))
    assert server.do(server.coordination.standing()).lines["acme"].running == 0
    taken = server.do(server.coordination.take(2, lock_ms=60_000, again_ms=3000, shares=one))
    assert list(taken.jobs) == [Job(first, 2, "acme").name]
    server.do(server.coordination.put_back(taken.jobs))
    assert list(drained(server, 2, one)) == [("acme", first)]


def test_who_was_queued_before_there_were_turns_is_taken(server: Server) -> None:
    server.command("ZADD", keys.QUEUE, 5, "gen_old:1")
    server.command("PEXPIRE", keys.QUEUE, 60_000)
    assert server.do(server.coordination.standing()).depth in (0, 1)
    assert list(drained(server, 2, TenantShares())) == [("", "gen_old")]


def test_a_tenant_that_has_lost_its_turn_gets_one_when_its_job_is_looked_at(server: Server) -> None:
    server.do(server.coordination.enqueue("gen_a", 1, owner="acme"))
    server.command("HSET", keys.TENANTS, "gen_a", "acme")
    server.command("PEXPIRE", keys.TENANTS, 60_000)
    server.command("DEL", "respool:turns")
    assert list(drained(server, 2, TenantShares())) == []
    assert server.do(server.coordination.overdue(10, 1000)) == (1, [])
    assert list(drained(server, 2, TenantShares())) == [("acme", "gen_a")]


def test_slots_count_while_workers_live_and_ends_tell_how_long_they_are_held(server: Server) -> None:
    server.do(server.coordination.beat("host", "one", 4))
    server.do(server.coordination.beat("host", "two", 3))
    server.do(server.coordination.take(1, lock_ms=60_000, again_ms=3000, over=Over(3, 6000)))
    server.do(server.coordination.take(1, lock_ms=60_000, again_ms=3000, over=Over(1, 2000)))
    standing = server.do(server.coordination.standing())
    assert (standing.slots, standing.held_ms, standing.drain_rate) == (7, 2000, 3.5)
    server.command("HSET", keys.SLOTS, "one", f"4 {server.now_ms() - 1}")
    assert server.do(server.coordination.standing()).slots == 3
    server.do(server.coordination.beat("host", "two", 0))
    assert server.command("HKEYS", keys.SLOTS) == [b"two"]
    assert server.do(server.coordination.standing()).slots == 0

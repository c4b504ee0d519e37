"""take.lua takes whose turn it is: held against the same in Python (tests/broker/lines.py), step by step."""

from collections.abc import Iterator
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker import keys
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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
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

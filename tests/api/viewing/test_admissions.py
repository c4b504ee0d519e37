"""Who has which streams open: they are counted right whoever comes and goes, and closed when what let them in has ended."""

from collections import Counter
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access.gate import ANONYMOUS, Principal
from api.viewing.admissions import Admission, Admissions, counted
from api.viewing.stream_limits import StreamLimits
from broker.vocabulary import ClosedReason

ME, YOU = Principal("acme", "me", address="192.0.2.1"), Principal("acme", "you", address="192.0.2.2")
KEYS = [ME, YOU, Principal("", address="192.0.2.1"), Principal("", "nowhere")]


def shut(_: ClosedReason) -> None:
    raise AssertionError("nobody closes it")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 2)), max_size=60), st.integers(0, 3))
def test_limits_hold_whoever_comes_and_goes(steps: list[tuple[bool, int, int]], limit: int) -> None:
    admissions = Admissions(StreamLimits(limit, limit, limit))
    open_: list[tuple[Principal, str, Admission | None]] = []
    for comes, who_at, id_at in steps:
        who, id_ = KEYS[who_at], f"gen_{id_at}"
        if not comes:
            if open_:
                admissions.leave(open_.pop(id_at % len(open_))[2])
            continue
        keys = Counter(each.key for each, _, _ in open_ if each.key)
        generations = Counter(each for _, each, _ in open_)
        addresses = Counter(each.address for each, _, _ in open_ if each.address)
        full = admissions.full(who, id_)
        if not limit:
            assert full is None
        elif full is None:
            assert max(keys[who.key], generations[id_], addresses[who.address]) < limit
        else:
            found = {"key": keys[who.key], "generation": generations[id_], "address": addresses[who.address]}
            assert found[full] == limit
        if full is None:
            open_.append((who, id_, admissions.enter(who, id_, shut)))
    for _, _, admission in open_:
        admissions.leave(admission)
    assert not admissions._standing
    assert not admissions._generations
    assert not admissions._addresses


def test_who_is_not_asked_who_it_is_costs_nothing_where_nothing_is_counted() -> None:
    admissions = Admissions()
    assert admissions.enter(ANONYMOUS.at("192.0.2.1"), "gen_1", shut) is None
    admissions.leave(None)
    assert admissions.full(ME, "gen_1") is None


@pytest.mark.parametrize(("expires_ms", "reason"), [(1000, "expired"), (1001, "revoked"), (None, "revoked")])
def test_all_streams_of_a_key_that_has_ended_are_closed_and_no_others(expires_ms: int | None, reason: str) -> None:
    admissions, closed = Admissions(), list[tuple[str, str]]()
    who = Principal("acme", "me", expires_ms=expires_ms)
    entered: list[Admission | None] = []

    def close(name: str, reason: ClosedReason) -> None:
        closed.append((name, reason))
        admissions.leave(entered.pop(0))  # as a viewer that is done does

    for name in ("one", "two"):
        entered.append(admissions.enter(who, "gen_1", partial(close, name)))
    admissions.enter(YOU, "gen_1", shut)
    admissions.review(lambda _: True, 999)
    assert not closed
    admissions.review(lambda each: each is not who or expires_ms == 1000, 1000)
    assert closed == [("one", reason), ("two", reason)]
    assert list(admissions._standing) == ["you"]


def test_addresses_of_one_network_of_ipv6_are_counted_as_one() -> None:
    assert counted("2001:db8::1") == counted("2001:db8::ffff") != counted("2001:db8:0:1::1")
    assert counted("::ffff:192.0.2.1") == counted("192.0.2.1") == "192.0.2.1"
    assert counted("192.0.2.1") != counted("192.0.2.2")
    assert counted("fe80::1%eth0") == counted("fe80::1")
    assert counted("a socket") == "a socket"

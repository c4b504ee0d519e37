"""What a process knows of keys: whom it lets in without a question, when it asks, what a flood of unknown keys does to it."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from api.access.api_keys import ApiKey, new_key, read_key
from api.access.gate import Principal, Refusal
from api.access.peppers import peppers_of
from api.intake.problems import Problem
from api.keys import lookups, ring
from api.keys.everywhere import Found
from api.keys.issuing import Issued
from api.keys.keyed import Keyed
from broker import keys
from broker.errors import StorageUnavailable
from tests.api.keys.keyed import EARLIER, PEPPER, Desk
from tests.broker.store.scripted import Server


@pytest.fixture
def desk(server: Server) -> Desk:
    return Desk(server)


def key_of(issued: Issued) -> ApiKey:
    key = read_key(issued.text.encode())
    assert key is not None
    return key


def told(verdict: Principal | Refusal) -> str:
    """The first words of why not."""
    assert isinstance(verdict, Refusal)
    assert not verdict.unknown
    return " ".join((verdict.detail or "").split()[:4])


def test_a_key_is_looked_up_once_and_then_known(desk: Desk) -> None:
    issued = desk.make("acme", ["view", "submit"])
    key, here = key_of(issued), desk.ring()
    assert here.check(key) == Refusal(unknown=key.id)
    desk.server.do(here.look_up(key.id, "a"))
    assert here.check(key) == Principal("acme", key.id, frozenset({"submit", "view"}))
    forged = ApiKey(key.id, new_key().text)
    assert told(here.check(forged)) == "The API key is"
    assert here.holds(key.id)


def test_what_there_is_not_is_asked_for_once_in_a_while(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    here, key = desk.ring(), new_key()
    desk.server.do(here.look_up(key.id, "a"))
    assert told(here.check(key)) == "The API key is"
    now = time.monotonic() + 11
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert here.check(key) == Refusal(unknown=key.id)


def test_a_key_that_ends_is_refused_at_the_next_look_and_says_why(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    issued, short = desk.make(), desk.make(lasts_ms=60_000)
    here = desk.ring()
    for each in (issued, short):
        desk.server.do(here.look_up(each.record.id, "a"))
        assert isinstance(here.check(key_of(each)), Principal)
    desk.server.do(desk.issuer.revoke(issued.record.id))
    later = time.time() + 61
    with monkeypatch.context() as passed:
        passed.setattr(time, "time", lambda: later)
        assert told(here.check(key_of(short))) == "The API key has", "by the clock, without a look"
        assert not here.holds(short.record.id)
    desk.server.do(here.refresh())
    assert told(here.check(key_of(issued))) == "The API key was"
    assert not here.holds(issued.record.id)
    assert told(here.check(ApiKey(issued.record.id, new_key().text))) == "The API key is", "to its holder alone"


def test_what_is_known_is_taken_for_an_hour_while_redis_is_away(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    issued, here = desk.make(), desk.ring()
    key = key_of(issued)
    desk.server.do(here.look_up(key.id, "a"))

    async def away(ids: Sequence[str]) -> Found:
        raise StorageUnavailable

    monkeypatch.setattr(desk.store, "read", away)
    desk.server.do(here.refresh())
    assert isinstance(here.check(key), Principal)
    now = time.monotonic() + 3601
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert here.check(key) == Refusal(unknown=key.id)
    with pytest.raises(StorageUnavailable):
        desk.server.do(here.look_up(key.id, "a"))


def test_a_flood_of_unknown_keys_fills_neither_memory_nor_redis(desk: Desk) -> None:
    issued, here = desk.make(), desk.ring()
    desk.server.do(here.look_up(issued.record.id, "a"))
    before = desk.server.command("DBSIZE")

    async def flood() -> None:
        for _ in range(3):
            await here._fetch([new_key().id for _ in range(ring._MOST_UNKNOWN)])

    desk.server.do(flood())
    assert len(here._unknown) == ring._MOST_UNKNOWN
    assert len(here._known) == 1
    assert desk.server.command("DBSIZE") == before
    assert isinstance(here.check(key_of(issued)), Principal)


def test_no_more_keys_are_known_than_fit_and_those_that_are_used_stay(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "MOST_KNOWN", 2)
    used, unused, new = desk.make(), desk.make(), desk.make()
    here = desk.ring()
    for each in (used, unused):
        desk.server.do(here.look_up(each.record.id, "a"))
    here.check(key_of(used))
    desk.server.do(here.refresh())
    desk.server.do(here.look_up(new.record.id, "a"))
    assert set(here._known) == {used.record.id, new.record.id}


def test_a_key_that_is_used_lives_on_and_one_that_is_not_is_forgotten(desk: Desk) -> None:
    used, unused = desk.make(), desk.make()
    here = desk.ring()
    for each in (used, unused):
        desk.server.do(here.look_up(each.record.id, "a"))
        desk.server.command("PEXPIRE", keys.api_key(each.record.id), 90_000)
    desk.server.command("PEXPIRE", keys.API_KEYS, 90_000)
    here.check(key_of(used))
    desk.server.do(here.refresh())
    lives = [desk.server.command("PTTL", name) for name in (keys.api_key(used.record.id), keys.API_KEYS)]
    assert min(lives) > keys.INDEX_MS - 60_000
    assert desk.server.command("PTTL", keys.api_key(unused.record.id)) < 91_000


def test_a_key_of_an_earlier_pepper_is_hashed_anew_when_it_is_used(server: Server) -> None:
    before = Desk(server, pepper=EARLIER).make()
    desk, key = Desk(server, pepper=f"{PEPPER} {EARLIER}"), key_of(before)
    here = desk.ring()
    server.do(here.look_up(key.id, "a"))
    server.do(here.refresh())
    assert server.do(desk.store.read((key.id,))).records[key.id] == before.record, "nobody has used it yet"
    assert isinstance(here.check(key), Principal)
    server.do(here.refresh())
    record = server.do(desk.store.read((key.id,))).records[key.id]
    assert record is not None
    assert (record.pepper, record.digest) == ("p1", peppers_of(PEPPER).digest(key))
    assert isinstance(here.check(key), Principal)
    later = Desk(server).ring()
    server.do(later.look_up(key.id, "a"))
    assert isinstance(later.check(key), Principal), "the earlier pepper is not needed any more"


def test_a_key_whose_pepper_is_not_set_lets_nobody_in(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    key = key_of(Desk(server, pepper=EARLIER).make())
    here = Desk(server).ring()
    server.do(here.look_up(key.id, "a"))
    assert told(here.check(key)) == "The API key is"
    assert "pepper" in caplog.text
    assert key.id not in caplog.text


def test_a_revocation_that_redis_has_lost_is_made_again(desk: Desk) -> None:
    issued, here = desk.make(), desk.ring()
    name = keys.api_key(issued.record.id)
    raw = desk.server.command("GET", name)
    desk.server.do(here.look_up(issued.record.id, "a"))
    desk.server.do(desk.issuer.revoke(issued.record.id))
    desk.server.do(here.refresh())
    desk.server.command("SET", name, raw, "PX", 60_000)  # as a failover leaves it
    desk.server.do(here.refresh())
    assert not here.holds(issued.record.id)
    assert b'"revoked_ms":null' not in desk.server.command("GET", name)


class Slow:
    """A store that answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.go = asyncio.Event()

    async def fetch(self, ids: Sequence[str]) -> None:
        self.asked.append(list(ids))
        await self.go.wait()


def test_one_question_is_under_way_at_a_time_whoever_asks_how_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "_MOST_OF_ADDRESS", 10)
    monkeypatch.setattr(lookups, "_MOST_WAITING", 15)

    async def scene() -> None:
        slow = Slow()
        asking = lookups.LookUps(slow.fetch)
        waits = [asyncio.create_task(asking.look_up(str(n), "a")) for n in range(10)]
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="too_busy"):
            await asking.look_up("one more", "a")
        waits += [asyncio.create_task(asking.look_up("0", "b")) for _ in range(5)]
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="too_busy"):
            await asking.look_up("one more", "c")
        slow.go.set()
        async with asyncio.timeout(5):
            await asyncio.gather(*waits)
        assert [len(each) for each in slow.asked] in ([10], [10, 1], [1, 9], [1, 10])
        await asking.look_up("one more", "a")
        await asking.close()

    asyncio.run(scene())


def test_who_waits_is_told_that_the_store_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "_SECONDS", 0.01)

    async def scene() -> None:
        slow = Slow()
        asking = lookups.LookUps(slow.fetch)
        with pytest.raises(StorageUnavailable):
            await asking.look_up("a", "a")
        waits = asyncio.create_task(asking.look_up("b", "a"))
        await asyncio.sleep(0)
        await asking.close()
        with pytest.raises(StorageUnavailable):
            await waits

    asyncio.run(scene())


def test_a_key_that_was_right_is_recalled_whole_and_ends_as_any(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    issued, here = desk.make(), desk.ring()
    key, policy = key_of(issued), Keyed(here)
    assert here.recall(key.text) is None
    desk.server.do(here.look_up(key.id, "a"))
    assert here.recall(key.text) is None, "nobody has shown it yet"
    who = here.check(key)
    assert here.recall(key.text) is who
    for wrong in (key.text[:-1], key.text + b"0", key.text[:30] + b"a" + key.text[31:] + b"", b"", b"rsp_"):
        assert wrong == key.text or here.recall(wrong) is None
        assert wrong == key.text or isinstance(policy.authenticate(b"/", [(b"x-api-key", wrong)]), Refusal)
    now = time.monotonic() + 3601
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert here.recall(key.text) is None, "it is not trusted for ever"
    monkeypatch.undo()
    desk.server.do(desk.issuer.revoke(key.id))
    desk.server.do(here.refresh())
    assert told(policy.authenticate(b"/", [(b"x-api-key", key.text)])) == "The API key was"


def test_the_policy_reads_the_key_and_asks_the_ring(desk: Desk) -> None:
    issued, here = desk.make(), desk.ring()
    policy, key = Keyed(here), key_of(issued)
    headers: list[Any] = [(b"authorization", b"Bearer " + key.text)]
    first = policy.authenticate(b"/", headers)
    assert isinstance(first, Refusal)
    desk.server.do(policy.look_up(first.at("1.2.3.4")))
    who = policy.authenticate(b"/", headers)
    assert isinstance(who, Principal)
    assert policy.holds(who)
    mistyped = key.text[:-1] + (b"1" if key.text.endswith(b"0") else b"0")
    for wrong in ([], [*headers, *headers], [(b"x-api-key", mistyped)], [(b"x-api-key", b"")]):
        refused = policy.authenticate(b"/", wrong)
        assert isinstance(refused, Refusal)
        assert not refused.unknown
    assert isinstance(policy.authenticate(b"/?token=" + key.text, []), Refusal), "a key does not stand in a URL"

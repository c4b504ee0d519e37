"""Keys are made, changed for others and revoked: what is kept of them, where, and how long."""

import asyncio
import itertools

import pytest
from arq.connections import ArqRedis
from hypothesis import given
from hypothesis import strategies as st

from api.access.api_keys import read_key
from api.keys.issuing import KeyRefused
from broker import keys
from broker.api_keys import MOST_LIVE, KeyRecord, agreed_on, read_record
from broker.errors import BrokerError
from broker.store.api_keys import keep
from broker.store.client import connect
from tests.api.keys.keyed import Desk
from tests.broker.store.scripted import Server

DAY_MS = 86_400_000


@pytest.fixture
def desk(server: Server) -> Desk:
    return Desk(server)


def life_ms(server: Server, id_: str) -> int:
    return int(server.command("PTTL", keys.api_key(id_)))


def test_of_a_key_only_its_hash_is_kept(desk: Desk) -> None:
    issued = desk.make("acme", ["view", "submit"], name="dashboard")
    key = read_key(issued.text.encode())
    assert key is not None
    record = issued.record
    assert (record.id, record.tenant, record.name, record.scopes) == (key.id, "acme", "dashboard", ("submit", "view"))
    kept = b"".join(desk.server.command("GET", name) for name in (keys.api_key(key.id),))
    assert key.text.split(b"_")[2] not in kept
    assert read_record(kept) == record
    assert desk.server.command("ZRANGE", keys.API_KEYS, 0, -1) == [f"acme:{key.id}".encode()]
    assert life_ms(desk.server, key.id) > keys.INDEX_MS - 60_000


def test_a_key_that_is_to_end_is_remembered_for_a_month_more(desk: Desk) -> None:
    short, revoked = desk.make(lasts_ms=DAY_MS), desk.make()
    desk.server.do(desk.issuer.revoke(revoked.record.id))
    assert 31 * DAY_MS - 60_000 < life_ms(desk.server, short.record.id) <= 31 * DAY_MS
    assert 30 * DAY_MS - 60_000 < life_ms(desk.server, revoked.record.id) <= 30 * DAY_MS


def test_a_rotated_key_and_its_successor_are_both_live_for_the_grace(desk: Desk) -> None:
    before = desk.make("acme", ["view"], name="a", lasts_ms=10 * DAY_MS)
    after = desk.server.do(desk.issuer.rotate(before.record.id, DAY_MS))
    (old, new), now_ms = desk.server.do(desk.issuer.all("acme"))
    assert (new.scopes, new.name, new.state(now_ms)) == (("view",), "a", "live")
    assert new.expires_ms is not None
    assert new.expires_ms - new.created_ms == 10 * DAY_MS
    assert (old.state(now_ms), old.successor) == ("live", after.record.id)
    assert old.state(now_ms + DAY_MS + 1000) == "expired"
    with pytest.raises(KeyRefused, match="place already"):
        desk.server.do(desk.issuer.rotate(before.record.id))
    at_once = desk.server.do(desk.issuer.rotate(after.record.id, 0))
    (_, second, third), now_ms = desk.server.do(desk.issuer.all("acme"))
    assert [second.state(now_ms), third.state(now_ms), third.id] == ["revoked", "live", at_once.record.id]


def test_what_is_not_live_is_not_rotated_and_what_is_revoked_stays_so(desk: Desk) -> None:
    issued = desk.make()
    revoked = desk.server.do(desk.issuer.revoke(issued.record.id))
    assert desk.server.do(desk.issuer.revoke(issued.record.id)) == revoked
    for change, why in ((desk.issuer.rotate(issued.record.id), "not_live"), (desk.issuer.rotate("a" * 16), "unknown")):
        with pytest.raises(KeyRefused) as refused:
            desk.server.do(change)
        assert refused.value.why == why
    desk.server.do(desk.store.keep(issued.record.changed(revoked.changed_ms + 10), revoked.changed_ms))
    ((kept,), now_ms) = desk.server.do(desk.issuer.all())
    assert kept.state(now_ms) == "revoked", "whatever comes later"


def test_a_tenant_has_no_more_live_keys_than_it_may_however_many_race(desk: Desk) -> None:
    async def race() -> list[object]:
        return await asyncio.gather(
            *(desk.issuer.create("acme", ("view",)) for _ in range(MOST_LIVE + 5)), return_exceptions=True
        )

    made = desk.server.do(race())
    refused = [each for each in made if isinstance(each, KeyRefused)]
    assert [each.why for each in refused] == ["too_many"] * 5
    desk.make("acme2")
    desk.make("acm")
    records, _ = desk.server.do(desk.issuer.all("acme"))
    assert len(records) == MOST_LIVE
    desk.server.do(desk.issuer.revoke(records[0].id))
    desk.make("acme")
    desk.server.command("DEL", keys.api_key(records[1].id))
    desk.make("acme")  # what has gone is not counted, and not listed
    assert desk.server.command("ZSCORE", keys.API_KEYS, f"acme:{records[1].id}") is None


def test_a_revocation_is_told_to_the_apis(desk: Desk) -> None:
    async def scene() -> list[bytes]:
        redis = desk.server.redis
        async with redis.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(keys.REVOKED)
            issued = await desk.issuer.create("acme", ("view",))
            await desk.issuer.rotate(issued.record.id, DAY_MS)
            await desk.issuer.revoke(issued.record.id)
            heard: list[bytes] = []
            while not heard:
                message = await channel.get_message(timeout=1)
                heard += [] if message is None else [message["data"]]
            return [*heard, issued.record.id.encode()]

    heard, id_ = desk.server.do(scene())
    assert heard == id_


def test_cells_that_were_away_learn_what_they_missed_and_no_key_comes_back(server: Server) -> None:
    async def connected() -> ArqRedis:
        return connect(server.url.replace("db=0", "db=1"), connections=2)

    other = server.do(connected())
    desk, here, there = Desk(server, server.redis, other), Desk(server), Desk(server, other)
    both = desk.make()
    assert server.do(there.store.read((both.record.id,))).records[both.record.id] == both.record
    missed = here.make()
    server.do(here.issuer.revoke(both.record.id))
    server.do(there.store.keep(both.record.changed(both.record.changed_ms + 60_000, name="later"), 0))
    found = server.do(desk.store.read((both.record.id, missed.record.id, "a" * 16)))
    right = found.records[both.record.id]
    assert right is not None
    assert right.revoked_ms is not None
    assert found.records["a" * 16] is None
    for each in (here, there):
        mended = server.do(each.store.read((both.record.id, missed.record.id)))
        assert mended.records == {both.record.id: right, missed.record.id: missed.record}
    server.do(other.aclose(close_connection_pool=True))


def test_any_cell_that_answers_will_do_and_none_that_does_is_an_error(server: Server) -> None:
    issued = Desk(server).make()
    desk = Desk(server)

    class Away:
        def __getattr__(self, _: str) -> object:
            raise OSError("away")

    desk.store.clients = [Away(), server.redis]  # type: ignore[list-item]
    assert server.do(desk.store.read((issued.record.id,))).records[issued.record.id] == issued.record
    desk.make()
    desk.store.clients = [Away()]  # type: ignore[list-item]
    with pytest.raises(BrokerError):
        server.do(desk.store.read(()))


ENDS = st.none() | st.integers(1, 5)
RECORDS = st.builds(
    lambda changed, expires, revoked: KeyRecord(
        id="a", tenant="t", scopes=(), pepper="p", digest="d", created_ms=0, changed_ms=changed, expires_ms=expires,
        revoked_ms=revoked,
    ),
    st.integers(0, 5), ENDS, ENDS,
)  # fmt: skip


@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_what_is_right_has_every_end_and_is_as_late_as_any(records: list[KeyRecord]) -> None:
    right = agreed_on(records)
    assert right is not None
    assert right.changed_ms >= max(each.changed_ms for each in records)
    for ends in ("expires_ms", "revoked_ms"):
        assert getattr(right, ends) == min(
            (e for each in records if (e := getattr(each, ends)) is not None), default=None
        )
    assert agreed_on([*records, right]) == right


def test_a_cell_keeps_what_is_right_of_a_record_and_the_one_before_and_nothing_else(server: Server) -> None:
    def record(changed_ms: int, expires_ms: int | None, revoked_ms: int | None) -> KeyRecord:
        return KeyRecord(
            id="a", tenant="t", scopes=(), pepper="p", digest="d", created_ms=0, changed_ms=changed_ms,
            expires_ms=expires_ms, revoked_ms=revoked_ms,
        )  # fmt: skip

    ends = (None, 1, 2)
    all_of_them = [record(*each) for each in itertools.product((0, 1), ends, ends)]
    for before, new in itertools.product(all_of_them, repeat=2):
        server.command("SET", keys.api_key("a"), before.model_dump_json(), "EX", 60)
        is_right = new.changed_ms > before.changed_ms and agreed_on([before, new]) == new
        assert server.do(keep(new, 0).run(server.redis)) == ("kept" if is_right else "older"), (before, new)


@pytest.mark.parametrize("raw", [b"", b"{", b"{}", b"[]", b'{"id":"a"}'])
def test_what_cannot_be_read_is_no_record(raw: bytes) -> None:
    assert read_record(raw) is None

"""What a sweeper does about each thing that it finds, without a server: everything that it asks for is noted."""

import asyncio
from typing import Any, cast

import pytest

from broker.errors import StorageUnavailable
from broker.record import State
from broker.replies import Look
from broker.store.agreement import Agreement
from broker.store.coordination import Coordination
from broker.store.logs import Logs
from tests.harness.clockwork import at_once
from worker.sweeper import Sweeper, SweeperStatistics

AGAIN_MS = 3000


def look(state: State, ordinal: int = 0, lease_ms: int = 0) -> Look:
    return Look(state, ordinal, 1, lease_ms, 1000, 0)


class Store:
    """Both roles: `looks` are the records of what is overdue, `waiting` has jobs in the queue. What APIs and workers agree on,
    too: what is `elsewhere` may have a record on another logs server, where APIs are if the worker is `apart`."""

    def __init__(
        self, looks: dict[str, Look | None], waiting: tuple[str, ...] = (), overdue: int | None = None
    ) -> None:
        self._looks, self._waiting = looks, waiting
        self._overdue = len(looks) if overdue is None else overdue
        self.away = 0
        self.apart = False
        self.elsewhere: set[str] = set()
        self.untold: set[str] = set()
        self.sweeps = 0
        self.did: list[tuple[str, Any]] = []

    async def overdue(self, most: int, again_ms: int) -> tuple[int, list[str]]:
        self.sweeps += 1
        assert (most, again_ms) == (100, AGAIN_MS)
        if self.away:
            self.away -= 1
            raise StorageUnavailable
        return self._overdue, list(self._looks)

    async def looks(self, ids: list[str]) -> dict[str, Look | None]:
        assert ids
        return {id_: self._looks[id_] for id_ in ids}

    async def waiting(self, looks: dict[str, Look]) -> set[str]:
        self.did.append(("waiting", looks))
        return set(self._waiting)

    async def hooked(self, ids: list[str]) -> list[str]:
        return [id_ for id_ in ids if id_ in self.untold]

    async def lost(self, ids: list[str]) -> list[str]:
        return [id_ for id_ in ids if id_ not in self.elsewhere]

    def __getattr__(self, name: str) -> Any:
        async def note(what: Any, _: str = "") -> None:
            if what:
                self.did.append((name, what))

        return note


def sweeper_of(store: Store) -> Sweeper:
    return Sweeper(cast(Logs, store), cast(Coordination, store), cast(Agreement, store), 0.5, AGAIN_MS)


def sweep(store: Store) -> list[tuple[str, Any]]:
    assert asyncio.run(sweeper_of(store).sweep()) == store._overdue
    return store.did


def test_what_has_no_record_is_taken_off_all_lists() -> None:
    assert sweep(Store({"a": None, "b": None})) == [("unlist", ["a", "b"])]


def test_what_of_it_is_to_be_told_yet_is_told_first() -> None:
    store = Store({"a": None, "b": None})
    store.untold = {"b"}
    assert sweep(store) == [("tell", ["b"]), ("unlist", ["a", "b"])]


def test_what_may_have_its_record_on_another_logs_server_is_looked_at_again() -> None:
    store = Store({"a": None, "b": None})
    store.elsewhere = {"b"}
    assert sweep(store) == [("look_again", {"b": 20_000}), ("unlist", ["a"])]


def test_nothing_is_taken_from_those_who_find_it_while_the_records_are_elsewhere() -> None:
    store = Store({}, overdue=0)
    store.apart = True
    assert sweep(store) == []
    assert store.sweeps == 0


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_what_has_ended_is_filed(state: State) -> None:
    ended = look(state, lease_ms=7)
    assert sweep(Store({"a": ended})) == [("retire", {"a": ended})]


def test_what_an_attempt_has_in_hand_is_looked_at_when_its_lease_ends() -> None:
    assert sweep(Store({"a": look("running", 1, 400)})) == [("look_again", {"a": 450})]


def test_what_waits_for_its_next_attempt_is_left_alone() -> None:
    waits = look("running", 2)
    assert sweep(Store({"a": waits}, ("a",))) == [("revoke_expired", ["a"]), ("waiting", {"a": waits})]


def test_what_nobody_has_goes_to_the_queue_and_is_looked_at_again() -> None:
    queued, lost = look("queued"), look("running", 2)
    assert sweep(Store({"a": queued, "b": lost, "c": queued}, ("c",))) == [
        ("revoke_expired", ["b"]),
        ("waiting", {"a": queued, "b": lost, "c": queued}),
        ("enqueue_lost", {"a": queued, "b": lost}),
        ("look_again", {"a": AGAIN_MS, "b": AGAIN_MS}),
    ]


def test_each_gets_what_it_needs_whatever_is_beside_it() -> None:
    ended, held, lost = look("failed"), look("running", 1, 400), look("running", 1)
    assert [what for what, _ in sweep(Store({"a": None, "b": ended, "c": held, "d": lost}))] == [
        "retire", "unlist", "look_again", "revoke_expired", "waiting", "enqueue_lost", "look_again",
    ]  # fmt: skip


def test_nothing_overdue_is_nothing_to_do() -> None:
    assert sweep(Store({}, overdue=3)) == []


@pytest.mark.parametrize(("overdue", "away", "sweeps"), [(0, 0, 5), (99, 0, 5), (0, 3, 5), (100, 0, 50)])
def test_it_sweeps_every_half_second_and_at_once_where_there_is_more(overdue: int, away: int, sweeps: int) -> None:
    async def scene() -> None:
        store = Store({}, overdue=overdue)
        store.away = away
        sweeper = sweeper_of(store)
        running = asyncio.create_task(sweeper.run())
        if overdue == 100:
            for _ in range(200):
                await asyncio.sleep(0)
            assert store.sweeps >= sweeps
        else:
            await asyncio.sleep(2.1)
            assert store.sweeps == sweeps
        seen = sweeper.statistics()
        assert (seen.sweeps, seen.unavailable, seen.overdue) == (store.sweeps, away, overdue * store.sweeps)
        assert not running.done()
        running.cancel()

    at_once(scene())


def test_its_statistics_say_what_became_of_each() -> None:
    looks = {
        "a": None, "b": None, "c": None, "d": look("failed"), "e": look("running", 1, 400), "f": look("running", 2, 400),
        "g": look("queued"), "h": look("running", 1), "i": look("queued"),
    }  # fmt: skip
    store = Store(looks, waiting=("i",), overdue=12)
    store.elsewhere = {"c"}
    sweeper = sweeper_of(store)
    for round_ in (1, 2):
        asyncio.run(sweeper.sweep())
        assert sweeper.statistics() == SweeperStatistics(
            sweeps=round_, unavailable=0, overdue=12 * round_, filed=round_, unlisted=2 * round_, elsewhere=round_,
            leased=2 * round_, postponed=0, enqueued=2 * round_,
        )  # fmt: skip


def test_a_sweeper_without_records_has_not_swept() -> None:
    store = Store({"a": None})
    store.apart = True
    sweeper = sweeper_of(store)
    asyncio.run(sweeper.sweep())
    assert sweeper.statistics() == SweeperStatistics(*[0] * 9)

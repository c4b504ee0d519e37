"""What has ended is filed, whoever comes by; what has not is left as it is, and told of. A worker files its own ends."""

import asyncio
from typing import Any, cast

import pytest
from arq.constants import in_progress_key_prefix, job_key_prefix

from broker import keys
from broker.errors import StorageUnavailable
from broker.ids import new_generation_id
from broker.replies import Finished, Look
from broker.store.coordination import Coordination
from broker.store.indexes import InBatches, Together, file_ended
from broker.store.logs import Logs
from broker.store.queue import Job
from tests.broker.store.scripted import DONE, Generation, Server
from tests.harness.clockwork import at_once


def listed(server: Server, id_: str) -> set[str]:
    """The states that it is listed under."""
    return {state for state in keys.STATES if server.command("ZSCORE", keys.index(state), id_) is not None}


def test_what_has_ended_is_listed_so_and_of_the_others_it_is_said_what_they_do(server: Server) -> None:
    queued, running, ended = (Generation(server) for _ in range(3))
    for each in (queued, running, ended):
        each.create()
        server.do(server.coordination.submit(each.id, None, "f", 3000))
    running.granted()
    ended.finish(ended.granted(), 1)
    nobody = new_generation_id()
    for _ in range(2):
        looks = server.do(file_ended(server.logs, server.coordination, [queued.id, nobody, ended.id, running.id]))
        seen = {id_: look and look.state for id_, look in looks.items()}
        assert seen == {queued.id: "queued", nobody: None, running.id: "running"}
        assert listed(server, ended.id) == {"completed"}
        assert listed(server, queued.id) == listed(server, running.id) == {"queued"}


def test_where_nothing_has_ended_nothing_is_filed(server: Server) -> None:
    queued = Generation(server)
    queued.create()
    assert server.do(file_ended(server.logs, server.coordination, [queued.id])).keys() == {queued.id}
    assert server.command("KEYS", "respool:*") == []


# -- a worker's own ends


class Running(Generation):
    """One that a worker has taken and claimed."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        server.do(server.coordination.submit(self.id, None, "f", 3000))
        self.create(retention_ms=100_000)
        server.do(server.coordination.enqueue(self.id, 1))
        server.do(server.coordination.take(1, lock_ms=60_000, again_ms=3000))
        self.attempt = self.granted()
        self.job = Job(self.id, 1).name

    def traces(self) -> int:
        return int(self.server.command("EXISTS", job_key_prefix + self.job, in_progress_key_prefix + self.job))

    def due(self, key: str = keys.DUE) -> float | None:
        """ms until the look that is noted there."""
        score = self.server.command("ZSCORE", key, self.id)
        return None if score is None else float(score) - self.server.now_ms()


def end(server: Server, of: Running, seq: int = 1) -> Finished:
    return server.do(Together(server.logs, server.coordination).finish(of.id, of.attempt, seq, DONE, of.job))


def test_on_one_server_an_end_is_filed_in_the_step_that_makes_it(server: Server) -> None:
    of = Running(server)
    assert listed(server, of.id) == {"running"}
    assert end(server, of) == Finished("ended")
    assert of.field("state") == "completed"
    assert listed(server, of.id) == {"completed"}
    assert float(server.command("ZSCORE", keys.index("completed"), of.id)) == int(of.field("created_ms") or 0) * 1000
    assert of.due() is None
    assert 95_000 < (of.due(keys.EXPIRING) or 0) <= 101_000
    assert of.traces() == 0
    for key in (keys.EXPIRING, keys.index("completed")):
        assert keys.INDEX_MS - 60_000 < server.command("PTTL", key) <= keys.INDEX_MS


def test_what_does_not_end_is_not_filed(server: Server) -> None:
    of = Running(server)
    assert end(server, of, seq=5) == Finished("behind", 0)
    of.expire_lease()
    of.granted()
    assert end(server, of) == Finished("fenced")
    assert listed(server, of.id) == {"running"}
    assert of.due() is not None
    assert of.due(keys.EXPIRING) is None
    assert of.traces() == 2


def test_an_end_that_is_asked_for_again_or_was_made_by_a_cancel_is_filed_all_the_same(server: Server) -> None:
    of = Running(server)
    end(server, of)
    assert end(server, of) == Finished("ended")
    assert listed(server, of.id) == {"completed"}
    cancelled = Running(server)
    cancelled.expire_lease()
    assert cancelled.cancel() == "cancelled"
    assert end(server, cancelled) == Finished("ended")
    assert listed(server, cancelled.id) == {"cancelled"}
    assert cancelled.traces() == 0


class Roles:
    """Logs that end what they are told to end, and coordination that notes what is filed; `away` for so many batches."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.batches: list[list[str]] = []
        self.times: list[float] = []
        self.how = Finished("ended", look=Look("completed", 1, 5, 0, 1000, 0))
        self.ends = InBatches(cast(Logs, self), cast(Coordination, self))

    async def finish(self, *_: Any) -> Finished:
        return self.how

    async def looks(self, ids: list[str]) -> dict[str, Look | None]:
        return dict.fromkeys(ids, Look("cancelled", 1, 5, 0, 1000, 0))

    async def retire(self, ended: dict[str, Look]) -> None:
        self.times.append(round(asyncio.get_running_loop().time(), 2))
        self.batches.append(list(ended))
        if self.away:
            self.away -= 1
            raise StorageUnavailable

    async def end(self, *ids: str) -> None:
        for id_ in ids:
            await self.ends.finish(id_, 1, 1, DONE, f"{id_}:1")


def test_on_two_servers_ends_are_filed_a_hundred_at_a_time_and_soon() -> None:
    async def scene() -> None:
        roles = Roles()
        running = asyncio.create_task(roles.ends.run())
        ids = [f"g{number}" for number in range(150)]
        began = asyncio.get_running_loop().time()
        await roles.end(*ids)
        await asyncio.sleep(1)
        assert roles.batches == [ids[:100], ids[100:]]
        assert [round(time - began, 2) for time in roles.times] == [0.05, 0.1]
        await roles.end("last")
        await asyncio.sleep(1)
        assert roles.batches[2:] == [["last"]]
        running.cancel()

    at_once(scene())


def test_ends_that_cannot_be_filed_are_left_to_the_sweeper(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        roles = Roles(away=1)
        running = asyncio.create_task(roles.ends.run())
        await roles.end("a", "b")
        await asyncio.sleep(1)
        assert roles.batches == [["a", "b"]]
        running.cancel()

    at_once(scene())
    assert caplog.messages == ["2 ends are not filed, the sweeper will see to it: Redis is away: unreachable"]


def test_ends_that_wait_when_the_worker_ends_are_filed_and_none_waits_twice() -> None:
    async def scene() -> None:
        roles = Roles()
        await roles.end("a", "b", "a")
        await roles.ends.close()
        assert roles.batches == [["a", "b"]]
        await roles.ends.close()
        assert len(roles.batches) == 1

    at_once(scene())


def test_of_very_many_ends_that_wait_the_oldest_go() -> None:
    async def scene() -> None:
        roles = Roles()
        await roles.end(*(f"g{number}" for number in range(10_001)))
        await roles.ends.close()
        assert len(roles.batches) == 100
        assert roles.batches[0][0] == "g1"

    at_once(scene())


def test_what_had_ended_before_is_looked_at_and_filed_and_what_has_not_is_left() -> None:
    async def scene() -> None:
        roles = Roles()
        roles.how = Finished("ended")
        await roles.end("a")
        assert roles.batches == [["a"]]
        for how in (Finished("fenced"), Finished("behind", 3)):
            roles.how = how
            await roles.end("b")
        await roles.ends.close()
        assert roles.batches == [["a"]]

    at_once(scene())

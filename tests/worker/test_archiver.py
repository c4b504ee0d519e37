"""What an archiver does with what is due, on a real server and in a folder, and whatever breaks in between."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from broker import keys
from broker.errors import ArchiveUnavailable, StorageUnavailable
from broker.events import END, TEXT, Content, Entry
from broker.ids import BEGINNING, new_generation_id
from broker.store.agreement import Agreement
from broker.store.archive import Archive, open_archive
from broker.store.archiving import Archiving
from broker.store.erasing import Erasing
from broker.store.logs import Logs
from broker.store.shelf import Shelf
from broker.turns import Turns
from tests.broker.store.scripted import Generation, Server
from worker.archive_sweep import ArchiveSweep
from worker.archiver import NOBODYS_MS, Archiver, ArchiverStatistics

TEXTS = 2500
AFTER = 100.0
HOUR_MS = 3_600_000


class Killed(Exception):
    """This worker does not come to what it was about to do."""


class Agreed:
    """What is `elsewhere` may have a record on another logs server."""

    apart = False
    elsewhere = False

    async def lost(self, ids: Sequence[str]) -> list[str]:
        return [] if self.elsewhere else list(ids)


class Folder(Archive):
    """An archive in a folder; what it is asked for breaks where a test says so."""

    def __init__(self, path: Path) -> None:
        super().__init__(open_archive(f"file://{path}")._store)
        self.path = path
        self.puts = 0
        self.before: BaseException | None = None
        self.behind: BaseException | None = None

    async def put(self, name: str, data: bytes) -> None:
        self.puts += 1
        if self.before is not None:
            raise self.before
        await super().put(name, data)
        if self.behind is not None:
            raise self.behind

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.path.iterdir() if path.name.startswith("gen_"))


class Bench:
    """An archiver, and what it works on."""

    def __init__(self, server: Server, path: Path) -> None:
        self.server = server
        self.archive = Folder(path / "archive")
        self.archiving = Archiving(server.redis)
        self.agreed = Agreed()
        self.archiver = self.another()
        self.sweep = ArchiveSweep(server.logs, self.archiving, self.archive, cast(Agreement, self.agreed))

    def another(self) -> Archiver:
        return Archiver(self.server.logs, self.archiving, self.archive, cast(Agreement, self.agreed), AFTER)

    def due(self, *names: str) -> None:
        self.server.do(self.archiving.look_in(dict.fromkeys(names, -1)))

    def look(self) -> int:
        return self.server.do(self.archiver.look())

    def read(self, generation: Generation) -> list[Entry]:
        """The log, wherever it is."""
        logs = Logs(self.server.redis, Shelf(self.archive, 1_000_000, Turns()))
        return self.server.do(logs.from_(generation.id, BEGINNING, 1_000_000))

    def in_redis(self, generation: Generation) -> bool:
        return bool(self.server.command("EXISTS", generation.keys[1]))

    def in_ms(self, name: str) -> float | None:
        score = self.server.command("ZSCORE", keys.ARCHIVE, name)
        return None if score is None else float(score) - self.server.now_ms()


@pytest.fixture
def bench(server: Server, tmp_path: Path) -> Bench:
    return Bench(server, tmp_path)


@pytest.fixture
def ended(server: Server) -> Generation:
    generation = Generation(server)
    generation.create(HOUR_MS)
    attempt = generation.granted()
    for at in range(0, TEXTS, 500):
        generation.append(attempt, at + 1, *(Content(TEXT, b"%d " % number) for number in range(at, at + 500)))
    generation.finish(attempt, TEXTS + 1)
    return generation


def test_a_log_goes_to_the_archive_whole_and_its_object_is_looked_at_when_it_has_expired(
    bench: Bench, ended: Generation
) -> None:
    before = ended.log
    bench.due(ended.id)
    assert bench.look() == 1
    assert not bench.in_redis(ended)
    assert bench.read(ended) == before
    (name,) = bench.archive.names
    assert HOUR_MS - 60_000 < cast(float, bench.in_ms(name)) <= HOUR_MS + 1000
    size = (bench.archive.path / name).stat().st_size
    assert bench.archiver.statistics() == ArchiverStatistics(1, size, 0, 0)
    bench.due(ended.id)
    bench.look()
    assert bench.in_ms(ended.id) is None
    assert bench.archive.puts == 1


def test_a_log_that_redis_gets_back_when_it_was_archived_is_archived_again(bench: Bench, ended: Generation) -> None:
    saved, before = ended.save(), ended.log
    bench.due(ended.id)
    bench.look()
    ended.roll_back(saved)
    bench.due(ended.id)
    bench.look()
    assert bench.archive.puts == 2
    assert not bench.in_redis(ended)
    assert bench.read(ended) == before
    bench.due(*bench.archive.names)
    bench.look()
    assert len(bench.archive.names) == 1


def test_an_object_goes_when_its_stub_has_gone_and_not_before(bench: Bench, ended: Generation) -> None:
    bench.due(ended.id)
    bench.look()
    (name,) = bench.archive.names
    bench.due(name)
    bench.look()
    assert bench.archive.names == [name]
    assert cast(float, bench.in_ms(name)) > HOUR_MS - 60_000
    bench.server.command("DEL", ended.keys[0])
    bench.due(name)
    bench.look()
    assert bench.archive.names == []
    assert bench.in_ms(name) is None
    assert bench.archiver.statistics().erased == 1


@pytest.mark.parametrize("when", ["before", "behind"])
@pytest.mark.parametrize("error", [Killed(), ArchiveUnavailable("test")])
def test_who_breaks_off_before_redis_has_dropped_the_log_loses_nothing_and_leaves_no_orphan(
    bench: Bench, ended: Generation, when: str, error: Exception
) -> None:
    before = ended.log
    bench.due(ended.id)
    setattr(bench.archive, when, error)
    with pytest.raises(type(error)):
        bench.look()
    assert bench.in_redis(ended)
    assert ended.log == before
    assert AFTER * 1000 - 60_000 < cast(float, bench.in_ms(ended.id)) <= AFTER * 1000, "it is due again"
    left = bench.archive.names
    assert len(left) == (when == "behind")
    listed = [name.decode() for name in bench.server.command("ZRANGE", keys.ARCHIVE, 0, -1) if b"." in name]
    assert set(left) <= set(listed)
    assert all(cast(float, bench.in_ms(name)) <= NOBODYS_MS for name in listed)

    setattr(bench.archive, when, None)
    bench.due(ended.id, *listed)
    assert bench.look() == 2
    assert bench.read(ended) == before
    assert len(bench.archive.names) == 1
    assert bench.archive.names != left


def test_who_breaks_off_behind_that_leaves_all_in_order(bench: Bench, ended: Generation) -> None:
    before, archive = ended.log, bench.server.logs.archive
    bench.due(ended.id)

    async def killed(*arguments: Any) -> None:
        await archive(*arguments)
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.server.logs, "archive", killed)
        with pytest.raises(Killed):
            bench.look()
    names = bench.archive.names
    assert cast(float, bench.in_ms(names[0])) <= NOBODYS_MS
    bench.due(ended.id, *names)
    assert bench.look() == 2
    assert bench.archive.puts == 1
    assert bench.archive.names == names
    assert bench.read(ended) == before
    assert bench.in_ms(ended.id) is None
    assert cast(float, bench.in_ms(names[0])) > HOUR_MS - 60_000


def test_a_log_that_has_become_another_meanwhile_stays(bench: Bench, server: Server) -> None:
    generation = Generation(server)
    generation.create()
    attempt = generation.granted()
    generation.append(attempt, 1, Content(TEXT, b"a"))
    saved = generation.save()
    generation.finish(attempt, 2)
    put = bench.archive.put

    async def rewound(name: str, data: bytes) -> None:
        await put(name, data)
        for key, dump, ttl in saved.keys:
            await server.redis.delete(key)
            if dump is not None:
                await server.redis.restore(key, ttl, dump)

    bench.archive.put = rewound  # type: ignore[method-assign]
    bench.due(generation.id)
    bench.look()
    bench.archive.put = put  # type: ignore[method-assign]
    assert generation.field("archived") is None
    assert len(generation.log) == 2
    (orphan,) = bench.archive.names

    bench.due(generation.id)
    bench.look()
    assert bench.in_ms(generation.id) is None, "it runs again, and is listed when it ends"
    generation.finish(attempt, 2)
    bench.due(generation.id, orphan)
    bench.look()
    assert orphan not in bench.archive.names
    assert [entry.kind for entry in bench.read(generation)][-1] == END


def test_two_archivers_of_one_log_are_no_harm(bench: Bench, ended: Generation) -> None:
    before, other, put = ended.log, bench.another(), bench.archive.put

    async def meanwhile(name: str, data: bytes) -> None:
        bench.archive.put = put  # type: ignore[method-assign]
        await put(name, data)
        await bench.archiving.look_in({ended.id: -1})
        assert await other.look() == 1

    bench.archive.put = meanwhile  # type: ignore[method-assign]
    bench.due(ended.id)
    bench.look()
    assert bench.archive.puts == 2
    assert bench.read(ended) == before
    bench.due(*bench.archive.names)
    bench.look()
    assert len(bench.archive.names) == 1
    assert bench.read(ended) == before


@pytest.mark.parametrize("behind", ["put", "archive"])
def test_of_what_is_erased_while_it_is_archived_nothing_stays(bench: Bench, ended: Generation, behind: str) -> None:
    server = bench.server
    owner = bench.archive if behind == "put" else server.logs
    step = getattr(owner, behind)

    async def then_erased(*arguments: Any) -> object:
        outcome: object = await step(*arguments)
        await Erasing(server.logs, server.coordination, bench.archive).erase(ended.id, confirm=False)
        return outcome

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, behind, then_erased)
        bench.due(ended.id)
        bench.look()
    assert bench.archive.names == []
    assert [name for name in server.command("ZRANGE", keys.ARCHIVE, 0, -1) if ended.id.encode() in name] == []


def test_what_has_gone_or_may_be_elsewhere_is_left(bench: Bench, ended: Generation, server: Server) -> None:
    gone, orphan = Generation(server), f"{ended.id}.{'0' * 40}"
    (bench.archive.path / orphan).write_bytes(b"")
    server.command("DEL", *ended.keys)
    bench.agreed.elsewhere = True
    bench.due(gone.id, orphan)
    bench.look()
    assert bench.archive.names == [orphan]
    assert None not in (bench.in_ms(gone.id), bench.in_ms(orphan))
    bench.agreed.elsewhere = False
    bench.due(gone.id, orphan)
    bench.look()
    assert bench.archive.names == []
    assert (bench.in_ms(gone.id), bench.in_ms(orphan)) == (None, None)
    bench.agreed.apart = True
    bench.due(gone.id)
    assert bench.look() == 0


def test_one_that_fails_keeps_none_of_the_others(bench: Bench, ended: Generation, server: Server) -> None:
    other = Generation(server)
    other.create()
    other.cancel()
    put = bench.archive.put

    async def fails(name: str, data: bytes) -> None:
        if name.startswith(ended.id):
            raise ArchiveUnavailable("test")
        await put(name, data)

    bench.archive.put = fails  # type: ignore[method-assign]
    bench.due(ended.id, other.id)
    with pytest.raises(StorageUnavailable):
        bench.look()
    assert bench.in_redis(ended)
    assert not bench.in_redis(other)
    assert bench.archiver.statistics().unavailable == 1


# -- what the list does not know of


def test_a_sweep_erases_what_is_old_and_nobody_s_and_nothing_else(bench: Bench, ended: Generation) -> None:
    server = bench.server
    server.command("SET", keys.IDENTITY, "ours", "PX", HOUR_MS)
    bench.due(ended.id)
    bench.look()
    (named,) = bench.archive.names
    old, fresh = (f"{Generation(server).id}.{sign * 40}" for sign in "01")
    other_try = f"{ended.id}.{'2' * 40}"
    for name in (old, fresh, other_try, "somebody's"):
        (bench.archive.path / name).write_bytes(b"")
    for name in (old, other_try, named, "somebody's"):
        age(bench.archive.path / name)
    assert server.do(bench.sweep.look()) == 2
    assert bench.archive.names == sorted([named, fresh])
    assert (bench.archive.path / "somebody's").exists()
    assert server.do(bench.sweep.look()) is None, "once a day"


def test_nothing_is_swept_in_another_s_archive_nor_by_who_does_not_know_who_it_is(bench: Bench) -> None:
    server = bench.server
    orphan = bench.archive.path / f"{Generation(server).id}.{'0' * 40}"
    orphan.write_bytes(b"")
    age(orphan)
    assert server.do(bench.sweep.look()) is None
    server.do(bench.archive.claim("another's"))
    server.command("SET", keys.IDENTITY, "ours", "PX", HOUR_MS)
    assert server.do(bench.sweep.look()) is None
    assert orphan.exists()
    bench.agreed.apart = True
    server.command("DEL", keys.ARCHIVE_SWEPT)
    assert server.do(bench.sweep.look()) is None
    assert server.command("EXISTS", keys.ARCHIVE_SWEPT) == 0


def test_a_sweep_leaves_what_is_another_cell_s_and_each_has_an_owner_of_its_own(bench: Bench) -> None:
    server = bench.server
    server.command("SET", keys.IDENTITY, "ours", "PX", HOUR_MS)
    server.do(bench.archive.claim("another's", 0))
    theirs, ours = (bench.archive.path / f"{new_generation_id(cell)}.{'0' * 40}" for cell in (0, 3))
    for orphan in (theirs, ours):
        orphan.write_bytes(b"")
        age(orphan)
    sweep = ArchiveSweep(server.logs, bench.archiving, bench.archive, cast(Agreement, bench.agreed), 3)
    assert server.do(sweep.look()) == 1
    assert theirs.exists()
    assert not ours.exists()
    owners = {path.name: path.read_text() for path in bench.archive.path.glob("respool-owner*")}
    assert owners == {"respool-owner": "another's", "respool-owner-3": "ours"}


def age(path: Path) -> None:
    """It was written two hours ago."""
    os.utime(path, (time.time() - 7200,) * 2)

"""The server under test, and how it comes back without its latest second: its append-only file is cut where it ended a while
ago, as the crash of a host (or a lagging replica) would have it."""

import asyncio
import os
import random
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from broker import keys
from broker.local.embedded import EmbeddedServer, free_port
from broker.store.client import connect
from tests.proof.chaos.history import Recorder, now

_MARK_EVERY = 0.05
_MARKS_SECONDS = 5.0
_SNAPSHOT = "blocked.rdb"
_LEASES_AHEAD = """
local moved = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  if redis.call('TYPE', key).ok == 'hash' then
    local r = redis.call('HMGET', key, 'claimant', 'lease_until')
    if r[1] and r[2] and string.sub(r[1], 1, #ARGV[1]) == ARGV[1] then
      redis.call('HINCRBY', key, 'lease_until', ARGV[2])
      moved[#moved + 1] = string.match(key, '{(gen_%w+)}')
    end
  end
end
return moved
"""
_WHERE_THEY_END = """
local names = {}
for i = 1, #ARGV, 3 do
  local last, name = redis.call('XREVRANGE', ARGV[i], '+', '-', 'COUNT', 1)[1], redis.call('HGET', ARGV[i + 1], 'claimant')
  if name and last and last[1] == ARGV[i + 2] then names[#names + 1] = name end
end
return names
"""
SHORTEST = 0.2
"""Seconds that a rewind takes back at least."""


class Mark(NamedTuple):
    """The file was so long then: whatever was acknowledged before is in it."""

    t: float
    file: Path
    size: int


class Store:
    """`lock` is held by whoever has it down or frozen. `role` is `both`, or the one of two that it plays. Run `watch` as a
    task."""

    def __init__(self, folder: Path, role: str = "both", config: Mapping[str, str] | None = None) -> None:
        self.role = role
        (folder / _SNAPSHOT / "in the way").mkdir(parents=True)  # so that a snapshot fails, where one is asked for
        self.server = EmbeddedServer(folder, free_port(), config={"dbfilename": _SNAPSHOT, **(config or {})})
        self.lock = asyncio.Lock()
        self.down = False
        self._marks: deque[Mark] = deque()

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)
        self.down = False

    async def kill(self) -> float:
        """SIGKILL; when it was gone."""
        self.down = True
        await asyncio.to_thread(self.server.kill)
        return now()

    async def lose(self, seconds: float, recorder: Recorder) -> bool:
        """Dies, and comes back as it was so long before; False if nothing was lost."""
        at = await self.kill()
        found = self.rewind(seconds)
        if found is not None:
            recorder.write("rewind", at=at, mark=found[0], bytes=found[1], of=self.role)
        await self.start()
        return found is not None

    async def watch(self) -> None:
        """Notes how long the append-only file is, until cancelled."""
        while True:
            if not self.down and (file := self._file()) is not None:
                self._marks.append(Mark(now(), file, os.stat(file).st_size))
                while self._marks[0].t < now() - _MARKS_SECONDS:
                    self._marks.popleft()
            await asyncio.sleep(_MARK_EVERY)

    def _file(self) -> Path | None:
        """The file that is appended to; the manifest names it last."""
        folder = self.server.data_dir / "appendonlydir"
        manifests = list(folder.glob("*.manifest"))
        if not manifests:
            return None
        last = manifests[0].read_text().strip().splitlines()[-1].split()
        return folder / last[1] if last[-1] == "i" else None

    def rewind(self, seconds: float) -> tuple[float, int] | None:
        """Cuts the file of a server that is down to what it was so long before now. When that was, and how many bytes are
        gone; None if nothing is known of the file yet, or nothing was written since."""
        file = self._file()
        marks = [mark for mark in self._marks if mark.file == file and mark.t <= now() - seconds]
        if file is None or not marks or marks[-1].size == file.stat().st_size:
            return None
        mark, size = marks[-1], file.stat().st_size
        os.truncate(file, mark.size)
        self._marks.clear()
        return mark.t, size - mark.size

    async def command(self, *words: str | int) -> object:
        """One command on a connection of its own, past all proxies."""
        redis = connect(self.server.url, connections=1, retries=0)
        try:
            return await redis.execute_command(*words)  # type: ignore[no-untyped-call]
        finally:
            await redis.aclose(close_connection_pool=True)

    async def where_logs_end(self, at: Mapping[str, str]) -> set[str]:
        """The names of workers that run one of these generations, where its log ends with this id. What an entry says is
        sealed, as a rule: whoever asks knows it from a viewer."""
        words = [word for id_, cursor in at.items() for word in (keys.log(id_), keys.record(id_), cursor)]
        names = await self.command("EVAL", _WHERE_THEY_END, 0, *words) if words else []
        return {name.decode().partition("/")[0] for name in names} if isinstance(names, list) else set()

    async def config(self, name: str) -> str:
        """What the server is configured as."""
        told = await self.command("CONFIG", "GET", name)
        assert isinstance(told, list)
        value: bytes = told[1]
        return value.decode()

    async def fail_a_snapshot(self) -> bool:
        """Whether one has failed: a folder has the file's name."""
        await self.command("BGSAVE")
        for _ in range(100):
            if b"rdb_last_bgsave_status:err" in await self._persistence():
                return True
            await asyncio.sleep(0.02)
        return False

    async def _persistence(self) -> bytes:
        told = await self.command("INFO", "persistence")
        return b"\n".join(f"{name}:{value}".encode() for name, value in cast(dict[str, object], told).items())

    async def put_leases_ahead(self, claimant: str, ms: int) -> list[str]:
        """Every lease that this worker holds is so much later; of which generations."""
        moved = await self.command("EVAL", _LEASES_AHEAD, 0, claimant + "/", ms)
        return [id_.decode() for id_ in moved] if isinstance(moved, list) else []

    async def put_looks_ahead(self, ids: Sequence[str], ms: int) -> None:
        """Every look at these generations that is due is so much later."""
        for id_ in ids:
            if await self.command("ZSCORE", keys.DUE, id_) is not None:
                await self.command("ZINCRBY", keys.DUE, ms, id_)


def depth(rng: random.Random, number: int) -> float:
    """How far back a rewind goes, in seconds: by turns less than a claim is old, so that attempts go on and write again what
    is lost, and as much as AOF everysec may lose, and a little more."""
    return rng.choice((SHORTEST, 0.3)) if number % 2 else rng.choice((0.5, 1.0, 1.5))

"""What has stayed in the end where nothing should: of what was erased, of secrets; the ledger of a tenant; the audit log."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import orjson

from api.audit.verify import files_of, verify
from broker import keys
from broker.local.embedded import LOG
from tests.proof.chaos.clients import Generation
from tests.proof.chaos.cluster import Cluster
from tests.proof.chaos.history import Recorder, now
from tests.proof.chaos.setting import AUDIT, CANARY, LIMITED
from tests.proof.chaos.store import Store

_GONE_SECONDS: Final = 15.0
"""In which sweepers complete what was erased, which they do twice."""
_PLAIN_KINDS: Final = ("t", "k", "i")
_REMAINS = """
local ids, found = {}, {}
for _, id in ipairs(ARGV) do ids[id] = true end
local function look(key, text)
  for id in string.gmatch(text, 'gen_%w+') do if ids[id] then found[#found + 1] = key .. ' ' .. id end end
end
for _, key in ipairs(redis.call('KEYS', '*')) do
  local type = redis.call('TYPE', key).ok
  if not (string.find(key, ':was$') or string.find(key, '^respool:eras') or string.find(key, '^respool:idem:')) then
    look('the name', key)
    if type == 'zset' then for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do look(key, member) end end
    if type == 'hash' then for _, name in ipairs(redis.call('HKEYS', key)) do look(key, name) end end
  end
end
return found
"""
_PLAIN = """
local found = {}
for _, key in ipairs(redis.call('KEYS', '*:log')) do
  for _, entry in ipairs(redis.call('XRANGE', key, '-', '+', 'COUNT', 100)) do
    for _, kind in ipairs(ARGV) do if entry[2][1] == kind then found[key] = true found[1] = key end end
  end
end
return { found[1] }
"""


async def erased(cluster: Cluster, recorder: Recorder, generations: Sequence[Generation]) -> None:
    """Writes down what is left of each generation that was erased: places in the store, objects of the archive."""
    ids = {id_: each.wish.gen for each in generations if each.erased for id_ in each.ids}
    end = now() + _GONE_SECONDS
    while (left := await _left(cluster, list(ids))) and now() < end:
        await asyncio.sleep(0.3)
    for id_, places in left.items():
        recorder.write("remains", gen=ids[id_], id=id_, places=sorted(places))


async def _left(cluster: Cluster, ids: Sequence[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for store in cluster.stores:
        rows = await store.command("EVAL", _REMAINS, 0, *ids) if ids else []
        for row in rows if isinstance(rows, list) else []:
            place, _, id_ = row.decode().rpartition(" ")
            found[id_].add(place)
    for id_ in ids:
        found_there = [path.name for path in (cluster.folder / "archive").glob(f"{id_}*")]
        if found_there:
            found[id_] |= {f"the archive: {name}" for name in found_there}
    return found


async def ledger(cluster: Cluster, recorder: Recorder) -> None:
    """What the limited tenant is charged when all has ended."""
    store = cluster.coordination
    used = _pairs(await store.command("HGETALL", keys.used(LIMITED)))
    charges = _pairs(await store.command("HGETALL", keys.charges(LIMITED)))
    waiting = [await store.command("ZCARD", keys.index(state, LIMITED)) for state in ("queued", "running")]
    recorder.write("ledger", tenant=LIMITED, used=used, charges=charges, queued=waiting[0], running=waiting[1])


def _pairs(told: object) -> dict[str, str]:
    assert isinstance(told, dict)
    return {name.decode(): value.decode() for name, value in told.items()}


def audit(cluster: Cluster, recorder: Recorder) -> None:
    """Whether the audit log is whole, and what it tells of submits, erasures and keys, by their ids."""
    folder = cluster.folder / AUDIT
    noted: dict[str, list[str]] = defaultdict(list)
    for path in files_of([folder]):
        for raw in path.read_bytes().splitlines():
            try:
                line = orjson.loads(raw)
            except orjson.JSONDecodeError:
                continue  # half a line, of a process that was killed
            if line.get("id") and line["action"] != "view":
                noted[line["action"]].append(line["id"])
    report = verify([folder])
    recorder.write("audit", faults=report.faults, lines=report.lines, noted=noted)


async def secrets(cluster: Cluster, recorder: Recorder) -> None:
    """Where prompts, keys and tokens can be read: in logs, in keys' names; at rest too, where that is sealed."""
    secret = [text.rpartition(".")[2] if "." in text else text.split("_")[2] for text in cluster.desk.made]
    words = [CANARY.encode(), *(each.encode() for each in secret)]
    found: list[str] = []
    for path in _logs(cluster):
        text = path.read_bytes()
        found += [f"{_said(word)} in {path.name}" for word in words if word in text]
    for store in cluster.stores:
        names, slow = await store.command("KEYS", "*"), await store.command("SLOWLOG", "GET", 1000)
        told = repr(names).encode() + repr(slow).encode()
        found += [f"{_said(word)} in the names of keys or the slow log" for word in words if word in told]
        if cluster.setting.sealed:
            found += await _at_rest(store)
    if cluster.setting.sealed:
        objects = [path for path in (cluster.folder / "archive").rglob("*") if path.is_file()]
        found += [f"{_said(words[0])} in {path.name}" for path in objects if words[0] in path.read_bytes()]
    recorder.write("secrets", found=found)


def _logs(cluster: Cluster) -> Iterator[Path]:
    yield from cluster.folder.glob("*.log")
    yield from (cluster.folder / AUDIT).glob("*")
    for store in cluster.stores:
        yield from store.server.data_dir.glob(LOG)


async def _at_rest(store: Store) -> list[str]:
    """What a copy of the store's file would tell."""
    files = [path for path in store.server.data_dir.rglob("*.aof") if path.is_file()]
    found = [f"{_said(CANARY.encode())} in {path.name}" for path in files if CANARY.encode() in path.read_bytes()]
    plain = await store.command("EVAL", _PLAIN, 0, *_PLAIN_KINDS)
    return (
        found + [f"a plain token in {key.decode()}" for key in plain or () if key] if isinstance(plain, list) else found
    )


def _said(word: bytes) -> str:
    return "a prompt" if word == CANARY.encode() else "a key or a token"

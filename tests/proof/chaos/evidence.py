"""What is there in the end: logs and records through the API, the upstream's account, Redis keys, processes."""

import asyncio
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import orjson

from broker import keys
from tests.proof.chaos.clients import Generation
from tests.proof.chaos.cluster import Cluster, Member
from tests.proof.chaos.history import Recorder, now
from tests.proof.chaos.passes import Holder
from tests.proof.chaos.wire import Address, Lost, Reply, ask

_TRIES = 40
_EMPTY = (keys.QUEUE, keys.index("queued"), keys.index("running"), keys.RUNNING)
"""When every generation has ended, nothing waits, runs, or should have been looked at by now."""
_EMPTY_SECONDS = 10.0
_TOLD_SECONDS = 30.0
_NAMED = 9
_ETERNAL = """
local found = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  if redis.call('PTTL', key) == -1 then found[#found + 1] = key end
end
return found
"""


async def outcome(cluster: Cluster, recorder: Recorder, generation: Generation) -> None:
    """Writes down the generation's record and its whole log, as each API tells it, and what upstream was asked. Whatever
    else was made of its key is a generation of its own: the store had forgotten the first."""
    gen = generation.wish.gen
    for number, id_ in enumerate(generation.ids):
        await _ended(cluster, recorder, generation, id_, f"{gen}+{number}" if number else gen)
    if generation.ids:
        calls = (await _get(cluster.upstream, f"/_sim/requests?user_id={generation.holder.user(gen)}")).body
        recorder.write("asked", gen=gen, calls=[_call(call) for call in Reply(200, calls).json])


async def _ended(cluster: Cluster, recorder: Recorder, generation: Generation, id_: str, name: str) -> None:
    holder = generation.holder
    record = await _get(cluster.addresses[0], f"/v1/generations/{id_}", holder)
    if record.status != 200:
        recorder.write("gone", gen=generation.wish.gen, id=id_, status=record.status, code=record.json["code"])
        return
    recorder.write("record", gen=name, record=record.json)
    if record.json["state"] in ("queued", "running"):
        return
    for number, address in enumerate(cluster.addresses):
        log = await _get(address, f"/v1/generations/{id_}/events", holder)
        blocks = [block for block in log.body.decode().split("\n\n") if "data: " in block]
        recorder.write("read", gen=name, api=number, blocks=blocks)


async def upstream_faults(cluster: Cluster) -> set[str]:
    """What has gone wrong upstream so far."""
    calls = Reply(200, (await _get(cluster.upstream, "/_sim/requests")).body).json
    return {call["fault"] for call in calls if call["fault"]}  # type: ignore[index]


def _call(call: Any) -> dict[str, Any]:
    names = ("path", "status", "fault", "continued", "tokens", "closed_by")
    times = {name: None if call[f"{name}_ns"] is None else call[f"{name}_ns"] / 1e9 for name in ("at", "closed")}
    asked = max(1, int(call["headers"]["content-length"]) // 4)
    return {**{name: call[name] for name in names}, **times, "input": asked}


async def _get(address: Address, target: str, holder: Holder | None = None) -> Reply:
    for _ in range(_TRIES):
        try:
            headers = holder.headers() if holder is not None else {}
            reply = await ask(address, "GET", target, headers={"Accept": "*/*", **headers})
            if reply.status == 401 and holder is not None:
                await holder.refused()
            elif reply.status < 500 and reply.status != 429:
                return reply
        except Lost:
            pass
        await asyncio.sleep(0.1)
    raise AssertionError(f"{target} was not answered")


async def not_ended(cluster: Cluster, ids: Sequence[str]) -> list[str]:
    """Those of these generations that have not ended yet, by what their record says."""
    rows = [await cluster.logs.command("HGET", keys.record(id_), "state") for id_ in ids]
    return [id_ for id_, row in zip(ids, rows, strict=True) if row in (b"queued", b"running")]


async def told(cluster: Cluster, ids: Sequence[str]) -> None:
    """Returns when of each of these ends it is known what became of its webhook, or half a minute later."""
    end = now() + _TOLD_SECONDS
    left = list(ids)
    while left and now() < end:
        rows = [await cluster.logs.command("HMGET", keys.record(id_), "webhook", "delivery") for id_ in left]
        left = [id_ for id_, row in zip(left, rows, strict=True) if _untold(row)]
        await asyncio.sleep(0.2)


def _untold(row: object) -> bool:
    """Whether there is a webhook, and no try of it is over."""
    if not isinstance(row, list) or row[0] is None:
        return False
    return row[1] is None or orjson.loads(row[1])["tries"] == 0


async def redis_keys(cluster: Cluster, recorder: Recorder) -> None:
    """I13: which keys live for ever, and what should be empty by now and is not. Waits a little for the sweepers."""
    left = await nothing_left(cluster, _EMPTY_SECONDS)
    eternal: list[bytes] = []
    for store in cluster.stores:
        eternal += cast("list[bytes]", await store.command("EVAL", _ETERNAL, 0))
    recorder.write("keys", eternal=[key.decode() for key in eternal], left=left)


async def nothing_left(cluster: Cluster, seconds: float) -> dict[str, list[str]]:
    """What still waits, runs or is due when so long is over, if not all has ended before."""
    end = now() + seconds
    while (left := await _left(cluster)) and now() < end:
        await asyncio.sleep(0.2)
    return left


async def _left(cluster: Cluster) -> dict[str, list[str]]:
    """The first few members of what should be empty."""
    soon = round(time.time() * 1000) + 1000
    store = cluster.coordination
    found = {key: await store.command("ZRANGE", key, 0, _NAMED) for key in _EMPTY}
    found[keys.DUE] = await store.command("ZRANGEBYSCORE", keys.DUE, "-inf", soon, "LIMIT", 0, _NAMED)
    return {
        key: [one.decode() for one in members]
        for key, members in found.items()
        if isinstance(members, list) and members
    }


def processes(cluster: Cluster, recorder: Recorder, when: str) -> None:
    """I13: what each process holds. `viewers` are connections on an API's port."""
    for member in cluster.members:
        recorder.write("process", name=member.name, pid=member.child.pid, when=when, **_held(member))


def _held(member: Member) -> dict[str, int]:
    proc = Path(f"/proc/{member.child.pid}")
    if not proc.exists():  # no Linux: nothing is known
        return {}
    status = (proc / "status").read_text()
    figures = {name: int(value) for name, value in re.findall(r"^(VmRSS|Threads):\s+(\d+)", status, re.MULTILINE)}
    held = {
        "descriptors": len(list((proc / "fd").iterdir())), "threads": figures["Threads"], "kib": figures["VmRSS"],
    }  # fmt: skip
    if member.is_api:
        held["viewers"] = _established(member.address[1])
    return held


def _established(port: int) -> int:
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    local = f":{port:04X}"
    return sum(row.split()[1].endswith(local) and row.split()[3] == "01" for row in rows)

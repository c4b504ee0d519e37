"""One tenant submits a crowd at once, and another one a single generation behind it: whose turn it is when, records tell."""

import asyncio
import random
from typing import Final

import orjson

from tests.proof.chaos.clients import Generation
from tests.proof.chaos.cluster import SETTINGS, Cluster
from tests.proof.chaos.guard import refuses
from tests.proof.chaos.history import Recorder, now
from tests.proof.chaos.pressing import small
from tests.proof.chaos.wire import ask

CROWD: Final = 90
"""Of generations that take half a second each; far more than there are slots."""
_SECONDS: Final = 20.0
_A_TURN: Final = 4


async def take_turns(cluster: Cluster, recorder: Recorder, rng: random.Random) -> list[Generation]:
    """Writes down how many of the crowd, submitted before, were begun between the other one's submit and its start. Returns
    what was made beside the crowd, which ends by itself."""
    if not cluster.setting.keys:
        return []
    while refuses(seed := rng.randrange(10_000)):
        pass
    model = f"sim-1?seed={seed}&tokens=10&tps=20&ttft_ms=20"
    crowd, other = cluster.desk.of(0), cluster.desk.of(1)
    one = Generation(small(f"turn-{seed}", model, (seed, 10)), cluster.addresses, recorder, other)
    lines = [orjson.dumps({"model": model, "messages": [{"role": "user", "content": "Go."}]})] * CROWD
    made = await ask(
        cluster.addresses[0], "POST", "/v1/generations/batch", seconds=_SECONDS,
        headers={**crowd.headers(), "Content-Type": "application/jsonl"}, raw=b"\n".join(lines),
    )  # fmt: skip
    ids = [
        verdict["generation"]["id"] for verdict in map(orjson.loads, made.body.splitlines()) if "generation" in verdict
    ]
    await one.run(until=now() + _SECONDS)
    records = [
        (await ask(cluster.addresses[0], "GET", f"/v1/generations/{id_}", headers=crowd.headers())).json for id_ in ids
    ]
    mine = (await ask(cluster.addresses[0], "GET", f"/v1/generations/{one.id}", headers=other.headers())).json
    begun = [each["started_at_ms"] for each in records]
    before = sum(at is not None and mine["created_at_ms"] < at < mine["started_at_ms"] for at in begun)
    slots = SETTINGS["max_jobs"]
    assert isinstance(slots, int)
    recorder.write("turns", crowd=len(ids), before=before, most=slots * len(cluster.workers) + _A_TURN)
    while any(each["state"] not in ("completed", "failed", "cancelled") for each in await _states(cluster, ids)):
        await asyncio.sleep(0.3)
    return [one]


async def _states(cluster: Cluster, ids: list[str]) -> list[dict[str, object]]:
    headers = cluster.desk.of(0).headers()
    return [
        (await ask(cluster.addresses[0], "GET", f"/v1/generations/{id_}", headers=headers)).json for id_ in ids[-5:]
    ]

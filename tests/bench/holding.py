"""What a token costs Redis, and how many generations one worker holds."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx2

from broker import keys
from broker.events import TEXT
from broker.store.client import connect
from tests.bench.probe import Caller, Stream
from tests.bench.report import Figures
from tests.bench.system import resident_kb
from tests.bench.systems import Respool, System
from tests.harness.stack import until
from worker.simulator.text import markdown

TOKENS = 4000
MANY = 500
_SEED = 7


def memory(system: System, figures: Figures) -> None:
    """One long generation of word-sized tokens at a real pace, and what Redis holds of it."""
    id_ = Caller(system.port).submit(f"sim-1?ttft_ms=5&tps=500&tokens={TOKENS}&seed={_SEED}")
    with Stream(system.port, id_) as stream:
        for _ in stream:
            pass
    used, entries, text = asyncio.run(_memory_of(system.redis_url, id_))
    put = figures.put
    put(system.name, "Redis memory of a log per text token", "bytes", used / entries, target=40, samples=entries)
    put(system.name, "the token's own text", "bytes", text / entries, samples=entries)


async def _memory_of(url: str, id_: str) -> tuple[int, int, int]:
    """MEMORY USAGE of the log, how many text entries it has, bytes of their text."""
    redis = connect(url)
    try:
        used = await redis.memory_usage(keys.log(id_), samples=0)
        rows = await redis.xrange(keys.log(id_))
    finally:
        await redis.aclose(close_connection_pool=True)
    tokens = [value for _, fields in rows for kind, value in fields.items() if kind in (TEXT, b"data")]
    texts = markdown(_SEED, TOKENS)
    assert len(tokens) >= len(texts), "the log is whole"
    return int(used), len(texts), sum(len(text.encode()) for text in texts)


def many(figures: Figures) -> None:
    """500 generations in one worker at the same time; the upstream is the witness that all were open at once."""
    tokens = 100
    with Respool(max_jobs=MANY) as system:
        model = f"sim-1?ttft_ms=4000&tps=10&tokens={tokens}&jitter=0.3&seed={_SEED}"
        with ThreadPoolExecutor(8) as pool:
            ids = list(pool.map(lambda _: Caller(system.port).submit(model), range(MANY)))
        upstream = httpx2.Client(base_url=system.upstream_url, timeout=20)
        most = 0

        def open_now() -> int:
            nonlocal most
            most = max(most, int(upstream.get("/_sim/health").json()["open"]))
            return most

        until(lambda: open_now() >= MANY, f"{MANY} upstream calls are open at once", 60)
        size = resident_kb([system.pids["worker"]])
        caller = Caller(system.port)
        whole = "".join(markdown(_SEED, tokens))
        intact = 0
        for id_ in ids:

            def ended(id_: str = id_) -> dict[str, object] | None:
                record: dict[str, object] = caller.call("GET", f"/v1/generations/{id_}")[1]
                return record if record["state"] not in ("queued", "running") else None

            record = until(ended, "the generation ends", 120)
            intact += record["state"] == "completed" and record["text"] == whole
        put = figures.put
        put("respool", f"{MANY} generations in one worker: open upstream at once", "generations", most)
        put("respool", f"{MANY} generations in one worker: not completed with their exact text", "generations",
            MANY - intact, target=0)  # fmt: skip
        put("respool", f"{MANY} generations in one worker: memory of the worker", "MB", size / 1024)

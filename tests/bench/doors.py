"""What the gate costs a viewer that comes back, on the quick way in: who asks, of as many keys as a process knows."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from api.access.api_keys import ApiKey, new_key
from api.access.gate import Header, Open, Policy, Principal
from api.access.linked import Linked, Revoked
from api.access.links import Links
from api.access.peppers import peppers_of
from api.keys import ring
from api.keys.everywhere import Everywhere, Found
from api.keys.keyed import Keyed
from broker.api_keys import KeyRecord
from tests.bench.report import Figures

_TARGET = b"/v1/generations/gen_00000000000000000000000000/events"
_PEPPER = peppers_of("p1:" + "0" * 64)
_MICROSECONDS = 10.0
"""What it may cost."""


class _Store:
    """Knows every key that it was given."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._records = {
            key.id: KeyRecord(
                id=key.id, tenant="acme", scopes=("submit", "view"), pepper="p1", digest=_PEPPER.digest(key),
                created_ms=0, changed_ms=0, expires_ms=10**13,
            )
            for key in keys
        }  # fmt: skip

    async def read(self, ids: Sequence[str]) -> Found:
        return Found(round(time.time() * 1000), {id_: self._records[id_] for id_ in ids})


def gate(figures: Figures, *, quick: bool) -> None:
    """As `FastPath.admit` asks it: for the head of a browser's EventSource, with and without keys."""
    keys = [new_key() for _ in range(ring.MOST_KNOWN)]
    here = asyncio.run(_ring(keys))
    heads = [[*_BROWSER, (b"authorization", b"Bearer " + key.text)] for key in keys[:: len(keys) // 64]]
    links, revoked = Links({"a": b"0" * 32}), Revoked()
    for inner, name in ((Open(), "nobody is asked"), (Keyed(here), f"{len(keys)} keys known")):
        micros = _cost(Linked(inner, links, revoked), heads, 3 if quick else 15)
        figures.put("respool", f"the gate, {name}", "µs", micros, target=_MICROSECONDS)


async def _ring(keys: Sequence[ApiKey]) -> ring.Ring:
    made = ring.Ring(cast(Everywhere, _Store(keys)), _PEPPER)
    for at in range(0, len(keys), 512):
        await made._fetch([key.id for key in keys[at : at + 512]])
    return made


_BROWSER: Sequence[Header] = (
    (b"host", b"respool.example.com"), (b"connection", b"keep-alive"), (b"accept", b"text/event-stream"),
    (b"cache-control", b"no-store"), (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
    (b"origin", b"https://app.example"), (b"sec-fetch-site", b"same-site"), (b"sec-fetch-mode", b"cors"),
    (b"referer", b"https://app.example/"), (b"accept-encoding", b"gzip, deflate, br"), (b"accept-language", b"en"),
    (b"last-event-id", b"1795262599262-29"),
)  # fmt: skip


def _cost(policy: Policy, heads: Sequence[list[Header]], rounds: int) -> float:
    """µs of CPU for a request, in the best of the rounds: in others somebody else has had the caches."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(100):
            for headers in heads:
                who = policy.authenticate(_TARGET, headers)
                assert isinstance(who, Principal)
                who.at("203.0.113.7")
        times.append((time.process_time() - began) / (100 * len(heads)) * 1e6)
    return min(times)


DOORS: Mapping[str, Callable[..., Any]] = {"gate": gate}

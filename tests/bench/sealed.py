"""What encryption at rest costs a token: what a worker and an API do to it, sealed against plain, in one process and one run.

Each is measured many times, for a millisecond, and the least of each counts: what else the machine does is in neither.
"""

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from broker.events import TEXT, Content, Entry, parse_append
from broker.sealing import Seal, new_data_key
from broker.store.unsealing import MAY_BE_SEALED, opened
from broker.store.vault import Vault
from tests.bench.report import Figures
from worker.log.writer import Writer

_ATTEMPT: Final = 1_764_445_000_000
_GENERATIONS: Final = 200
"""As many run at once in `tokens`: keys are not all in the processor's cache."""
_TARGET_US: Final = 5.0


def sealed(figures: Figures, *, quick: bool) -> None:
    """Of a token that goes alone, and of those that go by four."""
    for at_once in (1, 4):
        plain, secret = (_least(seals, at_once, 100 if quick else 1000) for seals in (False, True))
        for name, cost in (("plain", plain), ("sealed", secret)):
            figures.put("respool", f"worker and API, {name}, {at_once} at once", "µs/token", cost)
        more = secret - plain
        figures.put("respool", f"more where it is sealed, {at_once} at once", "µs/token", more, target=_TARGET_US)


def _least(seals: bool, at_once: int, tries: int) -> float:
    ids = [f"gen_{number:026d}" for number in range(_GENERATIONS)]
    found = {id_: Seal(id_, new_data_key()) for id_ in ids}
    vault = Vault()
    for id_, seal in found.items():
        vault.keep(id_, seal)
    writers = {
        id_: Writer(id_, _ATTEMPT, max_unwritten=1000, now=0.0, seal=found[id_] if seals else None) for id_ in ids
    }
    gc.disable()
    try:
        return min(_timed(_turns(writers, vault, at_once)) for _ in range(tries)) / at_once
    finally:
        gc.enable()


def _timed(turns: Iterator[None]) -> float:
    """Microseconds of a turn."""
    began = time.perf_counter()
    many = sum(1 for _ in turns)
    return (time.perf_counter() - began) / many * 1e6


def _turns(writers: Mapping[str, Writer], vault: Vault, at_once: int) -> Iterator[None]:
    """What is put is taken for a flush, written out, published, read by a hub."""
    contents = [Content(TEXT, b" hello")] * at_once
    for id_, writer in writers.items():
        writer.put(list(contents))
        first, batch = writer.batch()
        writer.log.append(first, batch)
        writer.acknowledge(first + at_once - 1, 0.0)
        published = b"".join([b"%b%d:%b" % (kind, len(value), value) for kind, value in batch])
        _heard(vault, id_, b"%d-%d\n%b" % (_ATTEMPT, first, published))
        yield


def _heard(vault: Vault, id_: str, payload: bytes) -> list[Entry]:
    """As Hub.published."""
    _, entries = parse_append(payload)
    return opened(vault, id_, entries) if entries[0].kind in MAY_BE_SEALED else entries


SEALED: Final[Mapping[str, Callable[..., None]]] = {"sealed": sealed}

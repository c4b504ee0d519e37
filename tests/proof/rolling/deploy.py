"""Replaces every API, every worker and Redis while people watch: as Kubernetes does with `maxSurge: 1`, `maxUnavailable: 0`."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.harness.processes import Child
from tests.harness.stack import Stack, until
from tests.proof.invariants import Read, Recorded, Shown, violations
from tests.proof.rolling.viewers import Service, Submitter, Viewer

PARTS: Final = ("api", "worker", "redis")
_MODEL: Final = "sim-1?ttft_ms=20&tps={rate}&tokens=60000"
_RATE: Final = 20


@dataclass(frozen=True, slots=True)
class Replaced:
    """One process gave way to another: the longest time that each viewer got nothing, seconds."""

    part: str
    silences: list[float]


@dataclass(frozen=True, slots=True)
class Deployed:
    """`lost` and `repeated` are events of all viewers together; `attempts` those of each generation; `wrong` is what should not
    be, in words."""

    replaced: list[Replaced]
    viewers: int
    events: int
    lost: int
    repeated: int
    submits: int
    attempts: list[int]
    wrong: list[str]


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds. `pre_stop`: between an API's leaving of the Service and its SIGTERM, as in the manifest, but shorter. `after`:
    behind a replacement, in which viewers may still get nothing for its sake; `retry` is at most 3 s."""

    pre_stop: float = 1.0
    after: float = 4.0


def run(
    stack: Stack, parts: Sequence[str], *, generations: int, viewers: int, pauses: Pauses = Pauses()
) -> Deployed:  # fmt: skip
    """Replaces all processes of each of these parts, in turn."""
    service, client = Service(stack.urls), stack.client()
    ids = [client.submit(_MODEL.format(rate=_RATE)).id for _ in range(generations)]
    watching = {id_: [Viewer(service, id_) for _ in range(viewers)] for id_ in ids}
    every = [viewer for crowd in watching.values() for viewer in crowd]
    until(lambda: all(len(viewer.seen) > _RATE for viewer in every), "every viewer gets text", 30)
    submitter = Submitter(service)
    replaced = [step for part in parts for step in _REPLACE[part](stack, service, every, pauses)]
    submitter.stop()
    client = stack.client(len(stack.urls) - 1)
    for id_ in ids:
        client.cancel(id_)
    until(lambda: not any(viewer.is_alive() for viewer in every), "every viewer has come to the end", 30)
    wrong = [*submitter.refused, *(fault for viewer in every for fault in viewer.faults)]
    lost = repeated = 0
    attempts = []
    for id_, crowd in watching.items():
        log = [frame for frame in client.events(id_) if frame.id]
        record = client.record(id_)
        attempts.append(record["attempt"])
        shown = [Shown(f"viewer {number}", frame) for number, viewer in enumerate(crowd) for frame in viewer.frames]
        wrong += violations([*shown, Read(log), Recorded(record["state"], record["text"])])
        for viewer in crowd:
            got = Counter(frame.id for frame in viewer.frames if frame.id)
            lost += len({frame.id for frame in log} - got.keys())
            repeated += got.total() - len(got)
    for id_ in submitter.accepted:
        until(lambda id_=id_: client.record(id_)["state"] == "completed", "what was accepted is completed", 30)  # type: ignore[misc]
    return Deployed(
        replaced, len(every), sum(len(viewer.seen) for viewer in every), lost, repeated, len(submitter.accepted), attempts,
        wrong,
    )  # fmt: skip


def _apis(stack: Stack, service: Service, viewers: list[Viewer], pauses: Pauses) -> list[Replaced]:
    steps = []
    for old in [api for api in stack.apis if api.running]:
        service.add(stack.add_api())
        service.remove(stack.urls[stack.apis.index(old)])
        time.sleep(pauses.pre_stop)
        steps.append(_silences("api", viewers, pauses, lambda old=old: _terminate(old)))  # type: ignore[misc]
    return steps


def _workers(stack: Stack, service: Service, viewers: list[Viewer], pauses: Pauses) -> list[Replaced]:
    steps = []
    for old in [worker for worker in stack.workers if worker.running]:
        stack.add_worker()
        steps.append(_silences("worker", viewers, pauses, lambda old=old: _terminate(old)))  # type: ignore[misc]
    return steps


def _redis(stack: Stack, service: Service, viewers: list[Viewer], pauses: Pauses) -> list[Replaced]:
    """The one server stops, and starts again on the same data."""

    def restart() -> None:
        stack.server.stop()
        stack.server.start()

    return [_silences("redis", viewers, pauses, restart)]


_REPLACE: Final = {"api": _apis, "worker": _workers, "redis": _redis}


def _terminate(child: Child) -> None:
    child.signal(signal.SIGTERM)
    child.wait(60)


def _silences(part: str, viewers: list[Viewer], pauses: Pauses, replace: Callable[[], None]) -> Replaced:
    began = time.monotonic()
    replace()
    time.sleep(pauses.after)
    ended = time.monotonic()
    return Replaced(part, [viewer.silence(began, ended) for viewer in viewers])

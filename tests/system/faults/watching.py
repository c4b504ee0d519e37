"""Viewers that never give up, and the verdict over all that they saw."""

import signal
import threading
import time
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import httpx2
import redis

from tests.harness.client import Client, Frame, Generation
from tests.harness.processes import Child
from tests.harness.stack import LEASE, Stack, until
from tests.proof.invariants import Answered, History, Observation, Read, Recorded, Rewound, Shown, check
from worker.simulator.answer import compose
from worker.simulator.asked import Asked, Turn
from worker.simulator.plan import parse_model

PROMPT = "Tell me something."
TOLD = LEASE + 2
"""Seconds within which every viewer must be told that a worker has died: of another attempt, or of the end."""
SLACK = 4.0
"""Seconds that a busy machine may add to that."""
_END = ("stream_end", "error")
_POP_SECONDS = 1.0


def whole_text(model: str) -> str:
    """All that this simulated model says to the prompt."""
    answer = compose(parse_model(model), Asked(model, (Turn("user", (PROMPT,)),), max_tokens=100_000))
    return "".join("".join(block.tokens) for block in answer.blocks if block.kind == "text")


class Watcher(threading.Thread):
    """One viewer: follows a generation to its end over as many connections as that takes, each to the next of the URLs, and
    notes when it got what. `faults` is what it saw that no viewer should see."""

    def __init__(self, name: str, urls: list[str], id_: str, *, snapshot: bool = False) -> None:
        super().__init__(name=name, daemon=True)
        self.seen: list[tuple[float, Frame]] = []
        self.faults: list[str] = []
        self.connections = 0
        self.ended = False
        self._urls = cycle(urls)
        self._id = id_
        self._query = {"from": "snapshot"} if snapshot else {}
        self._stopped = threading.Event()
        self.start()

    @property
    def frames(self) -> list[Frame]:
        return [frame for _, frame in self.seen]

    @property
    def texts(self) -> int:
        return sum(frame.type == "text" for frame in self.frames)

    def starts(self) -> list[dict[str, Any]]:
        """What each attempt's first entry said."""
        return [frame.data for frame in self.frames if frame.type == "stream_start"]

    def run(self) -> None:
        try:
            while not self.ended and not self._stopped.wait(0.05 if self.connections else 0):
                self.connections += 1
                self._connect(next(self._urls))
        except BaseException as error:
            self.faults.append(f"{self.name}: {error!r}")
            raise

    def _connect(self, url: str) -> None:
        cursor = next((frame.id for frame in reversed(self.frames) if frame.id or frame.type == "gap"), None)
        client = Client(url)
        try:
            with client.stream(self._id, cursor, **({} if cursor else self._query)) as events:
                for frame in events:
                    self.seen.append((time.monotonic(), frame))
                    self.ended = self.ended or frame.type in _END
            shed = self.frames[-1:] and self.frames[-1].type == "drain"
            if not self.ended and not shed:
                self.faults.append(f"{self.name}: a clean end of the stream before the generation's")
        except httpx2.TransportError:
            pass  # cut, or nobody listens: it comes back
        finally:
            client.http.close()

    def stop(self) -> None:
        self._stopped.set()


@dataclass
class Watched:
    """A generation and everybody who watches it. `client` is where it was submitted."""

    stack: Stack
    client: Client
    generation: Generation
    model: str
    watchers: list[Watcher] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.generation.id

    def join(self, *, snapshot: bool = False, apis: list[int] | None = None) -> Watcher:
        """One more viewer; by default the APIs take turns."""
        number = len(self.watchers)
        order = (
            apis if apis is not None else [(number + at) % len(self.stack.urls) for at in range(len(self.stack.urls))]
        )
        urls = [self.stack.urls[at] for at in order]
        self.watchers.append(Watcher(f"viewer {number}", urls, self.id, snapshot=snapshot))
        return self.watchers[-1]

    @property
    def texts(self) -> int:
        """How many pieces of text the viewer that has most has."""
        return max(watcher.texts for watcher in self.watchers)

    def runs(self, texts: int = 5) -> None:
        """Waits until every viewer has got some text."""
        until(lambda: all(watcher.texts >= texts for watcher in self.watchers), "every viewer gets text", 15)

    def told_since(self, moment: float) -> float:
        """Waits until every viewer has got a new attempt or the end after the moment; how long the last one waited."""

        def first(watcher: Watcher) -> float | None:
            news = (at for at, frame in list(watcher.seen) if at > moment and frame.type in ("stream_start", *_END))
            return next(news, None)

        until(
            lambda: all(first(watcher) is not None for watcher in self.watchers), "every viewer is told", TOLD + SLACK
        )
        return max(first(watcher) or moment for watcher in self.watchers) - moment

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The upstream's own record of the calls for this generation."""
        return self.stack.asked(self.generation.user_id)

    def cancel(self) -> int:
        """The status: 200 if it is cancelled, 202 if its worker has been told."""
        return self.client.cancel(self.id).status_code

    def record(self) -> dict[str, Any]:
        return self.client.record(self.id)

    def verdict(self, seconds: float = 30.0) -> dict[str, Any]:
        """Waits for every viewer's end and judges all that was seen; the record. The whole text of the model is what a
        completed generation has."""
        until(
            lambda: not any(watcher.is_alive() for watcher in self.watchers),
            "every viewer has come to the end",
            seconds,
        )
        assert [fault for watcher in self.watchers for fault in watcher.faults] == []
        record = self.record()
        check(self._history(record))
        if record["state"] == "completed":
            assert record["text"] == whole_text(self.model)
        return record

    def _history(self, record: dict[str, Any]) -> History:
        seen: list[Observation] = [Shown(watcher.name, frame) for watcher in self.watchers for frame in watcher.frames]
        if any(frame.data.get("reason") == "rewound" for watcher in self.watchers for frame in watcher.frames):
            seen.append(Rewound())
        log = [frame for frame in self.client.events(self.id) if frame.id]
        return [
            *seen,
            Read(log),
            Recorded(record["state"], record["text"]),
            *(Answered(call["closed_by"] == "server") for call in self.calls),
        ]


def watch(stack: Stack, model: str, viewers: int = 2, **fields: Any) -> Watched:
    """Submits a generation, and so many viewers that take turns on the APIs."""
    client = stack.client()
    watched = Watched(stack, client, client.submit(model, PROMPT, **fields), model)
    for _ in range(viewers):
        watched.join()
    return watched


def goes_on(watched: Watched, moment: float) -> bool:
    """Whether every viewer has got more since then, or all there is."""
    return all(watcher.ended or (watcher.seen and watcher.seen[-1][0] > moment) for watcher in watched.watchers)


def whole(watched: Watched, seconds: float) -> None:
    """It ends with all of its text, by one attempt; a viewer is told of a gap only where a worker had to write a tail again."""
    record = watched.verdict(seconds)
    assert (record["state"], record["text"], record["attempt"]) == ("completed", whole_text(watched.model), 1)
    gaps = [frame for watcher in watched.watchers for frame in watcher.frames if frame.type == "gap"]
    assert not gaps or any(worker.said("re-appending") for worker in watched.stack.workers)


def crew(stack: Stack, size: int) -> list[Child]:
    """Sees to it that exactly so many workers run, the last ones that were started."""
    running = [worker for worker in stack.workers if worker.running]
    for worker in running:
        worker.signal(signal.SIGCONT)
    for worker in running[: max(0, len(running) - size)]:
        worker.kill()
    return [*running[-size:], *(stack.add_worker() for _ in range(size - len(running)))] if size else []


def with_spare(stack: Stack, *, lease: float = LEASE) -> tuple[Child, Child]:
    """A worker that will get all that is submitted, and one that is ready and gets nothing until SIGCONT."""
    (spare,) = crew(stack, 1)
    spare.signal(signal.SIGSTOP)
    moment = time.monotonic()
    active = stack.add_worker(lease=lease)
    # Redis still holds the spare's blocked pop, which would swallow a wake-up.
    time.sleep(max(0.0, moment + _POP_SECONDS + 0.2 - time.monotonic()))
    return active, spare


def spent(watched: Watched) -> int:
    """How many attempts count against the limit, the one that runs included."""
    with redis.Redis.from_url(watched.stack.server.url) as client:
        return int(client.hget(f"{{{watched.id}}}:record", "spent") or 0)

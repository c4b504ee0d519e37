"""Servers whose fan-out is measured, each with what feeds it: ours, the naive one, the floor, nchan."""

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, Self

import httpx2

from broker.local.embedded import EmbeddedServer, free_port
from broker.processes.orphans import Orphans
from tests.bench import feed
from tests.bench.load import Lines
from tests.bench.system import compiled, family
from tests.harness.processes import Child, python
from tests.harness.stack import until

_READY_SECONDS = 60
"""A machine that does more than it can takes long to start a process."""


class Feed(Protocol):
    """Appends to every generation from `go` to `stop`, which tells how many tokens it was and the latest one's ms."""

    def go(self, rate: float, seconds: float) -> None: ...

    def stop(self) -> tuple[int, float]: ...


class Server:
    """A running server with `generations` of them; use it as a context."""

    name = ""

    def __init__(self, tools: Path, generations: int) -> None:
        self.tools = tools
        self.generations = generations
        self.port = free_port()
        self.redis_pids: list[int] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="respool-bench-")))
            self._orphans = Orphans()
            self._stack.callback(self._orphans.close)
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def pids(self) -> list[int]:
        """Of the server, without its Redis."""
        raise NotImplementedError

    def paths(self) -> list[str]:
        """Where each generation's events are."""
        raise NotImplementedError

    def feed(self) -> Feed:
        """What appends to them; it ends with the server."""
        raise NotImplementedError

    def fill(self, entries: int) -> None:
        """Puts so many tokens and the end into each generation at once."""
        raise NotImplementedError

    def _start(self) -> None:
        raise NotImplementedError

    def _redis(self) -> str:
        server = self._stack.enter_context(EmbeddedServer(self.folder / "data", free_port()))
        assert server.pid is not None
        self.redis_pids = [server.pid]
        return server.url

    def _child(self, module: str, environment: dict[str, str], *arguments: str) -> Child:
        child = Child(self.name, python(module, *arguments), environment, self.folder, self._orphans).start()
        self._stack.callback(child.kill)
        return child


class OnLogs(Server):
    """A server of logs that the append script fills."""

    def _start(self) -> None:
        self.url = self._redis()
        self._api = self._serve()
        self._await_ready()
        self._claimed = feed.claim(self.url, self.generations)

    def _serve(self) -> Child:
        raise NotImplementedError

    def _await_ready(self) -> None:
        until(self._ready, f"{self.name} is ready", _READY_SECONDS)

    def _ready(self) -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}/readyz", timeout=2).status_code == 200
        except httpx2.TransportError:
            return False

    def pids(self) -> list[int]:
        return family(self._api.pid)

    def paths(self) -> list[str]:
        return [generation.path for generation in self._claimed]

    def feed(self) -> Feed:
        return self._stack.enter_context(feed.LogFeed(self.url, self._claimed, self.tools))

    def fill(self, entries: int) -> None:
        for generation in self._claimed:
            feed.fill(self.url, generation, entries)


class Respool(OnLogs):
    name = "respool"
    module = "api"
    settings: Mapping[str, str] = {}

    def _serve(self) -> Child:
        environment = {"RESPOOL_REDIS_URL": self.url, "RESPOOL_PORT": str(self.port), **self.settings}
        return self._child(self.module, environment, "--alone")


class Paced(Respool):
    """Entries wait for one another, to share writes."""

    name = "respool, paced"
    settings: Mapping[str, str] = {"RESPOOL_FANOUT_PACE_MS": "40"}


class Plain(Respool):
    """Without our own protocol class: uvicorn sends, a task for each viewer."""

    name = "respool, plain"
    settings: Mapping[str, str] = {"RESPOOL_HTTP": "plain"}


class Sockets(Respool):
    """Each viewer is a WebSocket that follows one generation."""

    name = "respool, WebSocket"

    def paths(self) -> list[str]:
        return [f"/v1/ws?{generation.path.split('/')[3]}" for generation in self._claimed]


class PlainSockets(Sockets):
    """Likewise, through ASGI."""

    name = "respool, WebSocket, plain"
    settings: Mapping[str, str] = {"RESPOOL_HTTP": "plain"}


class PubSub(Respool):
    """Without our own subscription."""

    name = "respool, redis-py's pubsub"
    module = "tests.bench.pubsub"


class Naive(OnLogs):
    name = "naive"

    def _serve(self) -> Child:
        arguments = ("--port", str(self.port), "--no-access-log", "--backlog", "4096", "--timeout-keep-alive", "75")
        return self._child("uvicorn", {"NAIVE_REDIS_URL": self.url}, "tests.bench.naive:app", *arguments)


class FedByCommand(Lines):
    """A feed that has been told its generations, or a server that has its own."""

    def go(self, rate: float, seconds: float) -> None:
        self.say(f"go {rate:g} {seconds:g} {feed.TEXT_BYTES}")

    def stop(self) -> tuple[int, float]:
        self.say("stop")
        appended, _, late, _ = self.answer("done", 20).split()
        return int(appended), float(late)


class Floor(Server):
    name = "floor (C)"

    def _start(self) -> None:
        command = [str(compiled("floor", self.tools)), str(self.port), str(self.generations)]
        self._process = self._stack.enter_context(FedByCommand(command))
        self._process.answer("listening", 10)

    def pids(self) -> list[int]:
        return [self._process.pid]

    def paths(self) -> list[str]:
        return [f"/g/{index}" for index in range(self.generations)]

    def feed(self) -> Feed:
        return self._process

    def fill(self, entries: int) -> None:
        self._process.say(f"fill {entries}")
        time.sleep(0.2)

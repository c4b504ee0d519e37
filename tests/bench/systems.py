"""Whole systems to measure end to end, ours and the naive one: the same simulated upstream, the same kind of Redis."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, Self

import httpx2

from broker.local.embedded import EmbeddedServer, free_port
from broker.processes.orphans import Orphans
from tests.harness.processes import Child, python
from tests.harness.stack import Stack, until


class System(Protocol):
    """A server, a worker, a Redis and an upstream."""

    name: str
    port: int
    redis_url: str
    upstream_url: str
    folder: Path
    pids: dict[str, int]

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class Respool:
    """Ours, with its default settings but for those given."""

    name = "respool"

    def __init__(self, **settings: object) -> None:
        self._stack = Stack(server_port=free_port(), **{"drain": 10, "lease": 10, "shutdown": 8, **settings})  # type: ignore[arg-type]

    def __enter__(self) -> Self:
        stack = self._stack.__enter__()
        self.port = int(stack.url.rpartition(":")[2])
        self.redis_url, self.upstream_url, self.folder = stack.server.url, stack.upstream_url, stack.folder
        assert stack.server.pid is not None
        self.pids = {"api": stack.apis[0].pid, "worker": stack.workers[0].pid, "redis": stack.server.pid}
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(None, None, None)


class _Other:
    """A system that is not ours: processes of its own over the simulated upstream. Those of `_processes` end with it."""

    name = ""

    def __enter__(self) -> Self:
        with ExitStack() as self._stack:
            self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="respool-other-")))
            self._orphans = Orphans()
            self._stack.callback(self._orphans.close)
            self.port, upstream = free_port(), free_port()
            self.redis_url, self.upstream_url = "", f"http://127.0.0.1:{upstream}"
            self._environment = {"ANTHROPIC_BASE_URL": self.upstream_url, "ANTHROPIC_API_KEY": "simulated"}
            simulator = self._start("simulator", "worker.simulator", "--port", str(upstream))
            until(lambda: simulator.said("simulated upstream on"), "the simulator listens")
            self.pids = self._processes()
            until(lambda: _answers(f"http://127.0.0.1:{self.port}/readyz"), "the API is ready", 20)
            self._ending = self._stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.close()

    def _processes(self) -> dict[str, int]:
        """Starts them; their ids by name."""
        raise NotImplementedError

    def _start(self, name: str, module: str, *arguments: str) -> Child:
        child = Child(name, python(module, *arguments), self._environment, self.folder, self._orphans).start()
        self._stack.callback(child.kill)
        return child

    def _api(self, app: str, *arguments: str) -> Child:
        return self._start("api", "uvicorn", app, "--port", str(self.port), "--no-access-log", *arguments)


class Naive(_Other):
    """arq as it comes, one XADD per token, sse-starlette and one blocking XREAD per viewer."""

    name = "naive"

    def _processes(self) -> dict[str, int]:
        server = self._stack.enter_context(EmbeddedServer(self.folder / "data", free_port()))
        assert server.pid is not None
        self.redis_url = self._environment["NAIVE_REDIS_URL"] = server.url
        api = self._api("tests.bench.naive:app", "--timeout-keep-alive", "75")
        worker = self._start("worker", "tests.bench.naive_worker")
        until(lambda: worker.said("worker ready"), "the worker is ready", 20)
        return {"api": api.pid, "worker": worker.pid, "redis": server.pid}


class Endpoint(_Other):
    """FastAPI and the SDK's stream in the request: one process, nothing else."""

    name = "plain endpoint"

    def _processes(self) -> dict[str, int]:
        return {"api": self._api("tests.bench.endpoint:app").pid}


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=2).status_code == 200
    except httpx2.TransportError:
        return False

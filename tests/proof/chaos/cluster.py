"""The processes of a round: APIs, workers, the simulated upstream, and the proxies between them and their peers."""

import asyncio
import signal
from pathlib import Path
from types import TracebackType
from typing import Self

from broker.local.embedded import free_port
from broker.processes.orphans import Orphans
from tests.harness.processes import Child, python
from tests.proof.chaos import second
from tests.proof.chaos.account import ATTEMPTS_IN_ALL, MOST_ATTEMPTS
from tests.proof.chaos.desk import Desk
from tests.proof.chaos.history import Recorder, now
from tests.proof.chaos.hooks import SECRET, TIMEOUT, Receiver
from tests.proof.chaos.limits import LEASE
from tests.proof.chaos.proxy import FaultProxy
from tests.proof.chaos.setting import Setting
from tests.proof.chaos.store import Store
from tests.proof.chaos.wire import Address, Lost, ask

SETTINGS = {
    "lease": LEASE, "most_attempts": MOST_ATTEMPTS, "attempts_in_all": ATTEMPTS_IN_ALL, "pickup_grace": 1,
    "sweep_every": 0.25, "drain": 0, "shutdown": 2, "keep_alive": 4, "stalled_viewer": 30,
    "webhook_secret": SECRET, "webhook_allow": "http loopback", "webhook_timeout": TIMEOUT,
    "guardrails": "tests.proof.chaos.guard:check",
    "tools": "tests.proof.chaos.finding", "tool_timeout": 5, "max_jobs": 12,
    "upstream_breaker_failures": 5, "upstream_breaker_pause": 0.5,
}  # fmt: skip
_READY_SECONDS = 180.0
"""On a machine that does much else reading its libraries takes a process a minute."""
_EXIT_SECONDS = 10.0
SMALL = {"http": "plain", "ring_bytes": 4096, "replay_cache_bytes": 16_384, "send_buffer": 4096}
"""Of every other API: plain ASGI, where viewers fall behind the ring and the cache of pages is always full."""


class Member:
    """An API or a worker with its own ways to its peers. `lock` is held by whoever does something to it; `down` while it is
    meant not to run, or not to answer."""

    def __init__(
        self,
        child: Child,
        address: Address,
        redis: list[FaultProxy],
        upstream: FaultProxy | None,
        upstream_two: FaultProxy | None = None,
    ) -> None:
        self.child = child
        self.name = child.name
        self.address = address
        self.redis = redis
        self.upstream = upstream
        self.upstream_two = upstream_two
        self.lock = asyncio.Lock()
        self.down = True
        self._started = False
        self._said = 0

    @property
    def is_api(self) -> bool:
        return self.upstream is None

    async def start(self) -> None:
        """Returns when it works. Raises TimeoutError."""
        self._said = len(self.child.log) if self._started else 0
        self._started = True
        self.child.start()
        self.down = False
        async with asyncio.timeout(_READY_SECONDS):
            while self.child.running and not await self._ready():
                await asyncio.sleep(0.03)

    async def _ready(self) -> bool:
        if not self.is_api:
            return "worker ready" in self.child.log[self._said :]
        try:
            return (await ask(self.address, "GET", "/readyz", seconds=2)).status == 200
        except Lost:
            return False

    def signal(self, number: signal.Signals) -> None:
        self.child.signal(number)

    async def kill(self) -> None:
        """SIGKILL, and gone when this returns."""
        self.down = True
        self.signal(signal.SIGKILL)
        await asyncio.to_thread(self.child.wait)

    async def terminate(self) -> float | None:
        """SIGTERM; how many seconds it took to end, None if it had to be killed after 10 s."""
        self.down = True
        began = now()
        self.signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self.child.wait, _EXIT_SECONDS)
        except TimeoutError:
            await self.kill()
            return None
        return now() - began


class Cluster:
    """Use it as an async context; everything in it ends with it."""

    def __init__(
        self,
        folder: Path,
        recorder: Recorder,
        setting: Setting,
        *,
        apis: int = 2,
        workers: int = 3,
    ) -> None:
        self.folder = folder
        self.recorder = recorder
        self.setting = setting
        apart = setting.apart
        self.logs = Store(folder / "valkey" / "logs", "logs" if apart else "both")
        self.coordination = Store(folder / "valkey" / "coordination", "coordination") if apart else self.logs
        self.stores = [self.logs, self.coordination] if apart else [self.logs]
        self.addresses: list[Address] = []
        self.desk = Desk(self.coordination, recorder, self.addresses, keys=setting.keys)
        self.receiver = Receiver(recorder, folder.name)
        self.members: list[Member] = []
        self.proxies: list[FaultProxy] = []
        self.upstream: Address = ("127.0.0.1", free_port())
        self._counts = (apis, workers)
        self._orphans = Orphans()
        self._simulator = Child(
            "simulator", python("worker.simulator", "--port", str(self.upstream[1])), {}, folder, self._orphans
        )
        self._watching: list[asyncio.Task[None]] = []

    @property
    def apis(self) -> list[Member]:
        return [member for member in self.members if member.is_api]

    @property
    def workers(self) -> list[Member]:
        return [member for member in self.members if not member.is_api]

    async def __aenter__(self) -> Self:
        try:
            for store in self.stores:
                await store.start()
            await self.desk.open()
            self._simulator.start()
            await self.receiver.start()
            apis, workers = self._counts
            for number in range(apis):
                self.members.append(await self._member(f"api-{number}", is_api=True))
                self.addresses.append(self.members[-1].address)
            for number in range(workers):
                self.members.append(await self._member(f"worker-{number}", is_api=False))
            await asyncio.gather(*(member.start() for member in self.members))
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        self._watching = [
            asyncio.create_task(watch()) for watch in (self._watch, *(each.watch for each in self.stores))
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._watching:
            task.cancel()
        for child in [*(member.child for member in self.members), self._simulator]:
            if child.running:
                child.kill()
        for proxy in self.proxies:
            await proxy.close()
        await self.receiver.close()
        for store in self.stores:
            await asyncio.to_thread(store.server.kill)
        await asyncio.to_thread(self._orphans.close)

    async def _member(self, name: str, *, is_api: bool) -> Member:
        redis = [await FaultProxy(("127.0.0.1", store.server.port)).start() for store in self.stores]
        self.proxies += redis
        environment = {f"RESPOOL_{key.upper()}": str(value) for key, value in SETTINGS.items()}
        environment["RESPOOL_REDIS_URL"] = self.coordination.server.url_at(redis[-1].port)
        if self.logs is not self.coordination:
            environment["RESPOOL_LOGS_URL"] = self.logs.server.url_at(redis[0].port)
        environment |= self.setting.of_all(self.folder, self.upstream)
        if is_api:
            environment |= self.setting.of_apis(self.folder)
            port = free_port()
            own = {"port": port} | (SMALL if len(self.apis) % 2 else {})
            environment |= {f"RESPOOL_{key.upper()}": str(value) for key, value in own.items()}
            child = Child(name, python("api", "--alone"), environment, self.folder, self._orphans)
            return Member(child, ("127.0.0.1", port), redis, None)
        upstream, other = await FaultProxy(self.upstream).start(), await FaultProxy(self.upstream).start()
        self.proxies += [upstream, other]
        environment |= self.setting.of_all(self.folder, ("127.0.0.1", other.port))
        environment |= {"ANTHROPIC_BASE_URL": f"http://127.0.0.1:{upstream.port}", "ANTHROPIC_API_KEY": "simulated"}
        environment[second.KEY] = "simulated"
        arguments = ("--name", name)
        child = Child(name, python("worker", *arguments), environment, self.folder, self._orphans)
        return Member(child, ("", 0), redis, upstream, other)

    async def _watch(self) -> None:
        """Writes down who ends without having been ended, and starts it again."""
        while True:
            for member in self.members:
                if not member.down and not member.child.running:
                    async with member.lock:
                        if not member.down and not member.child.running:
                            self.recorder.write("died", name=member.name, code=member.child.code)
                            await member.start()
            await asyncio.sleep(0.2)

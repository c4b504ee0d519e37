"""Servers whose fan-out is measured, each with what feeds it: ours, the naive one, the floor, nchan."""

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, Self

import httpx2

from broker.embedded import EmbeddedServer, free_port
from broker.tether import Tether
from tests.bench import feed
from tests.bench.load import Lines
from tests.bench.system import Skipped, compiled, family
from tests.stack import Child, until


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
            self._tether = Tether()
            self._stack.callback(self._tether.close)
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
        server = self._stack.enter_context(EmbeddedServer(self.folder / "data"))
        assert server.pid is not None
        self.redis_pids = [server.pid]
        return server.url

    def _child(self, module: str, environment: dict[str, str], *arguments: str) -> Child:
        child = Child(self.name, module, environment, self.folder, self._tether, arguments).start()
        self._stack.callback(child.kill)
        return child


class OnLogs(Server):
    """A server of logs that the append script fills."""

    def _start(self) -> None:
        self.url = self._redis()
        self._api = self._serve()
        until(self._ready, f"{self.name} is ready", 20)
        self._claimed = feed.claim(self.url, self.generations)

    def _serve(self) -> Child:
        raise NotImplementedError

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

    def _serve(self) -> Child:
        return self._child("api", {"RESPOOL_REDIS_URL": self.url, "RESPOOL_PORT": str(self.port)})


class Naive(OnLogs):
    name = "naive"

    def _serve(self) -> Child:
        arguments = ("--port", str(self.port), "--no-access-log", "--backlog", "4096", "--timeout-keep-alive", "75")
        return self._child("uvicorn", {"NAIVE_REDIS_URL": self.url}, "tests.bench.naive:app", *arguments)


class _FloorProcess(Lines):
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
        self._process = self._stack.enter_context(_FloorProcess(command))
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


class Nchan(Server):
    """nginx with nchan in memory."""

    name = "nchan"
    redis = False

    def _start(self) -> None:
        nginx, module = nchan()
        if self.redis:
            redis_url = self._redis().removesuffix("/0")
        config = self.folder / "nginx.conf"
        inside = "nchan_redis_pass redis;" if self.redis else ""
        config.write_text(
            _NGINX.format(
                folder=self.folder, port=self.port, module=module, inside=inside,
                upstream=f"upstream redis {{ nchan_redis_server {redis_url}; }}" if self.redis else "",
            )  # fmt: skip
        )
        with (self.folder / "nginx.log").open("wb") as output:
            command = [nginx, "-p", str(self.folder), "-c", str(config), "-e", str(self.folder / "error.log")]
            self._nginx = subprocess.Popen(command, stdout=output, stderr=output)
        self._tether.hold(self._nginx.pid)
        self._stack.callback(self._end)
        until(self._ready, "nginx is ready", 10)
        time.sleep(0.5)  # its connection to Redis is not told

    def _ready(self) -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}/ready", timeout=2).status_code == 200
        except httpx2.TransportError:
            return False

    def _end(self) -> None:
        self._nginx.terminate()
        try:
            self._nginx.wait(5)
        except subprocess.TimeoutExpired:
            for pid in family(self._nginx.pid)[::-1]:
                subprocess.run(["kill", "-9", str(pid)], check=False)
            self._nginx.wait(5)
        self._tether.release(self._nginx.pid)

    def pids(self) -> list[int]:
        return family(self._nginx.pid)

    def paths(self) -> list[str]:
        return [f"/g/{index}" for index in range(self.generations)]

    def feed(self) -> Feed:
        command = [str(compiled("feed", self.tools)), "http", str(self.port)]
        process = self._stack.enter_context(_FloorProcess(command))
        size = feed.TEXT_BYTES + len('{"type":"text","text":""}')
        for index in range(self.generations):
            head = f"POST /pub/{index} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {size}\r\n\r\n".encode()
            process.send(b"gen %d 0\n" % len(head) + head)
        return process

    def fill(self, entries: int) -> None:
        with httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20) as client:
            for index in range(self.generations):
                for seq in range(1, entries + 1):
                    text = f"{0:016} #{seq:<8} ".ljust(feed.TEXT_BYTES, "x")
                    client.post(f"/pub/{index}", content=f'{{"type":"text","text":"{text}"}}').raise_for_status()
                client.post(f"/pub/{index}", content='{"type":"stream_end","status":"completed"}').raise_for_status()


class NchanRedis(Nchan):
    """nginx with nchan on Redis."""

    name = "nchan + Redis"
    redis = True


_NGINX: Any = """user root; daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid {folder}/nginx.pid;
load_module {module};
events {{ worker_connections 20000; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  nchan_shared_memory_size 512m; {upstream}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /ready {{ return 200; }}
    location ~ ^/pub/(\\w+)$ {{ nchan_publisher; nchan_channel_id $1; nchan_message_buffer_length 20000;
      nchan_message_timeout 1h; {inside} }}
    location ~ ^/g/(\\w+)$ {{ nchan_subscriber eventsource; nchan_channel_id $1; nchan_subscriber_first_message oldest;
      {inside} }}
  }}
}}
"""


def nchan() -> tuple[str, Path]:
    """nginx and the module for it. Raises Skipped where they are not installed (Debian: libnginx-mod-nchan)."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin") or shutil.which("nginx")
    if nginx is None:
        raise Skipped("nginx is not installed (Debian: libnginx-mod-nchan)")
    told = subprocess.run([nginx, "-V"], capture_output=True, text=True, timeout=10).stderr
    named = re.search(r"--modules-path=(\S+)", told)
    for folder in (Path(nginx).parents[1] / "lib/nginx/modules", Path(named[1] if named else "/usr/lib/nginx/modules")):
        if (module := folder / "ngx_nchan_module.so").exists():
            return nginx, module
    raise Skipped("nginx is here without nchan (Debian: libnginx-mod-nchan)")


Make = Callable[[Path, int], Server]


def available() -> tuple[list[Make], list[str]]:
    """The servers that can be measured here, and why the others cannot."""
    try:
        nchan()
    except Skipped as skipped:
        return [Respool, Floor, Naive], [f"nchan: {skipped}"]
    return [Respool, Floor, Naive, NchanRedis, Nchan], []

"""nginx with nchan, where it is installed: the C server that people reach for."""

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

import httpx2

from tests.bench import feed
from tests.bench.servers import FedByCommand, Feed, Server
from tests.bench.system import Skipped, compiled, family
from tests.harness.processes import Child
from tests.harness.stack import until


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
        upstream = f"upstream redis {{ nchan_redis_server {redis_url}; }}" if self.redis else ""
        text = _NGINX.format(folder=self.folder, port=self.port, module=module, inside=inside, upstream=upstream)
        config.write_text(text)
        command = [nginx, "-p", str(self.folder), "-c", str(config), "-e", str(self.folder / "error.log")]
        self._nginx = Child("nginx", command, {}, self.folder, self._orphans).start()
        self._stack.callback(self._end)
        until(self._ready, "nginx is ready", 10)
        time.sleep(0.5)  # its connection to Redis is not told

    def _ready(self) -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}/ready", timeout=2).status_code == 200
        except httpx2.TransportError:
            return False

    def _end(self) -> None:
        self._nginx.signal(signal.SIGTERM)
        try:
            self._nginx.wait(5)
        except TimeoutError:
            for pid in family(self._nginx.pid)[::-1]:
                subprocess.run(["kill", "-9", str(pid)], check=False)
            self._nginx.wait(5)

    def pids(self) -> list[int]:
        return family(self._nginx.pid)

    def paths(self) -> list[str]:
        return [f"/g/{index}" for index in range(self.generations)]

    def feed(self) -> Feed:
        command = [str(compiled("feed", self.tools)), "http", str(self.port)]
        process = self._stack.enter_context(FedByCommand(command))
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


_NGINX: Final = """user root; daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid {folder}/nginx.pid;
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

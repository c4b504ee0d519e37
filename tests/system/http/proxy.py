"""nginx, run as an ordinary process with the configuration that stands in the documentation."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Self

from broker.local.embedded import free_port
from tests.docs.pages import blocks, page
from tests.harness.processes import Child
from tests.harness.stack import until
from tests.system.http.certificate import Certificate

_MAIN = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{site}
}}
"""


def documented() -> str:
    (snippet,) = blocks(page("docs/operations.md"), "nginx")
    return snippet


def binary() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def knows_http2_directive(nginx: str) -> bool:
    said = subprocess.run([nginx, "-v"], capture_output=True, text=True, timeout=10, check=True).stderr
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", said)
    return found is not None and tuple(map(int, found.groups())) >= (1, 25, 1)


def replace(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, (old, text)
    return text.replace(old, new)


class Nginx:
    """Use it as a context. `port` speaks HTTP/1.1, `tls_port` TLS with HTTP/1.1 and HTTP/2."""

    def __init__(self, nginx: str, folder: Path, api_port: int, certificate: Certificate) -> None:
        self.port, self.tls_port = free_port(), free_port()
        self._folder = folder
        site = replace(documented(), "server 127.0.0.1:8000;", f"server 127.0.0.1:{api_port};")
        away = free_port()
        site = site.replace("127.0.0.1:8098", f"127.0.0.1:{away}")
        tls = f"listen 127.0.0.1:{self.tls_port} ssl"
        if not knows_http2_directive(nginx):
            site, tls = re.sub(r"http2 on;.*", "", site), f"{tls} http2"
        site = replace(site, "listen 443 ssl;", f"listen 127.0.0.1:{self.port}; {tls};")
        site = replace(site, "/etc/nginx/respool.pem", str(certificate.certificate))
        site = replace(site, "/etc/nginx/respool.key", str(certificate.key))
        config = folder / "nginx.conf"
        config.write_text(_MAIN.format(folder=folder, site=site))
        command: list[str | Path] = [nginx, "-p", folder, "-e", folder / "error.log", "-c", config]
        self._process = Child("output", command, {}, folder, cwd=folder)

    def __enter__(self) -> Self:
        self._process.start()
        until(self._pid_is_written, f"nginx runs: {self._folder}", 10)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()

    def log(self) -> str:
        return (self._folder / "error.log").read_text(errors="replace")

    def _pid_is_written(self) -> bool:
        assert self._process.running, self.log() + self._process.log
        pid = self._folder / "nginx.pid"
        return pid.exists() and pid.read_text().strip() == str(self._process.pid)

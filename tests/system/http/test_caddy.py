"""Behind Caddy, as the documentation configures it: a stream passes, and that of an API that is away breaks off."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker.local.embedded import free_port
from tests.docs.pages import blocks, page
from tests.harness.processes import Child
from tests.harness.stack import until
from tests.system.http.certificate import Certificate
from tests.system.http.conftest import Server
from tests.system.http.proxy import replace
from tests.system.http.wire import Address

_MAIN = "{\n    admin off\n    auto_https disable_redirects\n}\n"


@contextmanager
def caddy(folder: Path, api_port: int, certificate: Certificate | None = None) -> Iterator[Address]:
    """Where it listens, with TLS if there is a certificate."""
    program = shutil.which("caddy")
    if program is None:
        pytest.skip("caddy is not installed")
    (snippet,) = blocks(page("docs/operations.md"), "caddyfile")
    port = free_port()
    head = f"http://localhost:{port} {{"
    if certificate is not None:
        head = f"https://localhost:{port} {{\n    tls {certificate.certificate} {certificate.key}"
    site = replace(snippet, "respool.example.com {", head)
    cut = free_port()
    site = site.replace("127.0.0.1:8000", f"127.0.0.1:{api_port}").replace(":8099", f":{cut}")
    (folder / "Caddyfile").write_text(_MAIN + site)
    command = [program, "run", "--config", "Caddyfile", "--adapter", "caddyfile"]
    homes = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(folder))
    running = Child("caddy", command, homes, folder, cwd=folder).start()
    try:
        both = (Address(port), Address(cut))  # it opens them in any order, and a stream that is turned away needs both
        until(lambda: all(map(listens, both)), f"caddy listens: {folder}", 20)
        yield Address(port)
    finally:
        running.kill()


def listens(address: Address) -> bool:
    try:
        with address.connect():
            return True
    except OSError:
        return False


def test_a_stream_passes_as_it_is(tmp_path: Path, http_servers: dict[str, Server], ended: str) -> None:
    server = http_servers["direct"]
    with caddy(tmp_path, server.api_port) as address:
        path = f"/v1/generations/{ended}/events"
        assert address.get(path).body == server.address.get(path).body


def test_while_the_api_is_away_an_event_stream_is_told_to_come_back_and_everything_else_that_it_is_away(
    tmp_path: Path,
) -> None:
    with caddy(tmp_path, free_port()) as address:
        with address.connect() as viewer:
            viewer.ask("/v1/generations/gen_00000000000000000000000000/events")
            head = viewer.head()
            assert (head.status, head.headers["content-type"]) == (200, "text/event-stream")
            told = b'data: {"type":"drain"}\nretry: 2000\n\n'
            assert viewer.rest() == told
            assert int(head.headers["content-length"]) > len(told)
        for method, path in (("GET", "/v1/generations"), ("POST", "/v1/generations"), ("POST", "/v1/chat/stream")):
            with address.connect() as other:
                other.ask(path, method, {} if method == "POST" else None)
                assert other.answer().status == 502

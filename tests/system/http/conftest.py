"""One stack for this folder; in it every way to write a stream, without TLS and with it."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker.local.embedded import free_port
from broker.processes.orphans import Orphans
from tests.harness.client import Client
from tests.harness.processes import Child, python
from tests.harness.stack import Stack, until
from tests.system.http.certificate import Certificate, make_certificate
from tests.system.http.proxy import Nginx, binary
from tests.system.http.wire import Address

WAYS = ("direct", "plain")
PAGE = "https://app.example"
"""The origin whose pages may use these APIs."""
STALLED_SECONDS = 3
"""How long a viewer that takes nothing is kept here: longer than a busy machine lets a test wait for its turn."""
_ESTABLISHED, _CLOSE_WAIT = "01", "08"


@dataclass(frozen=True)
class Server:
    """Where one listens, and the API process behind it, whose own port is another one if a proxy is in between."""

    address: Address
    api: Child
    api_port: int

    def connections(self) -> int:
        """How many the API process has open, by the kernel's table."""
        table = Path("/proc/net/tcp")
        if not table.exists():
            pytest.skip("only Linux tells a process's connections in /proc")
        rows = (line.split() for line in table.read_text().splitlines()[1:])
        port = f":{self.api_port:04X}"
        # A set of the other ends: the table may have a row twice, for it may change while it is read.
        return len({row[2] for row in rows if row[1].endswith(port) and row[3] in (_ESTABLISHED, _CLOSE_WAIT)})

    def await_connections(self, number: int) -> None:
        until(lambda: self.connections() == number, f"the API has {number} connections open", 30)


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """API 0 writes directly, API 1 through plain ASGI; both give a viewer that takes nothing up soon."""
    with Stack(apis=2, stalled_viewer=STALLED_SECONDS, cors_origins=PAGE) as stack:
        yield stack


@pytest.fixture(scope="package")
def client(stack: Stack) -> Client:
    """Of a third API, so that the others have no connections but those of the test."""
    stack.add_api()
    return stack.client(2)


@pytest.fixture(scope="package")
def ended(client: Client) -> str:
    """A generation that has ended, of many kinds of events."""
    generation = client.submit("sim-1?tps=0&tokens=60&ttft_ms=0&seed=3&thinking=1&tool=look&citations=1")
    client.events(generation.id)
    return generation.id


@pytest.fixture(scope="package")
def large(client: Client) -> str:
    """One that has ended, of more bytes than kernel and server hold for a client that does not read."""
    generation = client.submit("sim-1?tps=0&tokens=20000&ttft_ms=0&seed=4", max_tokens=20_000)
    assert len(client.events(generation.id)) > 20_000
    return generation.id


@pytest.fixture(scope="package")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="package")
def http_servers(stack: Stack) -> dict[str, Server]:
    """By way, without TLS."""
    ports = [int(url.rpartition(":")[2]) for url in stack.urls[:2]]
    return {way: Server(Address(port), api, port) for way, port, api in zip(WAYS, ports, stack.apis, strict=False)}


@pytest.fixture(scope="package")
def https_servers(stack: Stack, certificate: Certificate) -> Iterator[dict[str, Server]]:
    """By way: API processes of the same stack that speak TLS themselves."""
    tls = {"RESPOOL_TLS_CERTFILE": str(certificate.certificate), "RESPOOL_TLS_KEYFILE": str(certificate.key)}
    with ExitStack() as running:
        orphans = Orphans()
        running.callback(orphans.close)
        servers = {}
        for way in WAYS:
            port = free_port()
            environment = {**stack.environment(), **tls, "RESPOOL_HTTP": way, "RESPOOL_PORT": str(port)}
            api = Child(f"https-{way}", python("api", "--alone"), environment, stack.folder, orphans).start()
            running.callback(api.kill)
            servers[way] = Server(Address(port, certificate.trusted), api, port)
        for server in servers.values():
            until(server.address.answers, "the API answers on TLS", 20)
        yield servers


@pytest.fixture(scope="package")
def proxies(
    http_servers: dict[str, Server], certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Nginx]]:
    """By way: an nginx in front of the API process that writes so."""
    nginx = binary()
    if nginx is None:
        pytest.skip("nginx is not installed")
    with ExitStack() as running:
        yield {
            way: running.enter_context(
                Nginx(nginx, tmp_path_factory.mktemp(f"nginx-{way}"), server.api_port, certificate)
            )
            for way, server in http_servers.items()
        }


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest, way: str) -> Server:
    """Each way, without TLS and with it."""
    servers: dict[str, Server] = request.getfixturevalue(f"{request.param}_servers")
    return servers[way]

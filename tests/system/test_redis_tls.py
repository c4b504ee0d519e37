"""`rediss://`: a certificate for another name is refused, by the pool and by the subscription."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager

import pytest
from redis.exceptions import ConnectionError

from api.viewing.subscription import Subscription
from broker.local.embedded import EmbeddedServer
from broker.store.address import checks_hostname
from broker.store.client import connect
from tests.harness.tls import tls_port
from tests.system.http.certificate import Certificate, make_certificate

_SECONDS = 10.0
STRANGER = ("127.0.0.1", "")
"""The certificate is for localhost."""
ACCEPTED = [("localhost", ""), ("127.0.0.1", "&ssl_check_hostname=false"), ("127.0.0.1", "&ssl_cert_reqs=none")]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@asynccontextmanager
async def behind_tls(server: EmbeddedServer, certificate: Certificate, host: str, query: str) -> AsyncIterator[str]:
    """The URL of the server behind TLS."""
    async with tls_port(server.socket_path, certificate.certificate, certificate.key) as port:
        yield f"rediss://{host}:{port}/0?ssl_ca_certs={certificate.certificate}{query}"


class Heard:
    """Whom the subscription tells."""

    def __init__(self) -> None:
        self.up = asyncio.Event()

    def live_up(self) -> None:
        self.up.set()

    def lost(self, channels: Collection[bytes]) -> None: ...

    def subscribed(self, channel: bytes) -> None: ...

    def published(self, channel: bytes, payload: bytes) -> None: ...

    def read(self) -> None: ...


async def _ping(url: str) -> bool:
    client = connect(url, retries=0)
    try:
        return bool(await client.ping())
    finally:
        await client.aclose(close_connection_pool=True)


async def _subscribes(url: str) -> str:
    """`up`, or why it is not."""
    heard = Heard()
    subscription = Subscription(url, heard)
    running = asyncio.create_task(subscription.run())
    up = asyncio.create_task(heard.up.wait())
    try:
        async with asyncio.timeout(_SECONDS):
            await asyncio.wait((running, up), return_when=asyncio.FIRST_COMPLETED)
        return "up"
    finally:
        for task in (running, up):
            task.cancel()
        await asyncio.wait((running, up))


def test_a_certificate_for_another_name_is_refused(
    plain: EmbeddedServer, certificate: Certificate, caplog: pytest.LogCaptureFixture
) -> None:
    async def try_both() -> None:
        async with behind_tls(plain, certificate, *STRANGER) as url:
            with pytest.raises(ConnectionError, match="IP address mismatch"):
                await _ping(url)
            refused = asyncio.create_task(_subscribes(url))
            async with asyncio.timeout(_SECONDS):
                while "IP address mismatch" not in caplog.text:
                    await asyncio.sleep(0.01)
            assert not refused.done()
            refused.cancel()
            await asyncio.wait((refused,))

    asyncio.run(try_both())


@pytest.mark.parametrize(("host", "query"), ACCEPTED)
def test_its_own_name_and_none_where_none_is_wanted_are_accepted(
    plain: EmbeddedServer, certificate: Certificate, host: str, query: str
) -> None:
    async def try_both() -> None:
        async with behind_tls(plain, certificate, host, query) as url:
            assert await _ping(url)
            assert await _subscribes(url) == "up"

    asyncio.run(try_both())


def test_a_name_is_checked_unless_the_url_says_otherwise() -> None:
    assert checks_hostname({})
    assert not checks_hostname({"ssl_check_hostname": False})
    assert not checks_hostname({"ssl_cert_reqs": "none"})

"""A generation that has ended is the same bytes, whichever way they come."""

import pytest

from tests.system.http.certificate import Certificate
from tests.system.http.conftest import WAYS, Server
from tests.system.http.proxy import Nginx
from tests.system.http.wire import Address


@pytest.mark.parametrize("query", ["", "?from=snapshot", "?after=nonsense"])
def test_every_way_gives_the_same_bytes(
    query: str, ended: str, http_servers: dict[str, Server], https_servers: dict[str, Server], proxies: dict[str, Nginx],
    certificate: Certificate,
) -> None:  # fmt: skip
    addresses = [servers[way].address for servers in (http_servers, https_servers) for way in WAYS]
    for nginx in proxies.values():
        addresses += [Address(nginx.port), Address(nginx.tls_port, certificate.trusted)]
    bodies = {address.get(f"/v1/generations/{ended}/events{query}").body for address in addresses}
    assert len(addresses) == 8
    (body,) = bodies
    assert body.endswith(b"\n\n")


def test_what_is_longer_than_every_buffer_is_the_same_too(
    large: str, http_servers: dict[str, Server], https_servers: dict[str, Server], proxies: dict[str, Nginx]
) -> None:
    addresses = [servers[way].address for servers in (http_servers, https_servers) for way in WAYS]
    addresses += [Address(nginx.port) for nginx in proxies.values()]
    (body,) = {address.get(f"/v1/generations/{large}/events").body for address in addresses}
    assert body.count(b"\nid: ") > 20_000

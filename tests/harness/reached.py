"""How a test reaches a stack, whatever the stack consists of."""

from typing import Any

import httpx2

from tests.harness.client import Client


class Reached:
    """A stack by its addresses: `urls` are its APIs'. Close what `client` has made with `close_clients`."""

    def __init__(self, upstream_url: str) -> None:
        self.urls: list[str] = []
        self.upstream_url = upstream_url
        self._clients: list[Client] = []

    @property
    def url(self) -> str:
        return self.urls[0]

    def client(self, api: int = 0) -> Client:
        """A client of one API; it is closed with the stack."""
        self._clients.append(Client(self.urls[api]))
        return self._clients[-1]

    def close_clients(self) -> None:
        for client in self._clients:
            client.http.close()

    def is_ready(self, url: str) -> bool:
        """Whether the API there is."""
        try:
            return httpx2.get(f"{url}/readyz", timeout=2, verify=False).status_code == 200
        except httpx2.TransportError:
            return False

    def asked(self, user_id: str) -> list[dict[str, Any]]:
        """What the upstream recorded of the calls with this `metadata.user_id`, oldest first."""
        found: list[dict[str, Any]] = httpx2.get(
            f"{self.upstream_url}/_sim/requests", params={"user_id": user_id}, timeout=10, verify=False
        ).json()
        return found

"""One POST of a webhook. The address that is connected to is the one that was checked: aiohttp asks for a socket for each
address that it is about to connect to, and gets none for what is forbidden. No redirect is followed, no proxy is asked, no
name is remembered, nothing of the answer's body is read.
"""

import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final, Literal

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from broker.webhooks import Allowance, why_not_address, why_not_url
from worker.webhooks.schedule import asked_for

Trouble = Literal[
    "refused", "gone", "redirected", "timeout", "forbidden_address", "forbidden_url", "unresolvable", "unreachable",
    "tls_failed", "protocol_error",
]  # fmt: skip
"""Why a try has failed. `refused`: by its status; `gone`: by 410, nothing more is to be told there."""
_AGENT: Final = f"Respool/{version('respool')} (webhooks)"
_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Answer:
    """What a try came to: `trouble` is None if the receiver has taken it. `retry_after` is in seconds."""

    status: int | None
    trouble: Trouble | None
    retry_after: float | None = None


class ForbiddenAddress(OSError):
    """Nothing may connect there."""


class Poster:
    """`seconds` bounds a whole try. `resolver` is for tests; names are looked up by the system."""

    def __init__(self, allowed: frozenset[Allowance], seconds: float, resolver: AbstractResolver | None = None) -> None:
        self._allowed = allowed
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._resolver = resolver
        self._tls = ssl.create_default_context()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Never raises for what can happen."""
        if why_not_url(url, self._allowed) is not None:  # what is allowed may have changed since it was accepted
            return Answer(None, "forbidden_url")
        refused: list[str] = []

        def checked(found: aiohttp.AddrInfoType) -> socket.socket:
            family, kind, protocol, _, address = found
            if why_not_address(str(address[0]), self._allowed) is not None:
                refused.append(str(address[0]))
                raise ForbiddenAddress("a webhook may not go there")
            return socket.socket(family, kind, protocol)

        connector = aiohttp.TCPConnector(
            socket_factory=checked, resolver=self._resolver, use_dns_cache=False, force_close=True, ssl=self._tls
        )
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector, timeout=self._timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar(),
                    headers={"user-agent": _AGENT}, auto_decompress=False,
                ) as session,
                session.post(URL(url, encoded=True), data=body, headers=headers, allow_redirects=False) as response,
            ):  # fmt: skip
                return _read(response.status, response.headers.get("retry-after"))
        except TimeoutError:
            return Answer(None, "timeout")
        except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError):
            return Answer(None, "tls_failed")
        except aiohttp.ClientConnectorDNSError:
            return Answer(None, "unresolvable")
        except aiohttp.ClientConnectorError:
            return Answer(None, "forbidden_address" if refused else "unreachable")
        except (aiohttp.ClientError, OSError, ValueError):
            return Answer(None, "protocol_error")


def _read(status: int, retry_after: str | None) -> Answer:
    if 200 <= status < 300:
        return Answer(status, None)
    if 300 <= status < 400:
        return Answer(status, "redirected")
    return Answer(status, "gone" if status == _GONE else "refused", asked_for(retry_after, time.time()))

"""What the tests of one slot are lent, so that no test starts processes of its own: a Redis that runs, and the simulated
upstream. Where a test asks for the shared stack, it gets APIs and a worker in threads of its own process, so that what it
does is done by the mutant."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import redis

from broker.local.embedded import EmbeddedServer
from tests import conftest
from tests.proof.mutants.threads import ThreadedStack


class Lent:
    """One slot's server, and the upstream of all."""

    def __init__(self, folder: Path, upstream_url: str) -> None:
        self._folder = folder
        self._count = 0
        self._trusted = False
        self.upstream_url = upstream_url
        self.server: EmbeddedServer | None = None

    def mend(self) -> None:
        """A server that runs and is empty, whatever the last mutant has done to it."""
        if not self._trusted or self.server is None or self.server.poll() is not None:
            self.close()
            self._count += 1
            self.server = EmbeddedServer(self._folder / str(self._count))
            self.server.start()
            self._trusted = True

    def distrust(self) -> None:
        self._trusted = False

    def close(self) -> None:
        if self.server is not None:
            self.server.stop()

    def environment(self) -> dict[str, str]:
        assert self.server is not None
        return {"RESPOOL_LENT_REDIS": self.server.url, "RESPOOL_LENT_UPSTREAM": self.upstream_url}


@contextmanager
def lend(lent: Lent) -> Iterator[None]:
    """In this process the fixtures of tests/conftest.py give what is lent, from now on."""
    assert lent.server is not None
    lend_url(lent.server.url, lent.upstream_url)
    yield


def lend_url(url: str, upstream_url: str) -> None:
    client = redis.Redis.from_url(url)
    client.flushall()
    client.config_set("maxmemory", 0)
    client.close()

    class Borrowed:
        def __init__(self, *_: object, **__: object) -> None:
            self.url = url

        def __enter__(self) -> SimpleNamespace:
            return SimpleNamespace(url=url, socket_path=unquote(urlsplit(url).path))

        def __exit__(self, *error: object) -> None:
            pass

    vars(conftest)["EmbeddedServer"] = Borrowed
    vars(conftest)["Stack"] = lambda **_: ThreadedStack(url, upstream_url)


def lend_from_environment() -> None:
    lend_url(os.environ["RESPOOL_LENT_REDIS"], os.environ["RESPOOL_LENT_UPSTREAM"])

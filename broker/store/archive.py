"""The archive: objects in a bucket or a folder, reached by `obstore`, which is only loaded where there is an archive.

An object's name is `<generation>.<mark>`, and the mark its digest and a nonce: each try to archive a log writes an object of
its own. So one that is there never becomes another, however late somebody writes, and what one try has left behind is erased
without a look at what the next one does. Whoever takes a log out of Redis has read its object back first.
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from broker.errors import ArchiveUnavailable, BrokerError
from broker.ids import GENERATION_ID

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES: Final = ("file", "s3", "gs", "az")
_NAME: Final = re.compile(rf"({GENERATION_ID})\.([0-9a-f]{{40}})", re.ASCII)
_OWNER: Final = "respool-owner"
_GET_SECONDS: Final = 5.0
"""Less than a reader of the API waits for."""
_PUT_SECONDS: Final = 60.0
_SHORT_SECONDS: Final = 15.0


class BadArchive(BrokerError):
    """The archive cannot be used as it is configured; the text says why, and nothing of the URL."""

    def __init__(self, why: str) -> None:
        super().__init__(f"RESPOOL_ARCHIVE_URL cannot be used: {why}")


class Missing(ArchiveUnavailable):
    """The store answers, and has no such object."""


class Listed(NamedTuple):
    """An object of ours, and when it was written by the store's own clock."""

    id: str
    mark: str
    written: datetime

    @property
    def name(self) -> str:
        return name_of(self.id, self.mark)


def new_mark(digest: str) -> str:
    """The mark of an object that is about to be written."""
    return digest + secrets.token_hex(4)


def digest_of(mark: str) -> str:
    """What its object must amount to."""
    return mark[:-8]


def name_of(id_: str, mark: str) -> str:
    """The name of a generation's object."""
    return f"{id_}.{mark}"


def parts_of(name: str) -> tuple[str, str] | None:
    """The generation and the mark in an object's name; None if it is none of ours."""
    match = _NAME.fullmatch(name)
    return (match[1], match[2]) if match else None


def open_archive(url: str) -> "Archive":
    """The archive of this URL; nothing is asked of the store yet. Raises BadArchive."""
    try:
        from obstore.exceptions import BaseError
        from obstore.store import LocalStore, from_url
    except ImportError:
        raise BadArchive("the package lacks its extra: pip install 'respool[archive]'") from None
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES:
        raise BadArchive(f"its scheme is none of {', '.join(SCHEMES)}")
    try:
        if scheme == "file":
            return Archive(LocalStore.from_url(url, mkdir=True))
        seconds = timedelta(seconds=_SHORT_SECONDS)
        return Archive(
            from_url(
                url,
                # Over HTTP only where the store's own variables name such an endpoint.
                client_options={"allow_http": True, "connect_timeout": timedelta(seconds=2), "timeout": seconds},
                retry_config={"max_retries": 2, "retry_timeout": seconds},
            )
        )
    except (BaseError, ValueError, OSError) as error:
        raise BadArchive(type(error).__name__) from None


@contextmanager
def _store_errors() -> Iterator[None]:
    """Turns the store's errors into ours, which keep nothing of what they say: addresses, names of keys."""
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError:
        raise Missing("it has no such object") from None
    except (BaseError, OSError, ValueError) as error:  # TimeoutError is an OSError
        raise ArchiveUnavailable(type(error).__name__) from None


class Archive:
    """Holds no state but the connection. Every method may raise ArchiveUnavailable, and ends within a bounded time."""

    def __init__(self, store: "ObjectStore") -> None:
        self._store = store

    async def put(self, name: str, data: bytes) -> None:
        """Returns when the store has the object: it was read back, and is the same."""
        with _store_errors():
            async with asyncio.timeout(_PUT_SECONDS):
                await self._store.put_async(name, data, use_multipart=False)
                if await self._read(name) != data:
                    raise ArchiveUnavailable("what was written is not what is read back")

    async def get(self, name: str) -> bytes:
        """Raises Missing."""
        with _store_errors():
            async with asyncio.timeout(_GET_SECONDS):
                return await self._read(name)

    async def _read(self, name: str) -> bytes:
        return bytes(await (await self._store.get_async(name)).bytes_async())

    async def erase(self, names: Sequence[str]) -> None:
        """Removes objects. One that is not there is no error."""
        with _store_errors():
            for name in names:
                async with asyncio.timeout(_SHORT_SECONDS):
                    with suppress(FileNotFoundError):
                        await self._store.delete_async(name)

    async def listed(self) -> AsyncIterator[list[Listed]]:
        """All objects of ours, a page at a time."""
        with _store_errors():
            async for page in self._store.list_async(chunk_size=1000):
                found = [(parts_of(meta["path"]), meta["last_modified"]) for meta in page]
                yield [Listed(*parts, written) for parts, written in found if parts is not None]

    async def claim(self, identity: str, cell: int = 0) -> datetime | None:
        """Notes that what the archive has of this cell belongs to the logs server of this identity, unless another has it: then
        None. Else what time it is by the store's clock."""
        name = f"{_OWNER}-{cell}" if cell else _OWNER
        with _store_errors():
            async with asyncio.timeout(_SHORT_SECONDS):
                try:
                    owner = await self._read(name)
                except FileNotFoundError:
                    owner = identity.encode()
                if owner != identity.encode():
                    return None
                await self._store.put_async(name, identity.encode(), use_multipart=False)
                written: datetime = (await self._store.head_async(name))["last_modified"]
                return written

"""The data keys that a process has in hand: made for what it accepts, opened for what it reads. Bounded, in memory alone."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, TypeVar

from broker.errors import PayloadUnreadable, SealingUnavailable
from broker.sealing import Seal, new_data_key
from broker.tenant_keys import KeyService, UnknownKey, WrongKey

T = TypeVar("T")
Prove = Callable[[str], Awaitable[None]]

log = logging.getLogger("respool.vault")

_MOST: Final = 4096
_SECONDS: Final = 5.0
"""For one call of the key service."""
_AT_ONCE: Final = 64
_MOST_WRAPPED: Final = 1000


class Made(NamedTuple):
    """A data key that was made for a generation: what seals with it, and how the record keeps it."""

    seal: Seal
    wrapped: bytes


class Vault:
    """`service` is None where there are no keys: then nothing is sealed, and what is sealed cannot be read. `prove` is told a
    tenant before anything is sealed for it, and raises SealingUnavailable if others could not open that."""

    def __init__(self, service: KeyService | None = None, prove: Prove | None = None, most: int = _MOST) -> None:
        self._service = service
        self._prove = prove
        self._most = most
        self._seals: OrderedDict[str, Seal] = OrderedDict()
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def made(self, id_: str, tenant: str) -> Made | None:
        """A new data key; None if this tenant is not sealed. It is not `kept` yet: what Redis has of this id may have another.
        Raises SealingUnavailable, StorageUnavailable."""
        if self._service is None:
            return None
        if self._prove is not None:
            await self._prove(tenant)
        key = new_data_key()
        try:
            wrapped = await self._called(self._service.wrap(tenant, id_, key))
        except UnknownKey as error:
            raise SealingUnavailable(str(error)) from None
        except Exception as error:  # whatever an operator's service raises
            raise SealingUnavailable(f"the key service failed: {type(error).__name__}") from None
        if wrapped is None:
            return None
        if not 0 < len(wrapped) <= _MOST_WRAPPED:
            raise SealingUnavailable("the key service returned no key, or a long one")
        return Made(Seal(id_, key), wrapped)

    def keep(self, id_: str, seal: Seal) -> None:
        """This is the generation's."""
        self._seals[id_] = seal
        self._seals.move_to_end(id_)
        while len(self._seals) > self._most:
            self._seals.popitem(last=False)

    def known(self, id_: str) -> Seal | None:
        """Without asking anybody."""
        return self._seals.get(id_)

    async def of(self, id_: str, tenant: str, wrapped: bytes) -> Seal:
        """What opens this generation. Raises PayloadUnreadable."""
        if (seal := self._seals.get(id_)) is not None:
            self._seals.move_to_end(id_)
            return seal
        if self._service is None:
            raise PayloadUnreadable("there are no keys here (RESPOOL_ENCRYPTION_KEYS)")
        try:
            seal = Seal(id_, await self._called(self._service.unwrap(tenant, id_, wrapped)))
        except (UnknownKey, WrongKey) as error:
            raise PayloadUnreadable(str(error)) from None
        except Exception as error:  # whatever an operator's service raises
            raise PayloadUnreadable(f"the key service failed: {type(error).__name__}") from None
        self.keep(id_, seal)
        return seal

    def forget(self, id_: str) -> None:
        """The generation is gone, or its key is."""
        self._seals.pop(id_, None)

    async def destroy(self, id_: str, tenant: str, wrapped: bytes) -> None:
        """Forgets the data key, and has the service forget what it keeps of it. Raises SealingUnavailable: then try again."""
        self.forget(id_)
        if self._service is None:
            return
        try:
            await self._called(self._service.destroy(tenant, id_, wrapped))
        except Exception as error:  # whatever an operator's service raises
            raise SealingUnavailable(f"the key service failed: {type(error).__name__}") from None

    async def _called(self, call: Awaitable[T]) -> T:
        async with self._at_once, asyncio.timeout(_SECONDS):
            return await call

"""How an actor is let in: by a tenant's API key, which may be changed for another while it is used, by a key of its own, or by
a view link. Where nobody is asked for a key, by nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from broker.keyed import Keyed
from tests.proof.chaos.history import Recorder, now
from tests.proof.chaos.setting import SECRET


@dataclass(slots=True)
class Key:
    """One API key. It was asked for at `asked`, and there at `made`; from `until` on, if that is known, it may have ended."""

    id: str
    text: str
    asked: float
    made: float
    until: float | None = None

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.text}"}


class Pass(Protocol):
    """What a viewer is let in by."""

    def headers(self) -> dict[str, str]: ...
    def query(self) -> str: ...

    async def refused(self) -> bool:
        """It was answered with 401; whether it has ended for good."""
        ...


Makes = Callable[[str], Awaitable[Key]]


@dataclass(slots=True)
class Holder:
    """Of one tenant's API key. Without `keys` it is nobody, and everybody may do everything."""

    tenant: str
    recorder: Recorder
    makes: Makes
    keys: list[Key] = field(default_factory=list)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def key(self) -> Key | None:
        return self.keys[-1] if self.keys else None

    def headers(self) -> dict[str, str]:
        return self.keys[-1].headers if self.keys else {}

    def query(self) -> str:
        return ""

    def user(self, gen: str) -> str:
        """What an upstream is told of this user."""
        return Keyed.parsed(SECRET).user(self.tenant, gen) or gen if self.keys else gen

    async def refused(self) -> bool:
        """Takes another key: this one has ended, or the store has lost it."""
        if (key := self.key) is not None:
            note_refused(self.recorder, self.tenant, key)
            async with self._lock:
                if self.key is key:
                    self.keys.append(await self.makes(self.tenant))
        return False


@dataclass(slots=True)
class OwnKey:
    """Of a guest."""

    tenant: str
    key: Key
    recorder: Recorder

    def headers(self) -> dict[str, str]:
        return self.key.headers

    def query(self) -> str:
        return ""

    async def refused(self) -> bool:
        if self.key.until is None:
            note_refused(self.recorder, self.tenant, self.key)
        return True


@dataclass(slots=True)
class Link(OwnKey):
    """A view link: `key` is its token."""

    def headers(self) -> dict[str, str]:
        return {}

    def query(self) -> str:
        return f"token={self.key.text}"


def note_refused(recorder: Recorder, tenant: str, key: Key) -> None:
    recorder.write(
        "refused", tenant=tenant, key=key.id, at=now(), asked=key.asked, made=key.made, until=key.until
    )  # fmt: skip

"""The policy of a server that asks for keys."""

from collections.abc import Iterable
from typing import Final

from api.access.api_keys import read_key
from api.access.credentials import credential
from api.access.gate import Header, Principal, Refusal
from api.keys.ring import Ring

_NO_KEY: Final = Refusal(detail="What was given is no API key: `rsp_…`, as it was printed when it was made.")


class Keyed:
    """Lets in who has a key that this ring knows, or finds."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring

    def authenticate(self, target: bytes, headers: Iterable[Header]) -> Principal | Refusal:
        """A key that was mistyped costs nothing: its checksum is wrong."""
        named = credential(target, headers)
        if isinstance(named, Refusal):
            return named
        if named.kind != "key":
            return _NO_KEY
        if (verdict := self._ring.recall(named.text)) is not None:
            return verdict
        key = read_key(named.text)
        return _NO_KEY if key is None else self._ring.check(key)

    def holds(self, who: Principal) -> bool:
        """Until its key has expired or was revoked."""
        return not who.key or self._ring.holds(who.key)

    async def look_up(self, refusal: Refusal) -> None:
        """Asks the store for the key. Raises Problem, or BrokerError."""
        await self._ring.look_up(refusal.unknown, refusal.address)

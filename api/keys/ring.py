"""The keys that a process knows: in memory, so that the gate need not wait, and looked at again every few seconds, so that what
is revoked is seen though nobody tells of it.

A flood of keys that there are not fills nothing: only keys that the store has are known, so many at most, and of those that it
has not as many are remembered as fit, for some seconds.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest
from typing import Final, cast

from api.access.api_keys import ApiKey
from api.access.gate import ALL, Principal, Refusal, Scope
from api.access.peppers import Peppers
from api.keys.everywhere import Everywhere
from api.keys.lookups import LookUps
from broker.api_keys import KeyRecord
from broker.errors import BrokerError

log = logging.getLogger("respool.keys")

EVERY_SECONDS: Final = 5.0
TRUSTED_SECONDS: Final = 3600.0
"""For so long a key is taken though no cell of Redis has answered: what it opens then is what this process has in memory."""
MOST_KNOWN: Final = 4096
_MOST_UNKNOWN: Final = 4096
_UNKNOWN_SECONDS: Final = 10.0
_RENEW_SECONDS: Final = 3600.0
_PAGE: Final = 512
"""Keys in one question, and in one turn of the loop."""

_NOT_VALID: Final = Refusal(detail="The API key is not known, or not valid any more.")
_REVOKED: Final = Refusal(detail="The API key was revoked.")
_EXPIRED: Final = Refusal(detail="The API key has expired.")


@dataclass(slots=True)
class _Known:
    record: KeyRecord
    who: Principal
    seen: float
    """When the store has said so."""
    used: bool = False
    renewed: float = float("-inf")
    rehashed: str = ""
    """What is to be kept of it, with the newest pepper."""
    proof: bytes = b""
    """A digest of the whole key, once it was found to be right: the next look costs no HMAC."""


class Ring:
    """Run it as a task. To be made in the loop; `close` it."""

    def __init__(self, store: Everywhere, peppers: Peppers) -> None:
        self._store = store
        self._peppers = peppers
        self._known: dict[str, _Known] = {}  # what was used last stands at the end
        self._unknown: dict[str, float] = {}
        self._look_ups = LookUps(self._fetch)
        self._ahead_ms = 0.0
        """By how much the clock of Redis is ahead of ours."""
        self._look = asyncio.Event()

    def now_ms(self) -> float:
        """By the clock of Redis, as far as it is known."""
        return time.time() * 1000 + self._ahead_ms

    # -- the gate's question

    def check(self, key: ApiKey) -> Principal | Refusal:
        """Who has this key; or why not, which may be that it must be looked up."""
        known = self._known.get(key.id)
        if known is None:
            until = self._unknown.get(key.id, 0.0)
            return _NOT_VALID if until > time.monotonic() else Refusal(unknown=key.id)
        if known.seen < time.monotonic() - TRUSTED_SECONDS:
            return Refusal(unknown=key.id)
        record = known.record
        if not self._peppers.matches(key, record.pepper, record.digest):
            return _NOT_VALID
        known.proof = _proof(key.text)
        if record.pepper != self._peppers.newest and not known.rehashed:
            known.rehashed = self._peppers.digest(key)
        return self._verdict(known)

    def recall(self, text: bytes) -> Principal | Refusal | None:
        """As `check`, of what was found to be the right key before; None: it must be looked at. What is no key is none here
        either."""
        known = self._known.get(text[4:20].decode("latin-1"))
        if known is None or not compare_digest(known.proof, _proof(text)):
            return None
        if known.seen < time.monotonic() - TRUSTED_SECONDS or known.record.pepper != self._peppers.newest:
            return None
        return self._verdict(known)

    def _verdict(self, known: _Known) -> Principal | Refusal:
        """For who has the right key."""
        record = known.record
        if record.revoked_ms is not None:
            return _REVOKED
        if record.expires_ms is not None and record.expires_ms <= self.now_ms():
            return _EXPIRED
        known.used = True
        return known.who

    def holds(self, id_: str) -> bool:
        """Whether this key, which was right before, is valid yet. To ask is to use it."""
        known = self._known.get(id_)
        if known is None:
            return self._unknown.get(id_, 0.0) <= time.monotonic()
        known.used = True
        return known.record.state(self.now_ms()) == "live"

    async def look_up(self, id_: str, address: str) -> None:
        """Asks the store for a key. Raises Problem (503), or BrokerError."""
        await self._look_ups.look_up(id_, address)

    # -- what the store says

    async def run(self) -> None:
        """Looks at all that is known every 5 s, or when it is told to, until cancelled."""
        while True:
            self._look.clear()
            await self.refresh()
            try:
                async with asyncio.timeout(EVERY_SECONDS):
                    await self._look.wait()
            except TimeoutError:
                continue

    def look_again(self, id_: str | None = None) -> None:
        """This key has changed, perhaps; None: any may have."""
        if id_ is None or id_ in self._known:
            self._look.set()

    async def close(self) -> None:
        await self._look_ups.close()

    async def refresh(self) -> None:
        """Reads what is known anew, keeps what was used, and has it hashed anew where its pepper is an old one. What cannot be
        asked now is asked the next time."""
        ids = list(self._known)
        try:
            for at in range(0, len(ids), _PAGE):
                await self._fetch(ids[at : at + _PAGE])
            await self._keep_used()
        except BrokerError as error:
            log.warning("keys are as they were: %s", error)
        now = time.monotonic()
        self._unknown = {id_: until for id_, until in self._unknown.items() if until > now}

    async def _fetch(self, ids: Sequence[str]) -> None:
        """Raises StorageUnavailable."""
        found = await self._store.read(ids)
        now = time.monotonic()
        self._ahead_ms = found.now_ms - time.time() * 1000
        for id_, record in found.records.items():
            if record is None:
                self._known.pop(id_, None)
                self._unknown.pop(id_, None)
                self._unknown[id_] = now + _UNKNOWN_SECONDS
            elif (known := self._known.get(id_)) is not None and known.record.changed_ms > record.changed_ms:
                known.seen = now
                await self._store.keep(known.record, found.now_ms)  # Redis has lost a change: it is made again
            else:
                self._note(record, now)
        while len(self._unknown) > _MOST_UNKNOWN:
            del self._unknown[next(iter(self._unknown))]
        while len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]

    def _note(self, record: KeyRecord, now: float) -> None:
        self._unknown.pop(record.id, None)
        known = self._known.get(record.id)
        if known is None:
            self._known[record.id] = _Known(record, _principal(record), now)
            if record.pepper not in self._peppers:
                log.warning("a key is hashed with a pepper that is not set here: nobody is let in by it")
        else:
            if record != known.record:
                known.record, known.who = record, _principal(record)
            known.seen = now

    async def _keep_used(self) -> None:
        """Raises StorageUnavailable."""
        now, now_ms = time.monotonic(), int(self.now_ms())
        used = [known for known in self._known.values() if known.used]
        for known in used:
            known.used = False
            self._known[known.record.id] = self._known.pop(known.record.id)
            if known.rehashed:
                anew = known.record.changed(now_ms, pepper=self._peppers.newest, digest=known.rehashed)
                known.rehashed = ""
                await self._store.keep(anew, now_ms)
        due = [known for known in used if known.renewed < now - _RENEW_SECONDS]
        for at in range(0, len(due), _PAGE):
            page = due[at : at + _PAGE]
            await self._store.renew([(known.record.id, known.record.life_ms(now_ms)) for known in page])
            for known in page:
                known.renewed = now


def _proof(text: bytes) -> bytes:
    return blake2b(text, digest_size=16).digest()


def _principal(record: KeyRecord) -> Principal:
    scopes = ALL & frozenset(cast(tuple[Scope, ...], record.scopes))
    return Principal(record.tenant, record.id, scopes, expires_ms=record.expires_ms)

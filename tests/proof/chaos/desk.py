"""Who makes and changes the API keys of a round: past all proxies where the round itself needs one, as its users do where a
change is what is tried."""

import asyncio
import random
from collections.abc import Sequence
from typing import Final

from api.access.gate import Scope
from api.access.peppers import peppers_of
from api.keys.everywhere import Everywhere
from api.keys.issuing import SCOPES, Issuer
from broker.errors import BrokerError
from broker.store.client import connect
from tests.proof.chaos.history import Recorder, now
from tests.proof.chaos.passes import Holder, Key
from tests.proof.chaos.setting import LIMITED, PEPPER, TENANTS
from tests.proof.chaos.store import Store
from tests.proof.chaos.wire import Address, Lost, Reply, ask

ADMIN: Final = "ops"
GRACE: Final = 3
"""Seconds that a key is valid besides the one in its place."""
_TRIES: Final = 60


class Desk:
    """One per round; `made` are the secret parts of all keys and links, which must be in no log."""

    def __init__(self, store: Store, recorder: Recorder, addresses: Sequence[Address], *, keys: bool) -> None:
        self._store = store
        self._recorder = recorder
        self._addresses = addresses
        self._keys = keys
        self.made: list[str] = []
        self.holders = {tenant: Holder(tenant, recorder, self.make) for tenant in (*TENANTS, LIMITED, ADMIN)}
        self._nobody = Holder("", recorder, self.make)

    def of(self, number: int) -> Holder:
        """Whose the generation of this number is."""
        return self.holders[TENANTS[number % len(TENANTS)]] if self._keys else self._nobody

    @property
    def limited(self) -> Holder:
        return self.holders[LIMITED]

    async def open(self) -> None:
        """Each tenant has a key, if any is asked for one."""
        for tenant, holder in self.holders.items() if self._keys else ():
            holder.keys.append(await self.make(tenant))

    async def make(self, tenant: str) -> Key:
        """A key that may do everything, made in the store itself."""
        asked = now()
        scopes: tuple[Scope, ...] = SCOPES if tenant == ADMIN else ("submit", "view", "cancel")
        for _ in range(_TRIES):
            redis = connect(self._store.server.url, connections=1, retries=0)
            try:
                issued = await Issuer(Everywhere((redis,)), peppers_of(PEPPER)).create(tenant, scopes)
            except BrokerError:
                await asyncio.sleep(0.3)
            else:
                return self._known(issued.record.id, issued.text, asked)
            finally:
                await redis.aclose(close_connection_pool=True)
        raise AssertionError(f"no key could be made for {tenant}")

    def _known(self, id_: str, text: str, asked: float) -> Key:
        self.made.append(text)
        return Key(id_, text, asked, now())

    async def rotate(self, rng: random.Random, holder: Holder) -> bool:
        """Changes the holder's key for another, over HTTP; whether that was done as it should be."""
        before = holder.key
        assert before is not None
        asked = now()
        before.until = asked + GRACE
        for _ in range(_TRIES):
            reply = await self._admin(rng, f"/v1/admin/keys/{before.id}/rotate", {"grace_seconds": GRACE})
            if reply is not None and reply.status == 201:
                holder.keys.append(self._known(reply.json["id"], reply.json["key"], asked))
                return True
            if reply is not None and reply.status in (
                404,
                409,
            ):  # it was, and nobody knows the other one; or it is lost
                break
            await asyncio.sleep(rng.uniform(0.1, 0.3))
        holder.keys.append(await self.make(holder.tenant))
        return False

    async def revoke(self, rng: random.Random, key: Key) -> bool:
        """Until it is acknowledged; False if the store knows no such key any more."""
        for _ in range(_TRIES):
            reply = await self._admin(rng, f"/v1/admin/keys/{key.id}/revoke", None)
            if reply is not None and reply.status in (200, 404):
                return reply.status == 200
            await asyncio.sleep(rng.uniform(0.05, 0.2))
        return False

    async def _admin(self, rng: random.Random, path: str, content: object) -> Reply | None:
        admin = self.holders[ADMIN]
        try:
            reply = await ask(rng.choice(list(self._addresses)), "POST", path, headers=admin.headers(), content=content)
        except Lost:
            return None
        if reply.status == 401:
            await admin.refused()
        return reply

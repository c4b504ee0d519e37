"""Those who submit and cancel: with an idempotency key, again and again until they are answered."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.proof.chaos import erasing
from tests.proof.chaos.history import Recorder, now
from tests.proof.chaos.passes import Holder, Pass
from tests.proof.chaos.viewers import Habit, Viewer, Word
from tests.proof.chaos.wire import Address, Lost, ask
from tests.proof.chaos.wishing import Wish

_GIVE_UP = 60.0


@dataclass(slots=True)
class Generation:
    """One generation and those who are about it."""

    wish: Wish
    addresses: Sequence[Address]
    recorder: Recorder
    holder: Holder
    ids: list[str] = field(default_factory=list)
    viewers: list[Viewer] = field(default_factory=list)
    hook: str = ""
    """Where its end is told; empty: nowhere."""
    erased: bool = False
    _posted: int = 0

    @property
    def id(self) -> str | None:
        """What was accepted first, and is watched. There is another only if the store has forgotten this one since."""
        return self.ids[0] if self.ids else None

    async def run(self, *, until: float | None = None) -> None:
        """From the submit to the moment when every viewer is done. Not submitted at all if nobody takes it by `until`."""
        rng = random.Random(self.wish.gen)
        if not await self.submit(rng, until or now() + _GIVE_UP):
            return
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(viewer.watch()) for viewer in self.viewers]
            if self.wish.erased is not None:
                group.create_task(erasing.erase_later(self, self.wish.erased, watching, rng))
            if self.wish.asks_twice:
                group.create_task(self._ask_again(rng))
            if self.wish.cancel_after is not None:
                group.create_task(self._cancel_later(rng, self.wish.cancel_after))

    async def submit(self, rng: random.Random, until: float) -> bool:
        """Until it is answered with 202, by whichever API."""
        while await self.post(rng) != 202:
            if now() > until:
                self.recorder.write("note", text=f"{self.wish.gen} was never accepted")
                return False
            await asyncio.sleep(rng.uniform(0.05, 0.3))
        for number, habit in enumerate(self.wish.viewers):
            name = f"{self.wish.gen}/{number}-{habit}"
            self.viewers.append(self.viewer(name, self.holder, habit))
        return True

    def viewer(self, name: str, pass_: Pass, habit: Habit = "steady", word: Word = "frame") -> Viewer:
        """One more of what was accepted first, which nobody runs yet."""
        about = (self.wish.gen, name, self.ids[0], self.addresses, self.recorder, random.Random(name), pass_)
        return Viewer(*about, habit, word)

    async def _ask_again(self, rng: random.Random) -> None:
        """The client that lost the answer: it must get the same generation."""
        await asyncio.sleep(rng.uniform(0, 2))
        if not self.wish.keyed:
            return
        for _ in range(20):
            if await self.post(rng) in (202, 410):
                return
            await asyncio.sleep(rng.uniform(0.1, 0.4))

    async def post(self, rng: random.Random) -> int:
        """Once; the status that it was answered with, 0 for none."""
        headers = {"Accept": "application/json", **self.holder.headers()}
        headers |= {"Idempotency-Key": self.wish.gen} if self.wish.keyed else {}
        address, asked = rng.choice(list(self.addresses)), now()
        content = self.wish.body() | ({"webhook": {"url": self.hook}} if self.hook else {})
        self._posted += 1
        try:
            reply = await ask(address, "POST", "/v1/generations", headers=headers, content=content)
        except Lost:
            return 0
        if reply.status == 401:
            await self.holder.refused()
        if reply.status in (410, 429):
            code, after = reply.json["code"], reply.headers.get("retry-after")
            self.recorder.write(
                "turned_away",
                gen=self.wish.gen,
                tenant=self.holder.tenant,
                status=reply.status,
                code=code,
                after=after,
                asked=asked,
            )
        if reply.status != 202:
            return reply.status
        seed, tokens = self.wish.text
        id_ = reply.json["id"]
        self.recorder.write(
            "accepted", gen=self.wish.gen, id=id_, asked=asked, seed=seed, tokens=tokens, thinks=self.wish.thinks,
            strict=self.wish.strict, keyed=self.wish.keyed, again=not self.wish.keyed and self._posted > 1,
            abandon_after=self.wish.abandon_after, rounds=self.wish.rounds,
            hooked=bool(self.hook), labelled=self.wish.labelled, fallback=self.wish.fallback,
            tenant=self.holder.tenant, model=self.wish.model, api=self.addresses.index(address),
        )  # fmt: skip
        if id_ not in self.ids:
            self.ids.append(id_)
        return 202

    async def _cancel_later(self, rng: random.Random, after: float) -> None:
        await asyncio.sleep(after)
        await self.cancel(rng)

    async def cancel(self, rng: random.Random) -> None:
        """Until it is acknowledged."""
        for _ in range(40):
            asked = now()
            try:
                reply = await ask(
                    rng.choice(list(self.addresses)), "POST", f"/v1/generations/{self.id}/cancel",
                    headers=self.holder.headers(),
                )  # fmt: skip
            except Lost:
                reply = None
            if reply is not None and reply.status == 401:
                await self.holder.refused()
                continue
            if reply is not None and reply.status < 500:
                self.recorder.write("cancelled", gen=self.wish.gen, status=reply.status, asked=asked)
                return
            await asyncio.sleep(rng.uniform(0.1, 0.3))

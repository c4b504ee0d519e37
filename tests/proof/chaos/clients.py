"""Those who submit and cancel: with an idempotency key, again and again until they are answered."""

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from tests.proof.chaos import second
from tests.proof.chaos.deck import Deck
from tests.proof.chaos.history import Recorder, now
from tests.proof.chaos.viewers import HABITS, Habit, Viewer
from tests.proof.chaos.wire import Address, Lost, ask

UPSTREAM_FAULTS = (
    "400", "401", "403", "404", "413", "429", "500", "529", "slow_headers",
    "cut", "fin", "stall", "stall_pings", "eof", "json", "utf8", "error",
)  # fmt: skip

TOTAL_SECONDS = 15.0
"""`total_timeout` of every attempt."""
_GIVE_UP = 60.0
_LONG_GRACE = 6.0
"""Seconds; more than faults keep an API from the store, or a viewer from coming back."""
_SHORT_GRACE = 1.0


@dataclass(frozen=True, slots=True)
class Wish:
    """A generation as the seed wants it; `text` names what upstream would say: (seed, tokens)."""

    gen: str
    model: str
    text: tuple[int, int]
    on_interrupt: str
    viewers: tuple[Habit, ...]
    cancel_after: float | None
    asks_twice: bool
    total_timeout: float = TOTAL_SECONDS
    thinks: bool = False
    strict: bool = False
    keyed: bool = True
    abandon_after: float | None = None
    hooked: bool = False
    rounds: int = 0
    labelled: bool = False
    """It has labels, and waits in the background."""
    fallback: str | None = None
    """The model that is asked when `model`, which is not there, has refused."""

    def body(self) -> dict[str, object]:
        return {
            "model": self.model,
            "max_tokens": 8192,
            "messages": [{"role": "user", "content": f"Tell me something ({self.gen})."}],
            "metadata": {"user_id": self.gen},
            "on_interrupt": self.on_interrupt,
            "durability": "strict" if self.strict else "normal",
            "first_token_timeout": 1.5,
            "idle_timeout": 1.2,
            "total_timeout": self.total_timeout,
            **(
                {"labels": {"gen": self.gen}, "external_id": self.gen, "priority": "background"}
                if self.labelled
                else {}
            ),
            **(
                {}
                if self.abandon_after is None
                else {
                    "on_abandon": "cancel",
                    "abandon_after": self.abandon_after,
                    "abandon_unwatched": not self.viewers,
                }
            ),
            **({"server_tools": ["find"]} if self.rounds else {}),
            **({"fallback": [self.fallback]} if self.fallback else {}),
        }


def wishes(seed: str, faults: Sequence[str], *, tools: bool = False, two: bool = False) -> Iterator[Wish]:
    """An endless row of generations, the same for the same seed; two of five meet an upstream fault, if there are any
    to meet. `tools`: one of three has server tools. `two`: there is a second upstream, which some go to (second.py)."""
    deck = Deck(random.Random(f"{seed} upstream"), faults)
    number = 0
    while True:
        number += 1
        rng = random.Random(f"{seed} {number}")
        tokens, text_seed = rng.randrange(30, 140), rng.randrange(10_000)
        model: dict[str, object] = {
            "seed": text_seed, "tokens": tokens, "tps": rng.choice((20, 30, 50, 200)), "ttft_ms": rng.randrange(10, 200),
        }  # fmt: skip
        if thinks := rng.random() < 0.15:
            model["thinking"] = 1
        rounds = rng.randrange(1, 4) if tools and not thinks and rng.random() < 0.35 else 0
        if rounds:
            given = json.dumps({"seconds": round(rng.uniform(0.1, 1.0), 2)})
            model |= {"tokens": tokens // 4, "tools": rounds, "calls": rng.randrange(1, 3), "input": given}
            tokens //= 4
        if faults and rng.random() < 0.4:
            model |= {"fail": deck.draw(), "at": rng.randrange(0, tokens), "times": rng.choice((1, 1, 1, 1, 2, 9))}
            if model["fail"] == "429":
                model["retry_after"] = round(rng.uniform(0, 0.8), 2)
        answering, before = second.models(number) if two else (second.FIRST, None)
        answers = f"{answering}?{urlencode(model)}"
        wish = Wish(
            gen=f"{seed}-{number}",
            model=f"{before}?seed={text_seed}&fail=404" if before else answers,
            text=(text_seed, tokens),
            on_interrupt=rng.choices(("continue", "restart", "fail"), (7, 2, 1))[0],
            viewers=("steady", *rng.choices(HABITS, k=rng.randrange(1, 4))),
            cancel_after=rng.uniform(0, 3) if rng.random() < 0.1 else None,
            asks_twice=rng.random() < 0.15,
            thinks=thinks,
            strict=rng.random() < 0.15,
            keyed=rng.random() > 0.15,
            hooked=rng.random() < 0.3,
            rounds=rounds,
            labelled=number % 3 == 0,
            fallback=answers if before else None,
        )
        abandoned = rng.random()
        if abandoned < 0.1:
            wish = replace(wish, abandon_after=_LONG_GRACE)
        elif abandoned < 0.15:
            wish = replace(wish, abandon_after=_SHORT_GRACE, viewers=())
        yield wish


@dataclass(slots=True)
class Generation:
    """One generation and those who are about it."""

    wish: Wish
    addresses: Sequence[Address]
    recorder: Recorder
    ids: list[str] = field(default_factory=list)
    viewers: list[Viewer] = field(default_factory=list)
    hook: str = ""
    """Where its end is told; empty: nowhere."""
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
            for viewer in self.viewers:
                group.create_task(viewer.watch())
            if self.wish.asks_twice:
                group.create_task(self._ask_again(rng))
            if self.wish.cancel_after is not None:
                group.create_task(self._cancel_later(rng, self.wish.cancel_after))

    async def submit(self, rng: random.Random, until: float) -> bool:
        """Until it is answered with 202, by whichever API."""
        while not await self._post(rng):
            if now() > until:
                self.recorder.write("note", text=f"{self.wish.gen} was never accepted")
                return False
            await asyncio.sleep(rng.uniform(0.05, 0.3))
        for number, habit in enumerate(self.wish.viewers):
            name = f"{self.wish.gen}/{number}-{habit}"
            self.viewers.append(
                Viewer(self.wish.gen, name, self.ids[0], self.addresses, self.recorder, random.Random(name), habit)
            )
        return True

    async def _ask_again(self, rng: random.Random) -> None:
        """The client that lost the answer: it must get the same generation."""
        await asyncio.sleep(rng.uniform(0, 2))
        if not self.wish.keyed:
            return
        for _ in range(20):
            if await self._post(rng):
                return
            await asyncio.sleep(rng.uniform(0.1, 0.4))

    async def _post(self, rng: random.Random) -> bool:
        """Whether it was accepted."""
        headers = {"Accept": "application/json"} | ({"Idempotency-Key": self.wish.gen} if self.wish.keyed else {})
        address, asked = rng.choice(list(self.addresses)), now()
        content = self.wish.body() | ({"webhook": {"url": self.hook}} if self.hook else {})
        self._posted += 1
        try:
            reply = await ask(address, "POST", "/v1/generations", headers=headers, content=content)
        except Lost:
            return False
        if reply.status != 202:
            return False
        seed, tokens = self.wish.text
        id_ = reply.json["id"]
        self.recorder.write(
            "accepted", gen=self.wish.gen, id=id_, asked=asked, seed=seed, tokens=tokens, thinks=self.wish.thinks,
            strict=self.wish.strict, keyed=self.wish.keyed, again=not self.wish.keyed and self._posted > 1,
            abandon_after=self.wish.abandon_after, rounds=self.wish.rounds,
            hooked=bool(self.hook), labelled=self.wish.labelled, fallback=self.wish.fallback,
        )  # fmt: skip
        if id_ not in self.ids:
            self.ids.append(id_)
        return True

    async def _cancel_later(self, rng: random.Random, after: float) -> None:
        await asyncio.sleep(after)
        await self.cancel(rng)

    async def cancel(self, rng: random.Random) -> None:
        """Until it is acknowledged."""
        for _ in range(40):
            asked = now()
            try:
                reply = await ask(rng.choice(list(self.addresses)), "POST", f"/v1/generations/{self.id}/cancel")
            except Lost:
                reply = None
            if reply is not None and reply.status < 500:
                self.recorder.write("cancelled", gen=self.wish.gen, status=reply.status, asked=asked)
                return
            await asyncio.sleep(rng.uniform(0.1, 0.3))

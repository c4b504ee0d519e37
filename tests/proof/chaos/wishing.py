"""What is submitted in a storm: generations as the seed wants them. Pure."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlencode

from tests.proof.chaos import second
from tests.proof.chaos.deck import Deck
from tests.proof.chaos.guard import refuses
from tests.proof.chaos.setting import CANARY
from tests.proof.chaos.viewers import HABITS, Habit

UPSTREAM_FAULTS = (
    "400", "401", "403", "404", "413", "429", "500", "529", "slow_headers",
    "cut", "fin", "stall", "stall_pings", "eof", "json", "utf8", "error",
)  # fmt: skip

Erased = Literal["running", "ended", "label"]
"""When, or how, a generation is erased."""
ERASED: tuple[Erased, ...] = ("running", "ended", "label")
TOTAL_SECONDS = 15.0
"""`total_timeout` of every attempt."""
_LONG_GRACE = 6.0
"""Seconds; more than faults keep an API from the store, or a viewer from coming back."""
_SHORT_GRACE = 1.0
_OFTEN, _SELDOM, _FIRST = 0.75, 0.4, 45
"""How many meet an upstream fault, of the first so many and of the others."""
_FEW_TOKENS = 16
_FEW_EVERY = 6
"""Every so many-th generation is of the model that few may call at a time."""


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
    erased: Erased | None = None
    erased_after: float = 0.0
    """Seconds from the submit on; where it is erased `ended`, from the moment on in which its viewers know."""

    def body(self) -> dict[str, object]:
        return {
            "model": self.model,
            "max_tokens": 8192,
            "messages": [{"role": "user", "content": f"Tell me something ({self.gen}, {CANARY})."}],
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


def wishes(
    seed: str, faults: Sequence[str], *, tools: bool = False, two: bool = False, erased: Sequence[Erased] = ()
) -> Iterator[Wish]:
    """An endless row of generations, the same for the same seed; two of five meet an upstream fault, if there are any
    to meet, and more of the first, so that a short run has each kind. `tools`: one of three has server tools. `two`: there is
    a second upstream, which some go to (second.py). One of eight is erased, in one of these ways."""
    few = few_of(seed)
    erasing = Deck(random.Random(f"{seed} erased"), erased)
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
        if faults and rng.random() < (_OFTEN if number <= _FIRST else _SELDOM):
            soon = rng.random() < 0.5  # what comes late may come to a generation that was cancelled, or restarted
            at = rng.randrange(0, tokens // 4 + 1 if soon else tokens)
            model |= {"fail": deck.draw(), "at": at, "times": rng.choice((1, 1, 1, 1, 2, 9))}
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
        if number % _FEW_EVERY == 1:
            wish = replace(wish, model=few[0], text=few[1], thinks=False, rounds=0, fallback=None)
        if erased and wish.cancel_after is None and wish.viewers and rng.random() < 0.125:
            wish = replace(wish, erased=erasing.draw(), erased_after=rng.uniform(0, 1.5), labelled=True)
        yield wish


def few_of(seed: str) -> tuple[str, tuple[int, int]]:
    """The one name of the model that few may call at a time, as limits are a name's; and its text."""
    rng = random.Random(f"{seed} few")
    while refuses(text_seed := rng.randrange(10_000)):
        pass
    return f"{second.FEW}?seed={text_seed}&tokens={_FEW_TOKENS}&tps=30&ttft_ms=50", (text_seed, _FEW_TOKENS)

"""Checks for tests of guardrails: what each says goes by the model's seed, so that a test asks for it by the name of a
model."""

import asyncio
import re

from worker.guardrails import Block, Flag, Subject, Verdict, guardrail

BLOCK_AT_END, BLOCK_AT_PARAGRAPH, FLAG, RAISE, HANG, SLOW, PASS = range(101, 108)
"""Seeds."""
PARAGRAPH_CHARACTERS = 300
SLOW_SECONDS = 4.0


def seed_of(subject: Subject) -> int:
    found = re.search(r"seed=(\d+)", subject.model)
    return int(found[1]) if found else PASS


@guardrail(name="house rules", paragraphs=True, timeout=6)
async def check(text: str, subject: Subject) -> Verdict:
    """What the seed asks for."""
    assert subject.generation.startswith("gen_")
    match seed_of(subject):
        case seed if seed == BLOCK_AT_END and subject.whole:
            return Block("It is not nice.", "manners")
        case seed if seed == BLOCK_AT_PARAGRAPH and len(text) > PARAGRAPH_CHARACTERS:
            return Block("It is not nice.", "manners")
        case seed if seed == FLAG:
            return Flag("It is nearly not nice.", subject.labels.get("team", "manners"))
        case seed if seed == RAISE:
            raise ValueError(text)
        case seed if seed == HANG and subject.whole:
            await asyncio.sleep(60)
        case seed if seed == SLOW and subject.whole:
            await asyncio.sleep(SLOW_SECONDS)
    return None


@guardrail(timeout=6, on_failure="open")
async def lenient(text: str, subject: Subject) -> Verdict:
    """Raises where the other flags."""
    if seed_of(subject) == FLAG and subject.whole:
        raise ValueError(text)
    return None


async def takes_nothing() -> None:
    """No check: it takes no text."""


def blocking(text: str, subject: Subject) -> Verdict:
    """No check: it is not async."""


NOTHING = 1

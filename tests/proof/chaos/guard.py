"""The guardrail of a run: it takes its time, so that workers die while it runs, and blocks one generation of eight."""

import asyncio
import re

from worker.guardrails import Block, Subject, Verdict, guardrail

_SECONDS = 0.2
_ONE_OF = 8
_CHARACTERS = 200


def refuses(seed: int) -> bool:
    """Whether text of this seed is blocked: it never ends in any other way, if it has any text, and nobody is given that text
    in the end."""
    return seed % _ONE_OF == 0


@guardrail(name="chaos", paragraphs=True, timeout=5)
async def check(text: str, subject: Subject) -> Verdict:
    """Blocks at the end, or at a paragraph's end once there is some text."""
    await asyncio.sleep(_SECONDS)
    found = re.search(r"seed=(\d+)", subject.model)
    bad = found is not None and refuses(int(found[1]))
    return Block("chaos") if bad and (subject.whole or len(text) > _CHARACTERS) else None

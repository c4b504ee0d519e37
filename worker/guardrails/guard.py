"""One attempt's text, and what the checks say of it. They are asked one after another, about one text at a time: at its end, at
paragraph ends where a check wants that (those that come while one is looked at are looked at together, when it is done), and,
of text that an earlier attempt has left, before anything follows it."""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import orjson

from broker.events import TEXT, Content, event
from worker.guardrails.verdicts import Block, Check, Flag, Subject, Verdict

log = logging.getLogger("respool.guardrails")

_BLANK_LINE: Final = re.compile(rb"\n[ \t\r]*\n")
_MOST_FLAGS: Final = 32
"""Of one attempt: a check that flags every paragraph, each for another reason, does not fill the log."""
_MOST_CHARACTERS: Final = 500
"""Of a reason or a category."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """A check has blocked the text."""

    name: str
    reason: str
    category: str

    @property
    def withdraw_json(self) -> bytes:
        """The entry that tells viewers to drop what they have."""
        return orjson.dumps(
            {"type": "withdraw", "guardrail": self.name, "reason": self.reason, "category": self.category}
        )


class Guard:
    """`kept` is what a reader keeps of earlier attempts. `put` takes what viewers are told, `on_block` is called when a check
    blocks: nothing more may be shown then."""

    def __init__(
        self,
        checks: Sequence[Check],
        subject: Subject,
        kept: str,
        put: Callable[[list[Content]], object],
        on_block: Callable[[], object],
    ) -> None:
        self.blocked: Blocked | None = None
        self._checks = checks
        self._at_paragraphs = [check for check in checks if check.paragraphs]
        self._subject = subject
        self._put = put
        self._on_block = on_block
        self._text = [kept.encode()] if kept else []
        self._line = b""
        """What a paragraph's end may begin with: a line end behind which nothing but white space has come."""
        self._looking: asyncio.Task[None] | None = None
        self._look_again = False
        self._flagged: set[tuple[str, Flag]] = set()
        self._left: set[asyncio.Task[Verdict]] = set()
        """Checks that were not waited for, until they heed that."""

    def take(self, contents: list[Content]) -> None:
        """Text that is put into the log, among other entries."""
        said = b"".join([value for kind, value in contents if kind == TEXT])
        if not said:
            return
        self._text.append(said)
        if self._at_paragraphs and self._ends_paragraph(said):
            if self._looking is None:
                self._looking = asyncio.get_running_loop().create_task(self._look())
            else:
                self._look_again = True

    def _ends_paragraph(self, said: bytes) -> bool:
        joined = self._line + said
        _, line_end, rest = joined.rpartition(b"\n")
        self._line = b"" if rest.strip(b" \t\r") else line_end
        return _BLANK_LINE.search(joined) is not None

    async def _look(self) -> None:
        try:
            self._look_again = True
            while self._look_again and self.blocked is None:
                self._look_again = False
                await self._ask(self._at_paragraphs, whole=False)
        finally:
            self._looking = None

    async def look_back(self) -> bool:
        """Has all checks look at what earlier attempts have left, if anything; whether it may stay."""
        if self._text:
            await self._ask(self._checks, whole=False)
        return self.blocked is None

    async def judge(self) -> None:
        """Has all checks look at the text, to which nothing is added any more."""
        self.close()
        if self.blocked is None and self._text:
            await self._ask(self._checks, whole=True)

    def close(self) -> None:
        """Nothing is looked at any more."""
        if self._looking is not None:
            self._looking.cancel()

    # -- asking

    async def _ask(self, checks: Sequence[Check], *, whole: bool) -> None:
        """Asks the checks in turn, until one blocks."""
        joined = b"".join(self._text)
        self._text = [joined]
        text, subject = joined.decode(), replace(self._subject, whole=whole)
        for check in checks:
            match await self._verdict(check, text, subject):
                case Flag(reason, category):
                    self._flag(check, Flag(reason[:_MOST_CHARACTERS], category[:_MOST_CHARACTERS]))
                case Block(reason, category):
                    self.blocked = Blocked(check.name, reason[:_MOST_CHARACTERS], category[:_MOST_CHARACTERS])
                    log.info("%s: blocked by %s", subject.generation, check.name)
                    self._on_block()
                    return

    def _flag(self, check: Check, flag: Flag) -> None:
        """Once, however often it is found again as the text grows."""
        if (check.name, flag) not in self._flagged and len(self._flagged) < _MOST_FLAGS:
            self._flagged.add((check.name, flag))
            fields = {"name": check.name, "verdict": "flag", "reason": flag.reason, "category": flag.category}
            self._put([event("guardrail", **fields)])

    async def _verdict(self, check: Check, text: str, subject: Subject) -> Verdict:
        """What the check says, within its time. What it raises is not logged, as it may have the text in it."""
        task = asyncio.get_running_loop().create_task(_asked(check, text, subject))
        try:
            done, _ = await asyncio.wait((task,), timeout=check.timeout)
        finally:
            if not task.done():  # it may not heed this, and is not waited for
                task.cancel()
                self._left.add(task)
                task.add_done_callback(self._forget)
        if not done:
            return self._failed(check, subject, "takes too long")
        if task.cancelled() or (error := task.exception()) is not None:
            return self._failed(
                check, subject, f"raised {'CancelledError' if task.cancelled() else type(error).__name__}"
            )
        verdict: object = task.result()
        if verdict is None or isinstance(verdict, Flag | Block):
            return verdict
        return self._failed(check, subject, f"answered {type(verdict).__name__}")

    def _forget(self, task: asyncio.Task[Verdict]) -> None:
        self._left.discard(task)
        if not task.cancelled():
            task.exception()  # nobody wants to know any more

    @staticmethod
    def _failed(check: Check, subject: Subject, why: str) -> Verdict:
        log.error("%s: the guardrail %s %s", subject.generation, check.name, why)
        verdict = Block if check.on_failure == "closed" else Flag
        return verdict("The check failed.", "check_failed")


async def _asked(check: Check, text: str, subject: Subject) -> Verdict:
    return await check.run(text, subject)

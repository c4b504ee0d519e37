"""What a check is told and answers, and how it declares what it needs. Pure."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

OnFailure = Literal["closed", "open"]
"""What a check that raises or takes too long comes to: `closed`, a block; `open`, a flag."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose text it is. `whole`: nothing comes behind it in this attempt."""

    generation: str
    model: str
    labels: Mapping[str, str]
    whole: bool


@dataclass(frozen=True, slots=True)
class Flag:
    """The text may be shown, and viewers are told. `reason` is for people, `category` for programs; both are shown."""

    reason: str = ""
    category: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """The text is withdrawn, and the generation fails. `reason` and `category` as a flag's."""

    reason: str = ""
    category: str = ""


Verdict = Flag | Block | None
"""None: it passes."""

Function = Callable[[str, Subject], Awaitable[Verdict]]


@dataclass(frozen=True, slots=True)
class Declared:
    """What a check says of itself; None where the worker's settings hold."""

    name: str | None = None
    paragraphs: bool = False
    timeout: float | None = None
    on_failure: OnFailure | None = None


DECLARED: Final = "respool_guardrail"
"""The attribute of a function that has its `Declared`."""

F = TypeVar("F", bound=Function)


def guardrail(
    *,
    name: str | None = None,
    paragraphs: bool = False,
    timeout: float | None = None,
    on_failure: OnFailure | None = None,
) -> Callable[[F], F]:
    """Declares a check. `name` is what viewers see (the function's own, if not given); `paragraphs`: it is asked at paragraph
    ends too; `timeout`: seconds after which it has failed; `on_failure`: what that comes to."""

    def declare(check: F) -> F:
        setattr(check, DECLARED, Declared(name, paragraphs, timeout, on_failure))
        return check

    return declare


@dataclass(frozen=True, slots=True)
class Check:
    """A check with everything decided. `timeout` is in seconds."""

    name: str
    run: Function
    paragraphs: bool
    timeout: float
    on_failure: OnFailure

"""The upstreams that an operator names, and which model goes to which: what RESPOOL_UPSTREAMS says. Pure."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from broker.budgets import NO_LIMITS, Limits

Kind = Literal["anthropic", "openai-responses", "openai-chat"]
Continuation = Literal["restart", "quote", "prefill"]

LONGEST_PATTERN = 256
DEFAULT_NAME = "anthropic"
"""Of the one upstream that there is where none is named."""


class BadUpstreams(ValueError):
    """What RESPOOL_UPSTREAMS says cannot be used; the text says why, without anything that could be a secret."""


def _is_pattern(pattern: str) -> str:
    if "*" * 2 in pattern:
        raise ValueError("has two stars in a row")
    return pattern


Pattern = Annotated[str, Field(min_length=1, max_length=LONGEST_PATTERN), AfterValidator(_is_pattern)]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]


class UpstreamSetting(BaseModel):
    """One entry. `key` names the variable or the secret file that the key is in, None: there is none; where it is not given,
    it is the one that the vendor's SDK looks at. `models` are patterns, in which `*` stands for anything. `continuation`: how
    a model of it is asked to go on from an interrupted answer. `limits`: what all workers may ask of each model of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    kind: Kind
    base_url: str | None = Field(default=None, pattern=r"^https?://[^\s@]+$")
    key: VariableName | None = None
    models: list[Pattern] = Field(min_length=1, max_length=100)
    continuation: Continuation | None = None
    limits: Limits = NO_LIMITS

    @model_validator(mode="after")
    def _can_be_called(self) -> Self:
        if self.kind == "anthropic" and self.continuation is not None:
            raise ValueError("`continuation` is for OpenAI's kinds: how a Claude goes on is known by its name")
        if self.kind == "openai-responses" and self.continuation == "prefill":
            raise ValueError("the Responses API takes no prefill: `continuation` may be `restart` or `quote`")
        if self.kind != "anthropic" and self.base_url is not None and "key" not in self.model_fields_set:
            raise ValueError("name its `key` too, null if it asks for none: OpenAI's own is sent to OpenAI alone")
        return self

    @property
    def key_variable(self) -> str | None:
        """Where the key is, of one of OpenAI's kinds; None: nowhere, as it asks for none."""
        return self.key if "key" in self.model_fields_set else "OPENAI_API_KEY"

    def serves(self, model: str) -> bool:
        return any(matches(pattern, model) for pattern in self.models)


def matches(pattern: str, model: str) -> bool:
    """Whether a model's name is of the pattern. In time that grows with their lengths alone, however many stars there are."""
    first, *rest = pattern.split("*")
    if not rest:
        return model == pattern
    *middle, last = rest
    if len(model) < len(first) + len(last) or not model.startswith(first) or not model.endswith(last):
        return False
    at, end = len(first), len(model) - len(last)
    for part in middle:
        found = model.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def serving(upstreams: Sequence[UpstreamSetting], model: str) -> UpstreamSetting | None:
    """The first whose patterns the model's name is of."""
    return next((each for each in upstreams if each.serves(model)), None)


_ENTRIES = TypeAdapter(list[UpstreamSetting])


def parsed(text: str | bytes) -> tuple[UpstreamSetting, ...]:
    """The entries of a JSON list. Raises BadUpstreams."""
    try:
        entries = _ENTRIES.validate_json(text)
    except ValidationError as error:
        raise BadUpstreams("; ".join(_said(fault["loc"], fault["msg"]) for fault in error.errors()[:5])) from None
    if not entries:
        raise BadUpstreams("is an empty list: leave it out for the one upstream that there is by default")
    names = [entry.name for entry in entries]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise BadUpstreams(f"two upstreams have the name {doubled[0]}")
    return tuple(entries)


def _said(place: tuple[int | str, ...], what: str) -> str:
    """Of one fault: which entry, counted from 1, which field, and what is wrong there."""
    where = [
        f"entry {part + 1}" if isinstance(part, int) and not index else str(part) for index, part in enumerate(place)
    ]
    return ": ".join([*where, what.removeprefix("Value error, ")])

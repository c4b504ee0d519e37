"""What an operator says of each tenant: RESPOOL_TENANTS. Pure.

    {"*": {"models": ["claude-*"], "weight": 1}, "acme": {"models": ["*"], "upstream_key_env": "ACME_KEY"}}

The entry `*` holds for all tenants, and where nobody is asked who they are; an entry of a tenant's own takes its place field by
field. It is read when a process starts.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from broker.limits import LimitSettings
from broker.upstreams import Pattern, VariableName, matches

TENANT: Final = "[a-z0-9][a-z0-9_-]{0,31}"
EVERYBODY: Final = "*"
_NAME: Final = re.compile(TENANT, re.ASCII)
_MOST_FAULTS: Final = 5

Patterns = Annotated[list[Pattern], Field(max_length=1000)]


class BadTenants(ValueError):
    """What RESPOOL_TENANTS says cannot be used; the text says why, without anything that could be a secret."""


class TenantSetting(LimitSettings):
    """One entry, its limits among it. What is None is said by nobody."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    models: Patterns | None = None
    """Patterns of models that it may ask for, in which `*` stands for anything. None: any; an empty list: none."""
    tools: Patterns | None = None
    """The same of tools that run elsewhere than at the submitter: types of the upstream's, names of this server's."""
    upstream_key_env: VariableName | dict[str, VariableName] | None = None
    """The variable or the secret file in which workers have the key that its calls are made with, so that its prompts are
    cached apart; where there are several upstreams, by their names. None: the key of all."""
    weight: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 1.0
    """Its share of workers where there are not enough for all, beside the weights of the others."""

    def over(self, usual: "TenantSetting") -> "TenantSetting":
        """This one, and what it does not say as the usual one does."""
        return usual.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})

    def variables(self, upstreams: Sequence[str]) -> Mapping[str, str]:
        """Of those of these upstreams that are called with a key of its own, where that is."""
        if isinstance(self.upstream_key_env, str):
            return dict.fromkeys(upstreams, self.upstream_key_env)
        return self.upstream_key_env or {}

    def why_not_called(self, upstreams: Sequence[str]) -> str | None:
        """Why these upstreams cannot be called with the keys that are named; None if they can."""
        named = self.upstream_key_env
        if isinstance(named, str) and len(upstreams) > 1:
            return "upstream_key_env: there are several upstreams: {upstream's name: variable's name, …}"
        if isinstance(named, dict) and (unknown := sorted(named.keys() - set(upstreams))):
            return f"upstream_key_env: there is no upstream {unknown[0][:64]!r}"
        return None

    def allows_model(self, model: str) -> bool:
        return _allows(self.models, model)

    def allows_tool(self, name: str) -> bool:
        return _allows(self.tools, name)


def _allows(patterns: list[str] | None, name: str) -> bool:
    return patterns is None or any(matches(pattern, name) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Tenants:
    """All entries, each with what `*` says in it."""

    own: Mapping[str, TenantSetting] = field(default_factory=dict)
    usual: TenantSetting = field(default_factory=TenantSetting)

    def of(self, owner: str) -> TenantSetting:
        """What holds for this tenant."""
        return self.own.get(owner, self.usual)

    def entries(self) -> Iterator[tuple[str, TenantSetting]]:
        """Each with its name, the one for all too."""
        yield EVERYBODY, self.usual
        yield from self.own.items()

    @classmethod
    def parsed(cls, text: str | bytes) -> "Tenants":
        """From a JSON object. Raises BadTenants."""
        try:
            entries = _ENTRIES.validate_json(text)
        except ValidationError as error:
            faults = error.errors()[:_MOST_FAULTS]
            raise BadTenants("; ".join(_said(fault["loc"], fault["msg"]) for fault in faults)) from None
        usual = entries.pop(EVERYBODY, TenantSetting())
        for name in entries:
            if not _NAME.fullmatch(name):
                raise BadTenants(f"{name[:64]!r} is no tenant's name: {TENANT}, or `*` for all")
        return cls({name: own.over(usual) for name, own in entries.items()}, usual)


NO_TENANTS: Final = Tenants()
_ENTRIES: Final = TypeAdapter(dict[str, TenantSetting])


def _said(place: tuple[int | str, ...], what: str) -> str:
    """Of one fault: which tenant, which field, and what is wrong there."""
    return ": ".join([*(str(part)[:64] for part in place), what.removeprefix("Value error, ")])

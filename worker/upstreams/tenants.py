"""Which key a tenant's calls are made with: that of all, or one of its own, so that an upstream keeps its prompts apart, and
counts them apart.

A key is looked up by the name of its variable when the first call with it is made; no key is in Redis.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from broker.budgets import Budget
from broker.tenants import Tenants
from broker.transcript import Kept
from worker.upstreams import Answer, Call, Json, Upstream, UpstreamFailure

Variables = Mapping[str, str]
"""By the name of each upstream that is called with a tenant's own key, where that key is."""
NO_VARIABLES: Final[Variables] = {}


class Keyless(Upstream):
    """Of a key that this worker has not: every call fails, none is made with another key."""

    def answer_to(self, call: Call) -> AbstractAsyncContextManager[Answer]:
        raise UpstreamFailure("upstream_authentication", "This worker has no key for the tenant.", retryable=False)

    def budget(self, call: Call) -> Budget | None:
        return None

    def resumed(self, body: Json, kept: Kept) -> Call | None:
        return None

    async def aclose(self) -> None:
        """Nothing is open."""


class Upstreams:
    """All upstreams of a process: `usual`, called with the keys of all, and those of tenants with keys of their own, which are
    opened when they are first called. `names` are those of the upstreams. Close it with `aclose`."""

    def __init__(self, open_: Callable[[Variables], Upstream], tenants: Tenants, names: Sequence[str]) -> None:
        self.usual = open_(NO_VARIABLES)
        self._open = open_
        self._tenants = tenants
        self._names = names
        self._own: dict[tuple[tuple[str, str], ...], Upstream] = {}  # as many as RESPOOL_TENANTS names, at most

    def of(self, owner: str) -> Upstream:
        """What this tenant's generations are made with."""
        variables = self._tenants.of(owner).variables(self._names)
        if not variables:
            return self.usual
        key = tuple(sorted(variables.items()))
        if key not in self._own:
            self._own[key] = self._open(variables)
        return self._own[key]

    async def aclose(self) -> None:
        for upstream in (self.usual, *self._own.values()):
            await upstream.aclose()

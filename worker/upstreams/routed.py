"""Several upstreams as one: a model's name says which of them is called. Its own work is pure."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from broker.budgets import Budget
from broker.transcript import Kept
from broker.upstreams import UpstreamSetting
from worker.upstreams import Answer, Call, Json, Upstream, UpstreamFailure


@dataclass(frozen=True, slots=True)
class Route:
    setting: UpstreamSetting
    upstream: Upstream


class Routed(Upstream):
    """The first whose patterns the model's name is of answers. A model that none serves fails as `unknown_model`."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes

    def answer_to(self, call: Call) -> AbstractAsyncContextManager[Answer]:
        upstream = self._serving(call.body)
        if upstream is None:
            raise UpstreamFailure("unknown_model", "No upstream is configured for this model.", retryable=False)
        return upstream.answer_to(call)

    def budget(self, call: Call) -> Budget | None:
        upstream = self._serving(call.body)
        return None if upstream is None else upstream.budget(call)

    def resumed(self, body: Json, kept: Kept) -> Call | None:
        upstream = self._serving(body)
        return None if upstream is None else upstream.resumed(body, kept)

    async def aclose(self) -> None:
        for route in self._routes:
            await route.upstream.aclose()

    def _serving(self, body: Json) -> Upstream | None:
        model = str(body["model"])
        return next((route.upstream for route in self._routes if route.setting.serves(model)), None)

"""The cells of a process, as one: whose generation it is, says its id; where a new one goes, is chosen here.

A submit without a key goes by weight, to a cell that answers. One with a key goes to the key's home, and nowhere else: it is
refused while that is away, as another cell could not tell whether it was accepted before. Where weights have changed in the
last day, the key's former homes are asked first whether they know it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from api.intake.problems import Code, Problem, from_broker_error
from api.routes.merging import Part, Place, merged
from api.routes.readiness import State, states
from api.routes.service import Service
from api.viewing.admissions import Admissions
from broker.aside import Aside
from broker.errors import (
    BrokerError,
    LimitReached,
    OutcomeUnknown,
    QueueFull,
    StorageFull,
    StorageUnavailable,
    TooBusy,
    UnknownGeneration,
)
from broker.ids import cell_of, is_generation_id
from broker.keyed import kept
from broker.placing import Turn, Weights, home, read
from broker.record import Record
from broker.request import GenerationRequest
from broker.store.accepting import First, Submitted, key_of
from broker.store.limiting import Limiter
from broker.store.shares import Shares
from broker.tasks import Tasks

log = logging.getLogger("respool.cells")

ListIn: TypeAlias = Callable[[Service, Place | None, int], Awaitable[Part[Record]]]
"""A page of a cell's list: behind this place, so many."""
_LIST_SECONDS: Final = 3.0
_weights_of: Final = lru_cache(maxsize=256)(read)


class OneCell(NamedTuple):
    """`weight`: as in the settings. `shares`: how submits were shared out of late, as its coordination has it."""

    service: Service
    weight: float
    shares: Shares


class Page(NamedTuple):
    """`missing`: cells that do not answer, whose generations are not in it."""

    records: list[Record]
    behind: Place | None
    missing: list[int]


class Cells:
    """What a route works with that has no id in its path. `services` are the cells by their numbers."""

    def __init__(self, cells: Mapping[int, OneCell]) -> None:
        self.services = {number: cell.service for number, cell in cells.items()}
        self.weights: Weights = {number: cell.weight for number, cell in cells.items()}
        self._shares = [cell.shares for cell in cells.values()]
        self._taking = [number for number, weight in self.weights.items() if weight > 0]
        self._alone = len(cells) == 1
        self._turn = Turn()
        self._unknown: set[int] = set()
        self.tasks = Tasks(log)
        """What is done of a request that is over. Its owner cancels it."""

    def of(self, id_: str) -> Service:
        """The cell that has this generation, if any has it. Raises UnknownGeneration."""
        if not is_generation_id(id_):
            raise UnknownGeneration
        number = cell_of(id_)
        if number in self.services:
            return self.services[number]
        if number not in self._unknown:  # 1,024 at most
            self._unknown.add(number)
            log.warning("somebody asked for a generation of cell %d, which is not in RESPOOL_CELLS", number)
        raise UnknownGeneration

    def counting(self, id_: str | None) -> Limiter:
        """Where a request is counted that is no submit: in the cell that it is about, if that one has a share of the limits."""
        number = cell_of(id_) if id_ is not None and is_generation_id(id_) else -1
        return (self.services[number] if number in self._taking else self._any).limiter

    @property
    def aside(self) -> Aside:
        """Where large bodies are read."""
        return self._any.aside

    @property
    def bounds(self) -> Mapping[str, object]:
        """What a request is held against besides its own rules."""
        return self._any.bounds

    @property
    def retention(self) -> int:
        """Seconds, of what is asked for without one."""
        return self._any.submissions.retention

    def digest_of(self, request: GenerationRequest, owner: str) -> str:
        """Of what this tenant asks for: the same of two requests that ask for the same."""
        return kept(self._any.submissions.keyed.fingerprint(owner, request.fingerprint()))

    @property
    def admissions(self) -> Admissions:
        """Who has which streams open: those of all cells."""
        return self._any.hub.admissions

    @property
    def _any(self) -> Service:
        return self.services[self._taking[0]]

    # -- submitting

    def refuse_if_crowded(self) -> None:
        """As Service.refuse_if_crowded, where no cell would take it."""
        if all(self.services[number].crowded for number in self._taking):
            raise Problem(Code.TOO_BUSY)

    def refuse_unless_accepting(self) -> None:
        """As Service.refuse_unless_accepting, where no cell accepts."""
        if self._any.hub.draining or all(self.services[number].agreement.apart for number in self._taking):
            self._any.refuse_unless_accepting()

    async def accept(
        self,
        request: GenerationRequest,
        idempotency_key: str | None,
        owner: str,
        by: str = "",
        first: First | None = None,
    ) -> Submitted:
        """As Submissions.accept, in the cell that is chosen for it. Raises Problem, too, where that cell takes nothing."""
        if self._alone:
            return await self._any.submissions.accept(request, idempotency_key, owner, by, first)
        if idempotency_key is None:
            return await self._anywhere(request, owner, by, first)
        service = await self._at_home(request, idempotency_key, owner)
        service.refuse_unless_accepting()
        service.refuse_if_crowded()
        return await service.submissions.accept(request, idempotency_key, owner, by)

    async def made_before(self, request: GenerationRequest, idempotency_key: str, owner: str) -> Submitted:
        """As Submissions.made_before, in the cell that knows the key. Raises StorageUnavailable if one does not answer that may
        know it."""
        service = self._any if self._alone else await self._at_home(request, idempotency_key, owner)
        return await service.submissions.made_before(request, idempotency_key, owner)

    async def _anywhere(self, request: GenerationRequest, owner: str, by: str, first: First | None) -> Submitted:
        """A cell that was tried and did nothing is no reason not to try another, one that has used up its share of a limit
        neither; one that may have done something is."""
        left = {number: self.weights[number] for number in self._taking if self.services[number].takes_submits}
        if not left:
            left = {number: self.weights[number] for number in [self._turn.next(self.weights)]}
        while True:
            number = self._turn.next(left)
            service = self.services[number]
            try:
                return await service.submissions.accept(request, None, owner, by, first)
            except (StorageUnavailable, StorageFull, OutcomeUnknown, LimitReached, QueueFull) as error:
                if not isinstance(error, TooBusy | StorageFull | LimitReached | QueueFull):
                    service.agreement.hears = False
                del left[number]
                if isinstance(error, OutcomeUnknown) or not left:
                    raise

    async def _at_home(self, request: GenerationRequest, idempotency_key: str, owner: str) -> Service:
        """The cell that knows the key, else its home. Raises StorageUnavailable if one does not answer that may know it."""
        key = key_of(owner, idempotency_key)
        now = home(self.weights, key)
        heard = [shares.heard for shares in self._shares if shares.heard is not None]
        if not heard:
            raise StorageUnavailable
        former = {home(_weights_of(text), key) for text in frozenset().union(*heard)}
        for number in sorted(former - {now}):
            if number in self.services:
                service = self.services[number]
                if await service.submissions.knows(request, idempotency_key, owner):
                    return service
        return self.services[now]

    # -- the whole

    async def list(self, list_in: ListIn, before: Place | None, limit: int, *, partial: bool = False) -> Page:
        """A page of the cells' lists as one, newest first. Raises what a cell raises that does not answer, unless a part will
        do: then as long as one answers."""
        numbers = list(self.services)
        found = await asyncio.gather(
            *(self._list_in(list_in, self.services[number], before, limit) for number in numbers),
            return_exceptions=True,
        )
        parts = [each for each in found if isinstance(each, Part)]
        failures = {
            number: each for number, each in zip(numbers, found, strict=True) if isinstance(each, BaseException)
        }
        for error in failures.values():
            if not isinstance(error, BrokerError):
                raise error
        if failures and not (partial and parts):
            raise self._without(failures)
        page = merged(parts, limit)
        return Page([record for _, record in page.rows], page.behind, list(failures))

    async def _list_in(self, list_in: ListIn, service: Service, before: Place | None, limit: int) -> Part[Record]:
        """Where there are others, one that is known to be away is not waited for, and any other not for long."""
        if self._alone:
            return await list_in(service, before, limit)
        if not service.agreement.hears:
            raise StorageUnavailable
        try:
            async with asyncio.timeout(_LIST_SECONDS):
                return await list_in(service, before, limit)
        except TimeoutError:
            service.agreement.hears = False
            raise StorageUnavailable("silent") from None

    def _without(self, failures: Mapping[int, BaseException]) -> BaseException:
        error = next(iter(failures.values()))
        if self._alone or not isinstance(error, BrokerError):
            return error
        problem = from_broker_error(error)
        problem.extensions = {**problem.extensions, "missing_cells": list(failures)}
        return problem

    async def ready(self) -> Collection[State]:
        """How the cells are, where there are several. Raises what a submit would meet, if no cell takes any."""
        if self._alone:
            await self._any.ready()
            return ()
        found = await states(self.services, self.weights)
        for state in found:
            if state.takes_submits:
                return found
        problem = next(state.problem for state in found if state.weight > 0 and state.problem is not None)
        problem.extensions = {**problem.extensions, "cells": [state.shown() for state in found]}
        raise problem

    def drain(self) -> None:
        """Sends every viewer away."""
        for service in self.services.values():
            service.hub.drain()

"""How each cell is. One that does not answer must not hold up the answer that another is ready: who asks waits for a second,
perhaps."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from api.intake.problems import Code, Problem, from_broker_error
from api.routes.service import Service
from broker.errors import BrokerError
from broker.placing import Weights

_OTHERS_SECONDS: Final = 0.25
"""For so long the others are waited for when one is ready."""


@dataclass(frozen=True, slots=True)
class State:
    """`problem`: what a request for a generation of this cell would meet; None: none."""

    cell: int
    weight: float
    problem: Problem | None

    @property
    def takes_submits(self) -> bool:
        return self.problem is None and self.weight > 0

    def shown(self) -> dict[str, Any]:
        """As JSON."""
        status = "ready" if self.problem is None else self.problem.code
        return {"cell": self.cell, "weight": self.weight, "status": status}


async def states(services: Mapping[int, Service], weights: Weights) -> list[State]:
    """Of each cell, in the order of `services`."""
    looks = {number: asyncio.create_task(_look(service)) for number, service in services.items()}
    try:
        waiting = set(looks.values())
        while waiting:
            one_is_ready = any(
                look.done() and look.result() is None and weights[number] > 0 for number, look in looks.items()
            )
            timeout = _OTHERS_SECONDS if one_is_ready else None  # each look has its own bound
            done, waiting = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
        silent = Problem(Code.REDIS_UNAVAILABLE)
        return [
            State(number, weights[number], look.result() if look.done() else silent) for number, look in looks.items()
        ]
    finally:
        for look in looks.values():
            look.cancel()


async def _look(service: Service) -> Problem | None:
    try:
        await service.ready()
    except Problem as problem:
        return problem
    except BrokerError as error:
        return from_broker_error(error)
    return None

"""The scripts of upstreams' budgets as typed functions, one a script: what a step does and when it refuses is in its header.
Each returns the call, not made yet. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from broker import keys
from broker.breaker import HALF_WINDOW_MS, LONGEST_PAUSE_MS, Rules, State
from broker.budgets import Allowance, Budget, Outcome, Permit, Reason, Troubled, Wait
from broker.rate import Rate
from broker.store.lua import Argument, Call, Script

_PERMIT: Final = Script("upstream_permit")
_FOUND: Final = Script("upstream_found")
_LEAVE: Final = Script("upstream_leave")
_HOLD: Final = Script("upstream_hold")
_TROUBLED: Final = Script("upstream_troubled")

_MOST_TROUBLED: Final = 200


def permit(
    budget: Budget, call: str, process: str, *, waited_ms: float, tokens: int, holds_ms: int
) -> Call[Permit | Wait]:
    """Asks for a permit for `call`, which is likely to cost so many tokens. It holds for `holds_ms`."""
    hash_, calls, waiting = keys.upstream(budget.name)
    limits = budget.limits
    args: list[Argument] = [
        budget.name,
        budget.upstream,
        budget.model,
        call,
        process,
        f"{waited_ms:.3f}",
        tokens,
        holds_ms,
        limits.concurrent or 0,
        *_rate(limits.requests),
        *_rate(limits.tokens),
        keys.BUDGET_MS,
    ]
    return Call(_PERMIT, [hash_, calls, waiting, keys.UPSTREAMS], args, _permitted)


def _permitted(reply: Sequence[Any]) -> Permit | Wait:
    granted, value, *why = reply
    return Permit(value == 1) if granted else Wait(float(value), cast(Reason, why[0].decode()))


def found(budget: Budget, call: str, outcome: Outcome, rules: Rules) -> Call[tuple[State, bool]]:
    """Notes what the call has found. The breaker's state then, and whether it is so by this call."""
    args: list[Argument] = [
        budget.name,
        budget.upstream,
        budget.model,
        call,
        outcome.found,
        outcome.before,
        round(outcome.retry_ms),
        int(outcome.limited),
        rules.failures,
        rules.pause_ms,
        LONGEST_PAUSE_MS,
        HALF_WINDOW_MS,
        keys.BUDGET_MS,
        *_told(outcome.told.requests),
        *_told(outcome.told.tokens),
    ]
    return Call(_FOUND, [keys.upstream(budget.name)[0], keys.UPSTREAMS], args, _state)


def _state(reply: Sequence[Any]) -> tuple[State, bool]:
    state, changed = reply
    return cast(State, state.decode()), changed == 1


def leave(budget: Budget, back: Mapping[str, int]) -> Call[int]:
    """Calls are over: so many tokens of each go back; below 0, so many more are counted. How many had a permit still."""
    hash_, calls, _ = keys.upstream(budget.name)
    tokens = budget.limits.tokens
    args: list[Argument] = [keys.BUDGET_MS, f"{tokens.interval:.6f}" if tokens else 0]
    for each in back.items():
        args += each
    return Call(_LEAVE, [hash_, calls], args, int)


def hold(budget: Budget, calls: Sequence[str], holds_ms: int) -> Call[None]:
    """These calls go on: their permits hold for `holds_ms` from now."""
    return Call(_HOLD, list(keys.upstream(budget.name)[:2]), [holds_ms, keys.BUDGET_MS, *calls], _nothing)


def troubled() -> Call[list[Troubled]]:
    """The budgets that are to be asked before each call."""
    return Call(_TROUBLED, [keys.UPSTREAMS], [keys.UPSTREAM, _MOST_TROUBLED], _troubled)


def _troubled(reply: Sequence[Sequence[Any]]) -> list[Troubled]:
    found: list[Troubled] = []
    for name, upstream, model, state, paused_ms, running in reply:
        budget = Budget(name.decode(), upstream.decode(), model.decode(errors="replace"))
        found.append(Troubled(budget, cast(State, state.decode()), float(paused_ms), int(running)))
    return found


def _rate(rate: Rate | None) -> tuple[Argument, Argument]:
    return ("0", 0) if rate is None else (f"{rate.interval:.6f}", rate.burst)


def _told(allowance: Allowance | None) -> tuple[Argument, Argument, Argument]:
    if allowance is None:
        return (0, 0, 0)
    rate = allowance.rate
    return (-1, 0, 0) if rate is None else (f"{allowance.full_ms:.3f}", f"{rate.interval:.6f}", rate.burst)


def _nothing(_: object) -> None:
    return None

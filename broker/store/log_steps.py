"""The atomic steps of the logs role as typed functions, one a script (append, the token path, is in appends.py). The
parameters are what the script is told, the reply is a type; what a step does and when it refuses is in the script's header.

Each returns the call, not made yet: `Logs` makes it at once, a transaction takes it with others. Pure.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, cast

from broker import keys
from broker.ids import EntryId
from broker.record import Ending, Origin, State
from broker.replies import Cancelled, Cost, Created, Finished, Granted, Look, Refused, Released, Watched
from broker.request import Durability
from broker.schedule import AT_ONCE, Schedule
from broker.store.lua import Argument, Call, Script
from broker.tags import NO_TAGS, Tags
from broker.webhooks import Hook

_CREATE: Final = Script("create")
_CLAIM: Final = Script("claim")
_FINISH: Final = Script("finish")
_CANCEL: Final = Script("cancel")
_RELEASE: Final = Script("release")
_REVOKE: Final = Script("revoke")
_LOOK: Final = Script("look")
_CONFIRM: Final = Script("confirm")
_SYNC: Final = Script("sync")
_WATCH: Final = Script("watch")
_ABANDON: Final = Script("abandon")


def create(
    id_: str,
    request: bytes,
    model: str,
    retention_ms: int,
    durability: Durability,
    fingerprint: str,
    owner: str,
    origin: Origin | None = None,
    abandon_ms: int | None = None,
    hook: Hook | None = None,
    tags: Tags = NO_TAGS,
    schedule: Schedule = AT_ONCE,
    sealed: bytes = b"",
    *,
    charged: bool = False,
) -> Call[Created]:
    """Makes the record. `sealed`: the wrapped data key that `request` is sealed with, if it is. `fingerprint` is the body's if
    the id is an idempotency key's, else empty; `owner` is empty where nobody is asked who they are; `abandon_ms` is None where
    nobody need watch. `charged`: its owner is, for what it costs."""
    args: list[Argument] = [
        keys.WAITING_MS,
        keys.REMEMBERED_MS,
        fingerprint,
        model,
        request,
        retention_ms,
        durability,
        owner,
        "" if origin is None else str(origin),
        "" if abandon_ms is None else abandon_ms,
        "" if hook is None else str(hook),
        tags.to_bytes(),
        "" if schedule.start_ms is None else schedule.start_ms,
        "" if schedule.delay_ms is None else schedule.delay_ms,
        sealed,
        "1" if charged else "",
    ]
    return Call(_CREATE, [keys.record(id_), keys.tombstone(id_)], args, _created)


def _created(reply: bytes) -> Created:
    return cast(Created, reply.decode())


def claim(
    id_: str,
    claimant: str,
    *,
    lease_ms: int,
    most_attempts: int,
    planned_from: EntryId,
    run: bool,
    start_json: bytes,
    kept_chunks: int,
    attempts_in_all: int = 20,
    most_paid: int = 0,
    guarded: bool = False,
    discards: bool = False,
) -> Call[Granted | Refused]:
    """Starts an attempt. `start_json` is its first entry's JSON object, to which the script adds `attempt`.
    `claimant` is a name that no other claim has: the same claim, repeated, is granted again. `most_attempts` may count,
    `most_paid` output tokens be paid for by all (0: any number). `guarded`: what ends without this worker is withdrawn.
    `discards`: it keeps nothing of what earlier attempts made."""
    args: list[Argument] = [
        *(keys.live(id_), claimant, lease_ms, keys.WAITING_MS, keys.REMEMBERED_MS, most_attempts),
        *(str(planned_from), "run" if run else "fail", start_json.removesuffix(b"}"), kept_chunks),
        *(attempts_in_all, most_paid, "1" if guarded else "", int(discards)),
    ]
    return Call(_CLAIM, _all_keys(id_), args, _claimed)


def _claimed(reply: Sequence[bytes]) -> Granted | Refused:
    match reply:
        case [b"granted", attempt, ordinal, paid]:
            return Granted(int(attempt), int(ordinal), int(paid))
        case [b"held", ms]:
            return Refused("held", int(ms))
    return Refused(cast('Literal["moved", "ended", "sealed", "unknown"]', reply[0].decode()))


def finish(id_: str, attempt: int, seq: int, ending: Ending) -> Call[Finished]:
    """Writes the terminal entry, if the log ends with the attempt's entry before `seq`. May be repeated."""
    args: list[Argument] = [
        *(keys.live(id_), attempt, seq, keys.REMEMBERED_MS, ending.state, ending.reason or ending.stop_reason),
        *(ending.code, ending.message, int(ending.retryable), ending.status or ""),
        *("null" if ending.retry_after is None else f"{ending.retry_after:g}", ending.measured, ending.withdraw),
    ]
    return Call(_FINISH, _all_keys(id_), args, _finished)


def _finished(reply: Sequence[Any]) -> Finished:
    match reply:
        case [b"behind", seq]:
            return Finished("behind", int(seq))
        case [b"ended", state, ordinal, created_ms, retention_ms, hooked, owner, *cost]:
            how, whose = cast(State, state.decode()), owner.decode()
            look = Look(how, ordinal, created_ms, 0, retention_ms, 0, hooked == 1, owner=whose, cost=_cost(*cost))
            return Finished("ended", look=look)
    return Finished(cast('Literal["ended", "fenced"]', reply[0].decode()))


def cancel(id_: str) -> Call[Cancelled]:
    """Notes the cancel in the record; ends the generation here if nobody runs it."""
    args: list[Argument] = [keys.live(id_), keys.CANCELS, id_, keys.REMEMBERED_MS]
    return Call(_CANCEL, _all_keys(id_), args, _cancelled)


def _cancelled(reply: Sequence[bytes]) -> Cancelled:
    why = cast('Literal["cancelled", "cancelling", "ended", "unknown"]', reply[0].decode())
    return Cancelled(why, cast(State, reply[1].decode()) if why == "ended" else None)


def watch(id_: str) -> Call[bool]:
    """Notes that somebody watches. False if it is nothing that ends where nobody does, or has ended."""
    return Call(_WATCH, [keys.record(id_)], [], _is_one)


def abandon(
    id_: str, attempt: int, after_ms: int, *, unwatched: bool, before: Watched, longest_pause_ms: int
) -> Call[Watched]:
    """Cancels what this attempt runs if nobody has watched it for `after_ms`; `unwatched`: if nobody has yet, too. `before` is
    what the last call returned."""
    args: list[Argument] = [attempt, after_ms, int(unwatched), before.since_ms, before.asked_ms, longest_pause_ms]
    return Call(_ABANDON, [keys.record(id_)], args, _watched)


def _watched(reply: Sequence[int]) -> Watched:
    asked_ms, since_ms, abandoned = reply
    return Watched(asked_ms, since_ms, abandoned == 1)


def release(
    id_: str, attempt: int, *, counts: bool, most_attempts: int = 3, attempts_in_all: int = 20
) -> Call[Released]:
    """Gives the lease back, unless no attempt may follow; with `counts=False` the attempt is handed over: that does not count
    against the limit, and is always done."""
    args: list[Argument] = [attempt, int(not counts), most_attempts, attempts_in_all]
    return Call(_RELEASE, [keys.record(id_), keys.log(id_)], args, _released)


def _released(reply: Sequence[Any]) -> Released:
    match reply:
        case [b"released", spent]:
            return Released("released", spent)
    return Released(cast('Literal["fenced", "last", "exhausted"]', reply[0].decode()))


def revoke(id_: str, attempt: int | None = None) -> Call[bool]:
    """Takes the lease from this attempt, whose worker is dead, or from whichever has let it run out, and tells viewers. False
    if there is none."""
    args: list[Argument] = [keys.live(id_), "" if attempt is None else attempt]
    return Call(_REVOKE, [keys.record(id_), keys.log(id_)], args, _is_one)


def look(id_: str) -> Call[Look | None]:
    """What a sweeper must know, or None if there is no record."""
    return Call(_LOOK, [keys.record(id_), keys.webhook(id_), keys.log(id_)], [], _looked)


def _looked(reply: Sequence[object]) -> Look | None:
    if not reply:
        return None
    state, ordinal, created_ms, lease_ms, expires_ms, ended_ms, hooked, place_ms, start_ms, owner, usage, stored = cast(
        "tuple[bytes, int, int, int, int, int, int, int, int, bytes, bytes | None, int | None]", reply
    )
    left = (lease_ms, expires_ms, ended_ms)
    how = cast(State, state.decode())
    cost = _cost(usage, stored)
    return Look(how, ordinal, created_ms, *left, hooked == 1, place_ms, start_ms, owner.decode(), cost)


def _cost(usage: bytes | None = None, stored: int | None = None) -> Cost | None:
    return None if usage is None else Cost(usage, stored or 0)


def confirm(id_: str, end: EntryId) -> Call[bool]:
    """Notes in the record that this end of it is safe. False if the record does not end so (any more)."""
    return Call(_CONFIRM, [keys.record(id_)], [str(end)], _is_one)


def sync(key: str) -> Call[None]:
    """A write for its own sake: something for Redis to sync or to replicate."""
    return Call(_SYNC, [key], [keys.SYNC_MS], _nothing)


def _is_one(reply: int) -> bool:
    return reply == 1


def _nothing(_: object) -> None:
    return None


def _all_keys(id_: str) -> list[str]:
    return [keys.record(id_), keys.log(id_), keys.tombstone(id_), keys.webhook(id_)]

"""The atomic steps that touch keys of both roles, as typed functions: only where one server plays both. What they do is done
whole, and where Redis forgets it, forgotten whole. Pure, as log_steps.py and coordination_steps.py are.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from arq.constants import job_key_prefix

from broker import keys
from broker.limits import NO_DEMAND, Demand
from broker.record import Ending
from broker.replies import Allowance, Created, Finished, Full, Limited
from broker.store import log_steps
from broker.store.coordination_steps import EXPIRY_SLACK_MS, tagging
from broker.store.lua import Argument, Call, Script
from broker.store.queue import Job, content, traces
from broker.tags import NO_TAGS, Tags

_ACCEPT: Final = Script("accept")
_CONCLUDE: Final = Script("conclude")
_FIRST_ORDINAL: Final = 1


class Listed(NamedTuple):
    """When a generation was submitted, ms, and how many jobs of its owner were before its own then; None if it may not start
    yet. `alone`: nobody else has any that wait. `allowance`: where requests are counted."""

    created_ms: int
    rank: int | None = None
    alone: bool = True
    allowance: Allowance | None = None


def accept(
    id_: str,
    create: Call[Created],
    first_due_ms: int,
    tags: Tags = NO_TAGS,
    owner: str = "",
    most_waiting: int | None = None,
    demand: Demand = NO_DEMAND,
) -> Call[Listed | Full | Limited | None]:
    """All of a submit: the record, as `create` makes it for this owner, a first look after `first_due_ms`, the lists, the job
    and the bell; nothing where `most_waiting` wait, or where it would pass a limit. May be repeated. None if the record was
    there."""
    name = Job(id_, _FIRST_ORDINAL, owner).name
    touched = [
        *create.keys, keys.DUE, keys.index("all", owner), keys.index("queued", owner), keys.queue(owner), keys.WAKE,
        job_key_prefix + name, keys.STARTING, keys.TENANTS, *tagging(id_, tags, owner),
    ]  # fmt: skip
    args: list[Argument] = [*create.args, id_, first_due_ms, name, content(id_), keys.WAKE_MS, keys.INDEX_MS]
    args += ("" if most_waiting is None else most_waiting, demand.words())
    return Call(_ACCEPT, touched, args, _accepted)


def _accepted(reply: Sequence[Any]) -> Listed | Full | Limited | None:
    match reply:
        case [b"full"]:
            return Full()
        case [b"limited", *_]:
            return Limited.of(reply)
        case [_, created_ms, rank, tenants, *left]:
            return Listed(created_ms, rank, rank is None or tenants == 1, Allowance(*left) if left else None)
    return None


def conclude(
    id_: str, attempt: int, seq: int, ending: Ending, job: str, archive_after_ms: int | None = None
) -> Call[Finished]:
    """Ends a generation as `finish`, whose parameters it has, and files it in the same step: its lists, its looks (an
    archiver's too, where there is an archive), its webhook, and the job of this name. May be repeated."""
    finish, owner = log_steps.finish(id_, attempt, seq, ending), Job.of(job).owner
    touched = [
        *finish.keys, keys.DUE, keys.EXPIRING, keys.index("running", owner), keys.index(ending.state, owner), *traces(job),
        keys.WEBHOOKS, keys.RUNNING, keys.WAKE,
    ]  # fmt: skip
    after_ms = "" if archive_after_ms is None else archive_after_ms
    args = [*finish.args, id_, EXPIRY_SLACK_MS, keys.INDEX_MS, after_ms, owner, keys.WAKE_MS]
    if archive_after_ms is not None:
        touched.append(keys.ARCHIVE)
    return Call(_CONCLUDE, touched, args, finish.read)

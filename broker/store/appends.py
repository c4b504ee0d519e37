"""The append step, typed: entries of many attempts in one trip, one script call each.

This is the token path. Names are made once an attempt, a reply is looked at once, and nothing else is made for a token.
"""

from collections.abc import Sequence
from typing import Final, cast

from arq.connections import ArqRedis
from redis.exceptions import NoScriptError

from broker import keys
from broker.events import Content
from broker.replies import Appended, AppendReply, Behind, Fenced, NotAppended
from broker.store.client import storage_error, storage_errors
from broker.store.lua import Argument, Script

_APPEND: Final = Script("append")


AppendCall = list[Argument]
"""One call of the script, not made yet: the words behind EVALSHA, the script's own SHA first."""


class AttemptLog:
    """The log of one attempt: the names of all that its appends touch."""

    __slots__ = ("_begin", "_begin_looking")

    def __init__(self, id_: str, attempt: int) -> None:
        record, log, cancel, live = keys.record(id_), keys.log(id_), keys.cancel(id_), keys.live(id_)
        self._begin: AppendCall = [_APPEND.sha, 2, record, log, live, attempt]
        self._begin_looking: AppendCall = [_APPEND.sha, 3, record, log, cancel, live, attempt]

    def append(
        self, first: int, contents: list[Content], *, lease_ms: int = 0, usage: bytes = b"", look: bool = False
    ) -> AppendCall:
        """Appends `contents` under the seqs from `first` on. `lease_ms`: the new lease, 0 leaves it. `usage`: JSON, empty
        leaves it. `look`: asks whether a cancel is pending too."""
        call = [*(self._begin_looking if look else self._begin), first, lease_ms, usage]
        for content in contents:
            call += content
        return call


async def send(redis: ArqRedis, calls: Sequence[AppendCall]) -> list[AppendReply]:
    """Makes the calls in one trip; the reply to each, in order. Those that the server did not know the script for are made
    again with it. Raises StorageUnavailable if there was no answer: any may have been made, and all may be made again."""
    pipe = redis.pipeline(transaction=False)
    for call in calls:
        pipe.execute_command("EVALSHA", *call)
    with storage_errors():
        replies = await pipe.execute(raise_on_error=False)
        if NoScriptError in set(map(type, replies)):
            await _send_again(redis, calls, replies)
    return [Appended(reply) if type(reply) is int else _read(reply) for reply in replies]


async def _send_again(redis: ArqRedis, calls: Sequence[AppendCall], replies: list[object]) -> None:
    unknown = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    pipe = redis.pipeline(transaction=False)
    for at in unknown:
        pipe.execute_command("EVAL", _APPEND.text, *calls[at][1:])
    for at, reply in zip(unknown, await pipe.execute(raise_on_error=False), strict=True):
        replies[at] = reply


def _read(reply: object) -> AppendReply:
    match reply:
        case [-1]:
            return Fenced()
        case [-2, int(seq)]:
            return Behind(seq)
        case Exception():
            return NotAppended(storage_error(reply))
    seq, _ = cast("list[int]", reply)
    return Appended(seq, cancel_pending=True)

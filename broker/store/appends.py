"""The append step, typed, and its way to Redis: entries of many attempts in one trip, one script call each.

This is the token path. An attempt's names are written out once, a call is bytes that are ready to be sent, and a reply is
looked at once.
"""

from collections.abc import Sequence
from typing import Final, cast

from redis.exceptions import ResponseError

from broker import keys
from broker.events import Content
from broker.refusals import word
from broker.replies import Appended, AppendReply, Behind, Fenced, NotAppended
from broker.store.address import address_of
from broker.store.client import storage_error, storage_errors
from broker.store.lua import Argument, Script
from broker.store.wire import Wire, open_wire

_APPEND: Final = Script("append")


def _bulk(*words: Argument) -> bytes:
    """Words of a command, as Redis reads them behind its count of words."""
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in encoded)


_BY_SHA: Final = _bulk("EVALSHA", _APPEND.sha)
_IN_FULL: Final = _bulk("EVAL", _APPEND.text)

AppendCall = bytes
"""One call of the script, ready to be sent."""


class AttemptLog:
    """The log of one attempt: the names of all that its appends touch."""

    __slots__ = ("_begin",)

    def __init__(self, id_: str, attempt: int) -> None:
        self._begin = _BY_SHA + _bulk(2, keys.record(id_), keys.log(id_), keys.live(id_), attempt)

    def append(self, first: int, contents: Sequence[Content], *, lease_ms: int = 0, usage: bytes = b"") -> AppendCall:
        """Appends `contents` under the seqs from `first` on. `lease_ms`: the new lease, 0 leaves it. `usage`: JSON, empty
        leaves it."""
        seq, lease = b"%d" % first, b"%d" % lease_ms
        head = b"*%d\r\n%b$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
            10 + 2 * len(contents), self._begin, len(seq), seq, len(lease), lease, len(usage), usage,
        )  # fmt: skip
        return head + b"".join([b"$1\r\n%b\r\n$%d\r\n%b\r\n" % (kind, len(value), value) for kind, value in contents])


class Appends:
    """A process's way to the logs for its appends: a connection that is made when it is needed. Not for two tasks at once."""

    def __init__(self, url: str) -> None:
        self._address = address_of(url)
        self._wire: Wire | None = None

    async def send(self, calls: Sequence[AppendCall]) -> list[AppendReply]:
        """Makes the calls in one trip; the reply to each, in order. Those that the server did not know the script for are made
        again with it. Raises StorageUnavailable if there was no answer: any may have been made, and all may be made again."""
        with storage_errors():
            if self._wire is None or self._wire.lost.is_set():
                self._wire = await open_wire(self._address, Wire)
            replies = await self._wire.exchange(b"".join(calls), len(calls))
            if ResponseError in set(map(type, replies)):
                await self._mend(self._wire, calls, replies)
        return [Appended(reply) if type(reply) is int else _read(reply) for reply in replies]

    async def _mend(self, wire: Wire, calls: Sequence[AppendCall], replies: list[object]) -> None:
        """Makes those calls again that the server did not know the script for; ends a connection to what is a replica now."""
        words = [word(reply) if type(reply) is ResponseError else "" for reply in replies]
        if "READONLY" in words:
            wire.close()
        elif unknown := [at for at, said in enumerate(words) if said == "NOSCRIPT"]:
            again = b"".join([calls[at].replace(_BY_SHA, _IN_FULL, 1) for at in unknown])
            for at, reply in zip(unknown, await wire.exchange(again, len(unknown)), strict=True):
                replies[at] = reply

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()


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

"""The append step, typed, and its way to Redis: entries of many attempts in one trip, one script call each.

This is the token path. An attempt's names are written out once, a call is bytes that are ready to be sent, and a reply is
looked at once.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from redis.crc import key_slot
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

_ASKING: Final = b"*1\r\n$6\r\nASKING\r\n"

AppendCall = bytes
"""One call of the script, ready to be sent."""


class AttemptLog:
    """The log of one attempt: the names of all that its appends touch."""

    __slots__ = ("_begin", "slot")

    def __init__(self, id_: str, attempt: int) -> None:
        self.slot = key_slot(id_.encode())  # of a cluster, by the tag that all its keys have
        self._begin = _BY_SHA + _bulk(2, keys.record(id_), keys.log(id_), keys.live(id_), attempt)

    def append(self, first: int, contents: Sequence[Content], *, lease_ms: int = 0, usage: bytes = b"") -> AppendCall:
        """Appends `contents` under the seqs from `first` on. `lease_ms`: the new lease, 0 leaves it. `usage`: JSON, empty
        leaves it."""
        seq, lease = b"%d" % first, b"%d" % lease_ms
        head = b"*%d\r\n%b$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
            10 + 2 * len(contents), self._begin, len(seq), seq, len(lease), lease, len(usage), usage,
        )  # fmt: skip
        return head + b"".join([b"$1\r\n%b\r\n$%d\r\n%b\r\n" % (kind, len(value), value) for kind, value in contents])


class Lane:
    """The way to one server for appends: a connection that is made when it is needed. Not for two tasks at once. `beside`: the
    URL of another server of the same cluster, to which this one may send us."""

    def __init__(self, url: str, beside: Callable[[str], str] | None = None) -> None:
        self._address = address_of(url)
        self._beside = beside
        self._wire: Wire | None = None
        self._others: dict[str, Lane] = {}
        self.closed = False

    async def send(self, calls: Sequence[AppendCall]) -> list[AppendReply]:
        """Makes the calls in one trip; the reply to each, in order. Those that the server did not know the script for are made
        again with it. Raises StorageUnavailable if there was no answer: any may have been made, and all may be made again."""
        with storage_errors():
            replies = await self._exchange(calls)
            if ResponseError in set(map(type, replies)):
                if unknown := _those_that_say("NOSCRIPT", replies):
                    again = await self._exchange([calls[at].replace(_BY_SHA, _IN_FULL, 1) for at in unknown])
                    for at, reply in zip(unknown, again, strict=True):
                        replies[at] = reply
                if _those_that_say("READONLY", replies) and self._wire is not None:
                    self._wire.close()  # it is a replica now
                if self._beside is not None and (sent_on := _those_that_say("ASK", replies)):
                    await self._follow(calls, replies, sent_on)
        return [Appended(reply) if type(reply) is int else _read(reply) for reply in replies]

    async def _exchange(self, calls: Sequence[AppendCall], *, asking: bool = False) -> list[Any]:
        if self.closed:
            raise ConnectionResetError("this server has its part of the logs no more")
        if self._wire is None or self._wire.lost.is_set():
            self._wire = await open_wire(self._address, Wire)
        if not asking:
            return await self._wire.exchange(b"".join(calls), len(calls))
        return (await self._wire.exchange(b"".join([_ASKING + call for call in calls]), 2 * len(calls)))[1::2]

    async def _follow(self, calls: Sequence[AppendCall], replies: list[Any], sent_on: list[int]) -> None:
        """While a slot is on its way, what has left already is on the server that the reply names. In full: it may not know the
        script."""
        assert self._beside is not None
        for at in sent_on:
            place = str(replies[at]).split()[2]
            if place not in self._others:
                self._others[place] = Lane(self._beside(place))
            (replies[at],) = await self._others[place]._exchange([calls[at].replace(_BY_SHA, _IN_FULL, 1)], asking=True)

    def close(self) -> None:
        """For good. Whoever waits for replies is told at once that none come."""
        self.closed = True
        for lane in (self._wire, *self._others.values()):
            if lane is not None:
                lane.close()


def _those_that_say(first_word: str, replies: list[Any]) -> list[int]:
    return [at for at, reply in enumerate(replies) if type(reply) is ResponseError and word(reply) == first_word]


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

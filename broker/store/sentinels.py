"""Where a primary is, by what its Sentinels say.

All are asked at once, for any of them may be down, frozen or cut off. Each failover has an epoch of its own, and each Sentinel
knows which one its answer is of: the newest is right, and the others have not heard of it yet.

A failover of a primary that lives, or that was only frozen, goes like this. The Sentinel that leads it says that it is about to
promote a replica (`+failover-state-send-slaveof-noone`), does so a moment later, sees up to a second later that it is done, and
only then do all say that the primary is another (`+switch-master`). In between the old one takes writes that are lost: so
nobody is led to it from the first of these on, and whoever is connected to it leaves.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import ConnectionError, RedisError, ResponseError

from broker.refusals import word
from broker.store.connections import Plain, Secure

log = logging.getLogger("respool.sentinels")

SENTINEL_PORT: Final = 26379
_ASK_SECONDS: Final = 1.5
"""For all Sentinels together."""
_STRAGGLER_SECONDS: Final = 0.1
"""For the others, once most have answered."""
_PING_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 15.0
"""After so long without a word they are asked all the same: a primary may be named anew without a failover."""
_PAUSE_SECONDS: Final = 0.5
_MOVE_SECONDS: Final = 5.0
"""So long a primary that is being replaced is nobody's; if it lasts longer, it may have failed."""
_PROMOTES: Final = "+failover-state-send-slaveof-noone"
_MOVED: Final = "+switch-master"
_PROMOTING: Final = (b"send_slaveof_noone", b"wait_promotion")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens: a host and a port, or the path of a Unix socket."""

    host: str = "localhost"
    port: int = 6379
    path: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one Sentinel says: the primary's place, the epoch of the failover that has put it there, and whether it is just
    putting it elsewhere."""

    epoch: int
    place: Place
    moving: bool = False


def newest(answers: Sequence[Answer], asked: int, known: Answer | None) -> Answer | None:
    """Of the answers of so many Sentinels the one to go by: that of the newest epoch, and where that has two, what more of them
    say. What is older than `known` is taken only from most of them: the few that are left may be cut off. Pure."""
    if not answers:
        return None
    epoch = max(answer.epoch for answer in answers)
    if known is not None and epoch < known.epoch and 2 * len(answers) <= asked:
        return known
    ((place, _),) = Counter(answer.place for answer in answers if answer.epoch == epoch).most_common(1)
    return Answer(epoch, place)


class Sentinels:
    """Those of one primary. `options`: of redis-py's connections to them."""

    def __init__(self, hosts: Sequence[tuple[str, int]], name: str, *, secure: bool = False, **options: Any) -> None:
        self._hosts = list(hosts)
        self._name = name
        self._make = Secure if secure else Plain
        self._options = {
            "socket_connect_timeout": _ASK_SECONDS,
            "socket_timeout": _ASK_SECONDS,
            "lib_name": None,
            "lib_version": None,
            **options,
        }
        self._known: Answer | None = None
        self._trouble = ""
        self._asked = asyncio.Lock()
        self._answered_at = 0.0
        self._error: ConnectionError | None = None
        self._moving_since: float | None = None

    @property
    def known(self) -> Place | None:
        """The primary's place as it was found last."""
        return self._known.place if self._known else None

    async def find(self) -> Place:
        """The primary's place now. Those who come while the Sentinels are being asked get the same answer. Raises
        ConnectionError if none answers within 1.5 s, none knows the name, or the primary is being replaced."""
        clock = asyncio.get_running_loop().time
        arrived = clock()
        async with self._asked:
            if self._answered_at <= arrived:
                self._error = await self._ask()
                self._answered_at = clock()
            if self._error is not None or self._known is None:
                raise ConnectionError(str(self._error))
            return self._known.place

    async def left(self, place: Place) -> None:
        """Returns when the primary is not at this place (any more), or is about to leave it."""
        news = _News()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._listen(host, port, news)) for host, port in self._hosts]
            tasks.append(group.create_task(self._look(place, news)))
            try:
                await news.moved.wait()
            finally:
                for task in tasks:
                    task.cancel()

    async def _look(self, place: Place, news: "_News") -> None:
        """Asks whenever a Sentinel may have told something unheard, until cancelled."""
        while True:
            try:
                moved = await self.find() != place
            except ConnectionError:  # where none answers it is taken to be where it was
                moved = self._moving_since is not None
            if moved:
                news.moved.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await news.unheard.wait()
            news.unheard.clear()

    # -- asking

    async def _ask(self) -> ConnectionError | None:
        """Asks all; notes what is known now, or returns why nothing is."""
        troubles: list[str] = []
        answers = await self._answers(troubles)
        best = newest(answers, len(self._hosts), self._known)
        moving = self._moves(any(answer.moving for answer in answers))
        trouble = "; ".join(troubles)
        if trouble != self._trouble:
            log.log(
                logging.WARNING if trouble else logging.INFO, "Sentinels of %s: %s", self._name, trouble or "all answer"
            )
            self._trouble = trouble
        if best is None:
            return ConnectionError(f"no Sentinel says where {self._name} is")
        if moving:
            return ConnectionError(f"{self._name} is being replaced")
        if self._known is not None and best.place != self._known.place:
            log.warning("the primary %s is at %s:%d now", self._name, best.place.host, best.place.port)
        self._known = best
        return None

    def _moves(self, moving: bool) -> bool:
        """Whether it is being replaced, and not for so long that this may have failed."""
        if not moving:
            self._moving_since = None
            return False
        now = asyncio.get_running_loop().time()
        if self._moving_since is None:
            self._moving_since = now
        return now - self._moving_since < _MOVE_SECONDS

    async def _answers(self, troubles: list[str]) -> list[Answer]:
        clock = asyncio.get_running_loop().time
        pending = {asyncio.create_task(self._ask_one(host, port)): f"{host}:{port}" for host, port in self._hosts}
        names, end, answers = dict(pending), clock() + _ASK_SECONDS, list[Answer]()
        try:
            while pending and (left := end - clock()) > 0:
                done, _ = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    del pending[task]
                    match task.result():
                        case Answer() as answer:
                            answers.append(answer)
                        case str(why):
                            troubles.append(f"{names[task]}: {why}")
                if 2 * len(answers) > len(self._hosts):
                    end = min(end, clock() + _STRAGGLER_SECONDS)
        finally:
            for task in pending:
                task.cancel()
            if pending:
                await asyncio.wait(pending)
        if 2 * len(answers) <= len(self._hosts):  # else the others may just be slow
            troubles += [f"{name}: no answer" for name in pending.values()]
        troubles.sort()
        return answers

    async def _ask_one(self, host: str, port: int) -> Answer | str:
        """What one says, or why it says nothing. During a failover MASTER still has the old place, with the new epoch."""
        connection = self._make(host=host, port=port, **self._options)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            words = (("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name), ("SENTINEL", "MASTER", self._name))
            await connection.send_packed_command(connection.pack_commands(words))
            place = await connection.read_response()
            if place is None:
                return f"knows no primary {self._name}"
            try:
                fields = await connection.read_response()
            except ResponseError:  # forbidden
                fields = []
            found = dict(zip(fields[::2], fields[1::2], strict=True))
            moving = found.get(b"failover-state") in _PROMOTING
            return Answer(int(found.get(b"config-epoch", 0)), Place(place[0].decode(), int(place[1])), moving)
        except (RedisError, OSError) as error:
            return word(error)
        finally:
            await connection.disconnect(nowait=True)

    # -- listening

    async def _listen(self, host: str, port: int, news: "_News") -> None:
        """Notes what this Sentinel tells, and when it may have told something unheard, until cancelled."""
        while True:
            connection = self._make(host=host, port=port, **self._options)
            try:
                await connection.connect()  # type: ignore[no-untyped-call]
                await connection.send_command("SUBSCRIBE", _PROMOTES, _MOVED)
                pinged = False
                while True:
                    message = await connection.read_response(timeout=_PING_SECONDS, disconnect_on_error=False)
                    if message is not None:
                        pinged = False
                        self._heard(message, news)
                    elif pinged:
                        break
                    else:
                        pinged = True
                        await connection.send_command("PING")
            except (RedisError, OSError):
                pass
            finally:
                await connection.disconnect(nowait=True)
            await asyncio.sleep(_PAUSE_SECONDS)

    def _heard(self, message: list[bytes], news: "_News") -> None:
        match message:
            case [b"message", _, text]:
                words = text.decode().split(" ")
                # `NAME from to`, or `slave … @ NAME …`
                name = words[words.index("@") + 1] if "@" in words else words[0]
                if name == self._name:
                    news.moved.set()
            case [b"subscribe", *_]:
                news.unheard.set()


class _News:
    """What is heard of a primary by whoever waits for it to leave: it has, or something may have been missed."""

    def __init__(self) -> None:
        self.moved = asyncio.Event()
        self.unheard = asyncio.Event()


__all__ = ["SENTINEL_PORT", "Answer", "Place", "Sentinels", "newest"]

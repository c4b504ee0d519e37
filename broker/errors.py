"""What a call on Redis may raise, on one page. The API maps each to one problem type; the worker to one outcome.

Errors of what is not in Redis are where they arise: request.py, embedded.py, processes.py.
"""

from collections.abc import Sequence
from typing import Literal

from broker.limits import Reached
from broker.refusals import Away


class BrokerError(Exception):
    """The root of them all."""


class UnknownGeneration(BrokerError):
    """No generation has this id, or it expired so long ago that its tombstone is gone too."""


class ExpiredGeneration(BrokerError):
    """There was one, of this owner, and its retention is over."""

    def __init__(self, owner: str = "") -> None:
        super().__init__("the generation has expired")
        self.owner = owner


class ErasedGeneration(ExpiredGeneration):
    """There was one, of this owner, and somebody had it erased."""

    def __init__(self, owner: str) -> None:
        super().__init__(owner)
        self.args = ("the generation was erased",)


class IdempotencyMismatch(BrokerError):
    """The idempotency key was used before with another body."""


class AlreadyEnded(BrokerError):
    """A cancel came after the end."""

    def __init__(self, state: str) -> None:
        super().__init__(f"the generation has already ended: {state}")
        self.state = state


class StorageUnavailable(BrokerError):
    """Redis did not answer, or says that it cannot do it now. The same call may succeed later."""

    def __init__(self, why: Away = "unreachable") -> None:
        super().__init__(f"Redis is away: {why}")
        self.why = why


class TooBusy(StorageUnavailable):
    """Redis was not asked, as too many others of this process wait for it. The same call may succeed later."""

    def __init__(self) -> None:
        super().__init__("crowded")
        self.args = ("too many wait for a connection",)


class ArchiveUnavailable(StorageUnavailable):
    """The archive does not answer, or what it has of a generation is missing or damaged. `reason` is for our log."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.args = (f"the archive is away: {reason}",)


class PayloadUnreadable(StorageUnavailable):
    """What is stored of a generation is sealed, and cannot be opened here: with keys that this process lacks, or it is damaged.
    `reason` is for our log: it names a key, never what is in it."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.args = (f"a payload cannot be read: {reason}",)


class SealingUnavailable(BrokerError):
    """Nothing is accepted, as it could not be sealed, or not so that others could open it. `reason` is for our log."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"nothing can be sealed: {reason}")


class StorageForbidden(BrokerError):
    """Redis' user may not do this (NOPERM): its operator's work."""


class StorageRefused(BrokerError):
    """Redis refused a command, and waiting does not mend it: a fault of ours, or a key that is not ours. `word` is the reply's
    first."""

    def __init__(self, word: str) -> None:
        super().__init__(f"Redis refused a command: {word}")
        self.word = word


class StorageFull(BrokerError):
    """Redis has no memory left for new data (`noeviction`)."""


class OutcomeUnknown(BrokerError):
    """Redis stopped answering while a submit was on its way: the generation may exist under this id, or not."""

    def __init__(self, generation_id: str) -> None:
        super().__init__("the submit may have happened")
        self.generation_id = generation_id


class UnsafeStorage(BrokerError):
    """Redis is configured so that it would lose logs (it evicts, or does not persist)."""


class NotDurable(BrokerError):
    """`durability: strict` was asked for, and this Redis neither persists nor has a replica, or does not tell."""


class QueueFull(BrokerError):
    """As many generations wait as may; nothing was done. `seconds`: after how many it may be tried again."""

    def __init__(self, seconds: int = 0) -> None:
        super().__init__("as many generations wait as may")
        self.seconds = seconds


class NotAllowed(BrokerError):
    """The tenant may not ask for this `what`, by its operator's list. `places`: JSON pointers into the request."""

    def __init__(self, what: Literal["model", "tool"], places: Sequence[str]) -> None:
        super().__init__(f"{what}: {', '.join(places)}")
        self.what = what
        self.places = places


class LimitReached(BrokerError):
    """What was asked for would pass a limit of who asks; nothing was done, nothing is charged. `wait_ms`: until the same may
    fare better, by Redis's clock; 0 where that is not known."""

    def __init__(self, which: Reached, wait_ms: int = 0) -> None:
        super().__init__(which)
        self.which = which
        self.wait_ms = wait_ms

"""A generation's record: what Redis knows of it apart from its log, and the end that is put there."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, cast, get_args

import orjson

from broker.failures import FAILURES, FailureCode
from broker.ids import EntryId
from broker.record_fields import FIELDS
from broker.schedule import AT_ONCE, Priority, Schedule
from broker.tags import NO_TAGS, Tags
from broker.webhooks import Delivery, Hook

State = Literal["queued", "running", "completed", "failed", "cancelled"]
STATES: tuple[State, ...] = get_args(State)
TERMINAL: frozenset[State] = frozenset(("completed", "failed", "cancelled"))

CancelReason = Literal["requested", "abandoned"]
"""Somebody asked for the end, or nobody watched."""

SHOWN: tuple[str, ...] = tuple(field.name for field in FIELDS if field.shown)
"""The hash's fields that a Record is made of, all but the request, which may be a megabyte and which only a worker needs."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a generation's request came from: it repeats that of generation `id`, or goes on from its text."""

    how: Literal["retry", "continue"]
    id: str

    @classmethod
    def of(cls, stored: bytes | None) -> "Origin | None":
        """From the record's field; None if it has none."""
        if not stored:
            return None
        how, _, id_ = stored.decode().partition(" ")
        return cls(cast(Literal["retry", "continue"], how), id_)

    def __str__(self) -> str:
        """As the record's field has it."""
        return f"{self.how} {self.id}"


@dataclass(frozen=True, slots=True)
class Record:
    """Times are Unix milliseconds by Redis's clock. `request` is None where it was not read. `ordinal` counts the attempts so
    far, `spent` those that count against the limit (a hand-over does not); `usage` is JSON. `unconfirmed`: the end is strictly
    durable, and nobody has noted yet that Redis has it safe. `owner` is empty where nobody was asked who they are.
    `sealed`: the wrapped data key, empty where nothing is sealed.
    `start_ms`: it may not start before; `place_ms`: its place in the queue; both None where nothing of that was asked for."""

    id: str
    state: State
    model: str
    request: bytes | None
    created_ms: int
    started_ms: int | None
    first_ms: int | None
    finished_ms: int | None
    ordinal: int
    spent: int
    usage: bytes
    terminal_id: EntryId | None
    end: dict[str, object] | None
    unconfirmed: bool
    owner: str = ""
    origin: Origin | None = None
    hook: Hook | None = None
    delivery: Delivery | None = None
    tags: Tags = NO_TAGS
    priority: Priority = "interactive"
    start_ms: int | None = None
    place_ms: int | None = None
    cost: bytes = b""
    sealed: bytes = b""

    @property
    def spent_before(self) -> bytes | None:
        """What all attempts so far have cost, JSON, empty where nothing was spent; None if something was and nobody knows."""
        return self.cost if self.cost or self.usage == b"{}" else None

    @property
    def ended(self) -> bool:
        return self.state in TERMINAL

    @property
    def webhook(self) -> Delivery | None:
        """What has become of its webhook; None if it has none."""
        if self.hook is None or self.delivery is not None:
            return self.delivery
        return Delivery("skipped" if self.ended and self.state not in self.hook.events else "pending")

    def before_the_end(self) -> "Record":
        """As it was shown until it ended."""
        state: State = "running" if self.ordinal else "queued"
        return replace(
            self, state=state, finished_ms=None, terminal_id=None, end=None, unconfirmed=False, delivery=None
        )

    @classmethod
    def new(
        cls,
        id_: str,
        model: str,
        created_ms: int,
        owner: str,
        origin: Origin | None = None,
        hook: Hook | None = None,
        tags: Tags = NO_TAGS,
        schedule: Schedule = AT_ONCE,
    ) -> "Record":
        """As it is when it has just been made, without its request."""
        return cls(
            id_,
            "queued",
            model,
            None,
            created_ms,
            None,
            None,
            None,
            0,
            0,
            b"{}",
            None,
            None,
            False,
            owner,
            origin=origin,
            hook=hook,
            tags=tags,
            priority=schedule.priority,
            start_ms=schedule.start_ms,
            place_ms=schedule.place_ms(created_ms),
        )

    @classmethod
    def of_hash(cls, id_: str, fields: Mapping[bytes, bytes]) -> "Record":
        """From the fields of a record that exists."""

        def number(name: bytes) -> int | None:
            raw = fields.get(name)
            return None if raw is None else int(raw)

        terminal_id, end = fields.get(b"terminal_id"), fields.get(b"end")
        return cls(
            id=id_,
            state=cast(State, fields[b"state"].decode()),
            model=fields[b"model"].decode(),
            request=fields.get(b"request"),
            created_ms=int(fields[b"created_ms"]),
            started_ms=number(b"started_ms"),
            first_ms=number(b"first_ms"),
            finished_ms=number(b"finished_ms"),
            ordinal=number(b"ordinal") or 0,
            spent=number(b"spent") or 0,
            usage=fields.get(b"usage", b"{}"),
            terminal_id=None if terminal_id is None else EntryId.of_redis(terminal_id),
            end=None if end is None else orjson.loads(end),
            unconfirmed=(
                fields.get(b"durability") == b"strict"
                and terminal_id is not None
                and fields.get(b"confirmed") != terminal_id
            ),
            owner=fields.get(b"owner", b"").decode(),
            cost=fields.get(b"cost", b""),
            sealed=fields.get(b"sealed", b""),
            origin=Origin.of(fields.get(b"origin")),
            hook=Hook.of(fields.get(b"webhook")),
            delivery=Delivery.of(fields.get(b"delivery")),
            tags=Tags.from_bytes(fields.get(b"tags")),
            priority=cast(Priority, fields.get(b"priority", b"interactive").decode()),
            start_ms=number(b"start_ms"),
            place_ms=number(b"place_ms"),
        )


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ends its generation. `retry_after`: seconds, if the upstream asked for a pause. `measured`: what only the
    worker knows of the end's `metrics`, as members of a JSON object; empty where it knows nothing. `reason` is why it is
    cancelled, where that is not left to the record. `withdraw`: JSON of the entry that takes the place of everything in the
    log."""

    state: Literal["completed", "failed", "cancelled"]
    stop_reason: str = ""
    code: FailureCode | Literal[""] = ""
    message: str = ""
    retryable: bool = False
    retry_after: float | None = None
    measured: bytes = field(default=b"", compare=False)
    reason: CancelReason | Literal[""] = ""
    withdraw: bytes = b""

    @classmethod
    def failed(
        cls, code: FailureCode, message: str, *, retryable: bool | None = None, retry_after: float | None = None
    ) -> "Ending":
        """`retryable` is what the table of failures says, unless it is known better."""
        of_table = FAILURES[code].retryable is True
        return cls(
            "failed", code=code, message=message, retryable=of_table if retryable is None else retryable,
            retry_after=retry_after,
        )  # fmt: skip

    @property
    def status(self) -> int | None:
        """The HTTP status that fits a failure."""
        return FAILURES[self.code].status if self.code else None

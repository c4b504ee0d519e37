"""A generation's record: what Redis knows of it apart from its log."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

import orjson

from broker.ids import EntryId

State = Literal["queued", "running", "completed", "failed", "cancelled"]
STATES: tuple[State, ...] = get_args(State)
TERMINAL: frozenset[State] = frozenset(("completed", "failed", "cancelled"))


@dataclass(frozen=True, slots=True)
class Record:
    """Times are Unix milliseconds by Redis's clock. `ordinal` counts the attempts so far, `spent` those that count
    against the limit (a hand-over does not); `usage` is JSON."""

    id: str
    state: State
    model: str
    request: bytes
    created_ms: int
    started_ms: int | None
    first_ms: int | None
    finished_ms: int | None
    ordinal: int
    spent: int
    usage: bytes
    terminal_id: EntryId | None
    end: dict[str, object] | None

    @property
    def ended(self) -> bool:
        return self.state in TERMINAL

    @classmethod
    def of_hash(cls, id_: str, fields: Mapping[bytes, bytes]) -> "Record":
        """From HGETALL of a record that exists."""

        def number(name: bytes) -> int | None:
            raw = fields.get(name)
            return None if raw is None else int(raw)

        terminal_id, end = fields.get(b"terminal_id"), fields.get(b"end")
        return cls(
            id=id_,
            state=cast(State, fields[b"state"].decode()),
            model=fields[b"model"].decode(),
            request=fields[b"request"],
            created_ms=int(fields[b"created_ms"]),
            started_ms=number(b"started_ms"),
            first_ms=number(b"first_ms"),
            finished_ms=number(b"finished_ms"),
            ordinal=number(b"ordinal") or 0,
            spent=number(b"spent") or 0,
            usage=fields.get(b"usage", b"{}"),
            terminal_id=None if terminal_id is None else EntryId.of_redis(terminal_id),
            end=None if end is None else orjson.loads(end),
        )

"""What the simulator was asked, and how each request ended: the witness that tests call."""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal

import orjson

from worker.simulator.limits import Meter

ClosedBy = Literal["client", "server", "fault"]


@dataclass(slots=True, eq=False)
class Record:
    """One request. `*_at` is `time.time()`, `*_ns` is `time.monotonic_ns()` of this machine; `tokens` are of text.

    `body` is JSON as it came (null if it was none). `fault` names the fault that struck, `continued` the length of the
    partial answer that was gone on from. `closed_by`: the client went away, the server finished, or a fault ended it.
    """

    id: str
    connection: int
    headers: dict[str, str]
    path: str = "/v1/messages"
    body: bytes = b"null"
    model: str | None = None
    user_id: str | None = None
    stream: bool = False
    status: int | None = None
    fault: str | None = None
    continued: int | None = None
    tokens: int = 0
    at: float = field(default_factory=time.time)
    at_ns: int = field(default_factory=time.monotonic_ns)
    first_token_at: float | None = None
    first_token_ns: int | None = None
    closed_at: float | None = None
    closed_ns: int | None = None
    closed_by: ClosedBy | None = None
    meter: Meter | None = None
    """Where it is counted among the calls that run."""

    def first_token(self) -> None:
        """Notes when the first token of any block was written."""
        self.first_token_at, self.first_token_ns = time.time(), time.monotonic_ns()

    def as_json(self) -> dict[str, Any]:
        """All of it, the body as the JSON that it is."""
        shown = {name: getattr(self, name) for name in self.__slots__ if name != "meter"}
        return shown | {"body": orjson.Fragment(self.body)}


class Ledger:
    """The last records, bounded in number and in bytes of bodies; closed ones are appended to a file if there is one."""

    def __init__(self, file: BinaryIO | None = None, most: int = 10_000, most_bytes: int = 64 << 20) -> None:
        self._records: deque[Record] = deque()
        self._bytes = 0
        self._most, self._most_bytes = most, most_bytes
        self._file = file
        self.open = 0

    def add(self, record: Record) -> None:
        """Keeps the record, and forgets the oldest ones past the bounds."""
        self.open += 1
        self._records.append(record)
        self._bytes += len(record.body)
        while len(self._records) > self._most or self._bytes > self._most_bytes:
            self._bytes -= len(self._records.popleft().body)

    def close(self, record: Record, by: ClosedBy) -> None:
        """Notes the end of a request. The first end counts, a second one changes nothing."""
        if record.closed_by is not None:
            return
        record.closed_by, record.closed_at, record.closed_ns = by, time.time(), time.monotonic_ns()
        self.open -= 1
        if (meter := record.meter) is not None:
            meter.leave()
        if self._file is not None:
            self._file.write(orjson.dumps(record.as_json(), option=orjson.OPT_APPEND_NEWLINE))
            self._file.flush()

    def find(self, model: str | None, user_id: str | None) -> bytes:
        """A JSON array of the records, oldest first, of exactly that model string and user id where given."""
        return orjson.dumps(
            [
                record.as_json()
                for record in self._records
                if (model is None or record.model == model) and (user_id is None or record.user_id == user_id)
            ]
        )

    def clear(self) -> None:
        """Forgets all records. Requests still open go on, unlisted."""
        self._records.clear()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._records)

"""What a line of the audit log says, and how lines are chained. Pure.

A line is a JSON object. `seq` counts the lines of a chain, over its files; `before` is the `digest` of the line before (of the
first: 64 zeros); `digest`, its last member, is the SHA-256 of all that stands in front of that member. So a line that was
changed is found by itself, one that was removed or put elsewhere by its neighbour.

Each process has a chain of its own. Each of its files begins with a header (`action` is `begin`), which names the process, and,
as `seen`, where the chains of other processes ended then: what is cut off of those later is missed there.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple, Protocol

import orjson

Action = Literal[
    "submit", "view", "list", "cancel", "deny", "erase", "key_create", "key_rotate", "key_revoke", "link_create", "link_revoke",
]  # fmt: skip
AT_WILL: Final = frozenset[Action](("view", "list", "deny"))
"""What anybody can cause as often as they like."""
ORIGIN: Final = "0" * 64
_DIGEST: Final = b',"digest":"'
_TAIL: Final = len(_DIGEST) + 64 + len(b'"}')


class Who(Protocol):
    """Of a principal: its tenant, the id of its key or link, the address that it asks from; each may be empty."""

    @property
    def owner(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def address(self) -> str: ...


class Note(NamedTuple):
    """`at` is in Unix seconds by this host's clock. `id` is that of the generation, the key or the link."""

    at: float
    action: Action
    key: str
    tenant: str
    id: str
    result: str
    peer: str


class Place(NamedTuple):
    """Where a chain was seen to end: the name of a file, and its last whole line."""

    file: str
    seq: int
    digest: str


class Chain:
    """The end of a chain, to which lines are added."""

    __slots__ = ("digest", "seq")

    def __init__(self, seq: int = 0, digest: str = ORIGIN) -> None:
        self.seq = seq
        self.digest = digest

    def line(self, members: Mapping[str, object]) -> bytes:
        """The next line, its LF included."""
        self.seq += 1
        body = orjson.dumps({"seq": self.seq, "before": self.digest, **members})[:-1]
        self.digest = hashlib.sha256(body).hexdigest()
        return _with_digest(body, self.digest) + b"\n"


def is_as_written(line: bytes) -> bool:
    """Whether a line, without its LF, has the digest of what stands in it."""
    body = line[:-_TAIL]
    return line == _with_digest(body, hashlib.sha256(body).hexdigest())


def _with_digest(body: bytes, digest: str) -> bytes:
    return b'%b%b%b"}' % (body, _DIGEST, digest.encode())


def noted(note: Note) -> dict[str, object]:
    """The members of a note's line."""
    return {**note._asdict(), "at": _time(note.at)}


def dropped(at: float, counts: Mapping[Action, int]) -> dict[str, object]:
    """Those of a line that says how many notes of each action found no room."""
    return {"at": _time(at), "action": "dropped", "dropped": counts}


def header(
    at: float, chain: str, part: int, process: str, host: str, pid: int, seen: Sequence[Place]
) -> dict[str, object]:
    """Those of the first line of a file. `part` counts the files of a chain from 1."""
    return {
        "at": _time(at), "action": "begin", "chain": chain, "part": part, "process": process, "host": host, "pid": pid,
        "seen": [place._asdict() for place in seen],
    }  # fmt: skip


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""The checker: what was observed of one generation goes in, what it proves wrong comes out. Pure.

A history is a list of observations in the order in which they happened, by whoever made them: a script's reply, a read of
the whole log, a frame that a viewer got, the record, the upstream's own account. The checker knows nothing of how
Respool works; it folds logs by the rule for readers in docs/protocol.md, with code of its own.

    I1  a viewer's text, after applying attempts, is that of the log up to its last id, and at the end the log's
    I2  delivered ids strictly increase, except after an announced gap
    I3  seq is contiguous inside an attempt, attempts begin at -0
    I4  exactly one terminal entry, last in the log, equal to the record's state
    I5  nothing is ever appended after it
    I6  no append is accepted after a later claim
    I7  an id, once shown, never names other bytes
    I8  `completed` implies that upstream sent message_stop
    I20 nothing that was withdrawn is shown to anybody behind `withdraw`, by a stream, the log or the record

A store that comes back without its tail (`Rewound`) excuses a log that is shorter than before, and nothing else.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.harness.client import Frame

Id = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim was granted under this attempt's name."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Appended:
    """The log took something from this attempt."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Read:
    """The whole log, as it was."""

    log: Sequence[Frame]


@dataclass(frozen=True, slots=True)
class Shown:
    """One viewer got one frame, on whichever of its connections."""

    viewer: str
    frame: Frame


@dataclass(frozen=True, slots=True)
class Rewound:
    """The store has come back as it was a while ago."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The record, after everything: its state, and the text that the server says was produced."""

    state: str
    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The upstream's account of one call: whether it sent all of its answer, message_stop included."""

    whole: bool


Observation = Claimed | Appended | Read | Shown | Rewound | Recorded | Answered
History = Sequence[Observation]


def violations(history: History) -> list[str]:
    """What the history proves wrong, each beginning with the invariant's name; nothing is good news."""
    checks = (_viewers, _contiguous, _terminal, _sealed, _fenced, _names, _completed, _withdrawn)
    return [found for check in checks for found in check(history)]


def check(history: History) -> None:
    """Fails with all violations of the history."""
    found = violations(history)
    assert not found, "\n".join(found)


class Reader:
    """What somebody has who applied frames in order: the blocks, as text."""

    def __init__(self) -> None:
        self.blocks: list[tuple[str, str]] = []
        self._open = -1

    def apply(self, frame: Frame) -> None:
        match frame.data:
            case {"type": "gap"} | {"type": "withdraw"}:
                self.blocks.clear()
            case {"type": "snapshot", "content": list(content), "open": at}:
                self.blocks = [(block["type"], str(block.get(block["type"], ""))) for block in content]
                self._open = -1 if at is None else at
            case {"type": "stream_start", "keep_blocks": int(keep)}:
                del self.blocks[keep:]
            case {"type": "block_start", "index": int(index), "block": {"type": str(kind)}}:
                if index == len(self.blocks):
                    self.blocks.append((kind, ""))
                self._open = index
            case {"type": "text", "text": str(more)} | {"type": "thinking", "thinking": str(more)}:
                if not 0 <= self._open < len(self.blocks):  # a bad history: judged, like any other
                    self.blocks.append((frame.type, ""))
                    self._open = len(self.blocks) - 1
                kind, text = self.blocks[self._open]
                self.blocks[self._open] = (kind, text + more)

    @property
    def text(self) -> str:
        return "".join(text for kind, text in self.blocks if kind == "text")


def text_of(frames: Sequence[Frame]) -> str:
    """The text that these frames leave in a reader's hands."""
    reader = Reader()
    for frame in frames:
        reader.apply(frame)
    return reader.text


def _id(frame: Frame) -> Id:
    attempt, _, seq = str(frame.id).partition("-")
    return int(attempt), int(seq)


def _name(id_: Id) -> str:
    return f"{id_[0]}-{id_[1]}"


def _is_terminal(frame: Frame) -> bool:
    return frame.type in ("stream_end", "error")


def _state_of(end: Frame) -> str:
    return "failed" if end.type == "error" else str(end.data["status"])


def _bytes(frame: Frame) -> str:
    return json.dumps(frame.data, sort_keys=True)


def _reads(history: History) -> list[Sequence[Frame]]:
    return [seen.log for seen in history if isinstance(seen, Read)]


# -- I1, I2


def _viewers(history: History) -> Iterator[str]:
    reads = _reads(history)
    log = reads[-1] if reads else []
    seen_by: dict[str, list[Frame]] = {}
    for seen in history:
        if isinstance(seen, Shown):
            seen_by.setdefault(seen.viewer, []).append(seen.frame)
    for viewer, frames in seen_by.items():
        yield from _one_viewer(viewer, frames, log)


def _one_viewer(viewer: str, frames: list[Frame], log: Sequence[Frame]) -> Iterator[str]:
    place = {_id(frame): at for at, frame in enumerate(log)}
    last: Id | None = None
    reader = Reader()
    for frame in frames:
        reader.apply(frame)
        if frame.type in ("gap", "withdraw"):  # a log that was withdrawn begins with that
            last = None
        if frame.id is None:
            continue
        id_ = _id(frame)
        if last is not None and id_ <= last:
            yield f"I2 {viewer} got {_name(id_)} after {_name(last)}"
        elif id_ in place and frame.type != "snapshot" and place[id_] != (place.get(last, -2) + 1 if last else 0):
            yield f"I1 {viewer} lacks what is between {_name(last) if last else 'the beginning'} and {_name(id_)}"
        last = id_
    if last is None:
        return
    if last not in place:
        yield f"I1 {viewer} was never told that {_name(last)} is not in the log"
    elif reader.text != text_of(log[: place[last] + 1]):
        yield f"I1 {viewer} has {reader.text!r} at {_name(last)}, the log {text_of(log[: place[last] + 1])!r}"


# -- I3, I4, I5


def _contiguous(history: History) -> Iterator[str]:
    for log in _reads(history):
        ids = [_id(frame) for frame in log]
        if ids and ids[0][1] != 0:
            yield f"I3 the log begins with {_name(ids[0])}"
        for before, after in pairwise(ids):
            if after not in ((before[0], before[1] + 1), (max(after[0], before[0] + 1), 0)):
                yield f"I3 {_name(after)} follows {_name(before)}"


def _terminal(history: History) -> Iterator[str]:
    for log in _reads(history):
        places = [at for at, frame in enumerate(log) if _is_terminal(frame)]
        if places not in ([], [len(log) - 1]):
            yield f"I4 the log of {len(log)} entries has a terminal one at {places}"
    recorded = [seen for seen in history if isinstance(seen, Recorded)]
    reads = _reads(history)
    if not recorded or not reads:
        return
    log, record = reads[-1], recorded[-1]
    ended = _state_of(log[-1]) if log and _is_terminal(log[-1]) else None
    if record.state in ("completed", "failed", "cancelled") or ended is not None:
        if ended != record.state:
            yield f"I4 the record says {record.state}, the log {ended}"
        if record.text != text_of(log):
            yield f"I1 the record has {record.text!r}, the log {text_of(log)!r}"


def _sealed(history: History) -> Iterator[str]:
    before: Sequence[Frame] = []
    for seen in history:
        match seen:
            case Rewound():
                before = []
            case Read(log):
                if before and _is_terminal(before[-1]) and len(log) != len(before):
                    yield f"I5 the log had {len(before)} entries at its end, and then {len(log)}"
                before = log


# -- I6, I7


def _fenced(history: History) -> Iterator[str]:
    """By what the scripts replied, and by what two reads show: whatever is new comes behind what was there."""
    latest, before = 0, list[Id]()
    for seen in history:
        match seen:
            case Rewound():
                latest, before = 0, []
            case Claimed(attempt):
                latest = max(latest, attempt)
            case Appended(attempt) if attempt < latest:
                yield f"I6 attempt {attempt} appended after {latest} had claimed"
            case Read(log):
                ids = [_id(frame) for frame in log]
                if log and log[0].type == "withdraw":
                    before = ids[: len(before)]
                if ids[: len(before)] != before:
                    yield f"I6 the log's first {len(before)} entries are not what they were"
                before = ids


def _names(history: History) -> Iterator[str]:
    named: dict[Id, str] = {}
    for seen in history:
        frames = seen.log if isinstance(seen, Read) else [seen.frame] if isinstance(seen, Shown) else []
        for frame in frames:
            if frame.id is None or frame.type == "snapshot":
                continue
            if named.setdefault(_id(frame), _bytes(frame)) != _bytes(frame):
                yield f"I7 {frame.id} was {named[_id(frame)]}, and is {_bytes(frame)}"


# -- I8


def _completed(history: History) -> Iterator[str]:
    """Judged only where the upstream was asked for its account."""
    calls = [seen.whole for seen in history if isinstance(seen, Answered)]
    completed = any(isinstance(seen, Recorded) and seen.state == "completed" for seen in history)
    if completed and calls and not any(calls):
        yield "I8 the record says completed, and upstream sent no message_stop"


# -- I20


def _withdrawn(history: History) -> Iterator[str]:
    told: set[str] = set()
    for seen in history:
        match seen:
            case Rewound():
                told.clear()
            case Shown(viewer, frame) if frame.type == "withdraw":
                told.add(viewer)
            case Shown(viewer, frame) if viewer in told and _says(frame):
                yield f"I20 {viewer} was shown {frame.type} {frame.id} behind `withdraw`"
            case Read(log) if any(frame.type == "withdraw" for frame in log) and any(map(_says, log)):
                yield "I20 a log that was withdrawn says something"
    reads, recorded = _reads(history), [seen for seen in history if isinstance(seen, Recorded)]
    if reads and recorded and any(frame.type == "withdraw" for frame in reads[-1]) and recorded[-1].text:
        yield f"I20 the record of what was withdrawn has {recorded[-1].text!r}"


def _says(frame: Frame) -> bool:
    """Whether the frame has anything of what was put out."""
    return frame.type in ("text", "thinking", "tool_input") or (
        frame.type == "snapshot" and bool(frame.data["content"])
    )


def frame(id_: str | None, type_: str, **fields: Any) -> Frame:
    """A frame, as hand-made histories need them."""
    return Frame(id_, {"type": type_, **fields})

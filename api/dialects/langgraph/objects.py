"""Runs and threads as LangGraph's server tells them. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

from typing_extensions import TypedDict

from api.dialects.langgraph import NODE
from api.dialects.langgraph.words import Json, failure
from broker.record import Record, State

RunStatus = Literal["pending", "running", "success", "error", "interrupted"]
ThreadStatus = Literal["idle", "busy", "error"]

_RUN: Final[Mapping[State, RunStatus]] = {
    "queued": "pending", "running": "running", "completed": "success", "failed": "error", "cancelled": "interrupted",
}  # fmt: skip
_THREAD: Final[Mapping[State, ThreadStatus]] = {
    "queued": "busy", "running": "busy", "completed": "idle", "failed": "error", "cancelled": "idle",
}  # fmt: skip


class Run(TypedDict):
    """A run as LangGraph's SDK has it. `metadata` are the labels."""

    run_id: str
    thread_id: str
    assistant_id: str
    created_at: str
    updated_at: str
    status: RunStatus
    metadata: dict[str, str]
    multitask_strategy: Literal["reject"]


class Thread(TypedDict):
    """A thread as LangGraph's SDK has it: what its last run has come to."""

    thread_id: str
    created_at: str
    updated_at: str
    metadata: dict[str, str]
    status: ThreadStatus
    values: dict[str, object]
    interrupts: dict[str, object]


class ThreadState(TypedDict):
    """The state of a thread. Its checkpoint is its last run."""

    values: dict[str, object]
    next: list[str]
    checkpoint: dict[str, object]
    metadata: dict[str, object]
    created_at: str
    parent_checkpoint: None
    tasks: list[object]
    interrupts: list[object]


class Outcome(TypedDict):
    """What a run has come to: the messages of its thread; with `__error__` if it has not succeeded."""

    messages: list[dict[str, object]]


def run(record: Record, thread: str) -> Run:
    return Run(
        run_id=record.id,
        thread_id=thread,
        assistant_id=record.model,
        created_at=at(record.created_ms),
        updated_at=at(_updated(record)),
        status=_RUN[record.state],
        metadata=dict(record.tags.labels),
        multitask_strategy="reject",
    )


def thread(id_: str, record: Record, messages: Sequence[Json]) -> Thread:
    return Thread(
        thread_id=id_,
        created_at=at(record.created_ms),
        updated_at=at(_updated(record)),
        metadata={},
        status=_THREAD[record.state],
        values={"messages": list(messages)},
        interrupts={},
    )


def no_run_yet(id_: str, now_ms: int) -> Thread:
    """Of which nothing is kept."""
    return Thread(
        thread_id=id_,
        created_at=at(now_ms),
        updated_at=at(now_ms),
        metadata={},
        status="idle",
        values={},
        interrupts={},
    )


def state(id_: str, record: Record, messages: Sequence[Json]) -> ThreadState:
    return ThreadState(
        values={"messages": list(messages)},
        next=[] if record.ended else [NODE],
        checkpoint={"thread_id": id_, "checkpoint_ns": "", "checkpoint_id": record.id},
        metadata={"run_id": record.id},
        created_at=at(_updated(record)),
        parent_checkpoint=None,
        tasks=[],
        interrupts=[],
    )


def outcome(record: Record, messages: Sequence[Json]) -> Json:
    """What a run that has ended has come to: the values of its thread, and the error where it did not succeed."""
    values: Json = {"messages": list(messages)}
    if (failed := failure(record.end or {})) is not None:
        values["__error__"] = {"error": failed[0], "message": failed[1]}
    return values


def at(ms: int) -> str:
    """A time as ISO 8601 has it."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


def _updated(record: Record) -> int:
    return record.finished_ms or record.started_ms or record.created_ms

"""Every field of a generation's record, on one page: its name, who writes it, what it means.

Only the atomic steps write a record. tests/broker/test_record_fields.py reads their scripts and finds these fields, written by
these steps, and no other. A field is missing until a step has written it.
"""

from dataclasses import dataclass
from typing import Final, Literal

Writer = Literal[
    "abandon", "accept", "append", "archive", "cancel", "claim", "conclude", "confirm", "create", "finish", "lapsed", "look",
    "redeliver", "release", "revoke", "tried", "watch",
]  # fmt: skip
_ENDING: Final[tuple[Writer, ...]] = ("cancel", "claim", "conclude", "finish")
"""The steps that can end a generation."""
_MAKING: Final[tuple[Writer, ...]] = ("accept", "create")
"""The steps that make a record."""
_SETTLING: Final[tuple[Writer, ...]] = ("claim", "release", "revoke")
"""The steps that find an attempt over, and count it."""


@dataclass(frozen=True, slots=True)
class Field:
    """`shown`: it is read wherever a record is; the others only scripts and workers need."""

    name: str
    meaning: str
    written_by: tuple[Writer, ...]
    removed_by: tuple[Writer, ...] = ()
    shown: bool = True


FIELDS: Final[tuple[Field, ...]] = (
    Field("state", "`queued`, `running`, `completed`, `failed` or `cancelled`", tuple(sorted((*_MAKING, *_ENDING)))),
    Field("owner", "whose it is; missing where nobody is asked who they are", _MAKING),
    Field("model", "as it was asked for", _MAKING),
    Field("request", "as it was accepted, JSON; up to a megabyte, which only a worker reads", _MAKING, ("archive",),
          shown=False),
    Field("sealed", "the data key that request, entries and messages are sealed with, wrapped; missing where they are plain",
          _MAKING),
    Field("durability", "`strict`, or `normal`", _MAKING),
    Field("origin", "`retry` or `continue`, and the generation that this one repeats or goes on from; else missing",
          _MAKING),
    Field("webhook", "which ends are told, and where: states with commas between, and a URL; else missing", _MAKING),
    Field("tags", "labels and external id, JSON; missing where there are none", _MAKING),
    Field("priority", "`background`; else missing", _MAKING),
    Field("start_ms", "when it may start, if that was asked for", _MAKING),
    Field("place_ms", "its place in the queue, where that is not its submit", _MAKING),
    Field("charged", "`1` if its owner is charged for what it costs; else missing", _MAKING, shown=False),
    Field("retention_ms", "how long record and log are kept, from the end on", _MAKING, shown=False),
    Field("created_ms", "when the record was made", _MAKING),
    Field("started_ms", "when the first attempt was claimed", ("claim",)),
    Field("first_ms", "when the first chunk of content was appended", ("append",)),
    Field("finished_ms", "when it ended", _ENDING),
    Field("attempt", "the name of the latest attempt", ("claim",), ("archive",), shown=False),
    Field("ordinal", "how many attempts there were", ("claim",)),
    Field("spent", "how many of them count against the limit, the one that runs included; none that was handed over or got "
          "further than any before it", _SETTLING),
    Field("reached", "the most chunks that a reader had after an attempt that is over", _SETTLING, ("archive",), shown=False),
    Field("produced", "how many chunks all attempts that are over have appended", _SETTLING, ("archive",), shown=False),
    Field("claimant", "who claimed it: `<process>/<nonce>`, while it has a lease", ("claim",),
          (*_ENDING, "release", "revoke"), shown=False),
    Field("lease_until", "until when the attempt counts as alive; one that the clock has left too far ahead is corrected",
          ("append", "cancel", "claim", "look", "revoke"), (*_ENDING, "release", "revoke"), shown=False),
    Field("lease_ms", "how long a lease lasts, by the setting of who claimed it", ("claim",), ("archive",), shown=False),
    Field("before", "how many entries the log had before the attempt's first", ("claim",), ("archive",), shown=False),
    Field("kept", "how many chunks of earlier attempts a reader keeps", ("claim", "revoke"), ("archive",), shown=False),
    Field("others", "how many of the attempt's entries are no chunks", ("append", "claim", "revoke"), ("archive",),
          shown=False),
    Field("guarded", "that what the attempt puts out must be checked: where no worker is left to do it, it is withdrawn",
          ("claim",), ("archive",), shown=False),
    Field("cancel", "that a cancel was asked for while an attempt ran, and why: `requested`, `abandoned`",
          ("abandon", "cancel"), _ENDING, shown=False),
    Field("abandon_ms", "after how long without a viewer it is cancelled; missing where it is not", _MAKING, ("archive",),
          shown=False),
    Field("watched_ms", "when a viewer of such a one was noted last", ("abandon", "watch"), ("archive",), shown=False),
    Field("usage", "tokens of all attempts so far, JSON", ("append",)),
    Field("cost", "what they cost, JSON; missing where no price is known", ("append",), ("append",)),
    Field("wasted", "tokens of attempts whose text was discarded, and what they cost, JSON", ("claim",), shown=False),
    Field("terminal_id", "the id of the log's terminal entry", _ENDING),
    Field("end", "the terminal entry's content, JSON", _ENDING),
    Field("confirmed", "the `terminal_id` that is known to be safe, of a strictly durable end", ("confirm",)),
    Field("delivery", "what has become of the webhook, JSON; missing before its first try", ("lapsed", "redeliver", "tried")),
    Field("archived", "the mark of the object that the log is in; the record is a stub then", ("archive",), shown=False),
)  # fmt: skip


def table() -> str:
    """The fields as docs/architecture.md has them."""
    rows = [
        f"| `{field.name}` | {_steps(field.written_by)} | {_steps(field.removed_by)} | {field.meaning} |"
        for field in FIELDS
    ]
    return "\n".join(("| field | written by | removed by | what it says |", "|---|---|---|---|", *rows))


def _steps(names: tuple[Writer, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)

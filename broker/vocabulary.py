"""The events of the wire as types, one class an event, and the words that they carry. Pure.

This is the one table: what sends an event names it by these types, the API describes itself with them, and tests hold what real
processes send against them. docs/protocol.md says the same to people.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, NotRequired, get_args

from pydantic import Discriminator
from typing_extensions import TypedDict

from broker.budgets import Reason
from broker.failures import FailureCode

Json = dict[str, object]


# -- entries of the log


class StreamStart(TypedDict):
    """The first entry of every attempt that calls the upstream. `keep_blocks` blocks are kept, up to entry `keep_through`.
    `server_tools`: names of the tools that the server runs, where there are some."""

    type: Literal["stream_start"]
    generation: str
    model: str
    reason: Literal["start", "continue", "restart"]
    keep_through: str | None
    keep_blocks: int
    attempt: int
    labels: NotRequired[dict[str, str]]
    external_id: NotRequired[str]
    server_tools: NotRequired[list[str]]


class Message(TypedDict):
    """The upstream's own beginning: its `message`, without `content`."""

    type: Literal["message"]
    message: Json


class BlockStart(TypedDict):
    """Opens the block of this `index`, or goes on with it."""

    type: Literal["block_start"]
    index: int
    block: Json


class Text(TypedDict):
    """More text of the block that was opened last. Never empty."""

    type: Literal["text"]
    text: str


class Thinking(TypedDict):
    """More thinking of the block that was opened last."""

    type: Literal["thinking"]
    thinking: str


class Signature(TypedDict):
    """Belongs to the block that was opened last, a thinking block."""

    type: Literal["signature"]
    signature: str


class Citation(TypedDict):
    """Belongs to the block that was opened last, a text block."""

    type: Literal["citation"]
    citation: Json


class ToolInput(TypedDict):
    """More of a tool's input: a piece of JSON text. The pieces joined are one JSON value."""

    type: Literal["tool_input"]
    partial_json: str


class BlockDelta(TypedDict):
    """Any other delta of the upstream, whole, for the block of this `index`."""

    type: Literal["block_delta"]
    index: int
    delta: Json


class BlockStop(TypedDict):
    """The block of this `index` is complete."""

    type: Literal["block_stop"]
    index: int


class Usage(TypedDict):
    """What the upstream says at its end, with whatever else came with it: this attempt's figures."""

    type: Literal["usage"]
    stop_reason: NotRequired[str | None]
    usage: NotRequired[Json]


class Upstream(TypedDict):
    """Any other event of the upstream, whole."""

    type: Literal["upstream"]
    event: Json


class Retrying(TypedDict):
    """The upstream refused call number `tries` of the attempt, or broke off before its first event. It is called again in
    `delay_ms` milliseconds; `model`: another one is asked now, whose calls are counted anew."""

    type: Literal["retrying"]
    code: FailureCode
    tries: int
    delay_ms: int
    model: NotRequired[str]


class Waiting(TypedDict):
    """The upstream is not called yet: as many calls run as may (`concurrent`), as many `requests` were made or `tokens` used of
    late as may; it has asked for a pause (`paused`); or it is `overloaded`, and not called for a while. It may be so for
    `delay_ms` milliseconds more, or longer."""

    type: Literal["waiting"]
    reason: Reason
    delay_ms: int
    model: str


class Recovering(TypedDict):
    """The worker of attempt number `attempt` is dead. Another attempt follows, or the end."""

    type: Literal["recovering"]
    attempt: int


class ToolStart(TypedDict):
    """The server begins to run a tool of its own, for the call that the block of this `index` is. Twice for one call where a
    worker died in between."""

    type: Literal["tool_start"]
    index: int
    id: str
    name: str
    input: object


class ToolProgress(TypedDict):
    """What a tool that runs tells of itself."""

    type: Literal["tool_progress"]
    id: str
    data: object


ToolErrorCode = Literal["raised", "timeout", "invalid_input", "unknown_tool", "too_large", "not_sendable"]


class ToolEnd(TypedDict):
    """A tool has ended. `content` is what the model gets, and what the block of this `index` holds. `duration_ms` is null
    where the worker died that knew it."""

    type: Literal["tool_end"]
    index: int
    id: str
    name: str
    ok: bool
    duration_ms: int | None
    error: ToolErrorCode | None
    content: str


class Cost(TypedDict):
    """`amount` is a decimal number, as a string."""

    amount: str
    currency: str


class Metrics(TypedDict):
    """How it went, in milliseconds; null where nobody knows. `tokens_per_second` and what lies between two tokens are those of
    the last attempt, as they came to its worker."""

    ttft_ms: int | None
    total_ms: int
    queue_ms: int | None
    tokens_per_second: float | None
    inter_token_ms_p50: float | None
    inter_token_ms_p95: float | None
    cache_hit: bool | None
    answered_by: NotRequired[str]


class Guardrail(TypedDict):
    """A check has something to say of the text so far, which stays."""

    type: Literal["guardrail"]
    name: str
    verdict: Literal["flag"]
    reason: str
    category: str


class Withdraw(TypedDict):
    """Everything that was put out is withdrawn: a reader drops it, and nobody is given it again. The end follows. `guardrail`
    is the check that blocked it, null if it ended before it could be checked."""

    type: Literal["withdraw"]
    guardrail: str | None
    reason: str
    category: str


class _Figures(TypedDict):
    """A reader of text alone is told neither `metrics` nor `chunks`; `usage` and `cost` are null for it."""

    usage: Json | None
    cost: Cost | None
    ttft_ms: int | None
    total_ms: int
    metrics: NotRequired[Metrics]
    chunks: NotRequired[int]
    durability: NotRequired[Literal["strict"]]
    withdrawn: NotRequired[Literal[True]]


class StreamEnd(_Figures):
    """The terminal entry of a `completed` or `cancelled` generation. `reason` is why, of a cancelled one."""

    type: Literal["stream_end"]
    status: Literal["completed", "cancelled"]
    stop_reason: str | None
    reason: NotRequired[Literal["requested", "abandoned"]]


class Error(_Figures):
    """The terminal entry of a `failed` generation. `status`: the HTTP status that fits it. `partial`: something was produced,
    and stays readable."""

    type: Literal["error"]
    code: FailureCode
    message: str
    status: int
    retryable: bool
    retry_after_seconds: float | None
    partial: bool


# -- events of the connection


class Queued(TypedDict):
    """The generation waits; `position` others that wait go before it. `estimated_wait_ms`: for about how long it waits yet;
    null where nobody knows. `reason`: it is held back, as its upstream is not called now or many wait for it."""

    type: Literal["queued"]
    position: int
    estimated_wait_ms: int | None
    reason: NotRequired[Literal["upstream"]]


class Snapshot(TypedDict):
    """Everything up to its id in one event. `open` is the index of the block that deltas belong to."""

    type: Literal["snapshot"]
    text: str
    content: list[Json]
    open: int | None


GapReason = Literal["bad_cursor", "unknown_cursor", "rewound", "expired", "erased"]


class Gap(TypedDict):
    """What this reader has, or asked for, is not what the log has: it discards everything, its cursor too."""

    type: Literal["gap"]
    reason: GapReason


class Drain(TypedDict):
    """This process cannot serve the stream any longer, or not now. The connection is cut behind it."""

    type: Literal["drain"]


ClosedReason = Literal["expired", "revoked"]


class Closed(TypedDict):
    """The API key or the view link that let this reader in has ended. The connection is cut behind it; who comes back with the
    same is refused."""

    type: Literal["closed"]
    reason: ClosedReason


LogEvent = (
    StreamStart | Message | BlockStart | Text | Thinking | Signature | Citation | ToolInput | BlockDelta | BlockStop | Usage
    | Upstream | Retrying | Waiting | Recovering | ToolStart | ToolProgress | ToolEnd | Guardrail | Withdraw | StreamEnd | Error
)  # fmt: skip
ConnectionEvent = Queued | Snapshot | Gap | Drain | Closed
Event = Annotated[LogEvent | ConnectionEvent, Discriminator("type")]
"""Whatever an event stream may carry, by its `type`."""

EVENTS: Final[Mapping[str, type]] = {
    get_args(each.__annotations__["type"])[0]: each for each in (*get_args(LogEvent), *get_args(ConnectionEvent))
}

"""The table of all problems: what a request may be answered with that is no success, by its code. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from broker.refusals import Away


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table. `retry_after` is in seconds; None: the same request again would fare no better."""

    status: int
    title: str
    meaning: str
    retry_after: int | None = None


class Code(Enum):
    """The table. The name in lower case is the problem's `code`."""

    MALFORMED_JSON = Kind(400, "The body is not JSON", "It does not parse; NaN and Infinity are not JSON either.")
    DUPLICATE_KEY = Kind(400, "The body names a key twice", "An object, at any depth, has two members of one name.")
    NOT_UTF8 = Kind(400, "The body is not UTF-8", "Invalid UTF-8, another encoding, or a byte order mark.")
    UNSUPPORTED_JSON = Kind(
        400,
        "The body cannot be carried",
        "Nested too deep, too many brackets or commas, a number beyond 64 bits, or half of a surrogate pair.",
    )
    INCOMPLETE_BODY = Kind(400, "The body ended early", "The connection closed before the whole body had come.")
    MALFORMED_HEAD = Kind(
        400, "The request's head is not usable", "It is not HTTP/1.1, or two readers could read it differently."
    )
    IDEMPOTENCY_KEY_INVALID = Kind(
        400, "The Idempotency-Key is not usable", "It must be 1 to 255 visible ASCII characters, given once."
    )
    OFFSET_INVALID = Kind(
        400,
        "The offset is not usable",
        "It is none that a stream has told, nor `-1` or `now`; or there is none, with `live`.",
    )
    UNAUTHENTICATED = Kind(
        401, "Who asks is not known", "A request names its API key, once: in `Authorization: Bearer` or in `X-Api-Key`."
    )
    FORBIDDEN = Kind(403, "The key may not do this", "`scope` is what it would have to hold.")
    MODEL_NOT_ALLOWED = Kind(
        403, "The tenant may not use this model", "`errors` names the places; which models it may, its operator says."
    )
    TOOL_NOT_ALLOWED = Kind(
        403, "The tenant may not use this tool", "`errors` names the places; which tools it may, its operator says."
    )
    CROSS_SITE = Kind(403, "Not for pages of another origin", "A page of another origin may change nothing here.")
    NOT_FOUND = Kind(404, "Not found", "The path, or the generation's id, is not known.")
    METHOD_NOT_ALLOWED = Kind(405, "The method is not allowed here", "`Allow` names the methods that are.")
    NOT_ACCEPTABLE = Kind(406, "Nothing acceptable to send", "`offers` names the media types there are.")
    HEAD_TIMEOUT = Kind(408, "The head came too slowly", "A head must be whole 10 seconds after its first byte.", 1)
    BODY_TIMEOUT = Kind(408, "The body came too slowly", "The whole body must come within 30 seconds.", 1)
    NOT_DURABLE = Kind(
        422,
        "Strict durability is not to be had here",
        "The storage neither persists nor has a replica, or does not tell.",
    )
    ALREADY_ENDED = Kind(409, "The generation has already ended", "`state` says how; its end does not change.")
    KEY_HAS_ENDED = Kind(
        409, "The key is no longer live", "It has expired, was revoked, or another was made in its place already."
    )
    TOO_MANY_KEYS = Kind(
        409, "The tenant has too many keys", "A tenant has 20 live keys at most: one is revoked first."
    )
    THREAD_BUSY = Kind(
        409, "The thread has a run that has not ended", "`generation` is that run: join it, or cancel it, first."
    )
    THREAD_EXISTS = Kind(
        409, "There is such a thread", "It has had a run. With `if_exists: do_nothing` it is answered."
    )
    NOT_ENDED = Kind(409, "The generation has not ended", "What is asked for is of its end.")
    NO_WEBHOOK = Kind(409, "The generation has no webhook", "It was submitted without one.")
    CANNOT_CONTINUE = Kind(
        409,
        "There is no text to go on from",
        "It runs yet, is complete, has no text, stopped inside anything but a text, or has more than 1 MiB of it.",
    )
    ALREADY_FOLLOWED = Kind(
        409, "The generation is followed here already", "On one connection a generation is followed once at a time."
    )
    ERASED = Kind(410, "The generation was erased", "Somebody had it erased; its Idempotency-Key makes nothing either.")
    EXPIRED = Kind(410, "The generation has expired", "Its retention is over and its text is gone.")
    OFFSET_GONE = Kind(
        410,
        "The stream does not have this offset",
        "What was before it is not, or no more, what was read: begin again.",
    )
    BODY_TOO_LARGE = Kind(413, "The body is too large", "A body has at most 1 MiB, chunked or not.")
    UNSUPPORTED_MEDIA_TYPE = Kind(
        415, "The media type is not supported", "Send `application/json`, in UTF-8 and not compressed."
    )
    HOST_NOT_ALLOWED = Kind(
        421, "The host is not one of this server", "`Host` must be one that it is told to answer for."
    )
    INVALID_REQUEST = Kind(422, "The request is not valid", "`errors` names the places and what is wrong there.")
    IDEMPOTENCY_MISMATCH = Kind(
        422, "The Idempotency-Key came with another body before", "A key belongs to the first body it came with."
    )
    UPGRADE_REQUIRED = Kind(
        426,
        "This is spoken to as a WebSocket",
        "The request opens one, of version 13, and offers a subprotocol that is spoken there.",
    )
    TOO_MANY_PIPELINED = Kind(429, "Too many requests wait", "On one connection 8 may wait behind the one before.", 1)
    RATE_LIMITED = Kind(
        429, "Too many requests", "More requests came with this key than may; `Retry-After` says when the next may.", 1
    )
    TOO_MANY_RUNNING = Kind(
        429, "Too many generations at once", "As many generations of this tenant run as may, and none is to wait.", 2
    )
    TOO_MANY_QUEUED = Kind(429, "Too many generations wait", "As many generations of this tenant wait as may.", 2)
    TOKEN_BUDGET_SPENT = Kind(
        429,
        "The day's tokens are spent",
        "With what it may cost, this tenant would pass its tokens of the day, which ends at midnight, UTC.",
        60,
    )
    STORAGE_BUDGET_SPENT = Kind(
        429,
        "There is no room left",
        "This tenant has as much stored as may be: what expires or is erased makes room.",
        60,
    )
    TOO_MANY_STREAMS = Kind(
        429,
        "Too many streams are open",
        "`limit` has as many as it may in this process: the `key`, the `generation`, the `address` or the `connection`.",
        5,
    )
    HEAD_TOO_LARGE = Kind(
        431, "The head is too large", "Request line, headers and trailers have at most 32 KiB and 100 lines together."
    )
    HTTP_ERROR = Kind(400, "The request was refused", "Any other refusal: the status says which.")
    INTERNAL_ERROR = Kind(500, "Something went wrong here", "`instance` finds it in the server's log.")
    REDIS_UNAVAILABLE = Kind(503, "The storage does not answer", "The same request may be sent again.", 1)
    TOO_BUSY = Kind(503, "Too many requests at once", "So many wait for the storage that this one had no turn.", 1)
    QUEUE_FULL = Kind(503, "Too many generations wait", "As many generations wait for a worker as may.", 30)
    STORAGE_FULL = Kind(503, "The storage is full", "Nothing new is accepted until there is room.", 10)
    STORAGE_LOADING = Kind(503, "The storage is starting", "Redis reads its file.", 1)
    STORAGE_BUSY = Kind(503, "The storage is busy", "Redis runs a script that does not end.", 1)
    STORAGE_READ_ONLY = Kind(503, "The storage takes no writes", "This Redis is a replica: a failover is under way.", 1)
    STORAGE_DISK = Kind(
        503, "The storage cannot write its file", "Redis' disk is full or failing: an operator's work.", 10
    )
    STORAGE_REPLICAS = Kind(
        503, "The storage lacks replicas", "Redis has fewer replicas than it must have to take writes.", 5
    )
    STORAGE_CLUSTER = Kind(
        503, "The storage's cluster is not whole", "A part of it is down, or on its way to another node.", 1
    )
    STORAGE_FORBIDDEN = Kind(503, "The storage refuses us", "Redis' user lacks a permission: an operator's work.", 30)
    ARCHIVE_UNAVAILABLE = Kind(
        503, "The archive does not answer", "The text was moved to the archive, which has it not or does not answer.", 5
    )
    PAYLOAD_UNREADABLE = Kind(
        503,
        "The text is sealed",
        "This server lacks the key that it is sealed with, or its key service does not answer.",
        30,
    )
    ENCRYPTION_UNAVAILABLE = Kind(
        503, "Nothing can be sealed", "The keys or the key service are not as they must be: an operator's work.", 30
    )
    UNSAFE_STORAGE = Kind(503, "The storage is not safe", "Its settings could lose data: an operator's work.", 30)
    STORAGE_MISMATCH = Kind(
        503, "The storage is not one", "API and workers keep logs on different servers: an operator's work.", 30
    )
    OUTCOME_UNKNOWN = Kind(
        503,
        "The request may have been accepted, or not",
        "If it was, `generation` is its id. Sent again with the same Idempotency-Key, it is accepted once.",
        1,
    )
    AUDIT_UNAVAILABLE = Kind(
        503, "The audit log cannot be written", "Nothing is done here that could not be noted: an operator's work.", 5
    )
    TOO_MANY_CONNECTIONS = Kind(
        503, "There are too many connections", "Only health checks are answered on new ones.", 1
    )
    DRAINING = Kind(503, "This process is shutting down", "Another one answers.", 1)
    UPSTREAM_AWAY = Kind(502, "The upstream does not answer", "It was asked for something that is no generation.", 1)
    NO_UPSTREAM_KEY = Kind(
        503, "There is no key for the upstream", "This process has none to ask it with: an operator's work.", 30
    )
    NOT_ENDED_IN_TIME = Kind(
        504,
        "The generation takes longer than its answer may",
        "It goes on: `generation` is its id, by which it is followed.",
    )


AWAY: Mapping[Away, Code] = {
    "unreachable": Code.REDIS_UNAVAILABLE,
    "silent": Code.REDIS_UNAVAILABLE,
    "LOADING": Code.STORAGE_LOADING,
    "BUSY": Code.STORAGE_BUSY,
    "READONLY": Code.STORAGE_READ_ONLY,
    "MASTERDOWN": Code.STORAGE_READ_ONLY,
    "MISCONF": Code.STORAGE_DISK,
    "NOREPLICAS": Code.STORAGE_REPLICAS,
    "CLUSTERDOWN": Code.STORAGE_CLUSTER,
    "TRYAGAIN": Code.STORAGE_CLUSTER,
    "MOVED": Code.STORAGE_CLUSTER,
    "ASK": Code.STORAGE_CLUSTER,
    "UNBLOCKED": Code.STORAGE_READ_ONLY,
    "crowded": Code.TOO_BUSY,
}
ABOUT_STORAGE = tuple(dict.fromkeys((*AWAY.values(), Code.STORAGE_FORBIDDEN)))
"""What any request that needs Redis may be answered with."""


def table() -> str:
    """The table in Markdown, for the docs."""
    rows = (f"| `{code.name.lower()}` | {code.value.status} | {code.value.meaning} |\n" for code in Code)
    return "| code | status | meaning |\n|---|---|---|\n" + "".join(rows)

"""What Redis' error replies mean. Pure.

An error reply is classified by its first word, which Redis' own documentation calls the error's prefix. Of the rest nothing is
kept: it may quote a command's arguments, and these are people's prompts.
"""

import re
from typing import Final, Literal, get_args

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
)

Away = Literal[
    "unreachable", "silent", "LOADING", "BUSY", "READONLY", "MASTERDOWN", "MISCONF", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN",
    "MOVED", "ASK", "UNBLOCKED", "crowded",
]  # fmt: skip
"""Why it is not done now. `unreachable`: no connection. `silent`: no answer. `crowded`: Redis was not asked, as all connections
of this process are in use. The others are what it answers: it reads its
file, runs a script, is a replica, a replica without its primary, cannot write its file (a full disk), has fewer replicas than
it must, its cluster is not whole, a slot is on its way to another node, it became a replica while we waited."""

REFUSED: Final = frozenset[Away](get_args(Away)) - {"unreachable", "silent"}
"""It is known that nothing was done."""

_BY_CLASS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (BusyLoadingError, "LOADING"),
    (AuthenticationError, "NOAUTH"),
    (ReadOnlyError, "READONLY"),
    (OutOfMemoryError, "OOM"),
    (NoPermissionError, "NOPERM"),
    (NoScriptError, "NOSCRIPT"),
)
"""redis-py takes the first word off the replies that it has classes for."""
_WORD: Final = re.compile(r"(?:Transaction discarded because of: )?([A-Z]{3,20})(?= |$)")
"""Redis puts what a transaction was discarded for behind words of its own."""


class SilentError(RedisError):
    """Redis takes commands, on a new connection too, and answers none."""


class CrowdedError(RedisError):
    """Redis was not asked: all connections of this process are in use, and serve others meanwhile."""


def word(error: BaseException) -> str:
    """The first word of the reply; `ERR` for one that has none of its own; the class's name for what is no reply."""
    for kind, said in _BY_CLASS:
        if isinstance(error, kind):
            return said
    if not isinstance(error, ResponseError):
        return type(error).__name__
    match = _WORD.match(str(error))
    return match[1] if match else "ERR"


def away(error: object) -> Away | None:
    """Why Redis does not do it now; None for anything that waiting does not mend."""
    match error:
        case CrowdedError():
            return "crowded"
        case SilentError() | TimeoutError():
            return "silent"
        case BusyLoadingError():
            return "LOADING"
        case ResponseError():
            said = word(error)
            return next((each for each in REFUSED if each == said), None)
        case ConnectionError() | OSError():
            return "unreachable"
    return None


__all__ = ["REFUSED", "Away", "CrowdedError", "SilentError", "away", "word"]

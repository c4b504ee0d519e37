"""What Redis' error replies mean, by their first word; nothing else of them is kept."""

import pytest
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    ExecAbortError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
)  # fmt: skip

from broker.errors import StorageForbidden, StorageFull, StorageRefused, StorageUnavailable, TooBusy
from broker.refusals import REFUSED, CrowdedError, away, word
from broker.store.client import storage_error, storage_errors

PROMPT = "tell me about OOM and MISCONF"


@pytest.mark.parametrize("said", sorted(REFUSED - {"LOADING", "READONLY", "crowded"}))
def test_what_redis_cannot_do_now_is_away_for_its_own_reason(said: str) -> None:
    error = storage_error(ResponseError(f"{said} whatever it says then"))
    assert isinstance(error, StorageUnavailable)
    assert error.why == said


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (BusyLoadingError("Redis is loading"), "LOADING"),
        (ReadOnlyError("You can't write against a read only replica."), "READONLY"),
        (TimeoutError("Timeout reading"), "silent"),
        (CrowdedError("all connections are in use"), "crowded"),
        (ConnectionError("Connection closed"), "unreachable"),
        (OSError(111, "refused"), "unreachable"),
        (ExecAbortError("Transaction discarded because of: MISCONF Redis is configured to"), "MISCONF"),
    ],
)
def test_so_is_one_that_does_not_answer_or_cannot_be_reached(error: Exception, why: str) -> None:
    assert away(error) == why


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (OutOfMemoryError("command not allowed when used memory > 'maxmemory'"), StorageFull),
        (NoPermissionError("this user has no permissions"), StorageForbidden),
        (ResponseError("WRONGTYPE Operation against a key"), StorageRefused),
        (ResponseError(f"unknown command 'X', with args beginning with: '{PROMPT}'"), StorageRefused),
        (ResponseError(f"{PROMPT}"), StorageRefused),
    ],
)
def test_anything_else_is_named_and_no_prompt_decides_what_it_is(error: Exception, ours: type[Exception]) -> None:
    with pytest.raises(ours) as caught, storage_errors():
        raise error
    assert PROMPT not in str(caught.value)
    assert caught.value.__suppress_context__
    assert word(ResponseError(PROMPT)) == "ERR"


@pytest.mark.parametrize(
    ("error", "first"),
    [
        (BusyLoadingError("Redis is loading the dataset in memory"), "LOADING"),
        (AuthenticationError("Authentication required."), "NOAUTH"),
        (ReadOnlyError("You can't write against a read only replica."), "READONLY"),
        (OutOfMemoryError("command not allowed"), "OOM"),
        (NoPermissionError("this user has no permissions"), "NOPERM"),
        (NoScriptError("No matching script."), "NOSCRIPT"),
        (ResponseError("WRONGTYPE Operation against a key"), "WRONGTYPE"),
        (OSError(111, "refused"), "ConnectionRefusedError"),
    ],
)
def test_a_reply_is_named_by_the_first_word_that_redis_said(error: Exception, first: str) -> None:
    assert word(error) == first


def test_a_full_pool_is_never_told_as_redis_being_away() -> None:
    error = storage_error(CrowdedError("all connections are in use"))
    assert isinstance(error, TooBusy)
    assert (error.why, str(error)) == ("crowded", "too many wait for a connection")


def test_who_does_not_answer_has_not_refused() -> None:
    assert {
        "LOADING", "BUSY", "READONLY", "MASTERDOWN", "MISCONF", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK",
        "UNBLOCKED", "crowded",
    } == REFUSED  # fmt: skip

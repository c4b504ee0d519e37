"""What the scripts of the logs role are told, and how their replies read; no server."""

from typing import Any

import pytest

from broker import keys
from broker.ids import EntryId
from broker.record import Ending, Origin
from broker.replies import Cancelled, Cost, Finished, Granted, Look, Refused, Released
from broker.schedule import Schedule
from broker.store import log_steps
from broker.tags import Tags
from broker.webhooks import Hook

ALL_KEYS = [keys.record("g"), keys.log("g"), keys.tombstone("g"), keys.webhook("g")]


def claim(*, run: bool = True) -> Any:
    return log_steps.claim(
        "g", "w/1", lease_ms=10, most_attempts=3, planned_from=EntryId(7, 2), run=run, start_json=b'{"a":{}}', kept_chunks=4
    )  # fmt: skip


def test_a_record_is_made_of_what_was_asked_for() -> None:
    call = log_steps.create(
        "g",
        b"{}",
        "m",
        5000,
        "strict",
        "f",
        "o",
        Origin("retry", "h"),
        7,
        Hook("u", ("failed",)),
        Tags({"a": "b"}),
        Schedule(8, 9),
        charged=True,
    )
    assert call.keys == [keys.record("g"), keys.tombstone("g")]
    assert call.args[:10] == [keys.WAITING_MS, keys.REMEMBERED_MS, "f", "m", b"{}", 5000, "strict", "o", "retry h", 7]
    assert call.args[10:] == ["failed u", b'{"labels":{"a":"b"}}', 8, 9, b"", "1"]
    assert call.read(b"mismatch") == "mismatch"


@pytest.mark.parametrize(("run", "said"), [(True, "run"), (False, "fail")])
def test_a_claim_tells_its_plan_and_leaves_its_first_entry_open(run: bool, said: str) -> None:
    call = claim(run=run)
    assert call.keys == ALL_KEYS
    assert call.args == [
        keys.live("g"), "w/1", 10, keys.WAITING_MS, keys.REMEMBERED_MS, 3, "7-2", said, b'{"a":{}', 4,
        20, 0, "", 0,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "means"),
    [
        ([b"granted", b"17", b"2", b"5"], Granted(17, 2, 5)), ([b"held", b"400"], Refused("held", 400)),
        ([b"moved"], Refused("moved")), ([b"ended", b"failed"], Refused("ended")),
        ([b"sealed", b"cancelled"], Refused("sealed")), ([b"unknown"], Refused("unknown")),
    ],
)  # fmt: skip
def test_a_claim_is_granted_or_refused_for_a_reason(reply: list[bytes], means: Granted | Refused) -> None:
    assert claim().read(reply) == means


def test_a_finish_tells_how_it_ended_and_is_told_where_the_log_ends_if_it_is_behind() -> None:
    call = log_steps.finish("g", 7, 3, Ending("failed", "s", "interrupted", "m", retryable=True))
    assert call.keys == ALL_KEYS
    assert call.args == [
        keys.live("g"),
        7,
        3,
        keys.REMEMBERED_MS,
        "failed",
        "s",
        "interrupted",
        "m",
        1,
        503,
        "null",
        b"",
        b"",
    ]
    assert call.read([b"behind", b"2"]) == Finished("behind", 2)
    assert call.read([b"ended", b"failed"]) == Finished("ended")
    assert call.read([b"fenced"]) == Finished("fenced")
    finished = call.read([b"ended", b"failed", 1, 2, 3, 1, b"acme"])
    assert finished.look == Look("failed", 1, 2, 0, 3, 0, hooked=True, owner="acme")


def test_a_cancel_is_told_the_state_of_what_had_ended_alone() -> None:
    call = log_steps.cancel("g")
    assert (call.keys, call.args[1:3]) == (ALL_KEYS, [keys.CANCELS, "g"])
    assert call.read([b"ended", b"failed"]) == Cancelled("ended", "failed")
    assert [call.read([why.encode()]).why for why in ("cancelled", "cancelling", "unknown")] == [
        "cancelled", "cancelling", "unknown",
    ]  # fmt: skip


def test_a_release_says_whether_the_attempt_counts() -> None:
    calls = [log_steps.release("g", 7, counts=counts) for counts in (True, False)]
    assert [call.args for call in calls] == [[7, 0, 3, 20], [7, 1, 3, 20]]
    assert calls[0].keys == [keys.record("g"), keys.log("g")]
    assert calls[0].read([b"released", 2]) == Released("released", 2)
    assert [calls[0].read([why.encode()]).why for why in ("fenced", "last", "exhausted")] == [
        "fenced",
        "last",
        "exhausted",
    ]


def test_a_lease_is_taken_from_the_attempt_that_is_named_or_from_whichever_has_let_it_run_out() -> None:
    calls = [log_steps.revoke("g", 7), log_steps.revoke("g")]
    assert [call.args for call in calls] == [[keys.live("g"), 7], [keys.live("g"), ""]]
    assert [calls[0].read(reply) for reply in (1, 0)] == [True, False]


def test_a_look_finds_a_record_or_none() -> None:
    call = log_steps.look("g")
    assert call.read([]) is None
    assert call.keys == [keys.record("g"), keys.webhook("g"), keys.log("g")]
    running = call.read([b"running", 1, 2, 3, 4, 5, 0, 8, 9, b"acme", None, None])
    assert running == Look("running", 1, 2, 3, 4, 5, place_ms=8, start_ms=9, owner="acme")
    failed = call.read([b"failed", 1, 2, 0, 4, 5, 1, 0, 0, b"", b"{}", 9])
    assert failed == Look("failed", 1, 2, 0, 4, 5, hooked=True, cost=Cost(b"{}", 9))

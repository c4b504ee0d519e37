"""The judge of keys, links, limits, erasures, budgets, secrets and the audit log: what is well is acquitted, and each promise
that a history breaks is named."""

from typing import Any

import pytest

from tests.proof.chaos.history import Line
from tests.proof.chaos.judge import judge
from tests.proof.chaos.second import CONCURRENT, FEW
from tests.proof.chaos.setting import BURST, LIMITED, MAX_QUEUED, MAX_RUNNING
from tests.proof.chaos.test_judge import TOKENS, USAGE, History, Spoil, block, call, failed, good, log, of

GUEST = "g-1/key-0"
TEXT = {"seed": 7, "tokens": 6}
FAULT = {"t": 20.0, "did": "fault", "target": "api-0", "hits": 1}


def found(history: History, what: str) -> list[str]:
    return [wrong for wrong in judge(history) if what in wrong]


# -- who may see


def guest(*more: Line, how: str = "revoked") -> History:
    """A guest has seen the first entries, and was barred at 13 s."""
    about = {"gen": "g-1", "viewer": GUEST}
    lines: list[Line] = [
        {"t": 11.0, "did": "guest", **about, "by": "key"},
        {"t": 11.1, "did": "opened", **about, "status": 200, "cursor": None},
        *({"t": 12.0, "did": "frame", **about, "block": each} for each in log()[:4]),
        {"t": 13.0, "did": "barred", **about, "how": how, "asked": 12.9, "at": 13.0},
        {"t": 13.5, "did": "frame", **about, "block": block(None, "closed", reason=how)},
        {"t": 13.5, "did": "closed", **about, "how": "cut"},
        {"t": 13.6, "did": "opened", **about, "status": 401, "cursor": "100-3"},
    ]
    return [*good(), *lines, *({**line, **about} for line in more)]


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_guest_that_is_barred_and_sent_away_is_fine(how: str) -> None:
    assert judge(guest(how=how)) == []


LATE: dict[str, Line] = {
    "shown": {"t": 30.0, "did": "frame", "block": log()[4]},
    "let in": {"t": 30.0, "did": "opened", "status": 200, "cursor": None},
    "connected": {"t": 30.0, "did": "closed", "how": "cut"},
}


@pytest.mark.parametrize("name", LATE)
def test_a_guest_is_barred_from_all_of_it_but_where_its_api_could_not_hear_of_that(name: str) -> None:
    history = guest(LATE[name])
    assert found(history, "I26")
    history.append({**FAULT, "kind": "server_pause", "at": 12.0, "until": 29.0})
    assert not found(history, "I26")


def test_a_revocation_that_the_store_has_lost_bars_nobody_and_an_end_that_was_told_before_does() -> None:
    lost: Line = {"t": 13.2, "did": "rewind", "at": 13.1, "mark": 12.5, "of": "coordination"}
    assert not found([*guest(LATE["shown"]), lost], "I26")
    assert found([*guest(LATE["shown"], how="expired"), lost], "I26")


def _withdrawn(*stays: Line) -> History:
    """Its viewer was shown at 40.0 that all of it is withdrawn; a guest had a part of it at 12.0, and then `stays`."""
    about, text = {"gen": "g-1", "viewer": "g-1/key-0"}, log()[:4]
    guest: list[Line] = [{"t": 11.0, "did": "guest", **about, "by": "key"}]
    guest += [{"t": 12.0, "did": "frame", **about, "block": each} for each in text]
    withdrawal = block("200-0", "withdraw", guardrail=None, reason="", category="unchecked")
    told: Line = {"t": 40.0, "did": "frame", "gen": "g-1", "viewer": "g-1/0-steady", "block": withdrawal}
    read: Line = {"t": 60.0, "did": "read", "gen": "g-1", "api": 0, "blocks": [withdrawal]}
    return [*guest, *({**about, **line} for line in stays), told, read]


def test_who_left_or_was_barred_before_a_withdrawal_is_not_told_of_it_and_who_stayed_is() -> None:
    left: Line = {"t": 20.0, "did": "closed", "how": "left"}
    barred: Line = {"t": 20.0, "did": "barred", "how": "revoked", "asked": 19.9, "at": 20.0}
    assert found(_withdrawn(), "I1 g-1/key-0")
    assert found(_withdrawn({**left, "t": 41.0}), "I1 g-1/key-0")
    assert found(_withdrawn({**barred, "t": 41.0, "at": 41.0}), "I1 g-1/key-0")
    assert not found(_withdrawn(left), "I1 g-1/key-0")
    assert not found(_withdrawn(barred), "I1 g-1/key-0")


def test_who_left_before_the_store_lost_what_it_was_shown_is_not_told_of_that() -> None:
    lost: Line = {"t": 21.0, "did": "rewind", "at": 20.5, "mark": 11.5}
    left: Line = {"t": 20.0, "did": "closed", "how": "left"}
    history = [line for line in _withdrawn(left) if line["t"] < 40.0]
    read: Line = {"t": 60.0, "did": "read", "gen": "g-1", "api": 0, "blocks": log()[:2]}
    assert found([*history, read], "I1 g-1/key-0")
    assert not found([*history, lost, read], "I1 g-1/key-0")
    assert found([*history, {**lost, "mark": 12.5}, read], "I1 g-1/key-0")


def test_who_is_told_that_it_is_not_there_before_it_is_made_again_was_told_what_was_so() -> None:
    accepted = next(line for line in good() if line["did"] == "accepted")
    at: float = accepted["t"]
    viewer = {"gen": "g-1", "viewer": "g-1/1-late", "did": "opened", "status": 404, "cursor": None}
    lost: Line = {"t": at + 0.1, "did": "rewind", "at": at + 0.1, "mark": at - 0.2, "of": "logs"}
    again: Line = {**accepted, "asked": at + 0.4, "t": at + 0.5}
    early: Line = {**viewer, "t": at + 0.3}
    assert not found([*good(), lost, again, early], "I12")
    assert found([*good(), lost, again, {**viewer, "t": at + 0.6}], "I12")
    assert found([*good(), lost, early], "I12")
    assert found([*good(), again, early], "I12")


def _redacted(*blocks: str) -> History:
    about = {"gen": "g-1", "viewer": "g-1/link-0"}
    begin: Line = {"t": 11.0, "did": "guest", **about, "by": "link"}
    return [*good(), begin, *({"t": 12.0, "did": "redacted", **about, "block": each} for each in blocks)]


def test_a_redacted_link_shows_text_alone_and_all_of_it() -> None:
    end = block("100-9", "stream_end", status="completed", usage=None)
    assert judge(_redacted(*log()[:-1], end)) == []
    assert found(_redacted(*log()), "I26")  # usage
    assert found(_redacted(*log()[:3], *log()[4:-1], end), "I26")  # a token is missing
    assert found(_redacted(log()[0], block("100-1", "block_start", index=0, block={"type": "thinking"})), "I26")


def test_a_key_is_refused_only_when_it_has_ended_or_the_store_has_lost_it() -> None:
    refused: Line = {"t": 30.0, "did": "refused", "at": 30.0, "tenant": "ada", "key": "k", "asked": 9.0, "made": 9.1}
    assert found([*good(), {**refused, "until": None}], "I26")
    assert found([*good(), {**refused, "until": 31.0}], "I26")
    assert judge([*good(), {**refused, "until": 29.0}]) == []
    lost: Line = {"t": 9.6, "did": "rewind", "at": 9.5, "mark": 8.9}
    assert not found([*good(), {**refused, "until": None}, lost], "I26")


# -- what was erased


def erased(*more: Line, at: float = 14.0) -> History:
    """Its viewer had its end; it was erased behind that, and is answered so."""
    history = [line for line in good() if line["did"] not in ("record", "read", "asked")]
    lines: list[Line] = [
        {"t": at, "did": "erased", "id": "gen_a", "how": "ended", "asked": at - 0.1, "status": 200, "complete": True},
        {
            "t": 14.5,
            "did": "turned_away",
            "tenant": "ada",
            "status": 410,
            "code": "erased",
            "after": None,
            "asked": 14.4,
        },
        {"t": 59.0, "did": "opened", "viewer": "g-1/0-steady", "status": 410, "cursor": None},
        {"t": 60.0, "did": "gone", "id": "gen_a", "status": 410, "code": "erased"},
    ]
    return [*history, *({"gen": "g-1", **line} for line in [*lines, *more])]


def test_what_was_erased_and_has_gone_is_fine() -> None:
    assert judge(erased()) == []


STAYED: dict[str, Line] = {
    "it is shown": {"t": 20.0, "did": "frame", "viewer": "g-1/0-steady", "block": log()[4]},
    "its key makes another": {"t": 15.0, "did": "accepted", "id": "gen_b", "asked": 14.9, "keyed": True, **TEXT},
    "its repeat is accepted": {"t": 15.0, "did": "accepted", "id": "gen_a", "asked": 14.9, "keyed": True, **TEXT},
    "a webhook tells of it": {"t": 30.0, "did": "told", "id": "gen_a", "state": "completed", "webhook": "x", "signed": True},
    "it can be read": {"t": 60.0, "did": "record", "record": {"id": "gen_a", "state": "completed", "text": ""}},
    "it was never there": {"t": 60.0, "did": "gone", "id": "gen_a", "status": 404, "code": "not_found"},
    "a list has it": {"t": 60.0, "did": "remains", "id": "gen_a", "places": ["respool:index:all"]},
    "upstream goes on": {"t": 60.0, "did": "asked", "calls": [call(closed=25.0)]},
}  # fmt: skip


@pytest.mark.parametrize("name", STAYED)
def test_nothing_of_what_was_erased_stays_unless_the_store_has_taken_that_back(name: str) -> None:
    history = erased(STAYED[name])
    if name == "it can be read":
        history = [line for line in history if line["did"] != "gone"]
    assert found(history, "I27")
    history.append({"t": 14.3, "did": "rewind", "at": 14.2, "mark": 13.5, "of": "both"})
    assert not found(history, "I27")


def test_nothing_is_said_to_be_erased_that_nobody_has_erased() -> None:
    history = [line for line in erased() if line["did"] != "erased"]
    assert found(history, "I27")


def test_a_viewer_is_told_that_it_was_erased_only_if_it_was() -> None:
    gap = {"t": 14.2, "did": "frame", "viewer": "g-1/0-steady", "block": block(None, "gap", reason="erased")}
    assert judge(erased(gap)) == []
    assert found([*good(), {"gen": "g-1", **gap}], "I17")


# -- limits


def limited(number: int, *, apart_ms: int = 1000, lasts_ms: int = 600_000) -> History:
    """So many of the limited tenant were accepted; the last ones run yet when the last one came."""
    lines: History = [*good(), {"t": 0.0, "did": "clock", "wall_ms": 0.0, "keys": True, "sealed": True}]
    for at in range(number):
        made = 10_000 + at * apart_ms
        about = {"gen": f"l-{at}", "t": made / 1000}
        lines += [
            {**about, "did": "accepted", "id": f"gen_{at}", "asked": made / 1000 - 0.1, "tenant": LIMITED, **TEXT},
            {**about, "did": "record", "record": _record(f"gen_{at}", made, made + lasts_ms)},
        ]  # fmt: skip
    return lines


def _record(id_: str, created: int, finished: int) -> dict[str, Any]:
    return {"id": id_, "state": "completed", "text": "", "created_at_ms": created, "finished_at_ms": finished,
            "started_at_ms": created, "first_token_at_ms": None, "attempt": 1, "usage": USAGE}  # fmt: skip


def test_as_many_may_run_and_wait_as_may_and_not_one_more() -> None:
    may = MAX_RUNNING + MAX_QUEUED
    assert not found(limited(may), "I28")
    assert found(limited(may + 1), "I28")
    assert not found(limited(3 * may, lasts_ms=900), "I28")
    lost: Line = {"t": 12.5, "did": "rewind", "at": 12.5, "mark": 12.0}
    assert not found([*limited(may + 1), lost], "I28")


def test_no_more_come_at_once_than_may() -> None:
    assert not found(limited(BURST, apart_ms=1, lasts_ms=0), "I28")
    assert found(limited(BURST + 3, apart_ms=1, lasts_ms=0), "I28")


@pytest.mark.parametrize(
    ("code", "after", "there", "wrong"),
    [
        ("too_many_queued", "5", MAX_QUEUED, False), ("too_many_queued", "5", MAX_QUEUED - 1, True),
        ("too_many_queued", None, MAX_QUEUED, True), ("rate_limited", "1", 1, False), ("rate_limited", "900", 1, True),
        ("token_budget_spent", "5", MAX_QUEUED, True),
    ],
)  # fmt: skip
def test_a_submit_is_refused_only_at_the_limit_and_told_when_to_come_back(
    code: str, after: str | None, there: int, wrong: bool
) -> None:
    refused: Line = {"t": 30.0, "did": "turned_away", "gen": "l-9", "tenant": LIMITED, "status": 429, "code": code,
                     "after": after, "asked": 29.9}  # fmt: skip
    assert bool(found([*limited(there), refused], "I28")) is wrong


@pytest.mark.parametrize(("mark", "wrong"), [(29.8, False), (30.1, True)])
def test_a_submit_is_refused_for_one_that_the_store_lost_before_anybody_was_told_that_it_was_accepted(
    mark: float, wrong: bool
) -> None:
    refused: Line = {"t": 30.0, "did": "turned_away", "gen": "l-9", "tenant": LIMITED, "status": 429,
                     "code": "too_many_queued", "after": "5", "asked": 29.9}  # fmt: skip
    rewind: Line = {"t": 30.3, "did": "rewind", "mark": mark, "at": 30.2, "of": "both"}
    assert bool(found([*limited(MAX_QUEUED - 1), refused, rewind], "I28")) is wrong


def ledger(**changed: Any) -> Line:
    spent = 40 + TOKENS
    line = {"t": 70.0, "did": "ledger", "tenant": LIMITED, "queued": 0, "running": 0,
            "charges": {"gen_0": f"1 {spent} 500 s", "gen_1": f"1 {spent} 500 s"},
            "used": {"day": "1", "tokens": str(2 * spent), "bytes": "1000"}}  # fmt: skip
    return line | changed


@pytest.mark.parametrize(
    "changed",
    [
        {"queued": 1}, {"running": 1}, {"used": {"day": "1", "tokens": "92", "bytes": "1500"}},
        {"used": {"day": "1", "tokens": "40", "bytes": "1000"}}, {"charges": {"gen_0": "1 46 1000 s"}},
        {"charges": {"gen_0": "1 46 500 s", "gen_1": "1 46 500 r"}},
        {"charges": {"gen_0": "1 46 500 s", "gen_1": "1 45 500 s"}},
        {"charges": {"gen_0": "1 46 500 s", "gen_7": "1 46 500 s"}},
    ],
)  # fmt: skip
def test_the_ledger_comes_back_to_what_is_true(changed: dict[str, Any]) -> None:
    assert not found([*limited(2), ledger()], "I28")
    assert found([*limited(2), ledger(**changed)], "I28")


# -- the fleet


def test_no_more_calls_of_a_model_run_at_a_time_than_may_unless_workers_count_alone() -> None:
    history = good()
    of(history, "accepted")[0]["model"] = f"{FEW}?seed=7"
    (asked,) = of(history, "asked")
    asked["calls"] = [call(at=11.0 + at / 10, closed=13.0) for at in range(CONCURRENT)]
    assert not found(history, "I29")
    asked["calls"].append(call(at=12.0, closed=13.0))
    assert found(history, "I29")
    history.append({**FAULT, "kind": "worker_pause", "at": 10.0, "until": 11.0})
    assert not found(history, "I29")
    asked["calls"] += [call(at=12.0, closed=13.0)] * CONCURRENT * 3
    assert found(history, "I29")


def test_an_overload_fails_only_what_was_refused_as_often_as_it_may_ask() -> None:
    history = good()
    failed(history)
    record = of(history, "record")[0]["record"]
    record["error"] = record["error"] | {"code": "upstream_overloaded"}
    (asked,) = of(history, "asked")
    asked["calls"] = [call(status=529, closed_by="fault", tokens=0)] * 3
    assert found(history, "I29")
    asked["calls"] *= 2
    assert not found(history, "I29")


def test_a_tenant_waits_for_no_more_of_a_crowd_than_there_are_slots() -> None:
    line: Line = {"t": 50.0, "did": "turns", "crowd": 90, "before": 40, "most": 40}
    assert judge([*good(), line]) == []
    assert found([*good(), {**line, "before": 41}], "I30")


# -- what is told


def test_a_prompt_or_a_key_that_can_be_read_is_a_violation() -> None:
    assert judge([*good(), {"t": 70.0, "did": "secrets", "found": []}]) == []
    assert found([*good(), {"t": 70.0, "did": "secrets", "found": ["a prompt in api-0.log"]}], "I31")


def _audit(faults: list[str], submits: list[str]) -> Spoil:
    def spoil(history: History) -> None:
        of(history, "accepted")[0]["api"] = 0
        history.append({"t": 70.0, "did": "audit", "faults": faults, "lines": 9, "noted": {"submit": submits}})

    return spoil


@pytest.mark.parametrize(("faults", "submits"), [(["line 4 was changed"], ["gen_a"]), ([], [])])
def test_the_audit_log_is_whole_and_tells_of_what_was_acknowledged(faults: list[str], submits: list[str]) -> None:
    history = good()
    _audit([], ["gen_a"])(history)
    assert judge(history) == []
    spoiled = good()
    _audit(faults, submits)(spoiled)
    assert found(spoiled, "I32")


@pytest.mark.parametrize(("at", "excused"), [(10.5, True), (30.0, False)])
def test_what_an_api_had_not_written_when_it_was_killed_may_be_missing(at: float, excused: bool) -> None:
    history = good()
    _audit([], [])(history)
    history.append({**FAULT, "kind": "api_kill", "at": at, "until": at})
    assert (not found(history, "I32")) is excused

"""I28: no more of a tenant runs and waits than may, it is refused only then, and in the end it is charged what is true.
Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.proof.chaos.history import Line
from tests.proof.chaos.setting import BURST, LIMITED, MAX_QUEUED, MAX_RUNNING, PER_MINUTE

_FILED_WITHIN = 10.0
"""Seconds behind an end in which it may still be counted as running, as faults keep it from being filed."""
_LOST_FOR = 15.0
"""Seconds behind a rewind in which lists are put right."""
_CODES = ("too_many_queued", "rate_limited")
_SPENT = ("input_tokens", "cache_creation_input_tokens", "output_tokens")

Record = dict[str, Any]


def wrong(general: Mapping[str, Sequence[Line]], accepted: Sequence[Line], records: Sequence[Record]) -> list[str]:
    """Of a run: `accepted` and `records` are the limited tenant's."""
    rewinds = general.get("rewind", ())
    refusals = [line for line in general.get("limited", ()) if line["status"] == 429]
    found = [
        *_passed(records, rewinds, general.get("clock", ())),
        *_refused(refusals, accepted, records, rewinds, general),
    ]
    for line in general.get("ledger", ()):
        found += _charged(line, records)
    return [f"I28 {said}" for said in found]


def _passed(records: Sequence[Record], rewinds: Sequence[Line], clock: Sequence[Line]) -> Iterator[str]:
    """Of those that were accepted since the store lost something last, as of all others it may have forgotten some."""
    offset = clock[0]["wall_ms"] - clock[0]["t"] * 1000 if clock else 0
    lost = sorted(each["at"] * 1000 + offset for each in rewinds)
    for record in records:
        at = record["created_at_ms"]
        since = max((each for each in lost if each <= at), default=0)
        there = [
            each for each in records
            if since < each["created_at_ms"] <= at and (each["finished_at_ms"] is None or each["finished_at_ms"] > at)
        ]  # fmt: skip
        if len(there) > MAX_RUNNING + MAX_QUEUED:
            yield f"{len(there)} of {LIMITED} ran and waited, {MAX_RUNNING + MAX_QUEUED} may"
        came = [each["created_at_ms"] for each in records if max(since, at - 60_000) < each["created_at_ms"] <= at]
        for first in came:
            number = sum(each >= first for each in came)
            if number > BURST + (at - first) * PER_MINUTE / 60_000 + 1:
                yield f"{number} of {LIMITED} were accepted in {(at - first) / 1000:.1f} s"


def _refused(
    refusals: Sequence[Line], accepted: Sequence[Line], records: Sequence[Record], rewinds: Sequence[Line],
    general: Mapping[str, Sequence[Line]],
) -> Iterator[str]:  # fmt: skip
    clock = general.get("clock", ())
    offset = clock[0]["wall_ms"] - clock[0]["t"] * 1000 if clock else 0
    ended = {record["id"]: record["finished_at_ms"] for record in records}
    for line in refusals:
        if line["code"] not in _CODES or not 1 <= int(line["after"] or 0) <= 60:
            yield f"refused with {line['code']}, to come back in {line['after']} s"
        if line["code"] != "too_many_queued" or _may_be_lost(line["t"], rewinds):
            continue
        there = 0
        for one in accepted:
            finished = ended.get(one["id"])
            over = finished is not None and (finished - offset) / 1000 + _FILED_WITHIN < line["asked"]
            there += one["asked"] <= line["t"] and not over
        if there < MAX_QUEUED:
            yield f"refused with {line['code']} where {there} were there"


def _may_be_lost(t: float, rewinds: Sequence[Line]) -> bool:
    """Whether a list of then may have what the store lost before anybody was told that it was accepted, or not be right yet."""
    return any(each["mark"] <= t < each["at"] + _LOST_FOR for each in rewinds)


def _charged(ledger: Line, records: Sequence[Record]) -> Iterator[str]:
    """Sums are those of the charges, and charges those of what there is."""
    if ledger["queued"] or ledger["running"]:
        yield f"{ledger['queued']} are listed as queued and {ledger['running']} as running when all have ended"
    charges = {id_: charge.split() for id_, charge in ledger["charges"].items()}
    by_id = {record["id"]: record for record in records}
    used = {name: int(value) for name, value in ledger["used"].items()}
    if charges and used.get("bytes") != (bytes_ := sum(int(charge[2]) for charge in charges.values())):
        yield f"{used.get('bytes')} bytes are charged, and the charges come to {bytes_}"
    today = sum(int(charge[1]) for charge in charges.values() if int(charge[0]) == used.get("day"))
    if used.get("tokens", 0) < today:
        yield f"{used.get('tokens')} tokens are charged, and the charges come to {today}"
    for id_, (_, tokens, _, how) in charges.items():
        if (record := by_id.get(id_)) is None:
            yield f"{id_} is charged, and not there"
        elif how != "s":
            yield f"{id_} has ended, and is charged what was reserved"
        elif record["usage"] is not None and record["attempt"] and int(tokens) != (spent := _spent(record["usage"])):
            yield f"{id_} is charged {tokens} tokens, and has cost {spent}"
    for id_ in by_id.keys() - charges.keys():
        yield f"{id_} is not charged"


def _spent(usage: Mapping[str, Any]) -> int:
    return sum(usage.get(name) or 0 for name in _SPENT)

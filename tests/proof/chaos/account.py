"""What a generation amounts to, beside the upstream's account of what it sent: text, figures, attempts. Pure.

I8   what is completed has all of upstream's text, however many attempts it took
I14  whatever the end, text and thinking are a beginning of what upstream said, and no more than it was seen to send
I15  the end's figures are the record's, and what the log, the clock and upstream's account say
I16  there are no more attempts, and no more calls of upstream, than are allowed
I25  what has a fallback fails for a model that is not there only when that was the last one
I20  what the run's guardrail refuses never completes, and its text stays with nobody
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from tests.harness.client import Frame
from tests.proof.chaos.guard import refuses
from tests.proof.chaos.history import Line
from tests.proof.invariants import Reader
from worker.simulator.text import after, markdown, thought

MOST_ATTEMPTS = 8
"""That count: which do is the broker's own account."""
ATTEMPTS_IN_ALL = 20
MOST_CALLS = 4
"""Of upstream, in one attempt: RESPOOL_UPSTREAM_TRIES as it is by default."""
FORGOTTEN_ATTEMPTS = 3
"""Claims that a store may lose with its last two seconds; upstream was called for each, and no record has them."""
_CLOCKS_MS = 1000
"""How far what the store's clock says of a duration may be from what ours says."""
_FIGURES = ("usage", "ttft_ms", "total_ms", "metrics", "chunks")
_NOT_THERE = ("unknown_model", "upstream_not_found", "upstream_authentication", "upstream_permission")
_COUNTED = ("text", "thinking", "tool_input")
_TERMINAL = ("completed", "failed", "cancelled")

Record = dict[str, Any]
Call = dict[str, Any]


def text(accepted: Line, record: Record, log: Sequence[Frame], calls: Sequence[Call] | None) -> Iterator[str]:
    """I8, I14, I20."""
    if refuses(accepted["seed"]) and (record["state"] == "completed" or record["text"]):
        yield f"I20 {record['state']}, with {len(record['text'])} characters that a guardrail blocks"
    whole = _whole(accepted)
    wanted, had = "".join(whole), record["text"]
    if record["state"] == "completed" and had != wanted:
        yield f"I8 completed, with {len(had)} characters that are not upstream's {len(wanted)}"
    if not wanted.startswith(had):
        yield f"I14 {record['state']}, with text that upstream never said: {had!r}"
    for thinking in _thinking(log):
        if not "".join(_thought(accepted)).startswith(thinking):
            yield f"I14 {record['state']}, with thinking that upstream never said: {thinking!r}"
    if calls is not None and not accepted.get("rounds"):
        sent = max((_sent(whole, call) for call in calls), default=0)
        if len(had) > sent:
            yield f"I14 {record['state']}, with {len(had)} characters where upstream has sent {sent}"


def _whole(accepted: Line) -> Sequence[str]:
    """All that upstream says: behind each round of tools it says something else."""
    rounds = accepted.get("rounds", 0)
    return tuple(token for more in range(rounds + 1) for token in markdown(accepted["seed"] + more, accepted["tokens"]))


def _thinking(log: Sequence[Frame]) -> list[str]:
    """Each block's: a call that goes on from a partial answer thinks anew."""
    reader = Reader()
    for frame in log:
        reader.apply(frame)
    return [said for kind, said in reader.blocks if kind == "thinking"]


def _thought(accepted: Line) -> Sequence[str]:
    if not accepted.get("thinks"):
        return ()
    return thought(zlib.crc32("".join(markdown(accepted["seed"], accepted["tokens"])).encode()))


def _sent(whole: Sequence[str], call: Call) -> int:
    """How far into the text the call got, in characters."""
    start = call["continued"] or 0
    return start + sum(map(len, after(whole, start)[: call["tokens"]]))


def figures(
    accepted: Line,
    record: Record,
    log: Sequence[Frame],
    calls: Sequence[Call] | None,
    *,
    read: float,
    clock_moved: bool,
) -> Iterator[str]:
    """I15. `read` is when the record was; `clock_moved`: durations by the store's clock say nothing."""
    end = log[-1].data if log else {}
    about = end | {"stop_reason": end.get("stop_reason")}
    for name in (*_FIGURES, "stop_reason"):
        if about.get(name) != record.get(name):
            yield f"I15 the end says {name} {about.get(name)}, the record {record.get(name)}"
    error = record.get("error") or {}
    if any(end.get(name) != value for name, value in error.items()):
        yield f"I15 the end says {end}, the record {error}"
    if record["state"] == "failed" and error.get("partial") != (record["chunks"] > 0):
        yield f"I15 partial is {error.get('partial')}, with {record['chunks']} chunks"
    if accepted.get("strict") and end.get("durability") != "strict":
        yield "I15 the end does not say that it is strict"
    if record["chunks"] != (kept := _chunks(log)):
        yield f"I15 chunks {record['chunks']}, and a reader keeps {kept}"
    yield from _times(accepted, record, read, clock_moved)
    if record["usage"] is not None:
        yield from _usage(accepted, record, calls)


def _chunks(log: Sequence[Frame]) -> int:
    """How many entries of content a reader keeps."""
    blocks, open_ = list[int](), -1
    for frame in log:
        match frame.data:
            case {"type": "stream_start", "keep_blocks": int(keep)}:
                del blocks[keep:]
            case {"type": "block_start", "index": int(index)}:
                open_ = index
                blocks += [0] * (index + 1 - len(blocks))
            case {"type": kind} if kind in _COUNTED and 0 <= open_ < len(blocks):
                blocks[open_] += 1
    return sum(blocks)


def _times(accepted: Line, record: Record, read: float, clock_moved: bool) -> Iterator[str]:
    ttft, total = record["ttft_ms"], record["total_ms"]
    if total < 0 or (ttft is not None and not 0 <= ttft <= total):
        yield f"I15 ttft_ms {ttft}, total_ms {total}"
    if not clock_moved and total > (read - accepted["asked"]) * 1000 + _CLOCKS_MS:
        yield f"I15 total_ms {total}, and it was submitted {read - accepted['asked']:.1f} s before"
    names = ("created_at_ms", "started_at_ms", "first_token_at_ms", "finished_at_ms")
    marks = [record[name] for name in names if record[name] is not None]
    if marks != sorted(marks) and not clock_moved:
        yield f"I15 the record's times are not in order: {marks}"
    if record["chunks"] and ttft is None:
        yield f"I15 {record['chunks']} chunks, and no first token"


def _usage(accepted: Line, record: Record, calls: Sequence[Call] | None) -> Iterator[str]:
    """Each call that answered told its input and one token at its beginning, and all its tokens at its end, if that came."""
    told = dict(record["usage"])
    wasted = told.pop("wasted", {})
    usage = {name: told.get(name, 0) for name in ("input_tokens", "output_tokens")}
    if any(type(value) is not int or value < 0 for value in told.values() if type(value) is not str):
        yield f"I15 usage {record['usage']}"
        return
    if any(wasted.get(name, 0) > value for name, value in usage.items()) or (
        record["state"] == "failed" and wasted != told
    ):
        yield f"I15 wasted {wasted} of {told}"
    if calls is None or accepted.get("rounds"):
        return
    answered = [call for call in calls if call["status"] == 200]
    most = {"input_tokens": sum(call["input"] for call in answered),
            "output_tokens": sum(max(1, _output(accepted, call)) for call in answered)}  # fmt: skip
    whole = [call for call in answered if call["closed_by"] == "server"] if record["state"] == "completed" else []
    least = {"input_tokens": min((call["input"] for call in whole), default=0),
             "output_tokens": min((_output(accepted, call) for call in whole), default=0)}  # fmt: skip
    for name, value in usage.items():
        if not least[name] <= value <= most[name]:
            yield f"I15 {name} {value}, and upstream has told {least[name]} to {most[name]}"


def _output(accepted: Line, call: Call) -> int:
    """What the call's answer counts, if it was whole; else nothing."""
    return int(call["tokens"]) + len(_thought(accepted)) if call["closed_by"] == "server" else 0


def attempts(
    record: Record,
    log: Sequence[Frame],
    calls: Sequence[Call] | None,
    *,
    rewinds: int,
    rounds: int = 0,
    models: int = 1,
) -> Iterator[str]:
    """I16. Behind each round of tools upstream is called once more. `models`: the request's, and its fallback's."""
    told = [frame.data["attempt"] for frame in log if frame.type == "stream_start"]
    withdrawn = bool(log) and log[0].type == "withdraw"
    if withdrawn != bool(record.get("withdrawn")):
        yield "I20 the record and the log do not agree whether it was withdrawn"
    if not withdrawn and (told != sorted(set(told)) or (told[-1] if told else 0) != record["attempt"]):
        yield f"I16 the log tells of attempts {told}, the record of {record['attempt']}"
    if record["attempt"] > ATTEMPTS_IN_ALL:
        yield f"I16 {record['attempt']} attempts, {ATTEMPTS_IN_ALL} are allowed"
    allowed = MOST_CALLS * models * (1 + rounds) * (record["attempt"] + FORGOTTEN_ATTEMPTS * rewinds)
    if calls is not None and len(calls) > allowed:
        yield f"I16 {len(calls)} calls of upstream in {record['attempt']} attempts, {allowed} are allowed"


def fallen_back(accepted: Line, record: Record, log: Sequence[Frame]) -> Iterator[str]:
    """I25. The model that the request names is never there."""
    other = accepted.get("fallback")
    if other is None:
        return
    asked, code = None, (record.get("error") or {}).get("code")
    for frame in log:
        match frame.data:
            case {"type": "stream_start" | "retrying", "model": str(model)}:
                asked = model
    if code in _NOT_THERE and asked != other:
        yield f"I25 failed with {code} of {asked}, and {other} was not asked"
    if (answered_by := (record.get("metrics") or {}).get("answered_by")) not in (None, other):
        yield f"I25 it was answered by {answered_by}, which is not there"


def is_over(record: Record) -> bool:
    return record["state"] in _TERMINAL

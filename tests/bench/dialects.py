"""What a dialect costs beside our own vocabulary: a step of its fold, 1,000 viewers of one generation, a resume in the middle
of a long log. The columns are dialects."""

import gc
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from api.dialects import Dialect
from api.dialects.chat_text import CHAT_TEXT
from api.dialects.redacted import redacted
from broker.events import EVENT, START, TEXT, Entry, event
from broker.ids import EntryId
from tests.bench.alternating import VIEWERS, alternating
from tests.bench.figures import median
from tests.bench.report import Figures
from tests.bench.resumes import resumes
from tests.bench.system import compiled
from tests.bench.vocabularies import NATIVELY, VOCABULARIES, Vocabulary

_ATTEMPT: Final = 1_764_445_000_000
_ENTRIES: Final = 4_000
_PORTIONS: Final = (1, 5, 20)
_MOST_TIMES_NATIVE: Final = 2.0
_ID: Final = "gen_" + "0" * 26
_SEEN: Final[Mapping[tuple[str, str], float | None]] = {
    ("µs/event", "µs"): None, ("to native", "×"): 1.1, ("bytes/event", ""): None, ("events/read", ""): None,
    ("of due %", "%"): None, ("p50 ms", "ms"): None, ("p99 ms", "ms"): None, ("faults", ""): 0,
}  # fmt: skip
"""Of what `alternating` measures, and its unit; the target."""
_TEXTS: Final = (
    b" the reader comes back", b" to where it was, with", b" nothing lost, nothing", b" said twice. Each entry",
    b" has a number, and who", b" has it goes on behind", b" that one.\n\nThere are",
    b" \xe2\x80\x9cviewers\xe2\x80\x9d of many",
    b" kinds; to 1,000 of them", b" all of it is the same",
)  # fmt: skip
"""About 20 characters each, one in ten with a number, one with line ends, one that is not ASCII."""


def folds(figures: Figures, *, quick: bool) -> None:
    """A log of text alone, in portions as appends bring them. All dialects in turn, round by round; the ratio is of the same
    round."""
    log = _log()
    known = {each.name: each.dialect(_ID) for each in VOCABULARIES}
    known |= {"chat as text": CHAT_TEXT, "redacted": redacted(known["native"]), "ui, redacted": redacted(known["ui"])}
    for portion in _PORTIONS:
        portions = [log[at : at + portion] for at in range(0, len(log), portion)]
        rounds = [
            {name: _folded(dialect, portions) for name, dialect in known.items()} for _ in range(7 if quick else 51)
        ]
        for name in known:
            what = f"a step of the fold, {portion} at once"
            figures.put(name, what, "µs/entry", min(each[name] for each in rounds))
            ratio = median(each[name] / each[NATIVELY.name] for each in rounds)
            figures.put(name, f"{what}, to native", "×", ratio, target=_MOST_TIMES_NATIVE)


def viewers(figures: Figures, *, quick: bool) -> None:
    """As A1000 of the fan-out, each beside our own vocabulary; that one too, to see what chance does."""
    turns, seconds = (4, 1.0) if quick else (15, 1.5)
    with tempfile.TemporaryDirectory(prefix="respool-bench-tools-") as folder:
        tools = Path(folder)
        for program in ("load", "feed"):
            compiled(program, tools)

        def measure(vocabulary: Vocabulary) -> None:
            seen = alternating(vocabulary, tools, turns=turns, seconds=seconds)
            for (what, unit), target in _SEEN.items():
                figures.put(vocabulary.name, f"{VIEWERS:,} viewers: {what}", unit, seen[what], target=target)

        for each in (each for each in VOCABULARIES if each.tells_each):
            figures.attempt(f"{VIEWERS:,} viewers, {each.name}", lambda each=each: measure(each))  # type: ignore[misc]


def _log() -> list[Entry]:
    """A block of text."""
    head = [
        (START, event("stream_start", generation=_ID, model="sim-1", keep_blocks=0).value),
        (EVENT, event("message", message={"id": "msg_1", "usage": {}}).value),
        (EVENT, event("block_start", index=0, block={"type": "text", "text": ""}).value),
    ]
    texts = [(TEXT, _TEXTS[number % len(_TEXTS)]) for number in range(_ENTRIES)]
    return [Entry(EntryId(_ATTEMPT, seq), kind, value) for seq, (kind, value) in enumerate(head + texts)]


def _folded(dialect: Dialect, portions: Sequence[list[Entry]]) -> float:
    """Microseconds of CPU for an entry."""
    fold, state = dialect.fold, dialect.begin
    gc.disable()
    try:
        began = time.process_time_ns()
        for portion in portions:
            state, _ = fold(state, portion)
        return (time.process_time_ns() - began) / 1000 / sum(map(len, portions))
    finally:
        gc.enable()


DIALECTS: Final[Mapping[str, Callable[..., None]]] = {"folds": folds, "viewers": viewers, "resumes": resumes}

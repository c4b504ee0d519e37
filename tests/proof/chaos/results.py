"""What viewers and logs say of server tools. Pure.

I19  a tool's result, once shown, is never shown with other bytes
I24  a call whose result is in the log is not made again
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tests.harness.client import Frame
from tests.proof.chaos.history import Line
from tests.proof.chaos.streams import frames


def wrong(lines: Sequence[Line], rewinds: Sequence[Line]) -> list[str]:
    """A store that came back without its latest seconds excuses another result of what it had lost."""
    first = min((line["t"] for line in lines), default=0.0)
    if any(rewind["t"] >= first for rewind in rewinds):
        return []
    reads = [frames(line["blocks"]) for line in lines if line["did"] == "read"]
    shown = frames([line["block"] for line in lines if line["did"] == "frame"])
    return [
        *_changed([*shown, *(frame for read in reads for frame in read)]),
        *(each for r in reads for each in _again(r)),
    ]


def _changed(seen: Sequence[Frame]) -> Iterator[str]:
    results: dict[str, set[str]] = defaultdict(set)
    for frame in seen:
        match frame.data:
            case {"type": "tool_end", "id": str(id_), "content": str(content)}:
                results[id_].add(content)
            case {
                "type": "block_start",
                "block": {"type": "tool_result", "tool_use_id": str(id_), "content": str(content)},
            }:
                results[id_].add(content)
    for id_, contents in results.items():
        if len(contents) > 1:
            yield f"I19 the result of {id_} was shown as {sorted(contents)}"


def _again(log: Sequence[Frame]) -> Iterator[str]:
    ended: set[str] = set()
    for frame in log:
        match frame.data:
            case {"type": "stream_start", "keep_blocks": 0}:
                ended.clear()
            case {"type": "tool_end", "id": str(id_)}:
                ended.add(id_)
            case {"type": "tool_start", "id": str(id_)} if id_ in ended:
                yield f"I24 {id_} was begun again behind its end"

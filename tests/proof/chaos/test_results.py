"""Results of tools that changed, or were had twice, are found; whatever a store has lost is no proof."""

from typing import Any

import pytest

from tests.proof.chaos.results import wrong
from tests.proof.chaos.test_judge import block


def end(content: str, id_: str = "t1") -> str:
    return block("7-9", "tool_end", id=id_, content=content)


def result(content: str, id_: str = "t1") -> str:
    head = {"type": "tool_result", "tool_use_id": id_, "content": content}
    return block("7-8", "block_start", index=2, block=head)


START = block("7-4", "tool_start", id="t1")
AGAIN = block("9-0", "stream_start", keep_blocks=3)
ANEW = block("9-0", "stream_start", keep_blocks=0)


def told(*frames: str, read: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = [{"t": 12.0, "did": "frame", "viewer": "v", "block": frame} for frame in frames]
    return [{"t": 12.0, "did": "watches", "viewer": "v"}, *lines, {"t": 60.0, "did": "read", "blocks": list(read)}]


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        (told(end("a"), read=(end("b"),)), "I19"),
        (told(result("a"), end("b")), "I19"),
        (told(result("a"), AGAIN, result("b")), "I19"),
        (told(read=(START, end("a"), START)), "I24"),
        (told(read=(START, end("a"), AGAIN, START, end("a"))), "I24"),
    ],
)
def test_what_changed_or_was_made_again_is_found(lines: list[dict[str, Any]], name: str) -> None:
    (found,) = wrong(lines, [])
    assert found.startswith(f"{name} ")
    assert wrong(lines, [{"t": 12.5, "did": "rewind", "at": 12.4, "mark": 11.0}]) == []
    assert wrong(lines, [{"t": 11.5, "did": "rewind", "at": 11.4, "mark": 11.0}])


@pytest.mark.parametrize(
    "read",
    [
        (START, result("a"), end("a")),
        (START, AGAIN, START, result("a"), end("a")),
        (START, result("a"), end("a"), ANEW, START),
        (START, result("a"), end("a"), result("b", "t2"), end("b", "t2")),
    ],
)
def test_what_is_as_it_should_be_is_not(read: tuple[str, ...]) -> None:
    assert wrong(told(*read, *read, read=read), []) == []

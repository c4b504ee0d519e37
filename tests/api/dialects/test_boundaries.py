"""Where a text may be cut: texts as models send them, piece by piece, and texts that are made to be cut wrongly."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dialects.boundaries import EMPTY, Kind, cut_off, grown
from tests.api.dialects.test_dialects import examples


def cut(kind: Kind, *pieces: str) -> list[str]:
    """The chunks, what is left last."""
    scan, held, chunks = EMPTY, list[str](), list[str]()
    for piece in pieces:
        scan, count = grown(scan, kind, piece, len(held))
        if count:
            chunks.append("".join(held[:count]))
            del held[:count]
        held.append(piece)
    return [*chunks, "".join(held)]


WORDS: list[tuple[str, list[str]]] = [
    ("It| is| done|.| Then", ["It", " is", " done.", " Then"]),
    ("won|der|ful| day", ["wonderful", " day"]),
    ("can|'|t| stop", ["can't", " stop"]),
    ("say| '|no|'| now", ["say", " '", "no'", " now"]),
    ("3|.|14| and| 1|,|000|,| so", ["3.14", " and", " 1,000,", " so"]),
    ("snake|_|case| x", ["snake_case", " x"]),
    ("e|\u0301|te|\u0301| x", ["e\u0301te\u0301", " x"]),
    ("👩|\u200d|💻|!|!", ["👩\u200d💻", "!", "!"]),
    ("🇩|🇪|🇫|🇷", ["🇩🇪", "🇫🇷"]),
    ("a\n|b|\n|\n|c", ["a\n", "b", "\n", "\n", "c"]),
    ("in|dent|:\n|    |then", ["indent", ":\n", "    then"]),
]
SENTENCES: list[tuple[str, list[str]]] = [
    ("It| is| done|.| Then| he| left|!| Why|?", ["It is done.", " Then he left!", " Why?"]),
    ("It| is|.| |Then|.|", ["It is. ", "Then."]),
    ("at| 3|.|5| m|.| So", ["at 3.5 m.", " So"]),
    ("etc|.| (|12|)| and| so| on|.| Next", ["etc. (12) and so on.", " Next"]),
    ("etc|.| (|12|)| Next", ["etc.", " (12) Next"]),
    ('"|No|!|"| she| said|.| Then', ['"No!"', " she said.", " Then"]),
    ("你好|。|再见|。|好", ["你好。", "再见。", "好"]),
    ("A| list|:\n|- one\n|- two\n|\n|End", ["A list:\n", "- one\n", "- two\n", "\n", "End"]),
    ("Wait|...| what|?| Yes", ["Wait... what?", " Yes"]),
    ("Go|.|\n|\n|On", ["Go.", "\n", "\n", "On"]),
]


@pytest.mark.parametrize(("pieces", "chunks"), WORDS, ids=lambda each: str(each))
def test_words_are_cut_where_unicode_has_their_ends(pieces: str, chunks: list[str]) -> None:
    assert cut("word", *pieces.split("|")) == chunks


@pytest.mark.parametrize(("pieces", "chunks"), SENTENCES, ids=lambda each: str(each))
def test_sentences_are_cut_where_unicode_has_their_ends(pieces: str, chunks: list[str]) -> None:
    assert cut("sentence", *pieces.split("|")) == chunks


CODE = "So|:\n|```|py|thon\n|x| =| 1|.| Y|  \n|  |y| =| 2\n|``|`\n|End|.| It"


@pytest.mark.parametrize("kind", ["word", "sentence"])
def test_a_code_fence_is_cut_between_its_lines_alone(kind: Kind) -> None:
    chunks = cut(kind, *CODE.split("|"))
    fence = [chunk for chunk in chunks if chunk not in ("So", ":\n", "So:\n", "End", ".", "End.", " It")]
    assert fence == ["```python\n", "x = 1. Y", "  \n", "  y = 2\n", "```\n"]
    assert "".join(chunks) == CODE.replace("|", "")


@pytest.mark.parametrize(
    "opening", ["```", "~~~~", "   ```", "\t```sh", "``````"],
)  # fmt: skip
def test_a_fence_is_open_until_one_of_its_kind_closes_it(opening: str) -> None:
    others = ["``", "~~~" if "`" in opening else "```", opening + " more", "a ```"]
    for other in others:
        chunks = cut("word", opening, "\n", other, "\n", "two", " words", "\n")
        assert "two words" in [chunk.removesuffix("\n") for chunk in chunks], other
    signs = re.sub(r"[^`~]", "", opening)
    closed = cut("word", opening, "\n", "  " + signs, "\n", "two", " words", "\n")
    assert "two" in closed


def test_inline_code_opens_nothing() -> None:
    assert cut("word", "`", "a", "`", " b", " c") == ["`a", "`", " b", " c"]
    assert cut("word", "```a```", "\n", "two", " words") == ["```a```", "\n", "two", " words"]


PIECES = ["a", "B", ".", ". ", "?", "\n", " ", "  ", "\r\n", "'", '"', "`", "```", "```py\n", "~~~", ",", "é", "\u0301"]
PIECES += ["👩", "\u200d", "🇩", "再", "。", "3", "word ", "(", "_"]
TEXTS = st.lists(st.sampled_from(PIECES))


@examples
@given(st.sampled_from(["word", "sentence"]), TEXTS, st.data())
def test_whatever_comes_nothing_is_lost_and_cuts_by_force_change_no_text(
    kind: Kind, pieces: list[str], data: st.DataObject
) -> None:
    scan, held, chunks = EMPTY, list[str](), list[str]()
    for piece in pieces:
        scan, count = grown(scan, kind, piece, len(held))
        assert 0 <= count <= len(held)
        chunks += held[:count]
        del held[:count]
        held.append(piece)
        if data.draw(st.booleans()):
            forced = data.draw(st.integers(1, len(held)))
            scan = cut_off(scan, None if forced == len(held) else forced)
            chunks += held[:forced]
            del held[:forced]
        assert all(0 < place.pieces < len(held) or not held for place in scan.places)
        assert len(scan.tail) <= 64 + 256 + 8
    assert chunks + held == pieces


@examples
@given(st.sampled_from(["word", "sentence"]), TEXTS)
def test_no_line_of_a_fence_is_ever_cut(kind: Kind, pieces: list[str]) -> None:
    """Judged by lines, not by the code under test."""
    text = "".join(["```\n", *pieces])
    chunks = cut(kind, "```\n", *pieces)
    at, inside = 0, []
    fence_end = re.search(r"(?m)^[ \t]*`{3,}[ \t\r]*$", text[4:])
    until = len(text) if fence_end is None else 4 + fence_end.start()
    for chunk in chunks[:-1]:
        at += len(chunk)
        if at < until:
            inside.append(at)
    for at in inside:
        assert text[at - 1] == "\n" or re.match(r"\s*\n", text[at:]), (text, at)


@pytest.mark.parametrize("kind", ["word", "sentence"])
@pytest.mark.parametrize(
    "pieces", [["ab"] * 20_000, ["1. "] * 20_000, ["```\n"] + ["ab"] * 20_000, ["x" * 200_000] * 2]
)
def test_a_text_without_any_end_costs_what_its_length_does(kind: Kind, pieces: list[str]) -> None:
    scan, longest = EMPTY, 0
    begun = time.process_time()
    for piece in pieces:
        scan, _ = grown(scan, kind, piece, 1)
        longest = max(longest, len(scan.tail))
    assert longest <= 64 + 256 + 3
    assert time.process_time() - begun < 20, "it would be minutes"

"""Where a text that comes in pieces may be cut: at words or at sentences, as Unicode has them (UAX 29), and in a code fence at
its lines' ends alone. Pure.

    pieces   "It" " is" " done" "." " Then"                a cut is between two pieces, never in one
    words      ^    ^      ^   ^          a boundary is there: "done|." is known with the piece behind it
    sentences                  ^          the boundary is behind the blank, "done. |Then": blanks may go with what follows

Whether there is a boundary is often known only with what follows, so a place is asked about again until it is. What is
remembered of a text is a few of its last characters: a piece costs what its own length does.
"""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, TypeAlias

from unicode_segmentation_rs import split_word_bounds, unicode_sentences

Kind: TypeAlias = Literal["word", "sentence"]

_CONTEXT: Final[dict[str, int]] = {"word": 24, "sentence": 64}
"""Characters that are looked at in front of a place: rules look at two or three, but for blanks, quotes and marks."""
_FURTHEST: Final = 256
"""Characters behind a place: what is not known then counts as it seems. A line with a longer beginning of a fence is none."""
_SETTLES: Final = frozenset(".!?\u2024\u3002\uff01\uff0e\uff1f\u2026\n\r\x85\u2028\u2029")
"""Behind the end of a sentence: a letter or one of these tells that it was one, or that it was none."""
_JOINS: Final = frozenset(
    "'\".,:;\xb7\u0387\u055f\u05f4\u2027\ufe13\ufe55\uff1a\u2018\u2019\u2024\ufe52\uff07\uff0e\u037e\u0589\u060c\u060d\u066c"
    "\u07f8\u2044\ufe10\ufe14\ufe50\ufe54\uff0c\uff1b"
)
"""Behind the end of a word: only with the character behind these it is known whether it was one ("can't", "3.5")."""
_ENDS_LINE: Final = frozenset("\n\x85\u2028\u2029")
_FENCES: Final = ("`", "~")
_ORDINARY: Final = "x"


class Place(NamedTuple):
    """Between two pieces: `at` in the text that is remembered, with `pieces` before it that may be cut off. `line`: it is
    within a line of a code fence, which is cut at its end alone."""

    at: int
    pieces: int
    line: bool


class Scan(NamedTuple):
    """What is remembered of a text. `tail`: its last characters; `begin`: where in it begins what has not been cut off yet;
    `places` where it may be; `passed`: there is a boundary in what has not been. `line` is the line that it ends in, as far as
    that may be a fence's, `fence` the fence that is open."""

    tail: str = ""
    begin: int = 0
    places: tuple[Place, ...] = ()
    passed: bool = False
    line: str = ""
    fence: str = ""


EMPTY: Final = Scan()


def grown(scan: Scan, kind: Kind, text: str, pieces: int) -> tuple[Scan, int]:
    """With one more piece behind `pieces` that have not been cut off; and how many may be cut off now, which the scan that is
    returned takes for done."""
    at, places = len(scan.tail), scan.places
    if pieces and _may_be_cut(scan):
        places += (Place(at, pieces, _in_fence(scan)),)
    tail, long = scan.tail + text[:_FURTHEST], len(text) > _FURTHEST
    line, fence = _advanced(scan.line, scan.fence, text)
    bounds = _BOUNDS[kind](tail)
    cut, left = 0, list[Place]()
    for place in reversed(places):
        verdict = _verdict(place, kind, tail, bounds, sure=len(tail) - place.at >= _FURTHEST)
        if verdict:
            cut = place.pieces
            begin = place.at
            break
        if verdict is None:
            left.append(place)
    else:
        begin = scan.begin
    in_fence = bool(fence) or _fence_in(line) != ""
    passed = long or ("\n" in tail[begin:] if in_fence else _passes(kind, tail, bounds, begin))
    if long:
        return Scan(text[-_CONTEXT[kind] :], 0, (), True, line, fence), cut
    rest = tuple(Place(each.at, each.pieces - cut, each.line) for each in reversed(left))
    return _trimmed(Scan(tail, begin, rest, passed, line, fence), _CONTEXT[kind]), cut


def cut_off(scan: Scan, pieces: int | None) -> Scan:
    """So many pieces, or all, are cut off, wherever their end is."""
    if pieces is None:
        return scan._replace(begin=len(scan.tail), places=(), passed=False)
    left = [each for each in scan.places if each.pieces > pieces]
    at = next((each.at for each in scan.places if each.pieces == pieces), scan.begin)
    return scan._replace(begin=at, places=tuple(each._replace(pieces=each.pieces - pieces) for each in left))


def _trimmed(scan: Scan, context: int) -> Scan:
    first = scan.places[0].at if scan.places else len(scan.tail)
    drop = first - context
    if drop <= 0:
        return scan
    places = tuple(each._replace(at=each.at - drop) for each in scan.places)
    return scan._replace(tail=scan.tail[drop:], begin=max(0, scan.begin - drop), places=places)


# -- boundaries


def _verdict(place: Place, kind: Kind, tail: str, bounds: list[int], *, sure: bool) -> bool | None:
    """Whether the text may be cut there; None while that is not known. `sure`: so much has followed that it is as it seems."""
    rest = tail[place.at :]
    blank = len(rest) - len(rest.lstrip())
    if place.line:
        if tail[place.at - 1 : place.at] == "\n" or "\n" in rest[:blank]:
            return True
        return None if blank == len(rest) and not sure else False
    near = [bound for bound in bounds if place.at <= bound <= place.at + blank]
    if not near:
        return False
    if sure or any(_is_known(kind, tail, bound) for bound in near):
        return True
    return None


def _is_known(kind: Kind, tail: str, bound: int) -> bool:
    """Whether it is a boundary whatever follows the text."""
    behind = tail[bound:]
    if kind == "word":
        return len(behind) > 1 or (behind != "" and behind not in _JOINS)
    if tail[bound - 1 : bound] in _ENDS_LINE:
        return True
    return any(sign.isalpha() or sign in _SETTLES for sign in behind)


def _passes(kind: Kind, tail: str, bounds: list[int], begin: int) -> bool:
    """Whether there is a boundary behind `begin`, at the text's end too, if a new word or sentence may begin there."""
    size = len(tail)
    if kind == "word" and begin < size and not tail[-1].isalnum():
        return True
    most = size if kind == "word" else size + 2
    return any(begin < bound < most for bound in bounds)


def _word_bounds(tail: str) -> list[int]:
    return _ends(split_word_bounds(tail))


def _sentence_bounds(tail: str) -> list[int]:
    """Of the text as it would be if a new sentence came behind it. A boundary in front of signs alone may be left out."""
    at, bounds = 0, list[int]()
    text = tail + " A"
    for sentence in unicode_sentences(text):  # those without a letter or a digit are not among them
        begin = text.index(sentence, at)
        at = begin + len(sentence)
        bounds += (begin, at)
    return bounds


def _ends(parts: list[str]) -> list[int]:
    at, ends = 0, [0]
    for part in parts:
        at += len(part)
        ends.append(at)
    return ends


_BOUNDS: Final[dict[Kind, Callable[[str], list[int]]]] = {"word": _word_bounds, "sentence": _sentence_bounds}


# -- code fences


def _in_fence(scan: Scan) -> bool:
    return bool(scan.fence) or len(_fence_in(scan.line)) >= 3


def _may_be_cut(scan: Scan) -> bool:
    """Not behind the indentation of a line, nor where the first one or two signs of a fence may stand."""
    if scan.line == _ORDINARY or not scan.line or scan.fence:
        return True
    return len(_fence_in(scan.line)) >= 3


def _fence_in(line: str) -> str:
    """The signs of a fence with which the line begins, however few."""
    bare = line.lstrip(" \t")
    if not bare.startswith(_FENCES):
        return ""
    return bare[: len(bare) - len(bare.lstrip(bare[0]))]


def _advanced(line: str, fence: str, text: str) -> tuple[str, str]:
    """The line that the text ends in, and the fence that is open there."""
    first, *others = text.split("\n")
    line = _longer(line, first)
    for other in others:
        if line != _ORDINARY:
            fence = _behind(line, fence)
        line = _longer("", other)
    return line, fence


def _longer(line: str, more: str) -> str:
    """Of a line that begins no fence nothing is kept."""
    if line == _ORDINARY or not more:
        return line
    line += more
    bare, signs = line.lstrip(" \t"), _fence_in(line)
    may_be = len(signs) >= 3 or signs == bare
    return line if may_be and len(line) <= _FURTHEST else _ORDINARY


def _behind(line: str, fence: str) -> str:
    """The fence that is open behind this line."""
    signs = _fence_in(line)
    if len(signs) < 3:
        return fence
    info = line.lstrip(" \t")[len(signs) :].strip()
    if fence:
        closes = signs[0] == fence[0] and len(signs) >= len(fence) and not info
        return "" if closes else fence
    return "" if signs[0] == "`" and "`" in info else signs

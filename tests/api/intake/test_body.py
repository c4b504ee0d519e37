"""A request's body, one piece at a time: its bytes, and how they come."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Literal, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from api.intake.body import parse, read_json
from api.intake.problems import Problem
from broker.aside import Aside
from tests.harness.clockwork import at_once

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
SMALL = 16 * 1024
JSON_HEADERS = {"content-type": "application/json"}
Sent = bytes | Literal["silence", "end"]
T = TypeVar("T")

# Speed is not what is tested: a busy machine must not fail it.
examples = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class AtOnce(Aside):
    """For a loop whose seconds take none: it would not wait for a thread."""

    async def run(self, work: Callable[[], T]) -> T:
        return work()


def problem_of(raw: bytes) -> Problem:
    with pytest.raises(Problem) as refused:
        parse(raw)
    return refused.value


def outcome_of(raw: bytes) -> object:
    """What a body of these bytes is read as, or the problem with it."""
    try:
        return read(raw)
    except Problem as problem:
        return problem


class Client:
    """Sends a body in these pieces; behind the `silence` comes nothing more, and at the `end` it goes away."""

    def __init__(self, *pieces: Sent, headers: dict[str, str] = JSON_HEADERS) -> None:
        self._pieces = iter(enumerate(pieces, 1))
        self._all = len(pieces)
        self.sent = 0
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        self.request = Request({"type": "http", "method": "POST", "path": "/", "headers": encoded}, self._receive)

    async def _receive(self) -> Message:
        number, piece = next(self._pieces)
        if piece == "silence":
            await asyncio.Event().wait()
        if not isinstance(piece, bytes):
            return {"type": "http.disconnect"}
        self.sent += len(piece)
        return {"type": "http.request", "body": piece, "more_body": number < self._all}


def read(*pieces: Sent, headers: dict[str, str] = JSON_HEADERS) -> object:
    """What read_json makes of such a body."""
    return at_once(read_json(Client(*pieces, headers=headers).request, dict, AtOnce()))


def refused(client: Client) -> tuple[Problem, float]:
    """The problem with what it sends, and after how many seconds it is told."""

    async def seconds() -> float:
        now = asyncio.get_running_loop().time
        begun = now()
        with pytest.raises(Problem) as told:
            await read_json(client.request, dict, AtOnce())
        problems.append(told.value)
        return now() - begun

    problems: list[Problem] = []
    passed = at_once(seconds())
    return problems[0], passed


# ── the bytes ──


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b"{'a':1}", "malformed_json"),
        (b'{"a":1,}', "malformed_json"),
        (b"{} {}", "malformed_json"),
        (b'{"a":"\n"}', "malformed_json"),
        (b'{"a":NaN}', "malformed_json"),
        (b'{"a":[Infinity]}', "malformed_json"),
        (b'{"a":-Infinity}', "malformed_json"),
        (b'{"a":01}', "malformed_json"),
        (b'{"a":1,"a":1}', "duplicate_key"),
        (b'{"a":[{"b":{"c":1,"\\u0063":2}}]}', "duplicate_key"),
        (b'{"a":"\xff"}', "not_utf8"),
        (b'{"a":"\xed\xa0\x80"}', "not_utf8"),
        (b"\xef\xbb\xbf{}", "not_utf8"),
        ('{"a":1}'.encode("utf-16"), "not_utf8"),
        (b'{"a":"\\ud800"}', "unsupported_json"),
        (b'{"\\uDFFF":1}', "unsupported_json"),
        (b'{"a":"\\ude00\\ud83d"}', "unsupported_json"),
        (b'{"a":1e999}', "unsupported_json"),
        (b'{"a":18446744073709551616}', "unsupported_json"),
        (b'{"a":-9223372036854775809}', "unsupported_json"),
        (b'{"a":' + b"9" * 5000 + b"}", "unsupported_json"),
        (b"[" * 65 + b"]" * 65, "unsupported_json"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "unsupported_json"),
        (b"[" * 500_000 + b"]" * 500_000, "unsupported_json"),
        (b"[" * 500_000, "unsupported_json"),
    ],
)
def test_a_body_that_is_not_plain_json_is_refused_with_its_own_code(raw: bytes, code: str) -> None:
    problem = problem_of(raw)
    assert (problem.status, problem.code) == (400, code)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'\n {"a" : [1, 2.5, "\\u00e9", null, true]} ', {"a": [1, 2.5, "é", None, True]}),
        ('{"a":"é\\ud83d\\ude00\u2028😀"}'.encode(), {"a": "é😀\u2028😀"}),
        (b'{"a":18446744073709551615,"b":-9223372036854775808}', {"a": (1 << 64) - 1, "b": -(1 << 63)}),
        (b'{"a":{"a":1},"b":[{"a":1},{"a":1}]}', {"a": {"a": 1}, "b": [{"a": 1}, {"a": 1}]}),
        (b'{"a":"\\\\ud800"}', {"a": "\\ud800"}),
        (b'{"a":1e308,"b":1e-999}', {"a": 1e308, "b": 0.0}),
    ],
)
def test_what_any_json_reader_would_accept_is_accepted(raw: bytes, value: object) -> None:
    assert parse(raw) == value


@pytest.mark.parametrize("leaf", ["1", "[]", '{"a":1}'])
def test_the_bound_on_nesting_counts_containers(leaf: str) -> None:
    outer = MAX_DEPTH - (leaf != "1")
    parse(("[" * outer + leaf + "]" * outer).encode())
    assert problem_of(("[" * (outer + 1) + leaf + "]" * (outer + 1)).encode()).code == "unsupported_json"


def test_the_bounds_on_brackets_and_commas_are_exact() -> None:
    brackets = b"[" + b"[]" * 24_999 + b"]"
    commas = b"[" + b"1," * 25_000 + b"1]"
    assert problem_of(brackets).code == "malformed_json", "as it is read"
    assert problem_of(b"[" + brackets).code == "unsupported_json"
    assert len(parse(commas)) == 25_001  # type: ignore[arg-type]
    assert problem_of(commas.replace(b"1,", b"1,1,", 1)).code == "unsupported_json"
    assert len(parse(commas.replace(b"1]", b'",,"]'))) == 25_001  # type: ignore[arg-type]
    assert parse(b'"' + b"," * 25_001 + b'"') == "," * 25_001
    parse(b"[" * 63 + b"[]," * 10 + b"[]" + b"]" * 63)
    assert problem_of(b"[" * 64 + b"[]," * 10 + b"[]" + b"]" * 64).code == "unsupported_json"


@pytest.mark.parametrize(("opened", "closed"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_is_counted_up_and_down_by_one(opened: bytes, closed: bytes) -> None:
    beside = (opened + b"1" + closed + b",") * 65
    for depth in (62, 63, 64):
        raw = b"[" + beside + opened * depth + b"1" + closed * depth + b"]"
        if depth < MAX_DEPTH:
            parse(raw)
        else:
            assert problem_of(raw).code == "unsupported_json"


def test_what_opens_little_is_left_to_the_parser_which_stops_at_its_first_fault() -> None:
    assert problem_of(b"[" * 64 + b"," * 25_000 + b"]" * 50_001).code == "malformed_json"


def test_only_brackets_and_commas_are_structure() -> None:
    others = bytes(set(range(128)) - set(b'[]{},"\\'))
    assert problem_of(b"[" * 60 + others + b"[" * 5).code == "unsupported_json"
    assert problem_of(b"[]" * 65 + others).code == "malformed_json"


@pytest.mark.parametrize("text", ["[" * 60_000, "{,}" * 60_000, '["\\' * 60_000, '\\"[,' * 60_000, "é[" * 60_000])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_what_stands_in_strings_is_not_counted(text: str, ascii_only: bool) -> None:
    value = {text: 1, "b": [text, {"c": text + "\\"}]}
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize("dear", [b"[" * 50_001, b"{}" * 25_001, b'{"a":1},' * 25_001, b"1," * 25_001, b'"",' * 25_001])
def test_what_is_dear_to_read_is_refused_unread(dear: bytes) -> None:
    assert problem_of(b"[!" + dear).code == "unsupported_json", "a reader would have stopped at the second byte"


def test_the_loop_goes_on_while_a_large_body_is_read() -> None:
    gone_on = threading.Event()

    def make(value: dict[str, object]) -> bool:
        return gone_on.wait(20)

    async def at_the_same_time() -> bool:
        reading = asyncio.create_task(read_json(Client(padded(SMALL + 1)).request, make, Aside()))
        while not reading.done() and not gone_on.is_set():
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(gone_on.set)
        return await reading

    assert asyncio.run(at_the_same_time())


def test_a_body_of_16_kib_waits_for_no_large_one() -> None:
    class Busy(Aside):
        async def run(self, work: Callable[[], T]) -> T:
            await asyncio.Event().wait()
            raise AssertionError

    async def while_a_large_one_is_read() -> None:
        busy = Busy()
        assert await read_json(Client(padded(SMALL)).request, dict, busy) == {}
        with pytest.raises(Problem) as told:
            await read_json(Client(padded(SMALL + 1)).request, dict, busy)
        assert told.value.code == "body_timeout"

    at_once(while_a_large_one_is_read())


def test_a_parse_error_says_where_and_not_what() -> None:
    assert problem_of(b'{"a": 1,\n "b": x}').detail == "It does not parse at line 2, column 7."


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
json_like = st.lists(
    st.sampled_from(
        [*'{}[]:," ', '"a"', '"b"', "1", "-", "0.5", "e9", "1e999", "NaN", "null", "\\", "\\ud800", "\ufeff", "é"]
    )
).map("".join)


@examples
@given(json_values, st.booleans())
def test_every_value_a_json_writer_writes_is_read_as_it_was(value: object, ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@examples
@given(st.binary() | json_like.map(str.encode) | json_values.map(lambda value: json.dumps(value).encode()[:-1]))
def test_any_bytes_end_in_the_value_they_stand_for_or_in_a_problem(raw: bytes) -> None:
    outcome = outcome_of(raw)
    if not isinstance(outcome, Problem):
        assert outcome == json.loads(raw)
    elif outcome.code in ("malformed_json", "not_utf8"):
        with pytest.raises((json.JSONDecodeError, UnicodeDecodeError, ZeroDivisionError)):
            json.loads(raw.decode(), parse_constant=lambda _: 1 / 0)  # it agrees, but for NaN and Infinity
    else:
        assert outcome.code in ("duplicate_key", "unsupported_json", "invalid_request")


# ── how they come ──


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON ; charset=UTF-8",
        'application/json;charset="utf-8"',
        "application/json;",
        "application/json;charset=utf8",
        "application/json;charset=utf-8;charset=utf8;",
    ],
)
def test_json_in_utf8_is_the_accepted_content_type(content_type: str) -> None:
    assert read(b"{}", headers={"content-type": content_type}) == {}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": ""},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/problem+json"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json; version=2"},
        {"content-type": "application/json, application/json"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_any_other_content_type_is_415(headers: dict[str, str]) -> None:
    problem, _ = refused(Client(b"{}", headers=headers))
    assert (problem.status, problem.code) == (415, "unsupported_media_type")


def padded(size: int) -> bytes:
    return b"{" + b" " * (size - 2) + b"}"


@pytest.mark.parametrize("declared", [{}, {"content-length": str(MAX_BYTES)}], ids=["chunked", "declared"])
def test_a_body_of_exactly_one_mebibyte_is_read(declared: dict[str, str]) -> None:
    raw = padded(MAX_BYTES)
    assert read(raw[:1000], raw[1000:], headers=JSON_HEADERS | declared) == {}


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
@pytest.mark.parametrize("pieces", [1, 2, 1000])
def test_one_byte_more_is_413_when_it_has_come_and_the_connection_closes(declared: bool, pieces: int) -> None:
    raw = padded(MAX_BYTES + 1)
    step = -(-len(raw) // pieces)
    headers = JSON_HEADERS | ({"content-length": str(len(raw))} if declared else {})
    client = Client(*(raw[at : at + step] for at in range(0, len(raw), step)), headers=headers)
    problem, _ = refused(client)
    assert (problem.status, problem.code) == (413, "body_too_large")
    assert problem.headers["Connection"] == "close"
    assert client.sent == len(raw)


@pytest.mark.parametrize("length", ["0" * 20 + "2", "9" * 30, "9" * 5000])
def test_a_declared_length_of_more_than_20_digits_is_only_too_large(length: str) -> None:
    problem, _ = refused(Client(b"{}", headers=JSON_HEADERS | {"content-length": length}))
    assert problem.status == 413


@pytest.mark.parametrize("length", ["0" * 19 + "2", "\xb2", "a", ""])
def test_any_other_declared_length_is_the_servers_to_judge(length: str) -> None:
    assert read(b"{}", headers=JSON_HEADERS | {"content-length": length}) == {}


def test_of_a_body_that_is_too_large_8_mib_more_are_taken() -> None:
    piece = 1 << 16
    endless = Client(*(b" " * piece for _ in range(1000)))
    problem, _ = refused(endless)
    assert problem.status == 413
    assert endless.sent == MAX_BYTES + (8 << 20) + 2 * piece, "each bound is passed by one piece"


@pytest.mark.parametrize(("behind", "after"), [("silence", 1.0), ("end", 0.0)])
def test_a_body_that_is_too_large_is_waited_for_no_longer_than_a_second(
    behind: Literal["silence", "end"], after: float
) -> None:
    headers = JSON_HEADERS | {"content-length": str(MAX_BYTES + 1)}
    problem, passed = refused(Client(b"{", behind, headers=headers))
    assert (problem.status, passed) == (413, after)


def test_a_client_that_asks_before_sending_is_refused_before_it_sends() -> None:
    headers = JSON_HEADERS | {"content-length": str(MAX_BYTES + 1), "expect": "100-continue"}
    client = Client(padded(MAX_BYTES + 1), headers=headers)
    problem, _ = refused(client)
    assert problem.status == 413
    assert problem.headers["Connection"] == "close"
    assert client.sent == 0, "reading the body would have permitted it"
    assert read(b"{}", headers=headers | {"content-length": "2"}) == {}


def test_a_body_that_has_not_come_in_30_seconds_is_408() -> None:
    problem, passed = refused(Client(b"{", "silence"))
    assert (problem.status, problem.code, passed) == (408, "body_timeout", 30.0)
    assert problem.headers["Connection"] == "close"


def test_a_client_that_leaves_while_sending_is_no_failure_of_ours() -> None:
    problem, _ = refused(Client(b'{"a":', "end"))
    assert (problem.status, problem.code) == (400, "incomplete_body")


@pytest.mark.parametrize("raw", [b"[]", b'"x"', b"1", b"null", b"true"])
def test_json_that_is_no_object_is_422_at_the_root(raw: bytes) -> None:
    problem, _ = refused(Client(raw))
    assert problem.status == 422
    assert problem.body()["errors"] == [{"pointer": "", "code": "wrong_type", "detail": "must be an object"}]

"""The table of a record's fields against what the scripts really read, write and remove."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import pytest

from broker.events import TEXT, Content
from broker.record import SHOWN, Origin, Record
from broker.record_fields import FIELDS, Field, table
from broker.replies import Appended, Finished
from broker.schedule import Schedule
from broker.store.webhooks import Webhooks
from broker.tags import Tags
from broker.webhooks import Hook
from tests.broker.store.scripted import Generation, Server
from tests.docs.pages import ROOT, page

NAMES = {each.name for each in FIELDS}
_SHARED = (
    "attempts", "charges", "clock", "common", "cost", "creating", "ending", "fingerprints", "hooks", "lease", "limits", "lists",
    "pace", "tenants",
)  # fmt: skip
_OF_UPSTREAMS = ("upstream_", "budget")
"""Scripts of what upstreams allow: they know no generation."""
_CALL = re.compile(r"redis\.call\('(H[A-Z]+)', (\w+(?:\[[12]\])?),\s*")
_FUNCTION = re.compile(r"^local function (\w+)\(.*?\)\n(.*?)^end$", re.MULTILINE | re.DOTALL)


@dataclass
class Touched:
    """The fields that a piece of Lua touches."""

    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)

    def __ior__(self, other: "Touched") -> "Touched":
        self.read |= other.read
        self.written |= other.written
        self.removed |= other.removed
        return self


def arguments(text: str) -> Iterator[str]:
    """What stands between commas, up to the bracket that closes the call."""
    depth, begin, quoted = 0, 0, False
    for at, sign in enumerate(text):
        quoted ^= sign == "'"
        if quoted:
            continue
        if depth == 0 and sign in ",)":
            yield text[begin:at].strip()
            begin = at + 1
            if sign == ")":
                return
        depth += (sign in "([{") - (sign in ")]}")


def touched_by(text: str) -> Touched:
    found = Touched()
    for call in _CALL.finditer(text):
        command, key = call[1], call[2]
        # What was put aside of a record, for a webhook; whose each is; what is charged for it.
        if key in ("copy", "KEYS[2]", "tenants", "used", "ledger"):
            continue
        assert key in ("KEYS[1]", "K[1]", "record"), f"{key}: there is no other hash"
        given = list(arguments(text[call.end() :]))
        match command:
            case "HGET" | "HMGET" | "HSTRLEN":
                found.read |= names(given)
            case "HSET":
                found.written |= names(given[::2])
            case "HSETNX" | "HINCRBY":
                found.written |= names(given[:1])
            case "HDEL":
                found.removed |= names(given)
            case _:
                raise AssertionError(f"{command} is not looked at here")
    return found


def names(given: list[str]) -> set[str]:
    assert all(re.fullmatch(r"'\w+'", each) for each in given), given
    return {each.strip("'") for each in given}


def lua(name: str) -> str:
    """A script without its comments."""
    return re.sub(r"--.*", "", (files("broker.store.lua") / f"{name}.lua").read_text())


def scripts() -> dict[str, Touched]:
    """What each step touches, by itself and through the functions that it shares with others."""
    shared = {name: body for each in _SHARED for name, body in _FUNCTION.findall(lua(each))}
    assert {"seal", "seal_at", "finish", "create", "lease_left"} <= shared.keys()

    def with_shared(text: str) -> Touched:
        found = touched_by(text)
        for function, body in shared.items():
            if re.search(rf"\b{function}\(", text):
                found |= with_shared(body)
        return found

    names = [
        each.name.removesuffix(".lua") for each in files("broker.store.lua").iterdir() if each.name.endswith(".lua")
    ]
    return {
        name: with_shared(lua(name)) for name in names if name not in _SHARED and not name.startswith(_OF_UPSTREAMS)
    }


@pytest.mark.parametrize("row", FIELDS, ids=lambda row: row.name)
def test_a_field_is_written_and_removed_by_the_steps_that_the_table_names(row: Field) -> None:
    steps = scripts()
    assert row.written_by == tuple(sorted(name for name, each in steps.items() if row.name in each.written))
    assert row.removed_by == tuple(sorted(name for name, each in steps.items() if row.name in each.removed))


def test_no_script_touches_a_field_that_is_not_in_the_table() -> None:
    everything = Touched()
    for each in scripts().values():
        everything |= each
    assert everything.written == NAMES
    assert everything.read <= NAMES
    assert everything.removed <= NAMES


def test_nothing_but_a_script_writes_a_record() -> None:
    code = "\n".join(file.read_text() for room in ("api", "broker", "worker") for file in (ROOT / room).rglob("*.py"))
    assert re.findall(r"\.(h(?:m?set|setnx|incrby\w*|del|expire\w*|setex))\(", code) == []
    assert re.findall(r'"H(?:M?SET|SETNX|INCRBY\w*|DEL)"', code) == []


def test_each_field_is_in_the_table_once_and_the_page_has_the_table() -> None:
    assert len(FIELDS) == len(NAMES)
    assert table() in page("docs/architecture.md")


def test_a_record_is_made_of_the_fields_that_are_shown_and_of_its_request() -> None:
    named = set(re.findall(r'b"(\w+)"', inspect.getsource(Record.of_hash)))
    assert named - {"strict", "interactive"} == {*SHOWN, "request"}
    assert "request" not in SHOWN


def test_a_record_that_has_seen_everything_has_had_every_field_and_no_other(server: Server) -> None:
    generation = Generation(server)
    how: dict[str, Any] = {
        "owner": "me",
        "origin": Origin("retry", "gen_a"),
        "abandon_ms": 1000,
        "hook": Hook("https://example.com/", ("completed",)),
        "tags": Tags({"a": "b"}),
        "schedule": Schedule(1, 1),
        "sealed": b"1 */a key",
        "charged": True,
    }
    server.do(server.logs.create(generation.id, b"{}", "sim-1", 3_600_000, **how))
    lost = generation.granted()
    generation.append(lost, 1, Content(TEXT, b"a"), usage=b'{}\n{"amount":"1","currency":"USD"}')
    assert generation.release(lost)
    had = set(generation.fields)
    attempt = generation.granted(discards=True)
    assert generation.append(attempt, 1, Content(TEXT, b"a"), usage=b"{}", lease_ms=1000) == Appended(1)
    server.do(server.logs.watched([generation.id]))
    generation.cancel()
    had |= generation.fields.keys()
    assert generation.finish(attempt, 2) == Finished("ended")
    assert server.do(server.logs.confirm(generation.id, generation.last))
    assert server.do(Webhooks(server.logs, server.coordination).tell_again(generation.id)) == "pending"
    had |= generation.fields.keys()
    assert server.do(server.logs.archive(generation.id, "mark", generation.last, 5, 60_000)) == "archived"
    assert {name.decode() for name in had | generation.fields.keys()} == NAMES

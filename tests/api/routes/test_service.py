"""What takes more than one call of Redis, call by call: what is asked, and what is left unasked."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.access.gate import ANONYMOUS
from api.routes.service import Service
from api.routes.views import produced


class StrictEnds:
    """Holds the ends that it is given, until they are waited for."""

    def __init__(self, of_record: str | None = None, of_log: bool = False) -> None:
        self._of_record, self._of_log = of_record, of_log
        self.waited: list[tuple[str, object]] = []

    def held_end(self, _: object) -> str | None:
        return self._of_record

    def holds(self, _: str, entry: Any) -> bool:
        return self._of_log and entry.id == "2"

    async def safe(self, id_: str, end: object) -> None:
        self.waited.append((id_, end))
        self._of_record, self._of_log = None, False


def service(calls: list[Any], strict_ends: StrictEnds | None = None, look: object = None, pages: Any = ()) -> Service:
    record = SimpleNamespace(id="a", state="queued", owner="")
    left = list(pages)

    async def one(_: str) -> object:
        calls.append("record")
        return record

    async def told(_: str, form: object) -> object:
        assert form is produced
        calls.append("log")
        return SimpleNamespace(pieces=("012",), end=SimpleNamespace(id="2"))

    async def looked(ids: list[str]) -> dict[str, object]:
        return dict.fromkeys(ids, look)

    async def many(ids: list[str]) -> list[object]:
        return [SimpleNamespace(id=id_, state="queued" if id_ < "m" else "running", owner="") for id_ in ids]

    async def retire(looks: object) -> None:
        calls.append(looks)

    async def listed(*asked: object) -> object:
        calls.append(asked)
        return left.pop(0) if left else []

    logs = SimpleNamespace(record=one, looks=looked, records=many)
    coordination = SimpleNamespace(retire=retire, listed=listed)
    hub = SimpleNamespace(strict_ends=strict_ends or StrictEnds(), transcripts=SimpleNamespace(told=told))
    parts: list[Any] = [logs, coordination, None, hub, None, None, False]
    return Service(*parts)


def test_a_record_is_read_without_its_log_and_anew_once_its_end_is_safe() -> None:
    calls: list[Any] = []
    strict_ends = StrictEnds(of_record="end")
    assert asyncio.run(service(calls, strict_ends).safe_record("a", ANONYMOUS)).id == "a"
    assert (calls, strict_ends.waited) == (["record", "record"], [("a", "end")])


@pytest.mark.parametrize(("held", "waited"), [(None, [("a", "2")]), ("end", [("a", "end")])])
def test_a_log_whose_last_entry_is_an_end_that_is_held_is_read_anew_once_it_is_safe(
    held: str | None, waited: list[Any]
) -> None:
    calls: list[Any] = []
    strict_ends = StrictEnds(of_record=held, of_log=True)
    _, told = asyncio.run(service(calls, strict_ends).whole("a", ANONYMOUS))
    assert cast(Any, told.pieces) == ("012",)
    assert (calls, strict_ends.waited) == (["record", "log"] * 2, waited)


@pytest.mark.parametrize("state", [None, "running", "completed"])
def test_only_what_has_ended_is_listed_as_ended(state: str | None) -> None:
    calls: list[Any] = []
    look = state and SimpleNamespace(state=state)
    asyncio.run(service(calls, look=look).file_ended("a"))
    assert calls == ([{"a": look}] if state == "completed" else [])


@pytest.mark.parametrize(("state", "index"), [(None, "all"), ("queued", "queued")])
def test_a_page_asks_its_own_list_for_as_many_as_it_still_lacks(state: Any, index: str) -> None:
    calls: list[Any] = []
    pages = [[(9, "a"), (8, "x" if state else "b")], [(7, "c")]]
    part = asyncio.run(service(calls, pages=pages).list(ANONYMOUS, state, None, 3))
    assert [record.id for _, record in part.rows] == (["a", "c"] if state else ["a", "b", "c"])
    assert cast(Any, calls[:2]) == [
        (index, None, 3, ""), (index, (8, "x" if state else "b"), 2 if state else 1, ""),
    ]  # fmt: skip
    assert part.behind == (None if state else (7, "c"))

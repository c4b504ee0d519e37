"""Which functions are tools, what a model is told of them, and why a module is refused."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from broker.tools import ToolCall
from broker.tools.loading import BadInput, BadTools, Tool, load

CALL = ToolCall("gen_x", "toolu_1", 1)


def module(name: str = "made_up", **members: object) -> str:
    """A module of these members, which are its own."""
    made = ModuleType(name)
    for each, member in members.items():
        if callable(member):
            member.__module__ = name
        setattr(made, each, member)
    sys.modules[name] = made
    return name


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    for name in [name for name in sys.modules if name.startswith("made_up")]:
        del sys.modules[name]


class Place(BaseModel):
    """Where."""

    city: str


async def weather(place: Place, days: Annotated[int, Field(ge=1, le=7)] = 1, unit: Literal["C", "F"] = "C") -> str:
    """The weather."""
    return f"{place.city}/{days}/{unit}"


def noted(text: str, call: ToolCall, json: list[int] | None = None) -> tuple[str, str, list[int] | None]:
    """Notes something.

    For ever.
    """
    return text, call.key, json


async def counts(schema: int) -> AsyncIterator[int]:
    """Counts."""
    yield schema


def only(name: str, function: Any) -> Tool:
    return load([module(**{name: function})])[name]


def test_a_function_with_types_and_a_docstring_is_a_tool() -> None:
    tool = only("weather", weather)
    assert (tool.name, tool.kind) == ("weather", "async")
    assert tool.definition["description"] == "The weather."
    schema: Any = tool.definition["input_schema"]
    assert schema["type"] == "object"
    assert schema["required"] == ["place"]
    assert schema["properties"]["days"] == {
        "default": 1,
        "maximum": 7,
        "minimum": 1,
        "title": "Days",
        "type": "integer",
    }
    assert schema["properties"]["unit"]["enum"] == ["C", "F"]
    assert schema["additionalProperties"] is False


def test_its_input_is_what_the_schema_says() -> None:
    tool = only("weather", weather)
    coroutine: Any = tool.bound({"place": {"city": "Rome"}, "days": "3"}, CALL)()
    assert asyncio.run(coroutine) == "Rome/3/C"
    for given, wrong in [
        ({}, "place"), ({"place": {}}, "place.city"), ({"place": {"city": "Rome"}, "days": 8}, "days"), (None, "input"),
        ({"place": {"city": "Rome"}, "more": 1}, "more"), ({"place": {"city": "Rome"}, "call": 1}, "call"),
    ]:  # fmt: skip
        with pytest.raises(BadInput, match=f"says. {wrong}: "):
            tool.bound(given, CALL)


def test_a_tool_that_asks_for_its_call_gets_it_and_the_model_is_not_told() -> None:
    tool = only("noted", noted)
    assert tool.kind == "thread"
    schema: Any = tool.definition["input_schema"]
    assert set(schema["properties"]) == {"text", "json"}
    assert tool.bound({"text": "a"}, CALL)() == ("a", "gen_x/toolu_1", None)
    with pytest.raises(BadInput):
        tool.bound({"text": "a", "call": {}}, CALL)
    assert tool.definition["description"] == "Notes something.\n\nFor ever."


def test_any_name_may_be_a_parameter_s() -> None:
    assert only("counts", counts).kind == "progress"


def test_without_a_list_of_its_own_a_module_s_public_functions_are_tools() -> None:
    name = module(weather=weather, noted=noted, _counts=counts, Place=Place, number=5)
    vars(sys.modules[name])["test"] = only  # another module's
    assert set(load([name])) == {"weather", "noted"}


def test_a_list_of_its_own_names_them() -> None:
    name = module(weather=weather, noted=noted)
    vars(sys.modules[name])["__all__"] = ["noted"]
    assert set(load([name])) == {"noted"}


def test_the_tools_that_ship_are_two() -> None:
    assert set(load(["worker.tools"])) == {"calculator", "clock"}
    assert set(load(["worker.tools.clock"])) == {"clock"}
    assert load([]) == {}


def untyped(a) -> None:  # type: ignore[no-untyped-def]
    """Has no types."""


def undocumented(a: int) -> None: ...


def open_ended(*a: int) -> None:
    """Takes any number."""


def by_place(a: int, /) -> None:
    """Takes it by its place."""


def odd(a: ModuleType) -> None:
    """Has a type that has no schema."""


def unknown(a: "Nothing") -> None:  # type: ignore[name-defined]  # noqa: F821
    """Has a type that there is not."""


class Silent:
    """Has a schema that fails without a word."""

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> object:
        raise RuntimeError


def silent(a: Silent) -> None:
    """Has such a type."""


def yields(a: int) -> Iterator[int]:
    """Yields, and is no coroutine."""
    yield a


@pytest.mark.parametrize("function", [untyped, undocumented, open_ended, by_place, odd, unknown, silent, yields])
def test_what_no_schema_can_be_made_of_is_named(function: Any) -> None:
    with pytest.raises(BadTools, match=rf"^RESPOOL_TOOLS: made_up\.{function.__name__}: \w+"):
        only(function.__name__, function)


def test_a_module_that_cannot_be_had_is_named() -> None:
    with pytest.raises(BadTools, match=r"^RESPOOL_TOOLS: no_such\.thing: there is no module no_such$"):
        load(["no_such.thing"])
    with pytest.raises(BadTools, match=r"^RESPOOL_TOOLS: made_up: it has no tool"):
        load([module()])
    name = module(value=5)
    vars(sys.modules[name])["__all__"] = ["value"]
    with pytest.raises(BadTools, match=r"^RESPOOL_TOOLS: made_up\.value: it is no function"):
        load([name])


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(BadTools, match=r"made_up\.weather: there is another tool of this name: made_up\.weather"):
        load([module(weather=weather), "made_up"])

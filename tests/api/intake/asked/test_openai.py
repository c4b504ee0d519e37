"""What both of OpenAI's APIs say, in the words of Messages; and that nothing is left out in silence."""

from collections.abc import Callable

import pytest

from api.intake.asked import openai
from api.intake.asked.reading import Given, Json
from api.intake.problems import Problem


def given(value: object) -> Given:
    return Given(value, ("here",))


def pointed_at(refused: Callable[[], object]) -> object:
    """Where the one error is that this raises."""
    with pytest.raises(Problem) as raised:
        refused()
    assert raised.value.status == 422
    (error,) = raised.value.extensions["errors"]  # type: ignore[misc]  # checked by what follows
    return error["pointer"]  # type: ignore[has-type]


def test_a_function_is_a_tool() -> None:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    said = {"name": "weather", "description": "Of a city.", "parameters": parameters, "strict": True}
    assert openai.function(given(said)) == {
        "name": "weather", "description": "Of a city.", "input_schema": parameters, "strict": True
    }  # fmt: skip
    bare = openai.function(given({"name": "now", "parameters": None, "strict": None}))
    assert bare == {"name": "now", "input_schema": {"type": "object", "properties": {}}}


@pytest.mark.parametrize(
    ("choice", "named", "parallel", "said"),
    [
        (None, None, None, None),
        (None, None, True, None),
        (None, None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("auto", None, None, {"type": "auto"}),
        ("none", None, False, {"type": "none"}),
        ("required", None, False, {"type": "any", "disable_parallel_tool_use": True}),
        (None, "weather", None, {"type": "tool", "name": "weather"}),
    ],
)
def test_a_tool_choice(choice: str | None, named: str | None, parallel: bool | None, said: Json | None) -> None:
    chosen = None if choice is None else given(choice)
    assert openai.tool_choice(chosen, named, None if parallel is None else given(parallel)) == said


def test_an_image_is_named_by_its_address_or_comes_along() -> None:
    there = openai.image(given("https://example.org/a.png"), given("auto"))
    assert there == {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    here = openai.image(given("data:image/png;base64,aGk="), None)
    assert here == {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}


def test_an_effort_and_a_schema_are_side_by_side() -> None:
    asked: Json = {}
    openai.effort(given("high"), asked)
    openai.json_schema(given({"name": "city", "schema": {"type": "object"}, "strict": True}), asked)
    assert asked["thinking"] == {"type": "adaptive"}
    assert asked["output_config"] == {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}}


@pytest.mark.parametrize(
    ("refused", "place"),
    [
        (lambda: openai.function(given({"name": "x", "defer_loading": True})), "/here/defer_loading"),
        (lambda: openai.function(given({"parameters": {}})), "/here/name"),
        (lambda: openai.tool_choice(given("sometimes"), None, None), "/here"),
        (lambda: openai.image(given("data:image/png,raw"), None), "/here"),
        (lambda: openai.image(given("https://example.org/a.png"), Given("low", ("here", "detail"))), "/here/detail"),
        (lambda: openai.call(given("a"), given("b"), Given("[1]", ("here", "arguments"))), "/here/arguments"),
        (lambda: openai.effort(given("minimal"), {}), "/here"),
        (lambda: openai.json_schema(given({"name": "x", "schema": {}, "description": "y"}), {}), "/here/description"),
    ],
)
def test_what_cannot_be_said_is_named(refused: Callable[[], object], place: str) -> None:
    assert pointed_at(refused) == place

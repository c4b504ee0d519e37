"""The simulator calls tools, round by round, and insists on what the real API insists on."""

from typing import Any

import orjson
import pytest

from worker.simulator.answer import Answer, compose
from worker.simulator.asked import parse_request
from worker.simulator.plan import parse_model
from worker.simulator.refused import Refused

TOOLS = [
    {
        "name": "one",
        "input_schema": {"properties": {"a": {"examples": [7]}, "b": {"type": "string"}}, "required": ["b"]},
    },
    {"name": "two", "input_schema": {"properties": {"c": {"type": "integer"}, "d": {}}, "required": ["c"]}},
]
ASKED = {"role": "user", "content": "hi"}


def answer(model: str, *messages: Any, **fields: Any) -> Answer:
    body = {"model": model, "max_tokens": 999, "messages": [ASKED, *messages], "tools": TOOLS, **fields}
    return compose(parse_model(model), parse_request(orjson.dumps(body)))


def a_round(*ids: str) -> list[Any]:
    uses = [{"type": "tool_use", "id": id_, "name": "one", "input": {}} for id_ in ids]
    results = [{"type": "tool_result", "tool_use_id": id_, "content": "x"} for id_ in ids]
    return [{"role": "assistant", "content": uses}, {"role": "user", "content": results}]


def called(answer: Answer) -> list[tuple[str, Any]]:
    return [(block.name, orjson.loads("".join(block.tokens))) for block in answer.blocks if block.kind == "tool"]


def test_each_round_calls_the_next_tools_and_the_last_turn_none() -> None:
    model = "sim-1?tools=2&tokens=3"
    first, second, last = answer(model), answer(model, *a_round("x")), answer(model, *a_round("x"), *a_round("y"))
    assert [called(each) for each in (first, second, last)] == [[("one", {"a": 7, "b": "b"})], [("two", {"c": 1})], []]
    assert [each.stop_reason for each in (first, second, last)] == ["tool_use", "tool_use", "end_turn"]
    assert len({each.blocks[0].tokens for each in (first, second, last)}) == 3, "each says something else"


def test_several_calls_of_one_round_and_an_input_that_is_given() -> None:
    assert called(answer('sim-1?tools=1&calls=3&input={"z":1}')) == [
        ("one", {"z": 1}),
        ("two", {"z": 1}),
        ("one", {"z": 1}),
    ]
    assert called(answer("sim-1?tools=1", tools=None)) == []


@pytest.mark.parametrize(
    "messages",
    [
        [*a_round("x")[:1], ASKED],
        a_round("x")[1:],
        [a_round("x")[0], a_round("y")[1]],
        [{"role": "assistant", "content": [{"type": "text", "text": ""}]}, ASKED],
    ],
)
def test_calls_and_results_must_fit(messages: list[Any]) -> None:
    with pytest.raises(Refused):
        answer("sim-1", *messages)


@pytest.mark.parametrize("model", ["sim-1?tools=x", "sim-1?calls=99", "sim-1?input=[1]", "sim-1?input={"])
def test_what_makes_no_sense_in_the_model_s_name_is_refused(model: str) -> None:
    with pytest.raises(Refused):
        parse_model(model)
    with pytest.raises(Refused):
        answer("sim-1", tools=[TOOLS[0], TOOLS[0]])

"""What a submitter may ask for, and what becomes of it."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from broker.bounds import CHAT_SYSTEM, USUAL_MODEL
from broker.messages import Content
from broker.request import ChatRequest, GenerationRequest, Options, UnreadableRequest

HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}

# Speed is not what is tested: a busy machine must not fail it.
examples = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])

scalars = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False) | st.text()
finite = scalars.filter(lambda it: it not in (float("inf"), float("-inf")))
values = st.recursive(finite, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)
blocks = st.dictionaries(st.text(), values).flatmap(
    lambda extra: st.permutations([*((k, v) for k, v in extra.items() if k != "type"), ("type", "text")]).map(dict)
)
contents = st.text() | st.lists(blocks, min_size=1, max_size=3)
messages = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": contents})
bodies = st.fixed_dictionaries(
    {"model": st.text(min_size=1, max_size=256), "messages": st.lists(messages, min_size=1, max_size=3)},
    optional={
        "system": contents,
        "max_tokens": st.integers(1, 1_000_000),
        "stop_sequences": st.lists(st.text()),
        "thinking": blocks,
        "tools": st.lists(st.dictionaries(st.text(), values), max_size=3),
        "tool_choice": st.dictionaries(st.text(), values),
        "metadata": st.fixed_dictionaries({"user_id": st.text()}),
        "cache_control": blocks,
        "on_interrupt": st.sampled_from(["continue", "restart", "fail"]),
        "first_token_timeout": st.floats(0.001, 600) | st.integers(1, 600),
        "idle_timeout": st.floats(0.001, 600) | st.integers(1, 600),
        "total_timeout": st.floats(0.001, 3600) | st.integers(1, 3600),
        "retention": st.integers(60, 31_536_000),
        "max_spend_tokens": st.integers(1, 1_000_000_000),
    },
)


def read(**fields: object) -> GenerationRequest:
    return GenerationRequest.model_validate(HELLO | fields)


def shuffled(value: Any) -> Any:
    """The same JSON with every object's members in the opposite order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@examples
@given(bodies)
def test_upstream_gets_the_messages_fields_as_they_came_and_none_of_ours(body: dict[str, Any]) -> None:
    asked = {name: value for name, value in body.items() if name not in Options.__slots__}
    sent = GenerationRequest.model_validate(body).upstream_body()
    assert sent == {"max_tokens": 4096, **asked}
    for name in ("system", "thinking", "tools", "tool_choice", "cache_control"):
        assert json.dumps(sent.get(name)) == json.dumps(asked.get(name)), "the order of keys has changed"
    contents = [message["content"] for message in asked["messages"]]
    assert json.dumps([message["content"] for message in sent["messages"]]) == json.dumps(contents)  # type: ignore[attr-defined]


@examples
@given(bodies)
def test_what_is_stored_reads_back_as_the_same_request(body: dict[str, Any]) -> None:
    request = GenerationRequest.model_validate(body)
    again = GenerationRequest.from_bytes(request.to_bytes())
    assert again == request
    assert again.upstream_body() == request.upstream_body()
    assert again.options() == request.options()
    assert again.fingerprint() == request.fingerprint()


@examples
@given(bodies)
def test_the_order_of_keys_does_not_change_the_fingerprint(body: dict[str, Any]) -> None:
    assert (
        GenerationRequest.model_validate(shuffled(body)).fingerprint()
        == GenerationRequest.model_validate(body).fingerprint()
    )


@pytest.mark.parametrize(
    "written_out",
    [
        {"max_tokens": 4096},
        {"on_interrupt": "continue"},
        {"total_timeout": 600},
        {"total_timeout": 600.0},
        {"system": None, "idle_timeout": None, "max_tokens": None, "metadata": None},
    ],
)
def test_a_default_written_out_asks_the_same_as_one_left_out(written_out: dict[str, Any]) -> None:
    assert read(**written_out).fingerprint() == read().fingerprint()


@pytest.mark.parametrize(
    "other",
    [
        {"model": "n"},
        {"messages": [{"role": "user", "content": "hello"}]},
        {"messages": [*HELLO["messages"], *HELLO["messages"]]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]},
        {"system": ""},
        {"max_tokens": 4095},
        {"stop_sequences": []},
        {"retention": 3600},
        {"on_interrupt": "fail"},
        {"first_token_timeout": 30},
    ],
)
def test_anything_else_that_is_asked_changes_the_fingerprint(other: dict[str, Any]) -> None:
    assert read(**other).fingerprint() != read().fingerprint()


def test_the_fingerprint_does_not_change_between_versions_while_keys_are_remembered() -> None:
    assert read().fingerprint() == "349092d50f498493e350bb8d488a33657f4935b4d5315b3012e22325f494a896"


def test_our_options_have_the_documented_defaults() -> None:
    assert read().options() == Options("continue", None, None, 600.0, None, "normal")


def test_a_null_is_the_same_as_not_given() -> None:
    nulls = dict.fromkeys(set(GenerationRequest.model_fields) - {"model", "messages"})
    assert read(**nulls).upstream_body() == {**HELLO, "max_tokens": 4096}
    assert read(**nulls).options() == read().options()


@pytest.mark.parametrize("broken", [b"", b"null", b"{}", b'{"model":"m"}', b"\xff"])
def test_a_stored_request_that_is_broken_is_not_blamed_on_a_client(broken: bytes) -> None:
    with pytest.raises(UnreadableRequest):
        GenerationRequest.from_bytes(broken)


REFUSED: list[tuple[dict[str, Any], tuple[int | str, ...], str]] = [
    ({"model": ""}, ("model",), "string_too_short"),
    ({"model": "m" * 257}, ("model",), "string_too_long"),
    ({"model": None}, ("model",), "no_model"),
    ({"model": 5}, ("model",), "string_type"),
    ({"messages": []}, ("messages",), "too_short"),
    ({"messages": "Hello"}, ("messages",), "list_type"),
    ({"messages": ["Hello"]}, ("messages", 0), "model_type"),
    ({"messages": [{"role": "system", "content": "x"}]}, ("messages", 0, "role"), "literal_error"),
    ({"messages": [{"role": "user"}]}, ("messages", 0, "content"), "missing"),
    ({"messages": [{"role": "user", "content": None}]}, ("messages", 0, "content"), "text_or_blocks"),
    ({"messages": [{"role": "user", "content": []}]}, ("messages", 0, "content"), "too_short"),
    ({"messages": [{"role": "user", "content": ["x"]}]}, ("messages", 0, "content", 0), "dict_type"),
    ({"messages": [{"role": "user", "content": [{}]}]}, ("messages", 0, "content", 0, "type"), "missing"),
    ({"messages": [{"role": "user", "content": [{"type": 1}]}]}, ("messages", 0, "content", 0, "type"), "string_type"),
    ({"messages": [{"role": "user", "content": "x", "name": "y"}]}, ("messages", 0, "name"), "extra_forbidden"),
    ({"system": 5}, ("system",), "text_or_blocks"),
    ({"system": [{"text": "x"}]}, ("system", 0, "type"), "missing"),
    ({"max_tokens": 0}, ("max_tokens",), "greater_than_equal"),
    ({"max_tokens": 1_000_001}, ("max_tokens",), "less_than_equal"),
    ({"max_tokens": "5"}, ("max_tokens",), "int_type"),
    ({"max_tokens": True}, ("max_tokens",), "int_type"),
    ({"max_tokens": 5.0}, ("max_tokens",), "int_type"),
    ({"stop_sequences": "x"}, ("stop_sequences",), "list_type"),
    ({"stop_sequences": ["x", 1]}, ("stop_sequences", 1), "string_type"),
    ({"thinking": {"budget_tokens": 1024}}, ("thinking", "type"), "missing"),
    ({"thinking": True}, ("thinking",), "dict_type"),
    ({"tools": {}}, ("tools",), "list_type"),
    ({"tools": ["x"]}, ("tools", 0), "dict_type"),
    ({"tool_choice": "auto"}, ("tool_choice",), "dict_type"),
    ({"metadata": {"user_id": 5}}, ("metadata", "user_id"), "string_type"),
    ({"metadata": {"team": "x"}}, ("metadata", "team"), "extra_forbidden"),
    ({"on_interrupt": "stop"}, ("on_interrupt",), "literal_error"),
    ({"first_token_timeout": 0}, ("first_token_timeout",), "greater_than"),
    ({"idle_timeout": 600.1}, ("idle_timeout",), "less_than_equal"),
    ({"idle_timeout": "5"}, ("idle_timeout",), "float_type"),
    ({"total_timeout": True}, ("total_timeout",), "float_type"),
    ({"total_timeout": 3601}, ("total_timeout",), "less_than_equal"),
    ({"total_timeout": float("nan")}, ("total_timeout",), "finite_number"),
    ({"retention": 59}, ("retention",), "greater_than_equal"),
    ({"max_spend_tokens": 0}, ("max_spend_tokens",), "greater_than_equal"),
    ({"max_spend_tokens": 1_000_000_001}, ("max_spend_tokens",), "less_than_equal"),
    ({"max_spend_tokens": 1.5}, ("max_spend_tokens",), "int_type"),
    ({"retention": 31_536_001}, ("retention",), "less_than_equal"),
    ({"retention": 60.5}, ("retention",), "int_type"),
    ({"frequency_penalty": 1}, ("frequency_penalty",), "extra_forbidden"),
    ({"top_p_": None}, ("top_p_",), "extra_forbidden"),
    ({"stream": "yes"}, ("stream",), "bool_type"),
    ({"labels": {"a b": "c"}}, ("labels", "a b", "[key]"), "string_pattern_mismatch"),
    ({"external_id": 7}, ("external_id",), "string_type"),
]


@pytest.mark.parametrize(("fields", "place", "why"), REFUSED)
def test_a_wrong_field_is_refused_at_its_place(fields: dict[str, Any], place: tuple[int | str, ...], why: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read(**fields)
    assert [(error["loc"], error["type"]) for error in refused.value.errors()] == [(place, why)]


def test_how_long_one_may_be_kept_is_said_where_it_is_asked_for_in_the_words_of_any_bound() -> None:
    asked, longest = HELLO | {"retention": 604_801}, {"longest_retention": 604_800}
    assert GenerationRequest.model_validate(asked, context={"longest_retention": 604_801}).retention == 604_801
    with pytest.raises(ValidationError) as refused:
        GenerationRequest.model_validate(asked, context=longest)
    (error,) = refused.value.errors()
    assert (error["loc"], error["type"], error["ctx"]) == (("retention",), "less_than_equal", {"le": 604_800})
    assert GenerationRequest.from_bytes(read(retention=604_801).to_bytes()).retention == 604_801, "of what was stored"
    assert GenerationRequest.model_validate(HELLO, context=longest).retention is None


@pytest.mark.parametrize(
    "flood",
    [
        {f"field_{n}": 0 for n in range(50_000)},
        {"messages": [0] * 300_000},
        {"messages": [{"role": "user", "content": [0] * 300_000}]},
        {"messages": [HELLO["messages"][0] | {f"field_{n}": 0 for n in range(50_000)}]},
        {"system": [0] * 300_000},
        {"tools": [0] * 300_000},
        {"stop_sequences": [0] * 300_000},
    ],
)
def test_a_flood_of_mistakes_is_reported_as_one(flood: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        read(**flood)
    assert refused.value.error_count() == 1


def unknown(many: int) -> dict[str, int]:
    return {f"field_{n}": 0 for n in range(many)}


def test_more_than_64_fields_are_not_even_looked_at() -> None:
    with pytest.raises(ValidationError) as refused:
        read(max_tokens=None, **unknown(61))
    assert {error["type"] for error in refused.value.errors()} == {"extra_forbidden"}
    assert refused.value.error_count() == 61
    with pytest.raises(ValidationError) as refused:
        read(max_tokens=5, **unknown(61))
    assert refused.value.error_count() == 61
    for fields in ({"max_tokens": None, **unknown(62)}, {"max_tokens": 5, **unknown(62)}):
        with pytest.raises(ValidationError) as refused:
            read(**fields)
        assert [(error["loc"], error["type"]) for error in refused.value.errors()] == [((), "too_many_fields")]


def test_a_conversation_has_at_most_10000_turns() -> None:
    assert len(read(messages=HELLO["messages"] * 10_000).messages) == 10_000
    with pytest.raises(ValidationError) as refused:
        read(messages=HELLO["messages"] * 10_001)
    assert [(error["loc"], error["type"]) for error in refused.value.errors()] == [(("messages",), "too_long")]


@pytest.mark.parametrize("body", [[], "", 5, None, [HELLO]])
def test_a_body_that_is_no_object_is_refused_as_one(body: object) -> None:
    with pytest.raises(ValidationError) as refused:
        GenerationRequest.model_validate(body)
    assert [(error["loc"], error["type"]) for error in refused.value.errors()] == [((), "model_type")]


def test_metadata_goes_upstream_as_it_came() -> None:
    for metadata in ({}, {"user_id": None}, {"user_id": "u"}):
        assert read(metadata=metadata).upstream_body()["metadata"] == metadata


def test_a_request_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        read().model = "n"  # type: ignore[misc]


def test_content_is_text_or_blocks_wherever_it_stands() -> None:
    content = TypeAdapter[Any](Content)
    for value in ("", "x", [{"type": "text", "text": "x"}], [{"more": 1, "type": "of_tomorrow"}]):
        assert content.validate_python(value) == value
    with pytest.raises(ValidationError, match="must be a string or a list of content blocks"):
        content.validate_python({"type": "text"})


@pytest.mark.parametrize("roles", [["assistant"], ["user", "user"], ["assistant", "assistant", "user"]])
def test_roles_need_not_alternate_and_either_may_begin(roles: list[str]) -> None:
    turns = [{"role": role, "content": "x"} for role in roles]
    assert read(messages=turns).upstream_body()["messages"] == turns


def test_a_chat_is_the_same_request_with_our_defaults_but_that_a_closed_tab_cancels_it() -> None:
    closes = {"on_abandon": "cancel", "abandon_after": 30.0, "abandon_unwatched": True}
    chat = ChatRequest.generation({**HELLO, "system": "Be brief.", "max_tokens": 5}, {})
    assert chat == read(system="Be brief.", max_tokens=5, **closes)
    same = read(**closes).fingerprint()
    assert ChatRequest.generation({**HELLO, "system": None}, {}).fingerprint() == same
    stays = ChatRequest.generation({**HELLO, "on_abandon": "finish", "abandon_after": 5.0}, {}).options()
    assert (stays.on_abandon, stays.abandon_after) == ("finish", 5.0)


def test_when_one_is_abandoned_is_asked_for_in_bounds() -> None:
    assert read().options().on_abandon == "finish"
    assert read(on_abandon="cancel", abandon_after=1).options().abandon_after == 1
    for fields in ({"on_abandon": "stop"}, {"abandon_after": 0.9}, {"abandon_after": 3601}, {"abandon_unwatched": 1}):
        with pytest.raises(ValidationError):
            read(**fields)


def test_a_model_that_is_not_named_is_the_operator_s_and_without_one_it_is_required() -> None:
    asked = {name: value for name, value in HELLO.items() if name != "model"}
    for body in (asked, {**asked, "model": None}):
        assert GenerationRequest.model_validate(body, context={USUAL_MODEL: "usual"}).model == "usual"
        assert ChatRequest.generation(body, {USUAL_MODEL: "usual"}).upstream_body()["model"] == "usual"
        for context in (None, {}, {USUAL_MODEL: None}, {USUAL_MODEL: ""}):
            with pytest.raises(ValidationError) as refused:
                GenerationRequest.model_validate(body, context=context)
            assert [(error["loc"], error["type"]) for error in refused.value.errors()] == [(("model",), "no_model")]
    assert GenerationRequest.model_validate(HELLO, context={USUAL_MODEL: "usual"}).model == HELLO["model"]
    with pytest.raises(ValidationError) as refused:
        GenerationRequest.model_validate({**HELLO, "model": ""}, context={USUAL_MODEL: "usual"})
    assert refused.value.errors()[0]["type"] == "string_too_short"


def test_a_chat_without_system_has_the_operator_s() -> None:
    context = {CHAT_SYSTEM: "Be kind."}
    for body in (HELLO, {**HELLO, "system": None}):
        assert ChatRequest.generation(body, context).system == "Be kind."
    assert ChatRequest.generation({**HELLO, "system": "Be brief."}, context).system == "Be brief."
    assert GenerationRequest.model_validate(HELLO, context=context).system is None


def test_what_the_operator_fills_in_is_stored_and_is_no_part_of_what_was_asked() -> None:
    asked = {name: value for name, value in HELLO.items() if name != "model"}
    one, other = (ChatRequest.generation(asked, {USUAL_MODEL: name, CHAT_SYSTEM: name}) for name in ("one", "other"))
    assert one.fingerprint() == other.fingerprint() != read().fingerprint()
    stored = GenerationRequest.from_bytes(one.to_bytes())
    assert (stored.model, stored.system) == ("one", "one")


def test_a_chat_takes_none_of_the_other_fields() -> None:
    with pytest.raises(ValidationError) as refused:
        ChatRequest.model_validate({**HELLO, "retention": 60})
    assert [(error["loc"], error["type"]) for error in refused.value.errors()] == [(("retention",), "extra_forbidden")]

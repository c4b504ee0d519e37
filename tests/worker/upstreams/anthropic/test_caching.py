"""Where marks go: never more than four, the submitter's own untouched, nothing else changed."""

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.request import Cache
from worker.upstreams.anthropic import caching
from worker.upstreams.anthropic.caching import MOST_MARKS

# Speed is not what is tested: a busy machine must not fail it.
examples = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])

MARK: dict[str, Any] = {"type": "ephemeral"}
HOUR: dict[str, Any] = {"type": "ephemeral", "ttl": "1h"}


def marked(body: Any, cache: Cache) -> Any:
    return caching.marked(body, cache)


def text(said: str, mark: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "text", "text": said} | ({"cache_control": mark} if mark else {})


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def marks(body: dict[str, Any]) -> list[Any]:
    """All marks, in the order in which they are read."""
    found: list[Any] = []

    def look(value: Any) -> None:
        if isinstance(value, dict):
            for name in sorted(value, key=lambda each: ("tools", "system", "messages").index(each) if each in
                               ("tools", "system", "messages") else 3):  # fmt: skip
                if name == "cache_control" and value[name] is not None:
                    found.append(value[name])
                else:
                    look(value[name])
        elif isinstance(value, list):
            for each in value:
                look(each)

    look(body)
    return found


def without_marks(value: Any) -> Any:
    """The same request for a model: no marks, a string as one block."""
    if isinstance(value, dict):
        plain = {name: without_marks(each) for name, each in value.items() if name != "cache_control"}
        for name in ("system", "content"):
            if isinstance(plain.get(name), str) and plain.get("type") != "tool_result":
                plain[name] = [text(plain[name])]
        return plain
    return [without_marks(each) for each in value] if isinstance(value, list) else value


def test_the_end_of_what_never_changes_is_marked() -> None:
    tools = [{"name": "a"}, {"name": "b"}]
    body = {"model": "m", "system": "Be brief.", "tools": tools, "messages": [user("Hi")]}
    assert marked(body, "system") == body | {"system": [text("Be brief.", MARK)]}
    blocks = body | {"system": [text("one"), text("two")]}
    assert marked(blocks, "system")["system"] == [text("one"), text("two", MARK)]
    del body["system"]
    assert marked(body, "system") == body | {"tools": [{"name": "a"}, {"name": "b", "cache_control": MARK}]}
    assert marked({"messages": [user("Hi")]}, "system") == {"messages": [user("Hi")]}


def test_a_conversation_is_marked_at_its_end_and_at_the_user_s_turn_before() -> None:
    turns = [user("one"), {"role": "assistant", "content": "two"}, user([text("three"), text("four")])]
    assert marked({"system": "s", "messages": turns}, "conversation") == {
        "system": [text("s", MARK)],
        "messages": [user([text("one", MARK)]), turns[1], user([text("three"), text("four", MARK)])],
    }


def test_what_may_not_be_marked_is_passed_over() -> None:
    thought = [{"type": "thinking", "thinking": "hm", "signature": "s"}]
    turns = [user("one"), {"role": "assistant", "content": thought}, user([text("two"), text("")])]
    found = marked({"system": "", "messages": turns}, "conversation")
    assert found["system"] == ""
    assert found["messages"] == [user([text("one", MARK)]), turns[1], user([text("two", MARK), text("")])]
    last = {"role": "assistant", "content": [text("so"), *thought]}
    found = marked({"messages": [user("one"), last]}, "conversation")
    assert found["messages"] == [
        user([text("one", MARK)]),
        {"role": "assistant", "content": [text("so", MARK), *thought]},
    ]


def test_own_marks_stay_and_count() -> None:
    mine = {"type": "ephemeral", "scope": "mine"}
    turns = [user([text("one", mine)]), user([text("two", mine)]), user("three")]
    body = {"system": [text("s", mine)], "messages": turns}
    assert marks(marked(body, "conversation")) == [mine, mine, mine, MARK]
    full = body | {"cache_control": MARK}
    assert marked(full, "conversation") == full
    result = {"type": "tool_result", "tool_use_id": "t", "content": [text("r", mine)]}
    inner = {"system": "s", "messages": [user([text("a", mine), text("b", mine), result]), user("c")]}
    assert marks(marked(inner, "conversation")) == [MARK, mine, mine, mine]


def test_before_an_hour_s_mark_ours_lasts_an_hour_too() -> None:
    body = {"system": "s", "messages": [user([text("one", HOUR)]), user("two")]}
    assert marks(marked(body, "conversation")) == [HOUR, HOUR, MARK]
    assert marks(marked({"system": "s", "messages": [user("one")], "cache_control": HOUR}, "system")) == [HOUR, HOUR]


blocks = st.one_of(
    st.text(max_size=2),
    st.lists(
        st.one_of(
            st.builds(text, st.sampled_from(["", "a", "b"]), st.sampled_from([None, None, MARK, HOUR])),
            st.just({"type": "thinking", "thinking": "a"}),
        ),
        min_size=1,
        max_size=3,
    ),
)
turns = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": blocks}), min_size=1, max_size=5
)
bodies = st.fixed_dictionaries(
    {"messages": turns},
    optional={"system": blocks, "tools": st.lists(st.just({"name": "a"}), max_size=2), "cache_control": st.just(MARK)},
)


@pytest.mark.parametrize("cache", ["system", "conversation"])
@examples
@given(body=bodies)
def test_whatever_is_asked_four_marks_are_the_most_and_the_request_is_the_same(
    cache: Cache, body: dict[str, Any]
) -> None:
    before = copy.deepcopy(body)
    found = marked(body, cache)
    assert body == before, "nothing is changed in place"
    assert len(marks(found)) <= max(MOST_MARKS, len(marks(body)))
    assert without_marks(found) == without_marks(body)
    assert marked(found, cache) == found

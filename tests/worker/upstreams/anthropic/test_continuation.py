"""How a model is asked to go on: by a prefill where it takes one, by a quote where it does not."""

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.ids import BEGINNING
from broker.transcript import Kept
from worker.upstreams import Call
from worker.upstreams.anthropic.continuation import resumed, takes_prefill

# Speed is not what is tested: a busy machine must not fail it.
examples = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

OLD, NEW = "claude-haiku-4-5", "claude-sonnet-5-5"


def body(model: str, *messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [*messages] or [{"role": "user", "content": "Hi"}], "max_tokens": 9, **fields}


def continued(body: dict[str, Any], partial: str) -> Call:
    """The call for the rest of an answer of which three blocks are kept."""
    call = resumed(body, Kept(partial, BEGINNING, 3, 9))
    assert call.keep_blocks == 3
    return call


def messages(of: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = of["messages"]
    return found


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("claude-2.1", True),
        ("claude-3-opus-20240229", True),
        ("claude-3-5-sonnet-latest", True),
        ("claude-3-7-sonnet-20250219", True),
        ("claude-opus-4-0", True),
        ("claude-opus-4-20250514", True),
        ("claude-sonnet-4-20250514", True),
        ("claude-opus-4-1-20250805", True),
        ("claude-sonnet-4-5-20250929", True),
        ("claude-haiku-4-5", True),
        ("claude-opus-4-5?tps=50", True),
        ("claude-opus-4-6", False),
        ("claude-sonnet-4-10", False),
        ("claude-sonnet-5", False),
        ("claude-sonnet-5-5", False),
        ("claude-haiku-5-5", False),
        ("claude-opus-5-5-20260801", False),
        ("claude-opus-10", False),
        ("claude", False),
        ("claude-", False),
        ("claude-mythos-preview", False),
        ("my-claude-haiku-4-5", False),
        ("gpt-4", False),
        ("sim-1", False),
        ("", False),
    ],
)
def test_claude_up_to_4_5_takes_a_prefill_and_nothing_else_is_asked_to(model: str, takes: bool) -> None:
    assert takes_prefill(model) is takes


def test_a_prefill_is_a_trailing_assistant_message_without_its_last_white_space() -> None:
    asked = continued(body(OLD), "One, two \n\n")
    assert messages(asked.body)[1:] == [{"role": "assistant", "content": "One, two"}]
    assert asked.unshown == " \n\n"


def test_a_prefill_of_the_submitters_own_goes_on() -> None:
    own = {"role": "assistant", "content": "1."}
    asked = continued(body(OLD, {"role": "user", "content": "Hi"}, own), " One")
    assert messages(asked.body)[-1] == {"role": "assistant", "content": "1. One"}
    in_blocks = {"role": "assistant", "content": [{"type": "text", "text": "1."}]}
    asked = continued(body(OLD, {"role": "user", "content": "Hi"}, in_blocks), " One")
    assert messages(asked.body)[-1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "1."}, {"type": "text", "text": " One"}],
    }


def test_a_partial_of_white_space_alone_is_not_shown() -> None:
    asked = continued(body(OLD), " \n")
    assert asked.body == body(OLD)
    assert asked.unshown == " \n"


def test_a_later_model_gets_a_user_message_that_quotes_the_partial_as_it_is() -> None:
    asked = continued(body(NEW), "One, two \n")
    *before, last = messages(asked.body)
    assert before == messages(body(NEW))
    assert last["role"] == "user"
    assert "\n<partial_answer>One, two \n</partial_answer>\n" in last["content"]
    assert asked.unshown == ""


@pytest.mark.parametrize(
    ("thinking", "quoted"),
    [({"type": "enabled", "budget_tokens": 1024}, True), ({"type": "adaptive"}, True), ({"type": "disabled"}, False)],
)
def test_a_model_that_thinks_cannot_begin_in_the_middle(thinking: dict[str, Any], quoted: bool) -> None:
    asked = continued(body(OLD, thinking=thinking), "One")
    assert (messages(asked.body)[-1]["role"] == "user") is quoted
    assert asked.body["thinking"] == thinking


turns = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "assistant"]),
            "content": st.text() | st.just([{"type": "text", "text": "x"}]),
        }
    ),
    min_size=1,
)


@examples
@given(st.sampled_from([OLD, NEW, "sim-1"]), turns, st.text(min_size=1))
def test_the_request_itself_is_never_changed_and_nothing_of_it_is_lost(
    model: str, conversation: list[dict[str, Any]], partial: str
) -> None:
    request = body(model, *conversation, system="S", tools=[])
    before = copy.deepcopy(request)
    asked = continued(request, partial)
    assert request == before
    assert {name: value for name, value in asked.body.items() if name != "messages"} == {
        name: value for name, value in before.items() if name != "messages"
    }
    kept = messages(asked.body)[: len(conversation) - (conversation[-1]["role"] == "assistant")]
    assert kept == conversation[: len(kept)]
    said = str(messages(asked.body)[-1]["content"])
    if partial.strip():
        assert partial.strip()[:5] in said or repr(partial.strip()[:5])[1:-1] in said
    assert partial.endswith(asked.unshown)
    assert not asked.unshown.strip()

"""Which blocks an answer has, and how a partial one is continued."""

from typing import Any

import orjson
import pytest

from worker.simulator.answer import Answer, compose
from worker.simulator.asked import parse_request
from worker.simulator.plan import parse_model
from worker.simulator.refused import Refused

HELLO = {"role": "user", "content": "Tell me of rivers.\nBriefly."}


def answer(model: str, *messages: dict[str, Any], **more: Any) -> Answer:
    """The answer to messages, by default to HELLO."""
    body = {"model": model, "max_tokens": 10_000, "messages": messages or (HELLO,), **more}
    return compose(parse_model(model), parse_request(orjson.dumps(body)))


def text(of: Answer) -> str:
    """The text of its text blocks."""
    return "".join("".join(block.tokens) for block in of.blocks if block.kind == "text")


def quote(partial: str) -> dict[str, Any]:
    """A user message that quotes a partial answer."""
    return {"role": "user", "content": f"It broke off. Go on from here:\n<partial_answer>{partial}</partial_answer>"}


def test_without_a_seed_the_prompt_decides_the_text() -> None:
    other = {"role": "user", "content": "Tell me of mountains."}
    assert text(answer("sim-1")) == text(answer("sim-1"))
    assert text(answer("sim-1")) != text(answer("sim-1", other))
    assert text(answer("sim-1?seed=3")) == text(answer("sim-1?seed=3", other))


@pytest.mark.parametrize("model", ["sim-1", "sim-1?seed=7&tokens=60", "sim-1?echo=1", "claude-haiku-4-5"])
def test_a_trailing_assistant_message_is_continued_from_any_place(model: str) -> None:
    whole = text(answer(model))
    for place in range(len(whole) + 1):
        partial = whole[:place].rstrip()
        rest = answer(model, HELLO, {"role": "assistant", "content": partial})
        assert partial + text(rest) == whole
        assert rest.continued == len(partial)


@pytest.mark.parametrize("model", ["sim-1?prefill=0", "sim-1?seed=7", "sim-1?echo=1&prefill=0", "claude-opus-5-5"])
def test_a_quoted_partial_is_continued_from_any_place(model: str) -> None:
    whole = text(answer(model))
    for place in range(1, len(whole) + 1):
        assert whole[:place] + text(answer(model, HELLO, quote(whole[:place]))) == whole


def test_a_quoted_partial_may_stand_on_lines_of_its_own_or_have_lost_its_end() -> None:
    whole = text(answer("sim-1"))
    place = whole.index("\n\n") + 2
    assert text(answer("sim-1", HELLO, quote(f"\n{whole[:9]}\n"))) == whole[9:]
    assert text(answer("sim-1", HELLO, quote(whole[:place].rstrip()))) == whole[place - 2 :]


def test_a_quote_may_follow_the_assistants_turn_or_stand_in_the_prompts_own_message() -> None:
    whole = text(answer("sim-1"))
    turns = (HELLO, {"role": "assistant", "content": whole[:9]}, quote(whole[:9]))
    assert text(answer("sim-1", *turns)) == whole[9:]
    blocks = [{"type": "text", "text": message["content"]} for message in (HELLO, quote(whole[:9]))]
    assert text(answer("sim-1", {"role": "user", "content": blocks})) == whole[9:]


def test_in_a_conversation_the_last_prompt_counts() -> None:
    turns = (HELLO, {"role": "assistant", "content": "Done."}, {"role": "user", "content": "And of the sea?"})
    whole = text(answer("sim-1", *turns))
    assert whole != text(answer("sim-1"))
    assert text(answer("sim-1", *turns, quote(whole[:30]))) == whole[30:]


def test_a_partial_that_is_no_beginning_of_the_text_gets_the_whole_text() -> None:
    fresh = answer("sim-1", HELLO, quote("Something else entirely"))
    assert text(fresh) == text(answer("sim-1"))
    assert fresh.continued is None


def test_a_stamped_partial_is_continued_without_its_stamps() -> None:
    whole = answer("sim-1?stamp=1").blocks[0].tokens
    partial = "".join(f"{1234567890123456 + place} {token}" for place, token in enumerate(whole[:20]))
    assert answer("sim-1?stamp=1", HELLO, quote(partial)).blocks[0].tokens == whole[20:]


def test_later_models_refuse_a_trailing_assistant_message() -> None:
    with pytest.raises(Refused, match="prefill") as refused:
        answer("claude-opus-5-5", HELLO, {"role": "assistant", "content": "Once"})
    assert refused.value.status == 400


def test_a_trailing_assistant_message_must_not_end_in_white_space() -> None:
    with pytest.raises(Refused, match="trailing whitespace"):
        answer("sim-1", HELLO, {"role": "assistant", "content": "Once "})


def test_a_prefilled_answer_does_not_think_again_and_a_quoted_one_does() -> None:
    model = "sim-1?thinking=1"
    partial = text(answer(model))[:20].rstrip()
    prefilled = answer(model, HELLO, {"role": "assistant", "content": partial})
    assert [block.kind for block in answer(model).blocks] == ["thinking", "text"]
    assert [block.kind for block in prefilled.blocks] == ["text"]
    assert [block.kind for block in answer(model, HELLO, quote(partial)).blocks] == ["thinking", "text"]


def test_the_requests_own_thinking_is_followed_unless_the_name_says_otherwise() -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    assert answer("sim-1", thinking=thinking).blocks[0].kind == "thinking"
    assert answer("sim-1?thinking=0", thinking=thinking).blocks[0].kind == "text"


def test_max_tokens_caps_all_blocks_together() -> None:
    short = answer("sim-1?tool=look_up", max_tokens=125)
    assert [len(block.tokens) for block in short.blocks] == [120, 5]
    assert short.stop_reason == "max_tokens"
    assert answer("sim-1", max_tokens=120).stop_reason == "end_turn"


def test_a_stop_sequence_ends_the_text_before_it() -> None:
    stopped = answer("sim-1", stop_sequences=["nowhere to be found", "```"])
    assert text(answer("sim-1")).startswith(text(stopped) + "```")
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "```")


@pytest.mark.parametrize(
    ("change", "told"),
    [({"model": None}, "model"), ({"max_tokens": 0}, "max_tokens"), ({"max_tokens": True}, "max_tokens"),
     ({"messages": []}, "messages"), ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
     ({"messages": [{"role": "user"}]}, "messages.0.content"), ({"stream": "yes"}, "stream"),
     ({"stop_sequences": [" "]}, "stop_sequences")],
)  # fmt: skip
def test_a_wrong_field_is_named(change: dict[str, Any], told: str) -> None:
    body = {"model": "sim-1", "max_tokens": 10, "messages": [HELLO]}
    with pytest.raises(Refused, match=told):
        parse_request(orjson.dumps(body | change))


@pytest.mark.parametrize("missing", ["model", "max_tokens", "messages"])
def test_a_missing_field_is_named(missing: str) -> None:
    body = {"model": "sim-1", "max_tokens": 10, "messages": [HELLO]}
    del body[missing]
    with pytest.raises(Refused, match=f"{missing}: Field required"):
        parse_request(orjson.dumps(body))

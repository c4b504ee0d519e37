"""What viewers see when the upstream refuses, breaks off, babbles or falls silent, and what upstream was asked then.

All generations are submitted at once, as most of what they do is wait; each test then reads its own.
"""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.harness.client import Client, Frame, Generation, check_log, text_of
from tests.harness.stack import Stack
from worker.simulator.answer import compose
from worker.simulator.asked import Asked, Turn
from worker.simulator.plan import parse_model

PROMPT = "Tell me something."
FAST = "tps=1000&ttft_ms=0&tokens=60&seed=7"


@dataclass(frozen=True)
class Seen:
    """A generation that has ended: its log, its record, and what the upstream noted."""

    generation: Generation
    events: list[Frame]
    record: dict[str, Any]
    asked: list[dict[str, Any]]

    def of(self, type_: str) -> list[dict[str, Any]]:
        return [frame.data for frame in self.events if frame.type == type_]

    @property
    def end(self) -> dict[str, Any]:
        return self.events[-1].data

    @property
    def text(self) -> str:
        return text_of(self.events)


def whole(model: str, **fields: Any) -> tuple[str, ...]:
    """The tokens of the text that the simulated upstream says if nothing goes wrong."""
    asked = Asked(model, (Turn("user", (PROMPT,)),), 4096, **fields)
    return next(block.tokens for block in compose(parse_model(model), asked).blocks if block.kind == "text")


REFUSALS = {
    "400": ("upstream_invalid_request", False),
    "401": ("upstream_authentication", False),
    "403": ("upstream_permission", False),
    "404": ("upstream_not_found", False),
    "413": ("upstream_request_too_large", False),
    "429": ("upstream_rate_limited", True),
    "500": ("upstream_error", True),
    "529": ("upstream_overloaded", True),
}
BREAKS = {
    "cut": "upstream_disconnected",
    "fin": "upstream_disconnected",
    "eof": "upstream_truncated",
    "json": "upstream_malformed",
    "utf8": "upstream_malformed",
    "error": "upstream_overloaded",
    "stall": "idle_timeout",
    "stall_pings": "idle_timeout",
}
STRICT = "claude-haiku-4-5?tps=1000&ttft_ms=0&tokens=60&seed=7"
"""A model that goes on from a trailing assistant message, and refuses one that ends in white space."""
WHITE = [place for place, token in enumerate(whole(STRICT), 1) if token.isspace()][:4]

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"refuses {status}": (f"sim-1?{FAST}&fail={status}&retry_after=0", {}) for status in REFUSALS},
    "429 once": (f"sim-1?{FAST}&fail=429&retry_after=1&times=1", {}),
    "529 twice": (f"sim-1?{FAST}&fail=529&times=2", {}),
    **{
        f"{kind} and {then}": (
            f"sim-1?{FAST}&fail={kind}&at=20&times=1",
            {"on_interrupt": then} | ({"idle_timeout": 1} if kind.startswith("stall") else {}),
        )
        for kind in BREAKS
        for then in ("continue", "restart", "fail")
    },
    "cut always": (f"sim-1?{FAST}&fail=cut&at=7", {}),
    "cut at the same place": (f"sim-1?{FAST}&fail=cut&at=7", {"on_interrupt": "restart"}),
    "cut and dear": (f"sim-1?{FAST}&fail=cut&at=7", {"max_spend_tokens": 20}),
    "dear": ("sim-1?tps=100&ttft_ms=0&tokens=400&seed=7", {"max_spend_tokens": 10}),
    "cut before the first token": (f"sim-1?{FAST}&fail=cut&at=0&times=1", {}),
    "cut in thinking": (f"sim-1?{FAST}&thinking=1&fail=cut&at=4&in=thinking&times=1", {}),
    "cut after thinking": (f"sim-1?{FAST}&thinking=1&fail=cut&at=9&times=1", {}),
    "cut in a tool": (f"sim-1?{FAST}&tool=look&fail=cut&at=3&in=tool&times=1", {}),
    **{f"prefill at {place}": (f"{STRICT}&fail=cut&at={place}&times=1", {}) for place in (*WHITE, 33)},
    "quote for a thinker": (
        f"{STRICT}&fail=cut&at=30&times=1",
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    ),
    "no first token": ("sim-1?ttft_ms=60000&pings=50", {"first_token_timeout": 0.7}),
    "no headers": ("sim-1?fail=slow_headers", {"first_token_timeout": 0.7}),
    "slow but steady": ("sim-1?tps=4&ttft_ms=0&tokens=8", {"idle_timeout": 1}),
    "too long": ("sim-1?tps=20&ttft_ms=0&tokens=2000", {"total_timeout": 1}),
}


@pytest.fixture(scope="module")
def submitted(shared: Stack) -> dict[str, Generation]:
    client = shared.client()
    return {name: client.submit(model, PROMPT, **fields) for name, (model, fields) in CASES.items()}


@pytest.fixture
def see(client: Client, shared: Stack, submitted: dict[str, Generation]) -> Any:
    def see(name: str) -> Seen:
        generation = submitted[name]
        events = [frame for frame in client.events(generation.id) if frame.id]
        check_log(events)
        seen = Seen(generation, events, client.record(generation.id), shared.asked(generation.user_id))
        assert seen.record["text"] == seen.text
        return seen

    return see


# ── before the first event ──


@pytest.mark.parametrize("status", REFUSALS)
def test_a_refusal_is_an_error_with_its_code_after_as_many_tries_as_make_sense(see: Any, status: str) -> None:
    code, retryable = REFUSALS[status]
    seen = see(f"refuses {status}")
    tries = 4 if retryable else 1
    assert len(seen.asked) == tries
    assert [(retrying["code"], retrying["tries"]) for retrying in seen.of("retrying")] == [
        (code, number) for number in range(1, tries)
    ]
    assert all(0 <= retrying["delay_ms"] <= 300 for retrying in seen.of("retrying"))
    assert seen.end.items() >= {"type": "error", "code": code, "retryable": retryable, "partial": False}.items()
    assert (seen.end["status"], seen.end["retry_after_seconds"]) == (502 if status == "500" else int(status), 0)
    assert seen.record["error"].items() <= seen.end.items()
    assert seen.end["ttft_ms"] is None
    assert seen.record["state"] == "failed"
    assert seen.record["attempt"] == 1


def test_a_rate_limit_is_waited_out_as_upstream_asks_and_viewers_see_it(see: Any) -> None:
    seen = see("429 once")
    (retrying,) = seen.of("retrying")
    assert retrying["code"] == "upstream_rate_limited"
    assert 1000 <= retrying["delay_ms"] <= 1300
    first, second = seen.asked
    assert second["at_ns"] - first["at_ns"] >= 1e9
    assert seen.end["status"] == "completed"
    assert seen.text == "".join(whole(seen.record["model"]))


def test_without_retry_after_the_pause_grows(see: Any) -> None:
    seen = see("529 twice")
    first, second = (retrying["delay_ms"] for retrying in seen.of("retrying"))
    assert 250 <= first <= 500 <= second <= 1000
    assert (seen.end["status"], seen.record["attempt"], len(seen.asked)) == ("completed", 1, 3)


# ── in the middle ──


@pytest.mark.parametrize("kind", BREAKS)
def test_an_answer_that_breaks_off_is_continued_to_the_very_same_text(see: Any, kind: str) -> None:
    seen = see(f"{kind} and continue")
    tokens = whole(seen.record["model"])
    assert seen.text == "".join(tokens)
    assert seen.end["status"] == "completed"
    first, second = seen.of("stream_start")
    assert (first["attempt"], first["reason"]) == (1, "start")
    assert (second["attempt"], second["reason"], second["keep_blocks"]) == (2, "continue", 1)
    kept = seen.events[: [frame.id for frame in seen.events].index(second["keep_through"]) + 1]
    assert text_of(kept) == "".join(tokens[:20])
    assert [call["continued"] for call in seen.asked] == [None, len(text_of(kept))]
    assert seen.record["content"] == [{"type": "text", "text": seen.text}]
    assert seen.record["chunks"] == len(seen.of("text"))
    if kind.startswith("stall"):
        assert seen.asked[0]["closed_by"] == "client"


@pytest.mark.parametrize("kind", BREAKS)
def test_restart_begins_again_and_readers_discard(see: Any, kind: str) -> None:
    seen = see(f"{kind} and restart")
    _, second = seen.of("stream_start")
    assert (second["reason"], second["keep_through"], second["keep_blocks"]) == ("restart", None, 0)
    assert seen.text == "".join(whole(seen.record["model"]))
    assert [call["continued"] for call in seen.asked] == [None, None]
    assert seen.record["chunks"] == 60


@pytest.mark.parametrize(("kind", "code"), BREAKS.items())
def test_fail_ends_with_what_went_wrong_and_keeps_the_partial(see: Any, kind: str, code: str) -> None:
    seen = see(f"{kind} and fail")
    assert seen.end.items() >= {"type": "error", "code": code, "retryable": True, "partial": True}.items()
    assert seen.text == "".join(whole(seen.record["model"])[:20])
    assert (len(seen.asked), seen.record["attempt"], seen.record["state"]) == (1, 1, "failed")


def test_three_attempts_that_get_no_further_are_all_there_are(see: Any) -> None:
    seen = see("cut at the same place")
    assert [start["reason"] for start in seen.of("stream_start")] == ["start", *["restart"] * 3]
    assert seen.end.items() >= {"type": "error", "code": "upstream_disconnected", "retryable": True}.items()
    assert seen.text == "".join(whole(seen.record["model"])[:7])
    assert len(seen.asked) == 4, "the first got further than none before it"
    assert seen.end["usage"]["input_tokens"] > max(len(str(call["body"])) // 8 for call in seen.asked), "all cost"


def test_attempts_that_get_further_are_free(see: Any) -> None:
    seen = see("cut always")
    text = whole(seen.record["model"])
    assert seen.text == "".join(text)
    assert len(seen.asked) == -(-len(text) // 7) + 3, "the last three had nothing to add"
    assert seen.end.items() >= {"type": "error", "code": "upstream_disconnected", "retryable": True}.items()


@pytest.mark.parametrize(("name", "tokens", "calls"), [("cut and dear", 21, 3), ("dear", 11, 1)])
def test_what_costs_more_than_it_may_is_ended(see: Any, name: str, tokens: int, calls: int) -> None:
    seen = see(name)
    assert seen.end.items() >= {"type": "error", "code": "spend_exceeded", "retryable": False, "partial": True}.items()
    assert len(seen.asked) == calls
    assert seen.end["chunks"] >= tokens, "entries that came in the same read are shown"


@pytest.mark.parametrize("name", ["cut before the first token", "cut in thinking"])
def test_without_text_there_is_nothing_to_continue(see: Any, name: str) -> None:
    seen = see(name)
    assert [start["reason"] for start in seen.of("stream_start")] == ["start", "restart"]
    assert seen.text == "".join(whole(seen.record["model"]))
    assert seen.end["status"] == "completed"
    types = [block["type"] for block in seen.record["content"]]
    assert types == (["thinking", "text"] if "thinking" in name else ["text"])


def test_thinking_is_kept_with_the_text_that_followed_it(see: Any) -> None:
    seen = see("cut after thinking")
    assert seen.of("stream_start")[1]["keep_blocks"] == 2
    assert seen.text == "".join(whole(seen.record["model"]))
    assert [block["type"] for block in seen.record["content"]] == ["thinking", "text", "thinking", "text"]


def test_a_tool_call_is_never_continued_from_its_middle(see: Any) -> None:
    seen = see("cut in a tool")
    _, second = seen.of("stream_start")
    assert (second["reason"], second["keep_blocks"]) == ("continue", 1)
    text, tool = seen.record["content"]
    assert text["text"] == "".join(whole(seen.record["model"]))
    assert (tool["name"], tool["input"]["limit"]) == ("look", 3)
    assert seen.end["stop_reason"] == "tool_use"


@pytest.mark.parametrize("place", [*WHITE, 33])
def test_a_model_that_takes_a_prefill_gets_one_without_the_white_space_at_its_end(see: Any, place: int) -> None:
    seen = see(f"prefill at {place}")
    tokens = whole(seen.record["model"])
    partial = "".join(tokens[:place])
    assert seen.text == "".join(tokens)
    assert [call["status"] for call in seen.asked] == [200, 200]
    assert seen.asked[1]["body"]["messages"][-1] == {"role": "assistant", "content": partial.rstrip()}
    assert seen.asked[1]["body"]["messages"][:-1] == seen.asked[0]["body"]["messages"]


def test_a_model_that_thinks_gets_its_partial_quoted(see: Any) -> None:
    seen = see("quote for a thinker")
    tokens = whole(seen.record["model"], thinking=True)
    assert seen.text == "".join(tokens)
    asked = seen.asked[1]["body"]["messages"][-1]
    assert asked["role"] == "user"
    assert f"<partial_answer>{''.join(tokens[:30])}</partial_answer>" in asked["content"]


# ── silence ──


@pytest.mark.parametrize("name", ["no first token", "no headers"])
def test_an_upstream_that_says_nothing_is_given_up_and_its_socket_closed(see: Any, name: str) -> None:
    seen = see(name)
    assert seen.end.items() >= {"type": "error", "code": "first_token_timeout", "retryable": True}.items()
    assert seen.end["partial"] is False
    (call,) = seen.asked
    assert call["closed_by"] == "client"
    assert 0.2 < (call["closed_ns"] - call["at_ns"]) / 1e9 < 3


def test_an_idle_timeout_is_about_pauses_not_about_length(see: Any) -> None:
    seen = see("slow but steady")
    assert (seen.end["status"], seen.record["attempt"]) == ("completed", 1)
    assert seen.end["total_ms"] > 1500


def test_a_generation_that_takes_too_long_ends_with_its_partial(see: Any) -> None:
    seen = see("too long")
    assert seen.end.items() >= {"type": "error", "code": "total_timeout", "retryable": True, "partial": True}.items()
    assert 900 < seen.end["total_ms"] < 3000
    assert len(seen.asked) == 1
    assert seen.asked[0]["closed_by"] == "client"
